"""Pictures of a report: when the trials of each row were solved, and the ratios to the paper."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.inspect.pictures import style as inner
from lstm_jax.inspect.plots import DIVERGED, OURS, PAPER, RUNNING, SOLVED, UNSOLVED
from lstm_jax.report.grids import own_rows, verdict
from lstm_jax.report.rows import FACTOR, ReportRow, ReportTable, ratio_of, solved_counts, summary_of
from lstm_jax.tables import format_count, format_paper_mean, format_ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.4  # inches
GRID, FAINT = "#b9b9b9", "#666666"
# A page in a dark room needs other colors: each stands for a variable of the page's style.
VARIABLES = {
    PAPER: "--ink",
    SOLVED: "--solved",
    UNSOLVED: "--unsolved",
    DIVERGED: "--diverged",
    OURS: "--ours",
    GRID: "--rule",
    FAINT: "--faint",
    RUNNING: "--faint",
    "#000000": "--ink",
    "#ffffff": "--page",  # the halo of a word, the rim of a dot
    inner.INK: "--ink",
    inner.FAINT: "--faint",
    inner.RULE: "--rule",
    inner.MARK: "--diverged",
    **{color: f"--role-{letter}" for letter, (_, color) in inner.ROLES.items() if letter in "for"},
    inner.ROLES["c"][1]: "--line-0",
    inner.ROLES["h"][1]: "--solved",
    inner.ROLES["z"][1]: "--faint",
}
MARKS: dict[str, dict[str, Any]] = {  # of a trial, by its status
    "SOLVED": {"marker": "o", "color": SOLVED, "alpha": 0.75, "markersize": 4},
    "EXHAUSTED": {
        "marker": "o",
        "color": UNSOLVED,
        "markerfacecolor": "none",
        "markersize": 5,
    },
    "DIVERGED": {"marker": "x", "color": DIVERGED, "markersize": 5},
}
# What has no color of its own must still have one that the page can change.
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: small, selectable, read aloud
    "font.size": 9,
    "text.color": PAPER,
    "axes.labelcolor": PAPER,
    "axes.edgecolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": PAPER,
    "grid.color": GRID,
}


def draw_times(table: ReportTable) -> Figure:
    """When the trials of each row of a table were solved: a strip a row, over a log axis.

    A dot is a solved trial; an open ring a trial that was stopped at its cap, a cross one that
    diverged, both drawn at the cap. The black tick is the paper's mean, the green one ours.

    Raises:
      ValueError: no rows, or records that do not fit their row.
    """
    if not table.rows:
        raise ValueError(f"table {table.title!r} has no rows")
    with page_style():
        figure, axes = _new_figure(0.46 * len(table.rows) + 1.0)
        for position, row in enumerate(table.rows):
            _draw_strip(axes, position, row)
        _set_rows(axes, [row.paper.name for row in table.rows])
        _set_sequences_axis(axes, [time for row in table.rows for time in _times(row)])
        _add_legend(figure, table.rows)
    return figure


def draw_ratios(tables: Sequence[ReportTable]) -> Figure:
    """Our mean over the paper's by row, with its interval; the band is a factor of two.

    Raises:
      ValueError: no row to draw, or records that do not fit their row.
    """
    rows = own_rows(tables)
    if not rows:
        raise ValueError("no ratios to draw: no row of the method itself")
    with page_style():
        figure, axes = _new_figure(0.24 * len(rows) + 0.8)
        ends = [1 / FACTOR, FACTOR]
        axes.axvspan(1 / FACTOR, FACTOR, color=SOLVED, alpha=0.12, linewidth=0)
        axes.axvline(1.0, color=PAPER, linewidth=1.0)
        for position, row in enumerate(rows):
            ratio, low, high = ratio_of(row)
            if math.isnan(ratio):
                _say_right(axes, position, verdict(row))
                continue
            ends += [end for end in (ratio, low, high) if not math.isnan(end)]
            whole = len(solved_counts(row)) == len(row.records)
            axes.plot([low, high], [position, position], color=OURS, linewidth=1.4)
            face = OURS if whole else "none"
            style: dict[str, Any] = {"markersize": 5.5, "markeredgewidth": 1.3}
            axes.plot(ratio, position, "o", color=OURS, markerfacecolor=face, **style)
            _say_right(axes, position, format_ratio(ratio))
        axes.set_xscale("log")
        axes.set_xlim(min(ends) / 1.25, max(ends) * 1.25)
        _set_ticks(axes, max(ends) / min(ends), lambda value, _: f"{value:g}")
        axes.set_xlabel("ratio of means, ours / paper (open ring: not every trial solved)")
        _set_rows(axes, [row.paper.name for row in rows])
    return figure


def line_panels(number: int, height: float, xlabel: str) -> tuple[Figure, Sequence[Axes]]:
    """A figure of panels above each other, for lines over whole numbers."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(WIDTH, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(number, 1, sharex=True, squeeze=False)[:, 0]
    for axes in panels:
        axes.grid(linewidth=0.6, alpha=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel(xlabel)
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, list(panels)


def svg_of(figure: Figure, name: str, description: str, *, themed: bool = True) -> str:
    """The figure as an SVG element to stand within a page, in the page's own colors.

    Its ids begin with `name`, so that several may stand in one page; it refers to nothing outside.
    themed: False leaves its colors as they are, for a picture with shades of its own; it stands on
    white in the dark, too.
    """
    text = _saved(figure, "svg", name).decode()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style type=.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"\n\s*", "\n", text)
    head, body = text.split(">", 1)
    (box,) = re.findall(r'viewBox="([^"]*)"', head)
    body = body.replace("xlink:href=", "href=")
    body = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', body)
    body = re.sub(r'href="#([^"]*)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", body)
    if themed:
        for color, variable in VARIABLES.items():
            body = body.replace(color, f"var({variable})")
    label = escape(description, quote=True)
    share = float(box.split()[2]) / (72 * WIDTH)  # of the width of the other pictures
    size = f"max-width:{54 * share:.3g}rem;min-width:{40 * share:.3g}rem"
    kind = "themed" if themed else "light"
    return (
        f'<svg class="{kind}" viewBox="{box}" style="{size}" role="img" aria-label="{label}">{body}'
    )


def png_of(figure: Figure) -> bytes:
    """The figure as a PNG on white."""
    return _saved(figure, "png", "")


def _draw_strip(axes: Axes, position: int, row: ReportRow) -> None:
    """One row: the trials, the paper's mean and ours, and what was solved."""
    paper = row.paper
    published = _paper_time(row)
    if not math.isnan(published):
        axes.plot([published] * 2, [position - 0.34, position + 0.34], color=PAPER, linewidth=2)
        axes.annotate(
            format_paper_mean(paper),
            (published, position - 0.34),
            xytext=(0, 1),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7.5,
        )
    if not row.records:
        _say_right(axes, position, "cited" if paper.cited else "not run")
        return
    cap = _cap(row)
    for status, style in MARKS.items():
        trials = [record for record in row.records if record["status"] == status]
        # a trial that diverged will not be solved, however long it is followed
        times = [cap if status == "DIVERGED" else max(t["num_sequences"], 1) for t in trials]
        heights = [position + _height(trial["trial"]) for trial in trials]
        axes.plot(times, heights, linestyle="none", zorder=3, **style)
    solved = solved_counts(row)
    if solved:
        mean = float(np.mean(solved))
        axes.plot([mean] * 2, [position - 0.26, position + 0.26], color=OURS, linewidth=2)
    _say_right(axes, position, f"{len(solved)}/{len(row.records)}")


def _height(trial: int) -> float:
    """Where in its strip a trial is drawn: neighbours lie apart, and a trial keeps its place."""
    golden_section = 0.618034
    return 0.44 * ((golden_section * (trial + 0.5)) % 1.0 - 0.5)


def _add_legend(figure: Figure, rows: Sequence[ReportRow]) -> None:
    from matplotlib.lines import Line2D

    statuses = {record["status"] for row in rows for record in row.records}
    tick: dict[str, Any] = {"marker": "|", "markersize": 10, "markeredgewidth": 2}
    entries: list[tuple[str, dict[str, Any]]] = [("paper's mean", tick | {"color": PAPER})]
    if "SOLVED" in statuses:
        entries.append(("our mean, of the solved", tick | {"color": OURS}))
    names = {
        "SOLVED": "trial solved",
        "EXHAUSTED": "unsolved, at its cap",
        "DIVERGED": "diverged, at the cap",
    }
    entries += [(name, MARKS[status]) for status, name in names.items() if status in statuses]
    marks: list[Line2D] = []
    for name, style in entries:
        mark: dict[str, Any] = {"linestyle": "none", "label": name} | style
        marks.append(Line2D([], [], **mark))
    figure.legend(
        handles=marks,
        loc="outside upper left",
        ncols=5,
        frameon=False,
        fontsize=8.5,
        handletextpad=0.2,
        columnspacing=1.4,
    )


def page_style(salt: str = "") -> AbstractContextManager[None]:
    """Matplotlib's settings while a picture is drawn or saved; `salt` makes SVG ids repeatable."""
    from matplotlib import rc_context

    settings: dict[Any, Any] = _STYLE | {"svg.hashsalt": salt}
    return rc_context(settings)


def _new_figure(height: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)  # no pyplot: no global state, no display
    axes = figure.subplots()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", linewidth=0.6, alpha=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _set_rows(axes: Axes, names: Sequence[str]) -> None:
    """Rows from the top down, each with its name."""
    axes.set_ylim(len(names) - 0.4, -0.75)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)


