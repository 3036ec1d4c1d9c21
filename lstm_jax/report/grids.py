"""The tables of a report as grids of cells, before they become Markdown or HTML."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lstm_jax.report.cells import Cell, own_cell, paper_cell
from lstm_jax.report.rows import (
    FACTOR,
    ReportRow,
    ReportTable,
    agreement,
    all_rows,
    first_trials,
    is_rival,
    ratio_of,
    settings_of,
    share_agrees,
    solved_counts,
    summary_of,
)
from lstm_jax.report.shapes import MEASURES, SHAPES, Shape
from lstm_jax.summary import RowSummary
from lstm_jax.tables import (
    NONE,
    format_duration,
    format_ratio,
)

HOW_TO_READ = (
    "Cells with two numbers are paper | ours.",
    "Sequences are training sequences until the row's criterion was met; means are over the "
    "solved trials, as the paper has them.",
    "Solved: trials solved of trials run, with the 95% Wilson interval of that share.",
    "Median: of all trials (Kaplan-Meier), unsolved ones censored at their cap, with its 95% "
    "interval; >N: not reached by N sequences.",
    "Ratio: our mean over the paper's, with the 95% bootstrap interval of our mean; the paper "
    "gives no spread of its own.",
    f"Agrees: the ratio is within a factor of {FACTOR:g} and the share solved does not differ from "
    "the paper's (Fisher's exact test at 5%); mean only: the first without the second.",
    "Test figures are of the solved trials: wrong predictions of a trial in the mean, and the mean "
    "absolute error.",
)


class Grid(NamedTuple):
    """A table: the first `num_published` columns are the paper's own."""

    heads: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    num_published: int


class Note(NamedTuple):
    """A line below a table: the rows it is about, and what it says of them."""

    rows: tuple[str, ...]
    text: str


def published_grid(table: ReportTable) -> Grid:
    """A table in the paper's shape, `paper | ours`; what the paper lacks stands at its right.

    Raises:
      ValueError: no rows, or records that do not fit their row.
    """
    shape = _shape(table)
    keys = [key for key, _ in shape]
    own = [("ratio", "ratio [95%]"), ("median", "median [95%]")]
    if "solved" not in keys:
        own.insert(0, ("solved", "solved"))
    if "test_error" not in keys and any(_has_test_error(row) for row in table.rows):
        own.append(("test_error", "test error"))
    rows: list[tuple[Cell, ...]] = []
    for row in table.rows:
        summary = summary_of(row)
        cells = [paper_cell(key, row, summary) for key in keys]
        rest = [own_cell(key, row, summary) for key, _ in own]
        rows.append((row.paper.name, *cells, *rest))
    heads = ("row", *(head for _, head in shape), *(head for _, head in own))
    return Grid(heads, rows, 1 + len(shape))


def ratio_grid(tables: Sequence[ReportTable]) -> Grid:
    """All rows of the method itself in one table, one line a row."""
    rows: list[tuple[Cell, ...]] = []
    for row in own_rows(tables):
        summary = summary_of(row)
        rows.append(
            (
                row.paper.name,
                paper_cell("weights", row, summary),
                paper_cell("solved", row, summary),
                paper_cell("mean", row, summary),
                own_cell("ratio", row, summary),
                verdict(row),
                row.paper.label,
            )
        )
    heads = ("row", "weights", "solved", "mean sequences", "ratio [95%]", "agrees", "setting")
    return Grid(heads, rows, 4)


def provenance_grid(tables: Sequence[ReportTable]) -> Grid:
    """What each row that was run ran on, and how long."""
    rows: list[tuple[Cell, ...]] = []
    for row in all_rows(tables):
        if not row.records:
            continue
        session = _last_session(row)
        commit = session.get("git_commit")
        if commit:
            commit = commit[:10] + (" (changed)" if session.get("git_dirty") else "")
        devices = session.get("num_devices")
        device = session.get("device_kind")
        wall = row.info.get("wall_s")
        if wall is None:
            wall = (row.info.get("provenance") or {}).get("total_wall_seconds")
        cost = row.info.get("ns_per_trial_step")
        versions = session.get("versions") or {}
        rows.append(
            (
                row.paper.name,
                f"{len(row.records):,}",
                NONE if wall is None else format_duration(wall),
                NONE if cost is None else f"{cost:,.{0 if cost >= 100 else 1}f}",
                NONE if device is None else f"{devices} x {device}" if devices else str(device),
                str(versions.get("jax") or NONE),
                commit or NONE,
                _command(row, session),
            )
        )
    heads = ("row", "trials", "wall time", "ns per trial-step", "device", "jax", "commit")
    return Grid((*heads, "command"), rows, 8)


def notes(table: ReportTable) -> list[Note]:
    """What must be said of the rows of a table; rows of which the same is said share a line."""
    found: dict[str, list[str]] = {}
    for row in table.rows:
        for text in _notes(row, summary_of(row)):
            found.setdefault(text, []).append(row.paper.name)
    return [Note(tuple(names), text) for text, names in found.items()]


def readings(tables: Sequence[ReportTable]) -> list[Note]:
    """The readings used, with their rows."""
    found: dict[str, list[str]] = {}
    for row in all_rows(tables):
        text = reading_of(row)
        if row.records:
            found.setdefault(text, []).append(row.paper.name)
    return [Note(tuple(names), text) for text, names in found.items()]


def reading_of(row: ReportRow) -> str:
    """The reading our trials were run under."""
    summary = summary_of(row)
    own = summary.reading if summary else ""
    return str(row.info.get("reading") or own or "not recorded")


def explanations(tables: Sequence[ReportTable]) -> list[Note]:
    """Of each row that was run and is not within the factor: why, as far as is known."""
    return [
        Note((row.paper.name,), str(row.info.get("explanation") or "no explanation recorded"))
        for row in own_rows(tables)
        if row.records and verdict(row) != "yes"
    ]


