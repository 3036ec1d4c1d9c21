"""The report as one page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from lstm_jax.inspect.run_text import flat
from lstm_jax.readings import show_value
from lstm_jax.report.grids import (
    HOW_TO_READ,
    Cell,
    Grid,
    Note,
    Pair,
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
from lstm_jax.report.pictures import draw_ratios, draw_times, svg_of
from lstm_jax.report.rows import ReportTable, all_rows

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --raised: #f5f6f7; --ink: #1b1d20; --faint: #626a73; --rule: #d5d9de;
  --ours: #1d7a4c; --solved: #3b6ea8; --unsolved: #b8640d; --diverged: #b3282d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15181c; --raised: #1e2328; --ink: #e4e7ea; --faint: #9aa3ad; --rule: #3a424b;
    --ours: #5fcb95; --solved: #7db1ea; --unsolved: #f0a24e; --diverged: #f0787c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 80rem;
  background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem; }
h2 {
  font-size: 1.3rem; margin: 3rem 0 .25rem; border-top: 1px solid var(--rule); padding-top: 1rem;
}
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
p, ul { max-width: 52rem; }
ul { padding-left: 1.2rem; }
li { margin: .2rem 0; overflow-wrap: anywhere; }
a { color: var(--solved); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 1rem 0; }
code { font: .88em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.lead { font-size: 1.1rem; }
.caption, .small { color: var(--faint); }
.small { font-size: .9rem; }
.scroll { overflow-x: auto; margin: .75rem 0; border: 1px solid var(--rule); border-radius: 6px; }
.scroll:focus-visible { outline: 2px solid var(--solved); }
table {
  border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums;
}
th, td { padding: .3rem .55rem; text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child, .texts th, .texts td { text-align: left; }
thead th {
  font-weight: 600; vertical-align: bottom; background: var(--raised);
  white-space: normal; border-bottom: 1px solid var(--rule);
}
thead .group {
  font-weight: 400; color: var(--faint); text-align: left; border-bottom: 0; padding-bottom: 0;
}
tbody th { font-weight: 400; position: sticky; left: 0; background: var(--page); }
tbody tr + tr > * { border-top: 1px solid var(--rule); }
.own { border-left: 1px solid var(--rule); }
.texts td { white-space: normal; min-width: 7rem; }
.paper { color: var(--ink); }
.bar { color: var(--faint); padding: 0 .3em; }
.ours { color: var(--ours); font-weight: 600; }
.none { color: var(--faint); font-weight: 400; }
.interval { display: block; color: var(--faint); font-weight: 400; font-size: .92em; }
.changed { font-weight: 700; }
figure { margin: .75rem 0; }
figure svg { display: block; width: 100%; min-width: 40rem; max-width: 54rem; height: auto; }
figure .scroll { border: 0; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
details { margin: .75rem 0; }
summary { cursor: pointer; }
""".strip()


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
    parts["Readings used"] = _notes(readings(tables)) or "<p>No row was run.</p>"
    if deviations:
        parts["Deviations from the papers"] = _deviations(deviations)
    parts["Provenance"] = _provenance(tables, provenance or {})
    links = " ".join(f'<a href="#{slug(head)}">{escape(head)}</a>' for head in parts)
    sections = "\n".join(
        f'<section>\n<h2 id="{slug(head)}">{escape(head)}</h2>\n{body}\n</section>'
        for head, body in parts.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{STYLE}
</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="lead">{escape(" ".join(headline(tables)))}</p>
<nav aria-label="Parts of this page">{links}</nav>
<details open><summary>How to read the tables</summary>
{_bullets(map(escape, HOW_TO_READ))}
</details>
</header>
<main>
{sections}
</main>
</body>
</html>
"""


def slug(text: str) -> str:
    """A text as part of a file name or of an address.

    >>> slug("Table 7: adding")
    'table-7-adding'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _overview(tables: Sequence[ReportTable]) -> str:
    """The ratios of all rows, as a picture and as a table, and what is known of the outliers."""
    parts = []
    if own_rows(tables):
        text = "Ratio of our mean to the paper's, by row; the band is a factor of two"
        parts.append(_figure(svg_of(draw_ratios(tables), "ratios", text), text))
    parts.append(_table(ratio_grid(tables)))
    explained = explanations(tables)
    if explained:
        parts.append("<h3>Rows that do not agree</h3>\n" + _notes(explained))
    return "\n".join(parts)


def _published(table: ReportTable) -> str:
    text = f"{table.title}: when each trial was solved"
    picture = svg_of(draw_times(table), slug(table.title), text)
    parts = [
        f'<p class="caption">{escape(table.caption)}</p>' if table.caption else "",
        _table(published_grid(table)),
        _figure(picture, "When each trial was solved; at the right, trials solved of trials run"),
        _notes(notes(table)),
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
                f"<td>{_prose(reading.question)}</td><td>{escape(text)}</td>"
                f"<td{kind}>{escape(show_value(default))}</td></tr>"
            )
        parts.append(f"<h3>{escape(title)}</h3>")
        parts.append(
            _scroll(
                f"<table class=texts><thead><tr>{heads}</tr></thead>"
                f"<tbody>{''.join(lines)}</tbody></table>",
                title,
            )
        )
        evidence = [
            f"<code>{escape(reading.field)}</code>: {_prose(reading.evidence)}"
            for reading in found
            if reading.evidence
        ]
        if evidence:
            parts.append(_bullets(evidence))
    return "\n".join(parts)


def _provenance(tables: Sequence[ReportTable], provenance: Mapping[str, Any]) -> str:
    parts = []
    lines = [f"{escape(key)}: <code>{escape(value)}</code>" for key, value in flat(provenance)]
    if lines:
        parts.append(_bullets(lines))
    grid = provenance_grid(tables)
    parts.append(_table(grid) if grid.rows else "<p>No row was run.</p>")
    return "\n".join(parts)


def _table(grid: Grid) -> str:
    """A table in a container of its own that scrolls where the screen is narrow."""
    published, width = grid.num_published, len(grid.heads)

    def kind(column: int) -> str:
        return ' class="own"' if column == published else ""

    heads = "".join(f"<th scope=col{kind(i)}>{escape(h)}</th>" for i, h in enumerate(grid.heads))
    groups = ""
    if published < width:
        groups = (
            f'<tr><th class="group" colspan={published}>as published: '
            '<span class="paper">paper</span><span class="bar">|</span><span class="ours">ours'
            f'</span></th><th class="group own" colspan={width - published}>beside it</th></tr>'
        )
    lines = []
    for row in grid.rows:
        first = f"<th scope=row><code>{escape(str(row[0]))}</code></th>"
        rest = "".join(f"<td{kind(i)}>{_cell(c)}</td>" for i, c in enumerate(row[1:], start=1))
        lines.append(f"<tr>{first}{rest}</tr>")
    body = "\n".join(lines)
    return _scroll(
        f"<table>\n<thead>{groups}<tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>",
        ", ".join(grid.heads),
    )


def _cell(cell: Cell) -> str:
    if not isinstance(cell, Pair):
        return _value(cell)
    silent = {"-", "not run", "cited only"}
    own = "none" if cell.ours in silent else "ours"
    return (
        f'<span class="paper">{escape(cell.paper)}</span><span class="bar">|</span>'
        f'<span class="{own}">{_value(cell.ours)}</span>'
    )


def _value(text: str) -> str:
    """A number; its interval, if it has one, on a line of its own."""
    value, bracket, interval = text.partition(" [")
    if not bracket:
        return escape(text)
    return f'{escape(value)} <span class="interval">[{escape(interval)}</span>'


def _scroll(content: str, label: str) -> str:
    # tabindex: a container that scrolls must be in reach of the keyboard
    return f'<div class="scroll" tabindex=0 role=group aria-label="{escape(label)}">{content}</div>'


def _figure(svg: str, caption: str) -> str:
    below = f"<figcaption class=small>{escape(caption)}</figcaption>"
    return f"<figure>{_scroll(svg, caption)}{below}</figure>"


def _notes(lines: Sequence[Note]) -> str:
    return _bullets(
        f"{', '.join(f'<code>{escape(name)}</code>' for name in note.rows)}: {_prose(note.text)}"
        for note in lines
    )


def _bullets(lines: Iterable[str]) -> str:
    """A list of lines that are HTML already; nothing for none."""
    items = "\n".join(f"<li>{line}</li>" for line in lines)
    return f"<ul>\n{items}\n</ul>" if items else ""


def _prose(text: str) -> str:
    """A text in which backticks mark code, as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
