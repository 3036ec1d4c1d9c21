"""How well a reading explains the paper's table: statistics of its trials, row by row.

All statistics are SciPy's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.summary import censored_median
from lstm_jax.tables import PaperRow

FEWEST_FOR_FIT = 3
"""Solved trials that a censored fit needs."""
SPREADS = (0.1, 1.0)
"""Bounds of the standard deviation of log counts: of few trials it may come out as anything."""
USUAL_SPREAD = 0.5
"""It where too few trials were solved to tell."""
FACTOR = 2.0
"""A row is explained where ours and the paper's numbers are within this factor."""


class RowScore(NamedTuple):
    """How a reading does on a row. Logarithms are natural."""

    num_solved: int
    num_trials: int
    log_ratio: float  # ours over the paper's
    error: float  # its standard error, from both numbers of trials
    bound: bool  # True: fewer than half were solved; the ratio is that of the cap
    time_score: float  # log-likelihood of the published mean
    share_score: float  # log-likelihood of the published number of solved trials

    @property
    def score(self) -> float:
        """Both log-likelihoods."""
        return self.time_score + self.share_score

    @property
    def close(self) -> bool:
        """Whether the ratio is within a factor of two."""
        return not self.bound and abs(self.log_ratio) <= math.log(FACTOR)


class ReadingScore(NamedTuple):
    """How a reading does on all rows."""

    reading: str
    total: float
    num_close: int
    rows: dict[str, RowScore]


def spread_of_logs(solved: np.ndarray, censored: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the log counts; log-normal, right-censored (SciPy's fit).

    Args:
      solved: [n] sequences at success, n >= 2.
      censored: [m] sequences at which an unsolved trial was stopped.

    Example:
      >>> import numpy as np
      >>> mean, spread = spread_of_logs(np.exp([1.0, 2.0, 3.0]), np.array([]))
      >>> round(mean, 6), round(spread, 6)
      (2.0, 1.0)
    """
    from scipy.stats import CensoredData, norm  # scipy.stats takes a second to import

    logs = np.log(solved)
    if not len(censored):
        return float(logs.mean()), float(logs.std(ddof=1))
    if np.ptp(logs) == 0:  # the fit needs a spread to start from
        logs = logs + SPREADS[0] * np.linspace(-1, 1, len(logs))
    mean, spread = norm.fit(CensoredData(uncensored=logs, right=np.log(censored)))
    return float(mean), float(spread)


def score_row(
    records: Sequence[Mapping[str, Any]], paper: PaperRow, max_sequences: int
) -> RowScore:
    """How well trials of one reading explain a published row.

    The published mean is arithmetic: of log-normal counts its logarithm lies half a variance
    above the mean of the logs, which is what ours is. A trial that was not solved, for whatever
    reason, is censored at the cap. The published share is judged by the beta-binomial of ours
    (Jeffreys' prior), which knows that both are of few trials.

    Args:
      records: with `status` and `num_sequences`; at least one.
      paper: the published row.
      max_sequences: the cap the trials ran under.

    Example:
      >>> paper = PaperRow("t9-6a", "", "Table 9", 156, 20, 31_390, 1, 2560)
      >>> trials = [{"status": "SOLVED", "num_sequences": n} for n in (20_000, 30_000, 45_000)]
      >>> score = score_row(trials, paper, 125_560)
      >>> score.num_solved, score.close, round(math.exp(score.log_ratio), 2)
      (3, True, 1.04)
    """
    from scipy.stats import betabinom, norm

    solved = np.array([r["num_sequences"] for r in records if r["status"] == "SOLVED"], dtype=float)
    num_trials = len(records)
    censored = np.full(num_trials - len(solved), float(max_sequences))
    bound = False
    if len(solved) >= FEWEST_FOR_FIT and 2 * len(solved) >= num_trials:
        mean, spread = spread_of_logs(solved, censored)
    else:
        spread = USUAL_SPREAD
        median = censored_median(solved, censored)[0]
        bound = math.isinf(median)
        mean = math.log(max_sequences if bound else median)
    spread = min(max(spread, SPREADS[0]), SPREADS[1])
    log_ratio = mean - math.log(paper.num_sequences) + (0.0 if bound else spread**2 / 2)
    error = spread * math.sqrt(1 / num_trials + 1 / paper.num_trials)
    share = 1.0 if math.isnan(paper.solved) else paper.solved
    successes = round(share * paper.num_trials)
    k, n = len(solved), num_trials
    return RowScore(
        k,
        n,
        log_ratio,
        error,
        bound,
        # A bound below the published mean excludes nothing.
        float(norm.logpdf(max(log_ratio, 0.0) if bound else log_ratio, scale=error)),
        float(betabinom.logpmf(successes, paper.num_trials, k + 0.5, n - k + 0.5)),
    )


def score_readings(rows: Mapping[str, Mapping[str, RowScore]]) -> list[ReadingScore]:
    """Readings in order of their total score, the best first.

    rows: ``{reading: {row: score}}``. A sum is over the rows that all of them have.
    """
    shared = set.intersection(*(set(scores) for scores in rows.values())) if rows else set()
    found = [
        ReadingScore(
            reading,
            sum(scores[row].score for row in scores if row in shared),
            sum(scores[row].close for row in scores if row in shared),
            dict(scores),
        )
        for reading, scores in rows.items()
    ]
    return sorted(found, key=lambda score: -score.total)
