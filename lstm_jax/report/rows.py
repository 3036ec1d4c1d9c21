"""What a report is made of: published rows, the records of our trials, and what they come to."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.report.shapes import SETTINGS
from lstm_jax.summary import RowSummary, geometric_mean, mean_interval, summarize
from lstm_jax.tables import PaperRow

FACTOR = 2.0  # a row agrees with the paper where the ratio is within this factor


class ReportRow(NamedTuple):
    """A published row and our trials of it.

    `info` may hold `max_sequences` (the cap the trials ran under, in sequences), `wall_s`
    (seconds), `ns_per_trial_step`, `reading`, `command`, `explanation` (why the row differs from
    the paper), `provenance` (of the run folder) and `settings` ({column: text} for the
    descriptive columns of a table that `lstm_jax.report.shapes` does not know).
    """

    paper: PaperRow
    records: Sequence[Mapping[str, Any]] = ()  # empty: not run
    info: Mapping[str, Any] = {}


class ReportTable(NamedTuple):
    """A published table: its rows in the paper's order."""

    title: str
    caption: str
    rows: Sequence[ReportRow]


class Agreement(NamedTuple):
    """How many of our rows come out as published."""

    num_rows: int
    num_compared: int  # have a mean of ours and one of the paper's
    num_within: int  # ratio within FACTOR
    num_agreeing: int  # and the share solved agrees
    geometric_mean: float  # of the ratios


def load_records(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The trial records of a JSONL file, by trial; [] where there is no such file.

    Raises:
      ValueError: a line is not a JSON object; the message names the file and the line.

    >>> import pathlib, tempfile
    >>> from lstm_jax.report import load_records
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "t7-t100.jsonl"
    >>> load_records(path)
    []
    >>> _ = path.write_text('{"trial": 0, "status": "SOLVED", "num_sequences": 62797}\\n')
    >>> load_records(path)[0]["num_sequences"]
    62797
    """
    path = Path(path)
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error})") from None
        if not isinstance(record, dict) or "trial" not in record:
            raise ValueError(f"{path}, line {number}: not a trial record")
        records.append(record)
    return sorted(records, key=lambda record: record["trial"])


def summary_of(row: ReportRow) -> RowSummary | None:
    """Statistics of our trials; None where the row was not run.

    Raises:
      ValueError: the records are not of this row, or `summarize` refuses them.
    """
    if not row.records:
        return None
    names = {record.get("row", row.paper.name) for record in row.records}
    if names != {row.paper.name}:
        raise ValueError(f"row {row.paper.name!r}: its records are of {sorted(map(str, names))}")
    try:
        return summarize(row.records, max_sequences=row.info.get("max_sequences"))
    except ValueError as error:
        raise ValueError(f"row {row.paper.name!r}: {error}") from None


def solved_counts(row: ReportRow) -> list[float]:
    """[n] sequences at success of the solved trials."""
    return [float(r["num_sequences"]) for r in row.records if r["status"] == "SOLVED"]


def first_trials(row: ReportRow) -> ReportRow:
    """The row with as many of our trials, the first ones, as the paper has.

    Example:
      >>> paper = PaperRow("x", "", "Table 7", 93, num_trials=2, num_sequences=74_000,
      ...                  wrong=None, num_test=0)
      >>> row = ReportRow(paper, [{"trial": trial} for trial in (2, 0, 1)])
      >>> [record["trial"] for record in first_trials(row).records]
      [0, 1]
    """
    records = sorted(row.records, key=lambda record: record["trial"])
    return row._replace(records=records[: row.paper.num_trials])


def stage_mean(row: ReportRow, stage: str) -> float:
    """Mean sequences at which the trials that met a criterion first met it; nan if none did."""
    counts = [(record.get("stages") or {}).get(stage) for record in row.records]
    known = [count for count in counts if count is not None]
    return float(np.mean(known)) if known else math.nan


def ratio_of(row: ReportRow) -> tuple[float, float, float]:
    """Ours over the paper's mean, with the ends of its interval.

    The interval is the bootstrap one of our mean; the paper gives none of its own. nan where one
    side has no mean, and for the interval of a single trial.
    """
    counts = solved_counts(row)
    if not counts:
        return math.nan, math.nan, math.nan
    low, high = mean_interval(counts)
    published = row.paper.num_sequences
    return float(np.mean(counts)) / published, low / published, high / published


def share_agrees(row: ReportRow) -> bool:
    """Whether our share of solved trials may be the paper's: Fisher's exact test at 5%.

    True where the paper gives no share.
    """
    from scipy.stats import fisher_exact

    paper, solved = row.paper, len(solved_counts(row))
    if math.isnan(paper.solved):
        return True
    published = round(paper.solved * paper.num_trials)
    table = [[solved, len(row.records) - solved], [published, paper.num_trials - published]]
    test: Any = fisher_exact(table)
    return float(test.pvalue) >= 0.05


def settings_of(row: ReportRow) -> Mapping[str, str]:
    """The descriptive cells of a row: method, sizes, rates."""
    return row.info.get("settings") or SETTINGS.get(row.paper.name, {})


def is_rival(row: ReportRow) -> bool:
    """Whether the row is of another method than LSTM."""
    return settings_of(row).get("method", "LSTM") != "LSTM" or row.paper.cited


def all_rows(tables: Sequence[ReportTable]) -> list[ReportRow]:
    """The rows of all tables; ValueError where two have one name."""
    rows = [row for table in tables for row in table.rows]
    names = [row.paper.name for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"rows that appear twice: {', '.join(twice)}")
    if not rows:
        raise ValueError("no rows to report: give at least one table with a row")
    return rows


def agreement(rows: Sequence[ReportRow]) -> Agreement:
    """Counts the rows whose mean is within `FACTOR` of the paper's."""
    ratios = [ratio_of(row)[0] for row in rows]
    within = [1 / FACTOR <= ratio <= FACTOR for ratio in ratios]  # nan compares false
    agreeing = sum(is_in and share_agrees(row) for is_in, row in zip(within, rows, strict=True))
    return Agreement(
        num_rows=len(rows),
        num_compared=sum(math.isfinite(ratio) for ratio in ratios),
        num_within=sum(within),
        num_agreeing=agreeing,
        geometric_mean=geometric_mean(ratios),
    )
