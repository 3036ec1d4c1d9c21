"""What settings explain of how results differ: functional analysis of variance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.config import show

Codes = Mapping[str, np.ndarray]  # of each setting: its value in every trial


class Shares(NamedTuple):
    """Parts of the variance of scores; they add up to 1.

    Attributes:
      alone: of each setting by itself (its main effect), the greatest first.
      together: of settings together, beyond what each does alone (their interactions).
      chance: of trials with the same settings. None for points that are no grid, where
        `together` has it as well.
    """

    alone: dict[str, float]
    together: float
    chance: float | None

    def text(self, score: str) -> str:
        """One sentence for a page.

        Example:
          >>> Shares({"learning_rate": 0.5, "cell": 0.2}, 0.2, 0.1).text("log sequences")
          'Share of the variance of the log sequences: learning rate alone 50%, cell alone 20%,
          interactions 20%, seeds 10% (exact, over the whole grid).'
        """
        alone = [
            f"{name.replace('_', ' ')} alone {share:.0%}" for name, share in self.alone.items()
        ]
        if self.chance is None:
            rest, how = [f"interactions and chance {self.together:.0%}"], "fANOVA, by a forest"
        else:
            rest = [f"interactions {self.together:.0%}", f"seeds {self.chance:.0%}"]
            how = "exact, over the whole grid"
        return f"Share of the variance of the {score}: {', '.join([*alone, *rest])} ({how})."


def variance_shares(
    settings: Sequence[Mapping[str, Any]], scores: Sequence[float]
) -> Shares | None:
    """How much of the variance of scores each setting explains alone.

    With ``f_i(v)`` the mean score at value v of setting i, and V the variance of all scores, the
    share of i is ``Var_v[f_i(v)] / V``. Of a whole grid with as many trials at each of its points
    that is counted out (the sums of squares of a balanced factorial design). Of other points f_i
    is that of a forest fitted to them (Hutter, Hoos & Leyton-Brown 2014, as Greff et al. 2017 used
    it, in Optuna's implementation, which needs scikit-learn), and V the forest's.

    A value weighs as often as it was tried, on any scale: numbers drawn log-uniformly count by
    their logarithms, and categories alike. Settings with one value are left out; with fewer than
    two left, or where all scores are the same, there is nothing to share: None.

    Raises:
      ImportError: for points that are no grid, without the extra `search`.

    Example:
      >>> grid = [{"x": x, "z": z} for x in (-1, 1) for z in (-1, 1)]
      >>> found = variance_shares(grid, [0.5 * s["x"] + s["x"] * s["z"] for s in grid])
      >>> found.alone, found.together, found.chance
      ({'x': 0.2, 'z': 0.0}, 0.8, 0.0)
    """
    y = np.asarray(scores, float)
    columns = {name: _codes([setting[name] for setting in settings], y) for name in settings[0]}
    codes = {name: column for name, column in columns.items() if len(set(column)) > 1}
    if len(codes) < 2 or np.ptp(y) == 0:
        return None
    points: dict[tuple[int, ...], list[float]] = {}
    for score, *point in zip(y.tolist(), *codes.values(), strict=True):
        points.setdefault(tuple(point), []).append(score)
    whole = len(points) == np.prod([len(set(column)) for column in codes.values()])
    if whole and len({len(found) for found in points.values()}) == 1:
        return _of_grid(codes, y, np.array([np.mean(found) for found in points.values()]))
    return _of_forest(codes, y)


def _codes(values: Sequence[Any], y: np.ndarray) -> np.ndarray:
    """The rank of each value among those there are: of categories, by their mean score.

    In that order one cut tells apart what two or more would in any other (Fisher 1958).
    """
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        return np.unique(values, return_inverse=True)[1]
    number = np.unique([show(value) for value in values], return_inverse=True)[1]
    means = np.bincount(number, weights=y) / np.bincount(number)
    return np.argsort(np.argsort(means))[number]


def _of_grid(codes: Codes, y: np.ndarray, means: np.ndarray) -> Shares:
    total, between = np.var(y), np.var(means)
    alone = {
        name: float(np.var([y[column == level].mean() for level in set(column)]) / total)
        for name, column in codes.items()
    }
    together = float(between / total) - sum(alone.values())
    return Shares(_sorted(alone), max(0.0, together), float(1 - between / total))


def _of_forest(codes: Codes, y: np.ndarray) -> Shares:
    import optuna
    from optuna.distributions import FloatDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize")
    # Optuna weighs values by the length of the axis that is theirs, and its categories by columns
    # of their own: so each value has as much of [0, 1] as it has trials, and stands in its middle.
    distributions: dict[str, Any] = {name: FloatDistribution(0.0, 1.0) for name in codes}
    places = {name: _middles(column) for name, column in codes.items()}
    for score, *at in zip(y, *places.values(), strict=True):
        params = dict(zip(places, map(float, at), strict=True))
        trial = optuna.trial.create_trial(
            params=params, distributions=distributions, value=float(score)
        )
        study.add_trial(trial)
    # Not by `get_param_importances`, which scales what settings explain alone up to 1.
    found = optuna.importance.FanovaImportanceEvaluator(seed=0).evaluate(study)
    alone = {name: float(share) for name, share in found.items()}
    return Shares(_sorted(alone), max(0.0, 1 - sum(alone.values())), None)


def _middles(column: np.ndarray) -> np.ndarray:
    counts = np.bincount(column)
    return ((np.cumsum(counts) - counts / 2) / len(column))[column]


def _sorted(shares: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(shares.items(), key=lambda item: -item[1]))