def headline(tables: Sequence[ReportTable]) -> list[str]:
    """The result in a few sentences."""
    rows = own_rows(tables)
    if not rows:
        return ["No row of the method itself is in this report."]
    found = agreement(rows)
    run = sum(bool(row.records) for row in rows)
    lines = [
        f"{found.num_within} of {found.num_rows} LSTM rows have a mean within a factor of "
        f"{FACTOR:g} of the paper's; {found.num_agreeing} of them also solve a share of trials "
        "that agrees with it.",
        f"{run} of {found.num_rows} were run.",
    ]
    if any(len(row.records) > row.paper.num_trials for row in rows):
        first = agreement([first_trials(row) for row in rows])
        lines.insert(
            1,
            "Of our first trials alone, as many a row as the paper has, that is "
            f"{first.num_within} and {first.num_agreeing}.",
        )
    if found.num_compared:
        lines.append(
            f"The geometric mean of {found.num_compared} ratios ours/paper is "
            f"{format_ratio(found.geometric_mean)}."
        )
    counted = [row for row in rows if row.records and row.paper.num_weights is not None]
    equal = sum(_equal_weights(row) for row in counted)
    if counted:
        lines.append(f"{equal} of {len(counted)} have the paper's number of weights.")
    unsolved = [row.paper.name for row in rows if len(solved_counts(row)) < len(row.records)]
    if unsolved:
        lines.append(f"Rows with trials that were not solved: {', '.join(unsolved)}.")
    return lines


def own_rows(tables: Sequence[ReportTable]) -> list[ReportRow]:
    """The rows of the method itself, without its rivals."""
    return [row for row in all_rows(tables) if not is_rival(row)]


def verdict(row: ReportRow) -> str:
    """Whether a row comes out as published: "yes", "no", or why that cannot be said.

    "mean only": the mean of the solved trials is within the factor, but fewer or more trials are
    solved than chance allows. A mean over few solved trials says little.
    """
    if not row.records:
        return "cited" if row.paper.cited else "not run"
    ratio, _, _ = ratio_of(row)
    if math.isnan(ratio):
        return NONE if solved_counts(row) else "none solved"
    if not 1 / FACTOR <= ratio <= FACTOR:
        return "no"
    return "yes" if share_agrees(row) else "mean only"


def _shape(table: ReportTable) -> Shape:
    """The columns of the published table, by the first source that is known."""
    if not table.rows:
        raise ValueError(f"table {table.title!r} has no rows")
    for row in table.rows:
        source = re.match(r"Table \d+", row.paper.source)
        if source and source[0] in SHAPES and settings_of(row):
            return SHAPES[source[0]]
    settings = list(dict.fromkeys(key for row in table.rows for key in settings_of(row)))
    papers = [row.paper for row in table.rows]
    there = {
        "weights": True,
        "solved": any(paper.solved != 1.0 for paper in papers),
        "first_stage": any(paper.first_stage is not None for paper in papers),
        "mean": True,
        "wrong": any(paper.wrong is not None for paper in papers),
        "fraction_wrong": any(paper.fraction_wrong is not None for paper in papers),
        "test_error": any(paper.test_error is not None for paper in papers),
    }
    heads = dict.fromkeys(MEASURES, "") | {
        "weights": "weights",
        "solved": "success",
        "first_stage": "first stage [sequences]",
        "mean": "mean sequences",
        "wrong": "wrong predictions",
        "fraction_wrong": "fraction misclassified",
        "test_error": "test error",
    }
    described = [(key, key) for key in settings] or [("label", "setting")]
    return (*described, *((key, heads[key]) for key, is_there in there.items() if is_there))


def _has_test_error(row: ReportRow) -> bool:
    return any(record.get("mean_test_error") is not None for record in row.records)


def _equal_weights(row: ReportRow) -> bool:
    summary = summary_of(row)
    return summary is not None and summary.num_weights == row.paper.num_weights


def _notes(row: ReportRow, ours: RowSummary | None) -> list[str]:
    paper, lines = row.paper, []
    if paper.cited:
        lines.append("cited by the paper from other authors; not run here")
    elif ours is None:
        lines.append("not run")
    if paper.note:
        lines.append(paper.note)
    if ours is None:
        return lines
    if ours.num_weights is not None and paper.num_weights not in (None, ours.num_weights):
        lines.append(f"our net has {ours.num_weights:,} weights, the paper's {paper.num_weights:,}")
    if ours.num_trials != paper.num_trials:
        lines.append(f"{ours.num_trials} trials; the paper's mean is of {paper.num_trials}")
    if ours.num_exhausted:
        lines.append(_ended_at_cap(row, ours))
    if ours.num_diverged:
        lines.append(f"{ours.num_diverged} of {ours.num_trials} trials diverged")
    return lines


def _ended_at_cap(row: ReportRow, ours: RowSummary) -> str:
    text = f"{ours.num_exhausted} of {ours.num_trials} trials ended at the cap of {ours.cap:,}"
    text += " sequences, unsolved"
    if row.paper.cap is not None and ours.cap < row.paper.cap:
        text += f" (the paper's cap is {row.paper.cap:,})"
    return text


def _last_session(row: ReportRow) -> Mapping[str, Any]:
    """The surroundings of a row's last session; a flat provenance is one session."""
    provenance = row.info.get("provenance") or {}
    sessions = provenance.get("sessions")
    return sessions[-1] if sessions else provenance


def _command(row: ReportRow, session: Mapping[str, Any]) -> str:
    command = row.info.get("command") or session.get("command") or NONE
    return command if isinstance(command, str) else " ".join(command)
