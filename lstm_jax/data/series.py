"""Time series: a column of a CSV file, its numbers checked one by one."""

from __future__ import annotations

import csv
import datetime
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_jax.config.fields import no_such
from lstm_jax.data.errors import LARGEST, DataError, decode, read_bytes
from lstm_jax.data.text import own_or_named

GAPS = ("refuse", "previous", "linear")
MISSING = ("", "na", "nan", "n/a", "null", "none", "-", "?")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
TIMES = ("year", "quarter", "month", "week", "day", "hour", "date", "time", "datetime", "timestamp")
COLUMNS = {"sunspots": "SUNACTIVITY", "co2": "co2", "nile": "volume", "elnino": "temperature"}


class Series(NamedTuple):
    """A series of T numbers."""

    name: str
    column: str
    labels: tuple[str, ...]  # of the rows: dates as the file has them, else line numbers
    times: np.ndarray  # float64 [T], increasing: years where the file has dates
    values: np.ndarray  # float64 [T], all finite


def load_series(source: str, column: str = "", data_dir: str = "", gaps: str = "refuse") -> Series:
    """A named series, or a column of an own CSV file with a head line.

    Args:
      source: the name of a series in ``SETS``, or the path of a CSV file.
      column: by its name; "": the only column of numbers there is, besides the labels.
      data_dir: see `find`.
      gaps: what a missing value is: "refuse"; "previous": the value before it; "linear": on the
        line between its neighbours, which tells the past of the future. A missing first or last
        value is refused in any case.

    Raises:
      DataError: one line: no such file or column (with those that there are), a first line of
        values where the names of the columns should be, a value that is missing or no finite number
        (with its line), times that do not increase or leave a gap. A series of some days
        of the week may lack up to an eighth of them, seven in a row, as exchanges do on holidays:
        a step is a day that there is.
    """
    if gaps not in GAPS:
        raise ValueError(f"gaps: {gaps!r} is not one of {', '.join(GAPS)}")
    path = own_or_named(source, "series", data_dir)[0]
    head, rows = read_table(path, column)
    if source == "elnino":
        head, rows = _flat(rows)
    if source in COLUMNS:
        column = column or COLUMNS[source]
    at = _column(path, head, rows, column)
    label_at = _label_column(head, rows, at)
    labels = tuple(str(line) if label_at is None else row[label_at] for line, row in rows)
    values = _filled(path, head[at], [(line, row[at]) for line, row in rows], gaps)
    times = _times(path, labels, [line for line, _ in rows], label_at is not None)
    return Series(Path(source).stem, head[at], labels, times, values)


def read_table(path: str | Path, column: str = "") -> tuple[list[str], list[tuple[int, list[str]]]]:
    """``(column names, [(line number, cells)])`` of a CSV file with a head line; DataError.

    Where the first line has the column that is asked for, it is names, whatever they look like.
    Cells are parted by commas, or by semicolons or tabs where the head line has no comma.
    """
    text = decode(read_bytes(path), path)
    first = text.partition("\n")[0]
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    lines: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                lines.append((reader.line_num, [cell.strip() for cell in row]))
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num:,} is not CSV: {error}") from None
    if len(lines) < 2:
        raise DataError(f"{path}: must have a head line with column names, and lines of values")
    head = lines[0][1]
    for line, row in lines[1:]:
        if len(row) != len(head):
            raise DataError(
                f"{path}: line {line:,} has {len(row)} cells, the head line {len(head)} "
                f"({', '.join(head)})"
            )
    if column not in head:
        _require_names(path, head, [row for _, row in lines[1:]])
    return head, lines[1:]


def _require_names(path: str | Path, head: list[str], rows: list[list[str]]) -> None:
    """DataError where the first line has values: taken for names they would be lost.

    A number may be a name, such as the year of a table's column: where another cell names a column
    of dates or times, which a line of values would have one of.
    """
    values = [at for at, cell in enumerate(head) if _kind(cell)]
    if not values:
        return
    kinds = [{_kind(row[at]) for row in rows} for at in range(len(head))]
    dated = any(_kind(head[at]) == "date" and kinds[at] == {"date"} for at in values)
    named = any(
        not _kind(cell)
        and (
            (at == 0 and not cell and None not in kinds[at])  # as pandas writes an index
            or cell.lower() in TIMES
            or (cell.lower() not in MISSING and kinds[at] == {"date"})
        )
        for at, cell in enumerate(head)
    )
    if dated or not named:
        cell = head[values[0]]
        raise DataError(
            f"{path}: line 1 must have the names of the columns, not the {_kind(cell)} {cell}; "
            f"if that is a name, write y{cell} or the like"
        )


def _kind(cell: str) -> str | None:
    """What a cell is: a date, a number, or neither."""
    return "date" if date_of(cell) else "number" if _number(cell) is not None else None


def _column(path: Path, head: list[str], rows: list[tuple[int, list[str]]], column: str) -> int:
    """The index of the column by name, or of the only one of numbers that are no dates."""
    if column:
        if head.count(column) != 1:
            problem = (
                "more than one column"
                if column in head
                else no_such("column", column, head, show_all=True)
            )
            raise DataError(f"{path}: {column}: {problem}")
        return head.index(column)
    first = rows[0][1]
    numeric = [n for n in range(len(head)) if _number(first[n]) is not None]
    dated = _label_column(head, rows, -1)
    others = [n for n in numeric if n != dated]
    if len(others) != 1:
        raise DataError(f"{path}: name the column; valid: {', '.join(head)}")
    return others[0]


