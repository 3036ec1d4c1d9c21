"""The published number beside ours: `paper | ours` as Markdown and for the terminal.

One row per setting. What does not fit into 100 columns beside it (wall time, cost, reading, what
was not solved) stands in a line below the tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from lstm_jax.summary import RowSummary

if TYPE_CHECKING:
    from rich.table import Table

NONE = "-"  # a cell with nothing to say

PAIR_HEADS = ("row", "weights", "solved", "mean sequences", "ratio", "wrong in test")
OWN_HEADS = ("row", "median sequences [95% interval]", "range", "test error")
LEGEND = (
    "Pairs: paper | ours. Sequences: in training; their mean, range and ratio (ours/paper), the\n"
    "wrong and the test error are of the solved trials; the median is of all (Kaplan-Meier)."
)


class PaperRow(NamedTuple):
    """One row of a published table.

    >>> from lstm_jax.tables import PaperRow, format_paper_mean
    >>> row = PaperRow("t2-rtrl-p10", "RTRL, p=10", "Table 2", 144, 18, float("nan"), None, 0,
    ...                solved=0.0, cap=5_000_000)
    >>> format_paper_mean(row)
    '>5,000,000'
    """

    name: str  # "t100": what a command line calls it
    label: str  # "T=100, minimal lag 50"
    source: str  # "Table 7"
    num_weights: int | None  # None: the paper gives a range (in the note)
    num_trials: int  # trials the published means average
    num_sequences: float  # mean training sequences until success; nan: not given
    wrong: int | None  # test sequences processed wrongly; None: not given
    num_test: int  # of this many; 0: not given
    note: str = ""
    solved: float = 1.0  # share of the paper's trials that were solved; nan: "some"
    first_stage: float | None = None  # sequences until ST1 (Tables 4, 5)
    test_error: float | None = None  # last column of Table 6, "MSE" of Table 8
    fraction_wrong: float | None = None  # of the test sequences (Tables 4 to 6)
    cap: int | None = None  # "> N sequences" in the paper: N
    cited: bool = False  # from other authors and not run here


# extra: "wall_s" [s], "ns_per_trial_step" [ns], "reading"; each may be absent
Entry: TypeAlias = tuple[PaperRow | None, RowSummary, Mapping[str, Any]]


def comparison_markdown(entries: Sequence[Entry]) -> str:
    r"""The `paper | ours` tables as Markdown, in at most 100 columns, and a line of notes per row.

    Args:
      entries: (published row or None, summary of ours, extra) per setting; extra may hold `wall_s`
        (seconds), `ns_per_trial_step` (nanoseconds) and `reading` (text).

    Raises:
      ValueError: no entries.

    >>> from lstm_jax.summary import summarize
    >>> paper = PaperRow("t100", "T=100, minimal lag 50", "Table 7", 93, 10, 74_000, 1, 2560)
    >>> ours = summarize([{"row": "t100", "trial": 0, "status": "SOLVED", "num_sequences": 81_774,
    ...                    "num_wrong": 0, "num_test": 2560, "num_weights": 93}])
    >>> print(comparison_markdown([(paper, ours, {"wall_s": 41.2})]).splitlines()[2])
    | t100 | 93 \| 93 |    1/1 | 74,000 \| 81,774 |  1.11 | 1/2,560 \| 0/2,560 |
    """
    _check(entries)
    blocks = [
        markdown_table(PAIR_HEADS, [_pair_cells(*entry) for entry in entries]),
        markdown_table(OWN_HEADS, [_own_cells(*entry) for entry in entries]),
        LEGEND,
        "\n".join(f"- {line}" for line in _notes(entries)),
    ]
    return "\n\n".join(blocks) + "\n"


def comparison_table(entries: Sequence[Entry]) -> Table:
    """The same for a terminal: a `rich` grid of the two tables and their notes, 100 columns.

    Takes and raises what `comparison_markdown` does; print it with `rich.console.Console`.

    >>> from lstm_jax.summary import summarize
    >>> ours = summarize([{"row": "modern", "trial": 0, "status": "SOLVED", "num_sequences": 9}])
    >>> comparison_table([(None, ours, {})]).row_count
    4
    """
    from rich import box
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    _check(entries)

    def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
        inner = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        for head in heads:
            inner.add_column(head, justify="left" if head == "row" else "right", no_wrap=True)
        for row in rows:
            inner.add_row(*(Text(cell) for cell in row))  # Text: "[95%" is not markup
        return inner

    grid = Table.grid()
    grid.add_row(table(PAIR_HEADS, [_pair_cells(*entry) for entry in entries]))
    grid.add_row(table(OWN_HEADS, [_own_cells(*entry) for entry in entries]))
    grid.add_row(Padding(Text(LEGEND, style="dim"), (0, 0, 1, 0)))
    for line in _notes(entries):
        grid.add_row(Text(line))
    return grid


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""A Markdown table whose source is aligned too; the first column to the left.

    >>> print(markdown_table(("row", "mean"), [("t100", "74,000 | 69,500")]))
    | row  |             mean |
    |------|-----------------:|
    | t100 | 74,000 \| 69,500 |
    """
    cells = [[cell.replace("|", r"\|") for cell in row] for row in [heads, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        first = row[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "| " + " | ".join([first, *rest]) + " |"

    rule = "|" + "|".join(
        "-" * (width + 2) if i == 0 else "-" * (width + 1) + ":" for i, width in enumerate(widths)
    )
    return "\n".join([line(cells[0]), rule + "|", *(line(row) for row in cells[1:])])


def format_count(count: float) -> str:
    """A count with thousands separators; "-" for nan.

    >>> format_count(1_780_999.6), format_count(float("nan"))
    ('1,781,000', '-')
    """
    return NONE if math.isnan(count) else f"{count:,.0f}"


def format_paper_mean(paper: PaperRow) -> str:
    """The published number of sequences; ">cap" where the paper gives a bound only.

    >>> format_paper_mean(PaperRow("t100", "T=100", "Table 7", 93, 10, 74_000, 1, 2560))
    '74,000'
    """
    if math.isnan(paper.num_sequences) and paper.cap is not None:
        return f">{paper.cap:,}"
    return format_count(paper.num_sequences)


def format_ratio(ratio: float) -> str:
    """A ratio to three digits; "-" for nan.

    >>> [format_ratio(ratio) for ratio in (0.851, 24.36, 243.6, float("nan"))]
    ['0.85', '24.4', '244', '-']
    """
    if math.isnan(ratio):
        return NONE
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.1f}" if ratio < 100 else f"{ratio:,.0f}"


def format_duration(seconds: float) -> str:
    """Seconds as a reader says them.

    >>> [format_duration(s) for s in (0.04, 41.23, 125, 3725)]
    ['0.0 s', '41.2 s', '2 min 05 s', '1 h 02 min']
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def format_median(summary: RowSummary) -> str:
    """Median and interval; ">cap" for what was not reached by the longest trial.

    >>> from lstm_jax.summary import summarize
    >>> trials = [{"trial": n, "status": "SOLVED", "num_sequences": 1000 * n} for n in (1, 2, 3)]
    >>> format_median(summarize(trials))
    '2,000 [1,000, >3,000]'
    """

    def end(count: float) -> str:
        return f">{summary.cap:,}" if math.isinf(count) else format_count(count)

    median, low, high = summary.median_sequences, summary.median_low, summary.median_high
    if math.isnan(low) or math.isnan(high):  # no trial solved, or a single trial
        return end(median)
    return f"{end(median)} [{end(low)}, {end(high)}]"


def _pair_cells(paper: PaperRow | None, ours: RowSummary, extra: Mapping[str, Any]) -> list[str]:
    """Cells under PAIR_HEADS."""
    weights = _count_or_none(ours.num_weights)
    wrong = f"{ours.num_wrong:,}/{ours.num_test:,}" if ours.num_test else NONE
    return [
        _name(paper, ours),
        _pair(_count_or_none(paper.num_weights) if paper else NONE, weights),
        f"{ours.num_solved:,}/{ours.num_trials:,}",
        _pair(
            format_paper_mean(paper) if paper else NONE,
            format_count(ours.mean_sequences),
        ),
        format_ratio(ours.mean_sequences / paper.num_sequences) if paper else NONE,
        _pair(_paper_wrong(paper) if paper else NONE, wrong),
    ]


def _own_cells(paper: PaperRow | None, ours: RowSummary, extra: Mapping[str, Any]) -> list[str]:
    """Cells under OWN_HEADS."""
    few, many = format_count(ours.fewest_sequences), format_count(ours.most_sequences)
    return [
        _name(paper, ours),
        format_median(ours),
        NONE if ours.num_solved == 0 else f"{few} to {many}",
        NONE if math.isnan(ours.mean_test_error) else f"{ours.mean_test_error:.4f}",
    ]


def _notes(entries: Sequence[Entry]) -> list[str]:
    """One line per setting: what it is, what was not solved, what it cost, how it was read."""
    return [f"{_name(paper, ours)}: {_note(paper, ours, extra)}" for paper, ours, extra in entries]


def _note(paper: PaperRow | None, ours: RowSummary, extra: Mapping[str, Any]) -> str:
    parts = []
    if paper:
        parts.append(f"{paper.label} ({paper.source}, mean of {paper.num_trials} trials)")
        if paper.note:
            parts.append(paper.note)
    else:
        parts.append("not in the paper")
    parts.append(
        f"solved {ours.num_solved / ours.num_trials:.0%}, "
        f"95% interval {ours.solved_low:.0%} to {ours.solved_high:.0%}"
    )
    if ours.num_exhausted:
        parts.append(f"{ours.num_exhausted} not solved by {ours.cap:,} sequences")
    if ours.num_diverged:
        parts.append(f"{ours.num_diverged} diverged")
    if extra.get("wall_s") is not None:
        parts.append(f"wall time {format_duration(extra['wall_s'])}")
    if extra.get("ns_per_trial_step") is not None:
        cost = extra["ns_per_trial_step"]
        parts.append(f"{cost:,.{0 if cost >= 100 else 1}f} ns per trial-step")
    reading = extra.get("reading") or ours.reading
    if reading:
        parts.append(f"reading: {reading}")
    return "; ".join(parts)


def _name(paper: PaperRow | None, ours: RowSummary) -> str:
    return ours.row or (paper.name if paper else "ours")


def _count_or_none(count: int | None) -> str:
    return NONE if count is None else format_count(count)


def _paper_wrong(paper: PaperRow) -> str:
    return NONE if paper.wrong is None else f"{paper.wrong:,}/{paper.num_test:,}"


def _pair(paper: str, ours: str) -> str:
    return f"{paper} | {ours}"


def _check(entries: Sequence[Entry]) -> None:
    if not entries:
        raise ValueError("no settings to tabulate: give at least one (paper row, summary, extra)")
