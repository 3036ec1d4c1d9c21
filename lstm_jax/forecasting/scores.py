"""Who forecast better: errors, paired comparisons, coverage of intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from lstm_jax.summary import paired_interval


class Score(NamedTuple):
    """One method over all origins.

    Attributes:
      mae, rmse: mean absolute and root mean squared error, over origins and steps ahead.
      low, high: 95% bootstrap interval of `mae`, origins drawn with replacement.
      by_step: ``[h]``, mean absolute error of each step ahead.
    """

    mae: float
    rmse: float
    low: float
    high: float
    by_step: np.ndarray


class Comparison(NamedTuple):
    """The network against one other method, origin by origin.

    Attributes:
      ratio: mean absolute error of the network over the other's.
      low, high: its 95% bootstrap interval, origins drawn with replacement.
      p: Diebold & Mariano's test of equal absolute errors, as Harvey et al. 1997 correct it.
      q: p after Benjamini & Hochberg's correction over the comparisons of a table.
    """

    ratio: float
    low: float
    high: float
    p: float
    q: float

    @property
    def verdict(self) -> str:
        """won, lost or "not told apart", at a false discovery rate of 5%."""
        if not self.q < 0.05:
            return "not told apart"
        return "won" if self.ratio < 1 else "lost"


def score(errors: np.ndarray) -> Score:
    """Of errors ``[origins, h]``.

    Example:
      >>> found = score(np.array([[1.0, -3.0], [1.0, 3.0]]))
      >>> found.mae, found.by_step.tolist()
      (2.0, [1.0, 3.0])
    """
    by_origin = np.abs(errors).mean(axis=1)
    low, high = _interval((by_origin,), lambda a, axis: a.mean(axis=axis))
    mae, rmse = float(by_origin.mean()), float(np.sqrt((errors**2).mean()))
    return Score(mae, rmse, low, high, np.abs(errors).mean(axis=0))


def compare(
    errors: np.ndarray, others: Mapping[str, np.ndarray], overlap: int
) -> dict[str, Comparison]:
    """The network's errors ``[origins, h]`` against those of each other method.

    Args:
      errors: of the network.
      others: of the other methods.
      overlap: following origins whose forecasts share a value with an origin's own.
    """
    from scipy.stats import false_discovery_control

    own = np.abs(errors).mean(axis=1)
    found = {}
    for name, other in others.items():
        theirs = np.abs(other).mean(axis=1)
        low, high = _interval((own, theirs), _ratio)
        p = diebold_mariano(own - theirs, overlap)
        found[name] = Comparison(float(_ratio(own, theirs)), low, high, p, p)
    if not found:
        return {}
    corrected = false_discovery_control([c.p for c in found.values()], method="bh")
    return {
        name: c._replace(q=float(q)) for (name, c), q in zip(found.items(), corrected, strict=True)
    }


def diebold_mariano(differences: np.ndarray, overlap: int = 0) -> float:
    """p of the test that two forecasts are equally good (Diebold & Mariano 1995).

    The mean difference of losses over its standard error, with the autocovariances of the first
    `overlap` lags, corrected for small samples and compared with Student's t (Harvey, Leybourne &
    Newbold 1997). Without overlap it is the paired t-test.

    Args:
      differences: of the losses, origin by origin.
      overlap: lags at which they are correlated by construction, at most n - 2 of n differences;
        with overlap, equally good forecasts are told apart more often than p says.

    Raises:
      ValueError: for more overlap: Harvey's factor is 0 there, so that p would be 1 whatever came.

    Example:
      >>> round(diebold_mariano(np.array([1.0, 2.0, 3.0, 2.0])), 4)
      0.0163
    """
    from scipy.stats import t

    n = len(differences)
    if overlap > max(n - 2, 0):
        raise ValueError(
            f"diebold_mariano: an overlap of {overlap} with {n} differences; must be at most "
            f"{max(n - 2, 0)}"
        )
    centred = differences - differences.mean()
    covariances = [float(centred[lag:] @ centred[: n - lag]) / n for lag in range(overlap + 1)]
    variance = (covariances[0] + 2 * sum(covariances[1:])) / n
    if n < 2 or covariances[0] == 0:
        return 1.0 if n < 2 or differences.mean() == 0 else 0.0
    if variance <= 0:  # the truncated sum can be: the variance without the covariances then
        variance = covariances[0] / n
    steps = overlap + 1
    factor = (n + 1 - 2 * steps + steps * (steps - 1) / n) / n
    statistic = np.sqrt(factor) * differences.mean() / np.sqrt(variance)
    return float(2 * t.sf(abs(statistic), n - 1))


def coverage(truth: np.ndarray, intervals: np.ndarray) -> tuple[float, float, float]:
    """The share of values within their intervals, and its 95% bootstrap interval over origins.

    Args:
      truth: ``[origins, h]``.
      intervals: ``[origins, 2, h]``.

    Example:
      >>> inside = np.stack([np.zeros((3, 2)), np.ones((3, 2))], axis=1)
      >>> coverage(np.array([[0.5, 0.5], [0.5, 2.0], [0.5, 0.5]]), inside)[0]
      0.833...
    """
    within = (truth >= intervals[:, 0]) & (truth <= intervals[:, 1])
    by_origin = within.mean(axis=1)
    return float(by_origin.mean()), *_interval((by_origin,), lambda a, axis: a.mean(axis=axis))


def residual_interval(residuals: np.ndarray, share: float) -> np.ndarray:
    """The ``[2]`` quantiles of residuals between which a share of new ones is expected.

    Of n residuals, the ranks that split conformal prediction takes: with exchangeable errors the
    share is met on average, and missed where errors grow. Where the share is more than
    `attainable_share` of n, the interval is from the least to the largest residual, and holds that
    much and no more.

    Args:
      residuals: ``[n]``, n >= 1.
      share: between 0 and 1.

    Example:
      >>> residual_interval(np.arange(-9.0, 10.0), 0.9).tolist()
      [-9.0, 9.0]
    """
    n = len(residuals)
    ranks = np.sort(residuals)
    tail = int(np.floor((n + 1) * (1 - share) / 2 + 1e-9))
    return np.array([ranks[max(tail - 1, 0)], ranks[min(n - tail, n - 1)]])


def attainable_share(num_residuals: int) -> float:
    """The share of new ones, exchangeable with them, between the least and largest of n residuals.

    Example:
      >>> attainable_share(19)
      0.9
    """
    return (num_residuals - 1) / (num_residuals + 1)


def _ratio(own: np.ndarray, theirs: np.ndarray, axis: int = -1) -> np.ndarray:
    return own.mean(axis=axis) / theirs.mean(axis=axis)


def _interval(
    samples: tuple[np.ndarray, ...], statistic: Callable[..., np.ndarray]
) -> tuple[float, float]:
    """95% bootstrap interval of a statistic, origins drawn with replacement."""
    value = float(statistic(*samples, axis=-1))
    if len(samples[0]) < 2 or all(np.ptp(sample) == 0 for sample in samples):
        return value, value
    return paired_interval(samples, statistic)