def _filled(path: Path, column: str, cells: Sequence[tuple[int, str]], gaps: str) -> np.ndarray:
    """The finite numbers of the cells, missing ones filled as `gaps` says."""
    values = np.empty(len(cells))
    for at, (line, cell) in enumerate(cells):
        number = math.nan if cell.lower() in MISSING else _number(cell)
        if number is None or math.isinf(number):
            raise DataError(f"{path}: line {line:,}, column {column}: {cell!r} is no finite number")
        if abs(number) > LARGEST:
            raise DataError(
                f"{path}: line {line:,}, column {column}: {cell} is too large; at most "
                f"{LARGEST:g}: its square must be a number of single precision"
            )
        values[at] = number
    missing = np.flatnonzero(np.isnan(values))
    if missing.size:
        line, cell = cells[missing[0]]
        where = f"{path}: line {line:,}, column {column}: the value is missing ({cell or 'empty'})"
        if gaps == "refuse":
            raise DataError(f"{where}, {missing.size:,} in all; gaps=previous fills them")
        if np.isnan(values[0]) or np.isnan(values[-1]):
            raise DataError(f"{where}; the first and the last value must be there")
        known = np.flatnonzero(~np.isnan(values))
        if gaps == "linear":
            values[missing] = np.interp(missing, known, values[known])
        else:
            values[missing] = values[known[np.searchsorted(known, missing) - 1]]
    return values


def _label_column(head: list[str], rows: list[tuple[int, list[str]]], column: int) -> int | None:
    """The column that says when: by its name, or because it begins with a date."""
    for at, name in enumerate(head):
        first = rows[0][1][at]
        if at != column and (name.lower() in TIMES or _year(first) is not None):
            return at
    return None


def _times(path: Path, labels: Sequence[str], lines: Sequence[int], dated: bool) -> np.ndarray:
    """Dates in years, numbers as they are, else the row's number; increasing, without gaps."""
    read = next((form for form in (_year, _number) if form(labels[0]) is not None), None)
    if not dated or read is None:
        return np.arange(len(labels), dtype=float)
    numbers = [read(label) for label in labels]
    for label, line, number in zip(labels, lines, numbers, strict=True):
        if number is None or not math.isfinite(number):
            kind = "date" if read is _year else "number"
            raise DataError(f"{path}: line {line:,}: {label!r} is no {kind}, as {labels[0]} is")
    times = np.array(numbers, float)
    steps = np.diff(times)
    # Months, quarters and years are of unequal days, by less than a half of the median.
    usual = float(np.median(steps)) if steps.size else 0.0
    wide = (steps > 1.75 * usual) & ~_closed([date_of(label) for label in labels])
    for at in np.flatnonzero((steps <= 0) | wide).tolist():
        problem = "is not later than" if steps[at] <= 0 else "leaves a gap after"
        raise DataError(
            f"{path}: line {lines[at + 1]:,}: {labels[at + 1]} {problem} {labels[at]}; there must "
            "be one row for each step, in order (an empty value where there is none; only weekends "
            "and few holidays may be left out), or no column of dates"
        )
    return times


HOLIDAYS, LONGEST = 1 / 8, 7
"""Share of its days that a series of some days of the week may lack, and how many in a row.

Exchanges are shut on 4% to 8% of the weekdays, and for up to seven at the lunar new year."""


def _closed(dates: Sequence[datetime.datetime | None]) -> np.ndarray:
    """Which steps are over days alone on which the series rests: of the week, or holidays.

    The days of the week that it has are those that it has in a tenth of the weeks and more: of
    an exchange, a shop, or a class on Tuesdays and Thursdays.
    """
    no_step = np.zeros(max(0, len(dates) - 1), bool)
    if not no_step.size or not all(dates):
        return no_step
    days = np.array([date.date() for date in dates if date], "datetime64[D]")
    counts = np.bincount((days.astype(int) + 3) % 7, minlength=7)  # 1970-01-01 was a Thursday
    week = counts >= 0.1 * (days[-1] - days[0]).astype(int) / 7
    if not 2 <= week.sum() <= 6:  # every day, or one a week, a month, a year
        return no_step
    lacking = np.maximum(0, np.busday_count(days[:-1], days[1:], weekmask=week) - 1)
    few = lacking.sum() <= HOLIDAYS * np.busday_count(days[0], days[-1], weekmask=week)
    return (lacking == 0) | (few & (lacking <= LONGEST))


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def date_of(label: str) -> datetime.datetime | None:
    """A label as a date, a month as its first day; None where it is none.

    Example:
      >>> date_of("2000-02"), date_of("20000229"), date_of("2000")
      (datetime.datetime(2000, 2, 1, 0, 0), datetime.datetime(2000, 2, 29, 0, 0), None)
    """
    text = label.strip()
    if len(text) == 7 and text[4] in "-/":
        text = f"{text[:4]}-{text[5:]}-01"
    if len(text) == 8 and text.isdigit() and not 1 <= int(text[4:6]) <= 12:
        return None
    try:
        return datetime.datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return None


def _year(label: str) -> float | None:
    """A date as a year with its fraction; None where the label is no date."""
    date = date_of(label)
    if date is None or date.year == datetime.MAXYEAR:
        return None
    start = datetime.datetime(date.year, 1, 1, tzinfo=date.tzinfo)
    end = datetime.datetime(date.year + 1, 1, 1, tzinfo=date.tzinfo)
    return date.year + (date - start) / (end - start)


def _flat(
    rows: list[tuple[int, list[str]]],
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """A row for each month of a table with a year on each line."""
    flat = [
        (line, [f"{row[0]}-{month:02d}", row[month]])
        for line, row in rows
        for month in range(1, len(MONTHS) + 1)
    ]
    return ["month", "temperature"], flat
