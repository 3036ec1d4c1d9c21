"""Writes a report into a folder: report.md, report.html and the pictures of the former."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lstm_jax.record.archive import write_whole
from lstm_jax.report.grids import own_rows
from lstm_jax.report.html import report_html, slug
from lstm_jax.report.markdown import RATIOS, TITLE, report_markdown
from lstm_jax.report.pictures import draw_ratios, draw_times, png_of
from lstm_jax.report.rows import ReportTable

PICTURES = "pictures"


def write_report(
    folder: str | os.PathLike[str],
    tables: Sequence[ReportTable],
    *,
    deviations: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    title: str = TITLE,
) -> list[Path]:
    """Writes both reports and the pictures; returns the paths, report.html and report.md first.

    Takes and raises what `report_markdown` does, and OSError where a file cannot be written. Each
    file is whole or as it was.
    """
    folder = Path(folder)
    drawn = {table.title: draw_times(table) for table in tables}
    if own_rows(tables):
        drawn[RATIOS] = draw_ratios(tables)
    places = {key: f"{PICTURES}/{slug(key)}.png" for key in drawn}
    shared: dict[str, Any] = {"deviations": deviations, "provenance": provenance, "title": title}
    page = report_html(tables, **shared)
    text = report_markdown(tables, pictures=places, **shared)
    contents = {folder / "report.html": page.encode(), folder / "report.md": text.encode()}
    contents |= {folder / places[key]: png_of(figure) for key, figure in drawn.items()}
    for path, content in contents.items():
        write_whole(path, content)
    return list(contents)
