"""What the odyssey's search shows: each variant against the first, on the test pieces.

A lower negative log-likelihood is better throughout. All statistics are SciPy's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.ablation.variance import Shares, variance_shares

Record = Mapping[str, Any]


class Versus(NamedTuple):
    """A variant against the first.

    Attributes:
      difference: of the mean test NLL of its best trials from that of the first's; negative: the
        variant is better.
      p_welch, p_rank: Welch's t-test and Mann & Whitney's test that these are alike.
      num_pairs: trials that both have with the same settings, 0 where each drew its own.
      paired: median difference of the test NLL over those pairs.
      low, high: its 95% bootstrap interval.
      p_paired: Wilcoxon's signed-rank test over the pairs.
      q_welch, q_rank, q_paired: after Benjamini & Hochberg's correction over the variants.
    """

    variant: str
    difference: float
    p_welch: float
    p_rank: float
    num_pairs: int
    paired: float
    low: float
    high: float
    p_paired: float
    q_welch: float = math.nan
    q_rank: float = math.nan
    q_paired: float = math.nan

    @property
    def verdict(self) -> str:
        """better, worse or "no difference shown", by the pairs where there are any, at 5%."""
        q, sign = (
            (self.q_paired, self.paired) if self.num_pairs else (self.q_welch, self.difference)
        )
        if not q < 0.05 or sign == 0:
            return "no difference shown"
        return "better" if sign < 0 else "worse"


def by_variant(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The trials of each variant, by number."""
    found: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: r["trial"]):
        found.setdefault(record["variant"], []).append(record)
    return found


def top(records: Sequence[Record], share: float) -> list[Record]:
    """The best share of the trials by validation, at least one.

    Example:
      >>> [r["valid_nll"] for r in top([{"valid_nll": v} for v in (9.0, 8.5, None)], 0.5)]
      [8.5, 9.0]
    """
    ranked = sorted(records, key=lambda r: _nll(r, "valid_nll"))
    return ranked[: max(1, math.ceil(share * len(records)))]


def versus(found: Mapping[str, Sequence[Record]], baseline: str, share: float) -> list[Versus]:
    """Each variant against the baseline; the corrections are over all of them."""
    from scipy.stats import false_discovery_control

    if baseline not in found:
        return []
    made = [
        _versus(variant, records, found[baseline], share)
        for variant, records in found.items()
        if variant != baseline
    ]
    for name in ("welch", "rank", "paired"):
        p = np.array([getattr(v, f"p_{name}") for v in made])
        there = np.isfinite(p)
        q = np.full(len(p), np.nan)
        if there.any():
            q[there] = false_discovery_control(p[there], method="bh")
        made = [v._replace(**{f"q_{name}": float(q)}) for v, q in zip(made, q, strict=True)]
    return made


def shares_of(records: Sequence[Record]) -> Shares | None:
    """What the variant and each drawn setting explain of the variance of the test NLL.

    Raises:
      ImportError: without the extra `search`.
    """
    settings = [{"variant": r["variant"], **r["values"]} for r in records]
    return variance_shares(settings, [_nll(r, "test_nll") for r in records])


def _versus(variant: str, own: Sequence[Record], other: Sequence[Record], share: float) -> Versus:
    best, others = (
        np.array([_nll(r, "test_nll") for r in top(records, share)]) for records in (own, other)
    )
    twins = {r["trial"]: r for r in other}
    pairs = [(r, twins[r["trial"]]) for r in own if r["trial"] in twins]
    pairs = [(a, b) for a, b in pairs if a["values"] == b["values"]]
    deltas = np.array([_nll(a, "test_nll") - _nll(b, "test_nll") for a, b in pairs])
    paired, low, high, p_paired = _paired(deltas)
    return Versus(
        variant,
        float(best.mean() - others.mean()),
        *_unpaired(best, others),
        len(deltas),
        paired,
        low,
        high,
        p_paired,
    )


def _unpaired(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    from scipy.stats import mannwhitneyu, ttest_ind

    if min(len(a), len(b)) < 2:
        return math.nan, math.nan
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return (1.0, 1.0) if a[0] == b[0] else (0.0, _p(mannwhitneyu(a, b)))
    return _p(ttest_ind(a, b, equal_var=False)), _p(mannwhitneyu(a, b))


def _paired(deltas: np.ndarray) -> tuple[float, float, float, float]:
    from scipy.stats import bootstrap, wilcoxon

    if len(deltas) < 2:
        return (float(deltas[0]) if len(deltas) else math.nan), math.nan, math.nan, math.nan
    value = float(np.median(deltas))
    if np.ptp(deltas) == 0:
        return value, value, value, 1.0 if value == 0 else _p(wilcoxon(deltas))
    drawn = bootstrap(
        (deltas,),
        np.median,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return value, float(drawn.low), float(drawn.high), _p(wilcoxon(deltas))


def _p(result: Any) -> float:
    """The p-value of a test of SciPy, whose results are typed loosely."""
    return float(result.pvalue)


def _nll(record: Record, name: str) -> float:
    """A likelihood on file; at worst that of a fair coin for each of 88 keys, 61 nats.

    A network whose outputs run away is as bad as any other that has learnt nothing.
    """
    value, coin = record[name], 88 * math.log(2)
    return coin if value is None else min(float(value), coin)
