"""The cells of a report's tables: a published number and ours, by the column they stand in."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

from lstm_jax.report.rows import ReportRow, ratio_of, settings_of, stage_mean
from lstm_jax.summary import RowSummary
from lstm_jax.tables import (
    NONE,
    PaperRow,
    format_count,
    format_median,
    format_paper_mean,
    format_ratio,
)


class Pair(NamedTuple):
    """A published number and ours."""

    paper: str
    ours: str

    def __str__(self) -> str:
        return f"{self.paper} | {self.ours}"


Cell: TypeAlias = str | Pair


def paper_cell(key: str, row: ReportRow, ours: RowSummary | None) -> Cell:
    """A cell of the paper's own columns."""
    paper = row.paper
    if key == "weights":
        published = NONE if paper.num_weights is None else format_count(paper.num_weights)
        own = None if ours is None else ours.num_weights
        return Pair(published, NONE if own is None else format_count(own))
    if key == "solved":
        return Pair(_paper_share(paper), format_solved(ours) if ours else NONE)
    if key == "mean":
        return Pair(format_paper_mean(paper), _own_mean(row, ours))
    if key == "first_stage":
        published = NONE if paper.first_stage is None else format_count(paper.first_stage)
        return Pair(published, format_count(stage_mean(row, "ST1")))
    if key == "wrong":
        published = NONE if paper.wrong is None else f"{paper.wrong:,} of {paper.num_test:,}"
        return Pair(published, _own_wrong(ours))
    if key == "fraction_wrong":
        published = (
            NONE if paper.fraction_wrong is None else f"{paper.fraction_wrong:.6f}".rstrip("0")
        )
        own = ours.num_wrong / ours.num_test if ours and ours.num_test else None
        return Pair(published, NONE if own is None else f"{own:.6f}")
    if key == "test_error":
        published = NONE if paper.test_error is None else f"{paper.test_error:g}"
        return Pair(published, _own_error(ours))
    return settings_of(row).get(key, paper.label if key == "label" else NONE)


def own_cell(key: str, row: ReportRow, ours: RowSummary | None) -> Cell:
    """A cell of the columns that the paper does not have."""
    if key == "solved":
        return paper_cell("solved", row, ours)
    if ours is None:
        return NONE
    if key == "median":
        return format_median(ours)
    if key == "test_error":
        return _own_error(ours)
    return _with_interval(*ratio_of(row), format_ratio)


def format_solved(ours: RowSummary) -> str:
    """Solved of run, and the interval of the share.

    >>> from lstm_jax.report.cells import format_solved
    >>> from lstm_jax.summary import summarize
    >>> format_solved(summarize([{"trial": n, "status": "SOLVED", "num_sequences": 9}
    ...                          for n in range(10)]))
    '10/10 [72%, 100%]'
    """
    share = f"{ours.solved_low:.0%}, {ours.solved_high:.0%}"
    return f"{ours.num_solved:,}/{ours.num_trials:,} [{share}]"


def _paper_share(paper: PaperRow) -> str:
    return "some" if math.isnan(paper.solved) else f"{paper.solved:.0%}"


def _own_mean(row: ReportRow, ours: RowSummary | None) -> str:
    if ours is None:
        return "cited only" if row.paper.cited else "not run"
    if ours.num_solved:
        return format_count(ours.mean_sequences)
    return f">{ours.cap:,}" if ours.num_exhausted else "diverged"


def _own_wrong(ours: RowSummary | None) -> str:
    """Wrong predictions of a trial in the mean, of the tests of a trial."""
    if ours is None or not ours.num_test:
        return NONE
    wrong = ours.num_wrong / ours.num_solved
    return f"{wrong:.1f} of {ours.num_test / ours.num_solved:,.0f}"


def _own_error(ours: RowSummary | None) -> str:
    if ours is None or math.isnan(ours.mean_test_error):
        return NONE
    return f"{ours.mean_test_error:.4f}"


def _with_interval(value: float, low: float, high: float, form: Any) -> str:
    if math.isnan(low) or math.isnan(high):
        return form(value)
    return f"{form(value)} [{form(low)}, {form(high)}]"
