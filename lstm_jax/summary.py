"""Statistics of finished trials: one list of records in, one `RowSummary` out.

"Training sequences until solved" is censored data: a trial stopped at its budget says only that it
needs more. The published tables print the mean over the solved trials, so that number is here to be
compared; beside it stand the solved fraction and the Kaplan-Meier median, which use every trial.
All statistics are SciPy's.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

STATUSES = ("SOLVED", "EXHAUSTED", "DIVERGED")
REQUIRED_FIELDS = ("trial", "status", "num_sequences")


class RowSummary(NamedTuple):
    """What the trials of one row came to, in training sequences.

    A "solved only" mean or range is nan when no trial was solved.
    """

    row: str  # the records' "row", "" if they name none
    num_trials: int
    num_solved: int
    num_exhausted: int  # stopped at the budget
    num_diverged: int  # a NaN or infinity froze the trial
    solved_low: float  # Wilson interval of the solved fraction, in [0, 1]
    solved_high: float
    mean_sequences: float  # solved only: the number the papers print
    fewest_sequences: float  # solved only
    most_sequences: float  # solved only
    median_sequences: float  # all trials (Kaplan-Meier); inf: not reached by `cap`
    median_low: float  # ends of its interval; inf: not reached by `cap`; nan: undefined
    median_high: float
    cap: int  # longest that a trial was followed
    num_wrong: int  # solved only: summed over the trials
    num_test: int  # solved only: summed over the trials
    mean_test_error: float  # solved only: mean over the trials
    num_weights: int | None
    reading: str


def summarize(
    records: Sequence[Mapping[str, Any]],
    *,
    max_sequences: int | None = None,
    confidence: float = 0.95,
) -> RowSummary:
    """Statistics of the finished trials of one row.

    The solved fraction carries a Wilson score interval. The median number of sequences is the
    Kaplan-Meier one: an EXHAUSTED trial is right-censored at its `num_sequences`. A DIVERGED trial
    will never solve, however long it is followed, so it is censored at the cap (not at the moment
    it diverged, which would make it look like a trial that was merely stopped early).

    Args:
      records: dicts as in `trials.jsonl`, at least `trial`, `status` and `num_sequences`
        (sequences); of one row.
      max_sequences: the cap, in sequences; by default the largest `num_sequences` among the
        records.
      confidence: coverage of both intervals, in (0, 1).

    Raises:
      ValueError: no records, a record without a required field or with an unknown status, a trial
        that appears twice, records of several rows, a cap below a record's `num_sequences`.

    >>> records = [
    ...     {"trial": 0, "status": "SOLVED", "num_sequences": 60_000},
    ...     {"trial": 1, "status": "SOLVED", "num_sequences": 80_000},
    ...     {"trial": 2, "status": "EXHAUSTED", "num_sequences": 500_000},
    ... ]
    >>> s = summarize(records)
    >>> s.num_solved, s.mean_sequences, s.median_sequences, s.median_high
    (2, 70000.0, 80000.0, inf)
    """
    _check(records)
    counts = np.array([record["num_sequences"] for record in records], dtype=float)  # [N]
    solved = np.array([record["status"] == "SOLVED" for record in records])  # [N]
    diverged = np.array([record["status"] == "DIVERGED" for record in records])  # [N]
    cap = int(counts.max()) if max_sequences is None else int(max_sequences)
    if counts.max() > cap:
        raise ValueError(
            f"max_sequences={cap} is below a record's num_sequences={counts.max():.0f}; "
            "give the cap the trials ran under"
        )
    solved_low, solved_high = wilson_interval(int(solved.sum()), len(records), confidence)
    median, median_low, median_high = censored_median(
        counts[solved], np.where(diverged, cap, counts)[~solved], confidence
    )
    winners = [record for record in records if record["status"] == "SOLVED"]
    return RowSummary(
        row=str(records[0].get("row", "")),
        num_trials=len(records),
        num_solved=int(solved.sum()),
        num_exhausted=int((~solved & ~diverged).sum()),
        num_diverged=int(diverged.sum()),
        solved_low=solved_low,
        solved_high=solved_high,
        mean_sequences=float(counts[solved].mean()) if winners else math.nan,
        fewest_sequences=float(counts[solved].min()) if winners else math.nan,
        most_sequences=float(counts[solved].max()) if winners else math.nan,
        median_sequences=median,
        median_low=median_low,
        median_high=median_high,
        # the longest follow-up, which is short of the budget when every trial was solved
        cap=cap if diverged.any() else int(counts.max()),
        num_wrong=sum(int(record.get("num_wrong") or 0) for record in winners),
        num_test=sum(int(record.get("num_test") or 0) for record in winners),
        mean_test_error=_mean_or_nan([record.get("mean_test_error") for record in winners]),
        num_weights=_the_one(records, "num_weights"),
        reading=str(_the_one(records, "reading") or ""),
    )


def wilson_interval(
    num_solved: int, num_trials: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Wilson score interval of a fraction solved; both ends in [0, 1].

    >>> low, high = wilson_interval(10, 10)
    >>> round(low, 3), high
    (0.722, 1.0)
    """
    from scipy.stats import binomtest  # scipy.stats takes a second to import

    interval = binomtest(num_solved, num_trials).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def censored_median(
    solved: np.ndarray, censored: np.ndarray, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Kaplan-Meier median and its interval from the log-log limits of the survival curve.

    Brookmeyer and Crowley (1982): the interval holds the times at which one half lies between the
    limits of S(t); Kalbfleisch and Prentice's log(-log S) scale keeps those limits inside [0, 1].
    Where S(t) is exactly one half over a stretch, its middle is the median, as in R's `survfit`:
    without censoring this is the ordinary median.

    Args:
      solved: [n] sequences at success.
      censored: [m] sequences at which an unsolved trial was stopped. n + m >= 1.

    Returns:
      (median, low, high): inf where a curve never falls to one half; nan for an interval that the
      formula leaves undefined (no trial solved, or a single trial).

    >>> median, low, high = censored_median(np.array([6.0, 7.0]), np.array([6.0, 9.0]))
    >>> median, high
    (7.0, inf)
    """
    from scipy.stats import CensoredData, ecdf

    survival = ecdf(CensoredData(uncensored=solved, right=censored)).sf
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # the log-log limits are undefined where S is 0 or 1; those points are left out below
        warnings.simplefilter("ignore", RuntimeWarning)
        limits = survival.confidence_interval(confidence, method="log-log")
    if not np.isnan(limits.low.probabilities).all():
        # Nothing is below 0: half of the trials are solved by then, whatever the interval.
        limits.low.probabilities[survival.probabilities == 0] = 0.0
    low, high = (
        math.nan
        if np.isnan(limit.probabilities).all()
        else _time_of_half(limit.quantiles, limit.probabilities)
        for limit in limits
    )
    return _time_of_half(survival.quantiles, survival.probabilities), low, high


def mean_interval(counts: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Bootstrap interval of the mean (BCa), with fixed random numbers; of solved trials only.

    Args:
      counts: [n] sequences at success.
      confidence: coverage, in (0, 1).

    Returns:
      (low, high); nan for fewer than two trials, which have no spread to resample.

    >>> low, high = mean_interval([60_000, 70_000, 80_000, 90_000])
    >>> 60_000 < low < 75_000 < high < 90_000
    True
    """
    from scipy.stats import bootstrap

    sample = np.asarray(counts, dtype=float)
    if len(sample) < 2:
        return math.nan, math.nan
    if np.ptp(sample) == 0:  # BCa divides by the spread
        return float(sample[0]), float(sample[0])
    interval = bootstrap(
        (sample,),
        np.mean,
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the median from order statistics, which supposes nothing of the distribution.

    Args:
      values: [n] numbers.
      confidence: least coverage, in (0, 1).

    Returns:
      (low, high); nan for fewer than six, of which not even the extremes cover 95%.

    >>> median_interval([3.0, 1.0, 2.0, 4.0, 5.0, 6.0])
    (1.0, 6.0)
    """
    from scipy.stats import quantile_test

    sample = np.asarray(values, dtype=float)
    if len(sample) < 6:
        return math.nan, math.nan
    middle: Any = float(np.median(sample))  # an int in the stubs
    interval = quantile_test(sample, q=middle, p=0.5).confidence_interval(confidence)
    return float(interval.low), float(interval.high)


def paired_interval(
    samples: Sequence[np.ndarray], statistic: Callable[..., np.ndarray]
) -> tuple[float, float]:
    """95% bootstrap interval of a statistic, places of the samples drawn with replacement.

    Args:
      samples: one or more arrays of one length n >= 2; a place is drawn from all of them at once.
      statistic: ``(*samples, axis=-1)``.

    >>> low, high = paired_interval([np.arange(9.0)], np.mean)
    >>> low < 4 < high
    True
    """
    from scipy.stats import bootstrap

    drawn = bootstrap(
        tuple(samples),
        statistic,
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(drawn.low), float(drawn.high)


def geometric_mean(ratios: Sequence[float]) -> float:
    """Geometric mean of the ratios that are numbers; nan if none is.

    Twice too many and half too many cancel, as they should for ratios.

    >>> geometric_mean([2.0, 0.5, float("nan")])
    1.0
    """
    from scipy.stats import gmean

    known = [ratio for ratio in ratios if math.isfinite(ratio)]
    return float(gmean(known)) if known else math.nan


def _time_of_half(times: np.ndarray, survival: np.ndarray) -> float:
    """First time at which a curve is at most one half; inf if it never is.

    A curve that is exactly one half over a stretch gives the middle of the stretch.
    """
    tolerance = 1e-9
    below = survival <= 0.5 + tolerance  # nan compares false
    if not below.any():
        return math.inf
    times, survival = times[below], survival[below]
    later = survival < survival[0] - tolerance
    if abs(survival[0] - 0.5) <= tolerance and later.any():
        return float(times[0] + times[later][0]) / 2
    return float(times[0])


def _check(records: Sequence[Mapping[str, Any]]) -> None:
    """Raises ValueError, in one line, at the first thing wrong with the records."""
    if not records:
        raise ValueError("no records to summarize: no trial has finished yet")
    seen = set()
    for number, record in enumerate(records, start=1):
        where = f"record {number} of {len(records)}"
        for field in REQUIRED_FIELDS:
            if field not in record:
                raise ValueError(f"{where} has no field {field!r}; it has {sorted(record)}")
        if record["status"] not in STATUSES:
            raise ValueError(
                f"{where} has status {record['status']!r}; valid: {', '.join(STATUSES)}"
            )
        count = record["num_sequences"]
        if not isinstance(count, (int, float, np.number)) or not 0 <= count < math.inf:
            raise ValueError(f"{where} has num_sequences {count!r}; it must be a count >= 0")
        if record["trial"] in seen:
            raise ValueError(f"{where}: trial {record['trial']} appears twice")
        seen.add(record["trial"])
    rows = {str(record.get("row", "")) for record in records}
    if len(rows) > 1:
        raise ValueError(f"records of several rows {sorted(rows)}; summarize one row at a time")


def _mean_or_nan(values: Sequence[float | None]) -> float:
    known = [float(value) for value in values if value is not None]
    return float(np.mean(known)) if known else math.nan


def _the_one(records: Sequence[Mapping[str, Any]], field: str) -> Any:
    """The value a field has in every record; None when the records lack it or differ."""
    values = {record.get(field) for record in records}
    return values.pop() if len(values) == 1 else None
