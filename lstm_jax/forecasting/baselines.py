"""Simple forecasts: what any other has to beat."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

Forecast = tuple[np.ndarray, np.ndarray | None]
"""``[h]`` and, where the method states one, its interval ``[2, h]``."""


def persistence(past: np.ndarray, horizon: int, season: int, coverage: float) -> Forecast:
    """Everything stays as it is: ``y_t+k = y_t``.

    Example:
      >>> persistence(np.array([1.0, 2.0, 5.0]), 2, 1, 0.9)[0].tolist()
      [5.0, 5.0]
    """
    del season, coverage
    return np.full(horizon, past[-1]), None


def seasonal_naive(past: np.ndarray, horizon: int, season: int, coverage: float) -> Forecast:
    """As it was a season ago: the last known value at the same place of the season.

    Example:
      >>> seasonal_naive(np.array([9.0, 1.0, 2.0, 3.0]), 4, 3, 0.9)[0].tolist()
      [1.0, 2.0, 3.0, 1.0]
    """
    del coverage
    return past[len(past) - season + np.arange(horizon) % season], None


def autoreg(past: np.ndarray, horizon: int, season: int, coverage: float) -> Forecast:
    """A linear autoregression by least squares, its order chosen on the past alone (BIC).

    statsmodels' AutoReg with a constant; for a season of 4 and more also with a linear trend and
    seasonal dummies where those are chosen by the same criterion.

    Raises:
      ImportError: without statsmodels.
    """
    from statsmodels.tsa.ar_model import ar_select_order

    most = max(1, min(2 * season if season > 1 else 12, 24, len(past) // 5))
    shapes = [("c", False)] + ([("ct", True), ("c", True)] if 4 <= season <= len(past) // 4 else [])
    best = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of frequencies that a plain array has not
        for trend, seasonal in shapes:
            how = {"trend": trend, "seasonal": seasonal, "period": season if seasonal else None}
            chosen = ar_select_order(past, most, ic="bic", **how)
            fitted = chosen.model.fit()
            if best is None or fitted.bic < best.bic:
                best = fitted
        assert best is not None
        found = best.get_prediction(len(past), len(past) + horizon - 1)
        interval = np.asarray(found.conf_int(alpha=1 - coverage)).T
    return np.asarray(found.predicted_mean), interval


BASELINES: dict[str, Callable[[np.ndarray, int, int, float], Forecast]] = {
    "persistence": persistence,
    "seasonal_naive": seasonal_naive,
    "autoreg": autoreg,
}
"""``(past, horizon, season, coverage) -> Forecast``."""
