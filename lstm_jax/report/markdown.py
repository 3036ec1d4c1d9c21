"""The report as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lstm_jax.inspect.run_text import flat
from lstm_jax.readings import deviations_markdown
from lstm_jax.report.grids import (
    HOW_TO_READ,
    Grid,
    Note,
    explanations,
    headline,
    notes,
    provenance_grid,
    published_grid,
    ratio_grid,
    readings,
)
from lstm_jax.report.rows import ReportTable, all_rows
from lstm_jax.tables import markdown_table

TITLE = "The experiments of the 1997 paper, run again"
RATIOS = "ratios"  # the key of the picture of all ratios


def report_markdown(
    tables: Sequence[ReportTable],
    *,
    deviations: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    pictures: Mapping[str, str] | None = None,
    title: str = TITLE,
) -> str:
    r"""Every table in the paper's shape, `paper | ours`, then all ratios, and what it rests on.

    Args:
      tables: the published tables with our records, in order.
      deviations: ``{title: (fields, readings)}``, as `deviations_markdown` takes it.
      provenance: of the whole run, nested mappings of what can be printed.
      pictures: ``{table title, or "ratios": relative path}`` of pictures beside the file.
      title: the first line.

    Raises:
      ValueError: no rows, two rows of one name, or records that do not fit their row.

    >>> from lstm_jax.report import ReportRow, ReportTable, report_markdown
    >>> from lstm_jax.tables import PaperRow
    >>> paper = PaperRow("t7-t100", "T=100", "Table 7", 93, 10, 74_000, 1, 2560)
    >>> records = [{"row": "t7-t100", "trial": n, "status": "SOLVED", "num_sequences": 60_000 + n,
    ...             "num_weights": 93} for n in range(10)]
    >>> text = report_markdown([ReportTable("Table 7", "adding", [ReportRow(paper, records, {})])])
    >>> r"74,000 \| 60,004" in text
    True
    """
    all_rows(tables)
    shown = pictures or {}
    blocks = [f"# {title}", " ".join(headline(tables)), _bullets(HOW_TO_READ)]
    blocks += ["## Every LSTM row", _table(ratio_grid(tables))]
    blocks += _picture(shown, RATIOS, "Ratio of our mean to the paper's, by row")
    if explanations(tables):
        blocks += ["Rows that do not agree:", _notes(explanations(tables))]
    for table in tables:
        blocks += [f"## {table.title}", table.caption, _table(published_grid(table))]
        blocks += _picture(shown, table.title, f"Success times of {table.title}")
        blocks.append(_notes(notes(table)))
    blocks += ["## Readings used", _notes(readings(tables)) or "No row was run."]
    if deviations:
        # one level down: the page of deviations is a part of this one
        blocks.append(re.sub(r"^#", "##", deviations_markdown(deviations), flags=re.MULTILINE))
    blocks += ["## Provenance", _bullets(f"{k}: {v}" for k, v in flat(provenance or {}))]
    grid = provenance_grid(tables)
    if grid.rows:
        blocks.append(_table(grid))
    return "\n\n".join(block.strip() for block in blocks if block.strip()) + "\n"


def _table(grid: Grid) -> str:
    return markdown_table(grid.heads, [[str(cell) for cell in row] for row in grid.rows])


def _bullets(lines: Any) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _notes(lines: Sequence[Note]) -> str:
    return _bullets(f"{_names(note.rows)}: {note.text}" for note in lines)


def _names(rows: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in rows)


def _picture(pictures: Mapping[str, str], key: str, text: str) -> list[str]:
    return [f"![{text}]({pictures[key]})"] if key in pictures else []
