"""The report as one page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from lstm_jax.inspect.run_text import flat
from lstm_jax.readings import show_value
from lstm_jax.report.grids import (
    HOW_TO_READ,
    explanations,
    headline,
    notes,
    own_rows,
    provenance_grid,
    published_grid,
    ratio_grid,
    readings,
)
from lstm_jax.report.markdown import TITLE
from lstm_jax.report.parts import (
    bullets,
    document,
    figure_html,
    notes_html,
    prose,
    scroll,
    slug,
    table_html,
)
from lstm_jax.report.pictures import draw_ratios, draw_times, svg_of
from lstm_jax.report.rows import ReportTable, all_rows


def report_html(
    tables: Sequence[ReportTable],
    *,
    deviations: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    title: str = TITLE,
) -> str:
    """The report as one self-contained page, in light and dark, with its pictures within.

    Takes and raises what `report_markdown` does.

    >>> from lstm_jax.report import ReportRow, ReportTable, report_html
    >>> from lstm_jax.tables import PaperRow
    >>> paper = PaperRow("t7-t100", "T=100", "Table 7", 93, 10, 74_000, 1, 2560)
    >>> "not run" in report_html([ReportTable("Table 7", "adding", [ReportRow(paper)])])
    True
    """
    all_rows(tables)
    parts = {"Every LSTM row": _overview(tables)}
    parts |= {table.title: _published(table) for table in tables}
    parts["Readings used"] = notes_html(readings(tables)) or "<p>No row was run.</p>"
    if deviations:
        parts["Deviations from the papers"] = _deviations(deviations)
    parts["Provenance"] = _provenance(tables, provenance or {})
    header = f"""<p class="lead">{escape(" ".join(headline(tables)))}</p>"""
    below = f"""<details open><summary>How to read the tables</summary>
{bullets(map(escape, HOW_TO_READ))}
</details>"""
    return document(title, header, parts, below=below)


def _overview(tables: Sequence[ReportTable]) -> str:
    """The ratios of all rows, as a picture and as a table, and what is known of the outliers."""
    parts = []
    if own_rows(tables):
        text = "Ratio of our mean to the paper's, by row; the band is a factor of two"
        parts.append(figure_html(svg_of(draw_ratios(tables), "ratios", text), text))
    parts.append(table_html(ratio_grid(tables)))
    explained = explanations(tables)
    if explained:
        parts.append("<h3>Rows that do not agree</h3>\n" + notes_html(explained))
    return "\n".join(parts)


def _published(table: ReportTable) -> str:
    text = f"{table.title}: when each trial was solved"
    picture = svg_of(draw_times(table), slug(table.title), text)
    parts = [
        f'<p class="caption">{escape(table.caption)}</p>' if table.caption else "",
        table_html(published_grid(table)),
        figure_html(
            picture, "When each trial was solved; at the right, trials solved of trials run"
        ),
        notes_html(notes(table)),
    ]
    return "\n".join(part for part in parts if part)


def _deviations(experiments: Mapping[str, Any]) -> str:
    """Each open point of the papers: what the text says, our default, what was measured."""
    parts = ["<p>Each row is an open point; bold: our default is not what the text states.</p>"]
    columns = ("field", "what", "text", "default")
    heads = "".join(f"<th scope=col>{column}</th>" for column in columns)
    for title, (fields, found) in experiments.items():
        lines = []
        for reading in found:
            default = fields[reading.field].default
            text = "open" if reading.text is None else show_value(reading.text)
            kind = "" if default == reading.text else ' class="changed"'
            lines.append(
                f"<tr><th scope=row><code>{escape(reading.field)}</code></th>"
                f"<td>{prose(reading.question)}</td><td>{escape(text)}</td>"
                f"<td{kind}>{escape(show_value(default))}</td></tr>"
            )
        parts.append(f"<h3>{escape(title)}</h3>")
        parts.append(
            scroll(
                f"<table class=texts><thead><tr>{heads}</tr></thead>"
                f"<tbody>{''.join(lines)}</tbody></table>",
                title,
            )
        )
        evidence = [
            f"<code>{escape(reading.field)}</code>: {prose(reading.evidence)}"
            for reading in found
            if reading.evidence
        ]
        if evidence:
            parts.append(bullets(evidence))
    return "\n".join(parts)


def _provenance(tables: Sequence[ReportTable], provenance: Mapping[str, Any]) -> str:
    parts = []
    lines = [f"{escape(key)}: <code>{escape(value)}</code>" for key, value in flat(provenance)]
    if lines:
        parts.append(bullets(lines))
    grid = provenance_grid(tables)
    parts.append(table_html(grid) if grid.rows else "<p>No row was run.</p>")
    return "\n".join(parts)
