"""What every page is made of: its frame and style, tables, pictures and lists, as HTML."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources

from lstm_jax.record.provenance import total
from lstm_jax.record.reading import RunFiles
from lstm_jax.report.cells import Cell, Pair
from lstm_jax.report.grids import Grid, Note
from lstm_jax.tables import format_duration


def document(
    title: str, header: str, parts: Mapping[str, str], *, below: str = "", script: str = ""
) -> str:
    """A page that needs nothing else, in light and dark: no font or picture from elsewhere.

    Its policy forbids it to load anything, and to run any script but the one that it is given.

    Args:
      title: of the page; text.
      header: HTML below the title.
      parts: HTML by heading, in order; headings are text.
      below: HTML between the links to the parts and the first one.
      script: JavaScript that runs at the end; none by default.

    >>> page = document("A & B", "<p>so</p>", {"One": "<p>1</p>"})
    >>> "<title>A &amp; B</title>" in page, '<h2 id="one">One</h2>' in page, "<script" in page
    (True, True, False)
    """
    links = " ".join(f'<a href="#{slug(head)}">{escape(head)}</a>' for head in parts)
    sections = "\n".join(
        f'<section>\n<h2 id="{slug(head)}">{escape(head)}</h2>\n{body}\n</section>'
        for head, body in parts.items()
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"script-src 'sha256-{digest}'; " if script else ""
    policy = f"default-src 'none'; {allowed}style-src 'unsafe-inline'; img-src data:"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{asset("style.css")}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
{header}
<nav aria-label="Parts of this page">{links}</nav>
{below}
</header>
<main>
{sections}
</main>
{f"<script>{script}</script>" if script else ""}
</body>
</html>
"""


@functools.cache
def asset(name: str) -> str:
    """The text of a file beside this module, such as the style of all pages."""
    return resources.files("lstm_jax.report").joinpath(name).read_text(encoding="utf-8")


def slug(text: str) -> str:
    """A text as part of a file name or of an address.

    >>> slug("Table 7: adding")
    'table-7-adding'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def table_html(grid: Grid) -> str:
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
    return scroll(
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


def scroll(content: str, label: str) -> str:
    """HTML in a container that scrolls where it is too wide; the label is read aloud."""
    # tabindex: a container that scrolls must be in reach of the keyboard
    return f'<div class="scroll" tabindex=0 role=group aria-label="{escape(label)}">{content}</div>'


def figure_html(svg: str, caption: str) -> str:
    """A picture, as HTML, with its caption below."""
    below = f"<figcaption class=small>{escape(caption)}</figcaption>"
    return f"<figure>{scroll(svg, caption)}{below}</figure>"


def notes_html(lines: Sequence[Note]) -> str:
    """Notes as a list, each with its rows."""
    return bullets(
        f"{', '.join(f'<code>{escape(name)}</code>' for name in note.rows)}: {prose(note.text)}"
        for note in lines
    )


def bullets(lines: Iterable[str]) -> str:
    """A list of lines that are HTML already; nothing for none."""
    items = "\n".join(f"<li>{line}</li>" for line in lines)
    return f"<ul>\n{items}\n</ul>" if items else ""


def pairs_html(pairs: Iterable[tuple[str, str]], heads: tuple[str, str]) -> str:
    """Names and values, a line each."""
    lines = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td><code>{escape(value)}</code></td></tr>"
        for name, value in pairs
    )
    head = "".join(f"<th scope=col>{escape(text)}</th>" for text in heads)
    table = (
        f"<table class='texts pairs'><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
    )
    return scroll(table, ", ".join(heads))


def wall_time(run: RunFiles) -> list[tuple[str, str, str]]:
    """The time that all starts of a run took, as a figure in large; none where it is not known."""
    seconds = total(run.sessions, "wall_seconds")
    return [("wall time", format_duration(seconds), "")] if seconds else []


def told_html(run: RunFiles) -> str:
    """The table that the command of a finished run has left in its folder; "" where it has not."""
    file = run.path / "table.md"
    if not (run.is_finished and file.is_file()):
        return ""
    text = escape(file.read_text(encoding="utf-8", errors="replace").strip())
    return (
        f"<p>As the command tells it, with intervals:</p>\n{scroll(f'<pre>{text}</pre>', 'table')}"
    )


def prose(text: str) -> str:
    """A text in which backticks mark code, as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
