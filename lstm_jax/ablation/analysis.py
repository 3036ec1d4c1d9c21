"""What a sweep shows: each cell against the first, with tests, effects and intervals.

All statistics are SciPy's. A trial that was not solved is censored at the cap.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.ablation.variance import Shares, variance_shares
from lstm_jax.summary import RowSummary, summarize

Record = Mapping[str, Any]
Family = tuple[str, str]  # a task and a recipe


class PointResult(NamedTuple):
    """What the trials of one point came to."""

    values: dict[str, Any]
    summary: RowSummary


class Comparison(NamedTuple):
    """A cell against the baseline on one task, by one recipe.

    Attributes:
      effect: probability that a trial of the cell is solved sooner than one of the baseline, ties
        (both unsolved, too) counting one half: Mann-Whitney's U / (n m), Vargha & Delaney's A.
        One half: no difference.
      low, high: its 95% bootstrap interval.
      p: of the log-rank test that both are solved at the same rate.
      q: p after Benjamini & Hochberg's correction over all comparisons.
    """

    task: str
    recipe: str
    cell: str
    effect: float
    low: float
    high: float
    p: float
    q: float

    @property
    def verdict(self) -> str:
        """better, worse or "no difference shown", at a false discovery rate of 5%."""
        if not self.q < 0.05:
            return "no difference shown"
        return "better" if self.effect > 0.5 else "worse"


def point_results(records: Sequence[Record], cap: int) -> list[PointResult]:
    """The trials of one cell, point by point, in the order of their first records."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(json.dumps(record["values"], sort_keys=True), []).append(record)
    return [
        PointResult(dict(members[0]["values"]), summary_of(members, cap))
        for members in found.values()
    ]


def summary_of(records: Sequence[Record], cap: int) -> RowSummary:
    """The usual summary of a row, of trials numbered anew."""
    numbered = [dict(record) | {"trial": trial} for trial, record in enumerate(records)]
    return summarize(numbered, max_sequences=cap)


def best(results: Sequence[PointResult]) -> PointResult:
    """The point with the most trials solved; of those, with the least median.

    Example:
      >>> records = [{"values": {"learning_rate": rate}, "status": "SOLVED", "num_sequences": n}
      ...            for rate, n in ((0.1, 500), (0.2, 300))]
      >>> best(point_results(records, 1000)).values
      {'learning_rate': 0.2}
    """
    return min(results, key=lambda r: (-r.summary.num_solved, r.summary.median_sequences))


def compare(
    records: Mapping[tuple[str, str, str], Sequence[Record]], baseline: str, cap: int
) -> list[Comparison]:
    """Each cell against the baseline, within each task and recipe.

    Args:
      records: of ``(task, recipe, cell)``.
      baseline: the cell that others are compared with.
      cap: in training sequences.

    Example:
      >>> slow = [{"status": "SOLVED", "num_sequences": 900 + k} for k in range(8)]
      >>> fast = [{"status": "SOLVED", "num_sequences": 300 + k} for k in range(8)]
      >>> (found,) = compare({("t", "r", "V"): slow, ("t", "r", "NP"): fast}, "V", 1000)
      >>> found.effect, found.verdict
      (1.0, 'better')
    """
    from scipy.stats import false_discovery_control

    found: list[Comparison] = []
    for (task, recipe, cell), own in records.items():
        if cell != baseline and (task, recipe, baseline) in records:
            other = records[task, recipe, baseline]
            effect, low, high = _effect(own, other, cap)
            p = _log_rank(own, other, cap)
            found.append(Comparison(task, recipe, cell, effect, low, high, p, p))
    if not found:
        return []
    corrected = false_discovery_control([comparison.p for comparison in found], method="bh")
    return [c._replace(q=float(q)) for c, q in zip(found, corrected, strict=True)]


def shares_of(records: Sequence[Record], cap: int) -> Shares | None:
    """What each swept setting, the cell among them, explains of the variance of success.

    That is of the logarithm of the sequences needed, the cap for what was not solved.

    Raises:
      ImportError: for points that are no grid, without the extra `search`.
    """
    settings = [{"cell": record["cell"], **record["values"]} for record in records]
    return variance_shares(settings, [math.log(_count(record, cap)) for record in records])


def _count(record: Record, cap: int) -> float:
    """Sequences until solved, or the cap: a trial that diverged or gave up comes last."""
    return float(record["num_sequences"] if record["status"] == "SOLVED" else cap)


def _effect(own: Sequence[Record], other: Sequence[Record], cap: int) -> tuple[float, float, float]:
    from scipy.stats import bootstrap, mannwhitneyu

    # An unsolved trial lies beyond a trial solved at the very cap.
    times = [
        np.array([_count(r, cap) + (r["status"] != "SOLVED") for r in records])
        for records in (own, other)
    ]

    def probability(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        statistic = mannwhitneyu(b, a, axis=axis, method="asymptotic").statistic
        return statistic / (a.shape[axis] * b.shape[axis])

    value = float(probability(times[0], times[1]))
    if value in (0.0, 1.0) or all(np.ptp(t) == 0 for t in times):
        return value, value, value  # no resample differs
    interval = bootstrap(
        times,
        probability,
        vectorized=True,
        method="percentile",
        n_resamples=2000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return value, float(interval.low), float(interval.high)


def _log_rank(own: Sequence[Record], other: Sequence[Record], cap: int) -> float:
    from scipy.stats import CensoredData, logrank

    if not any(r["status"] == "SOLVED" for r in [*own, *other]):
        return 1.0  # nothing happened in either
    samples = []
    for records in (own, other):
        solved = [r["num_sequences"] for r in records if r["status"] == "SOLVED"]
        rest = [_count(r, cap) for r in records if r["status"] != "SOLVED"]
        samples.append(CensoredData(uncensored=np.array(solved), right=np.array(rest)))
    with np.errstate(all="ignore"):
        p = float(logrank(*samples).pvalue)
    return p if math.isfinite(p) else 1.0