def _set_sequences_axis(axes: Axes, times: Sequence[float]) -> None:
    known = [time for time in times if not math.isnan(time)] or [1.0]
    axes.set_xscale("log")
    axes.set_xlim(min(known) / 1.35, max(known) * 1.35)
    _set_ticks(axes, max(known) / min(known), lambda count, _: format_count(count))
    axes.set_xlabel("training sequences until solved (log scale)")


def _set_ticks(axes: Axes, span: float, form: Any) -> None:
    """Few enough numbers on a logarithmic axis that they do not touch."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    steps = (1.0, 2.0, 5.0) if span < 60 else (1.0, 3.0) if span < 1000 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=30))
    axes.xaxis.set_major_formatter(FuncFormatter(form))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)


def _say_right(axes: Axes, position: int, text: str) -> None:
    """A word at the right end of a row."""
    axes.text(
        1.012,
        position,
        text,
        transform=axes.get_yaxis_transform(),
        va="center",
        fontsize=8.5,
    )


def _times(row: ReportRow) -> list[float]:
    """Where something of the row is drawn."""
    times = [max(float(record["num_sequences"]), 1.0) for record in row.records]
    if any(record["status"] == "DIVERGED" for record in row.records):
        times.append(_cap(row))
    return [*times, _paper_time(row)]


def _cap(row: ReportRow) -> float:
    summary = summary_of(row)
    return math.nan if summary is None else float(max(summary.cap, 1))


def _paper_time(row: ReportRow) -> float:
    """The paper's mean, or the bound that it gives instead; nan where it has neither."""
    published, cap = row.paper.num_sequences, row.paper.cap
    return float(cap) if math.isnan(published) and cap is not None else float(published)


def _saved(figure: Figure, form: str, salt: str) -> bytes:
    file = io.BytesIO()
    # neither the date nor a random id: the same records give the same bytes
    plain: dict[str, Any] = {"Date": None} if form == "svg" else {"Software": None}
    with page_style(salt):
        figure.savefig(file, format=form, metadata=plain, transparent=form == "svg")
    return file.getvalue()
