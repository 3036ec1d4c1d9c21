"""Accuracies with their intervals, alone and in pairs on the same examples."""

from typing import NamedTuple

import numpy as np


class Accuracy(NamedTuple):
    """A share of right answers and its interval."""

    mean: float
    low: float
    high: float


class Difference(NamedTuple):
    """Ours less theirs on the same examples: share, interval, and a test of no difference."""

    mean: float
    low: float
    high: float
    only_ours: float  # examples that only we have right; a mean over seeds
    only_theirs: float
    p_value: float  # exact McNemar; of the first seed


def accuracy(right: np.ndarray, *, confidence: float = 0.95) -> Accuracy:
    """The mean of truth values ``[N]`` or ``[S, N]`` (S nets on the same N examples).

    For one net, its Wilson score interval. For several, the mean over nets and examples, and the
    interval of a bootstrap that draws both nets and examples (2,000 draws, percentiles): examples
    that one net has wrong, others tend to have wrong too.

    Example:
      >>> found = accuracy(np.array([True] * 90 + [False] * 10))
      >>> [round(value, 3) for value in found]
      [0.9, 0.826, 0.945]
    """
    right = np.atleast_2d(right)
    nets, examples = right.shape
    if nets == 1:
        from scipy.stats import binomtest  # not at import: it takes a second

        interval = binomtest(int(right.sum()), examples).proportion_ci(confidence, "wilson")
        return Accuracy(float(right.mean()), float(interval.low), float(interval.high))
    low, high = _bootstrap(right.astype(float), confidence)
    return Accuracy(float(right.mean()), low, high)


def compare(ours: np.ndarray, theirs: np.ndarray, *, confidence: float = 0.95) -> Difference:
    """Ours ``[S, N]`` against theirs, ``[N]`` or ``[S, N]``, example by example.

    Example:
      >>> ours, theirs = np.ones((1, 100), bool), np.arange(100) < 80
      >>> found = compare(ours, theirs)
      >>> round(found.mean, 3), found.only_ours, found.low > 0, found.p_value < 1e-5
      (0.2, 20.0, True, True)
    """
    from scipy.stats import binomtest

    ours, theirs = np.atleast_2d(ours), np.atleast_2d(theirs)
    low, high = _bootstrap(ours.astype(float) - theirs, confidence)
    mine, yours = int((ours[0] & ~theirs[0]).sum()), int((~ours[0] & theirs[0]).sum())
    p_value = float(binomtest(mine, mine + yours).pvalue) if mine + yours else 1.0
    return Difference(
        float((ours.astype(float) - theirs).mean()),
        low,
        high,
        float((ours & ~theirs).sum(1).mean()),
        float((~ours & theirs).sum(1).mean()),
        p_value,
    )


def with_interval(found: Accuracy | Difference, *, signed: bool = False) -> str:
    """A share with its interval, as text.

    Example:
      >>> with_interval(Accuracy(0.9, 0.826, 0.945))
      '0.900 [0.826, 0.945]'
    """
    form = "+.3f" if signed else ".3f"
    return f"{found.mean:{form}} [{found.low:{form}}, {found.high:{form}}]"


def _bootstrap(values: np.ndarray, confidence: float, num_draws: int = 2000) -> tuple[float, float]:
    """Percentiles of the mean of ``[S, N]`` over draws of both axes."""
    rng = np.random.Generator(np.random.Philox(0))
    nets, examples = values.shape
    means = np.empty(num_draws)
    for draw in range(num_draws):
        some = values[rng.integers(nets, size=nets)].mean(0)
        means[draw] = some[rng.integers(examples, size=examples)].mean()
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
