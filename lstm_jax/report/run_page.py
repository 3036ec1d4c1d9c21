"""The page of a run or of a folder of rows: numbers, curves, a look inside, what it rests on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from lstm_jax.inspect.plots import draw_learning_curves
from lstm_jax.inspect.run_text import flat, trial_cells
from lstm_jax.record.reading import RunFiles, running_curves
from lstm_jax.report import fit, fits, origins
from lstm_jax.report.cells import format_solved
from lstm_jax.report.grids import (
    HOW_TO_READ,
    Grid,
    notes,
    published_grid,
    ratio_grid,
)
from lstm_jax.report.parts import (
    bullets,
    document,
    figure_html,
    notes_html,
    pairs_html,
    prose,
    slug,
    table_html,
    wall_time,
)
from lstm_jax.report.pictures import page_style, svg_of
from lstm_jax.report.player import Playback, player_html, player_script
from lstm_jax.report.rows import ReportRow, ReportTable, ratio_of, settings_of
from lstm_jax.summary import RowSummary, summarize
from lstm_jax.tables import (
    NONE,
    PaperRow,
    format_count,
    format_median,
    format_paper_mean,
    format_ratio,
)


class DataKind(NamedTuple):
    """A kind of run on a data set: its figures in large, and its parts of the page."""

    numbers: Callable[[RunFiles], list[tuple[str, str, str]]]
    parts: Callable[[RunFiles], dict[str, str]]


DATA_KINDS = {
    "epochs": DataKind(fit.fit_numbers, fit.fit_parts),
    "fits": DataKind(fits.fits_numbers, fits.fits_parts),
    "origins": DataKind(origins.origins_numbers, origins.origins_parts),
}
"""By what a run counts; runs of trials have the paper's table instead."""


class Picture(NamedTuple):
    """A picture for the page: HTML of an SVG or an image, and what it shows."""

    html: str
    caption: str


class Inside(NamedTuple):
    """What was seen inside the networks of a run; `problem` says why there is nothing to see."""

    playbacks: Sequence[Playback] = ()
    pictures: Sequence[Picture] = ()
    problem: str = ""


class RunReport(NamedTuple):
    """A run with the published row it belongs to, if there is one, and a look inside."""

    run: RunFiles
    paper: PaperRow | None = None
    inside: Inside = Inside()


def run_html(reports: Sequence[RunReport], title: str) -> str:
    """One self-contained page on a run, or on the rows of a table.

    Raises:
      ValueError: no run, or records that `summarize` refuses.
    """
    if not reports:
        raise ValueError("no run to report on: give at least one")
    plays = any(report.inside.playbacks for report in reports)
    return document(
        title,
        _header(reports),
        _parts(reports[0]) if len(reports) == 1 else _rows(reports),
        script=player_script() if plays else "",
    )


def _header(reports: Sequence[RunReport]) -> str:
    unfinished = [report for report in reports if not report.run.is_finished]
    state = "finished" if not unfinished else "unfinished"
    said = _progress(reports[0].run) if len(reports) == 1 else _progress_of_rows(reports)
    lines = [
        f'<p class="crumb"><code>{escape(str(_folder(reports)))}</code></p>',
        f'<p><span class="state {state}">{state}</span> {escape(said)}</p>',
    ]
    if len(reports) == 1:
        lines.append(_numbers(reports[0]))
    return "\n".join(lines)


def _folder(reports: Sequence[RunReport]) -> str:
    path = reports[0].run.path
    return str(path if len(reports) == 1 else path.parent)


def _progress(run: RunFiles) -> str:
    what, done, asked = run.counted.word, len(run.records), run.num_asked
    if what == "epochs":
        ended = "" if run.is_finished else "; what follows is of those"
        return f"{done} of at most {asked} epochs{ended}."
    if run.is_finished:
        return f"{done} of {asked} {what} have ended."
    return f"{done} of {asked} {what} have ended; the numbers are of those and will change."


def _progress_of_rows(reports: Sequence[RunReport]) -> str:
    whole = sum(report.run.is_finished for report in reports)
    return f"{whole} of {len(reports)} rows have run to their end."


def _rows(reports: Sequence[RunReport]) -> dict[str, str]:
    """The parts of a page on several rows: one table of all, then a part for each."""
    tables = [_table_of(report) for report in reports if report.paper]
    parts = {}
    if tables:
        parts["All rows, paper and ours"] = table_html(ratio_grid(tables)) + _how_to_read()
    rest = [report for report in reports if report.paper is None and report.run.trials]
    if rest:
        parts["Rows of our own"] = table_html(own_grid(rest))
    for report in reports:
        name = f"Row {report.run.row}"
        body = [f"<p>{escape(_progress(report.run))}</p>", _numbers(report)]
        for head, part in _parts(report).items():
            body.append(f"<h3>{escape(head)}</h3>\n{part}")
        parts[name] = "\n".join(body)
    return parts


def _parts(report: RunReport) -> dict[str, str]:
    """The parts of a page on one run, by their headings."""
    run, inside = report.run, report.inside
    parts: dict[str, str] = {}
    if run.counted.word in DATA_KINDS:
        parts |= DATA_KINDS[run.counted.word].parts(run)
    else:
        parts |= {"Paper and ours" if report.paper else "Results": _results(report)}
        parts |= {"Learning curves": _curves(report)}
    if inside.playbacks:
        parts["Step through a sequence"] = player_html(inside.playbacks, f"Player of {run.row}")
    if inside.pictures:
        shown = [figure_html(picture.html, picture.caption) for picture in inside.pictures]
        parts["Inside the network"] = "\n".join(shown)
    if inside.problem:
        parts.setdefault("Inside the network", "")
        parts["Inside the network"] += f"<p>{escape(inside.problem)}</p>"
    if run.trials:
        parts["Trials"] = _trials(run)
    parts["Config"] = pairs_html(
        [(k, _shown(v)) for k, v in run.config.items()], ("field", "value")
    )
    parts["Provenance"] = _provenance(run)
    return parts


def _numbers(report: RunReport) -> str:
    """The figures that matter most, in large."""
    run = report.run
    kind = DATA_KINDS.get(run.counted.word)
    pairs = kind.numbers(run) if kind else _trial_numbers(report)
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}"
        + (f"<small>{escape(beside)}</small>" if beside else "")
        + "</dd></div>"
        for name, value, beside in pairs
    )
    return f'<dl class="numbers">{items}</dl>' if items else ""


def _trial_numbers(report: RunReport) -> list[tuple[str, str, str]]:
    run, paper = report.run, report.paper
    time = wall_time(run)
    if not run.trials:
        return time
    ours = _summary(run)
    solved, _, interval = format_solved(ours).partition(" ")
    found = [("trials solved", solved, f"95% {interval.strip('[]').replace(',', ' to')}")]
    published = f"paper {format_paper_mean(paper)}" if paper else "of the solved trials"
    found.append(("mean training sequences", format_count(ours.mean_sequences), published))
    if paper is not None and not math.isnan(ratio_of(_row_of(report))[0]):
        ratio, low, high = ratio_of(_row_of(report))
        ends = "" if math.isnan(low) else f"95% {format_ratio(low)} to {format_ratio(high)}"
        found.append(("ratio, ours / paper", format_ratio(ratio), ends))
    if ours.num_weights is not None:
        same = f"paper {paper.num_weights:,}" if paper and paper.num_weights else ""
        found.append(("weights", format_count(ours.num_weights), same))
    return [*found, *time]


def _results(report: RunReport) -> str:
    if not report.run.trials:
        return "<p>No trial has ended yet.</p>"
    if report.paper is None:
        return table_html(own_grid([report]))
    table = _table_of(report)
    parts = [f'<p class="caption">{escape(report.paper.source)}: {escape(report.paper.label)}</p>']
    parts += [table_html(published_grid(table)), notes_html(notes(table)), _how_to_read()]
    reading = _reading(report.run)
    if reading:
        parts.append(f"<p>Reading: {prose(reading)}.</p>")
    return "\n".join(parts)


def _how_to_read() -> str:
    lines = bullets(map(escape, HOW_TO_READ))
    return f"<details><summary>How to read the table</summary>\n{lines}\n</details>"


def own_grid(reports: Sequence[RunReport]) -> Grid:
    """Rows that no paper has: what their trials came to."""
    rows = []
    for report in reports:
        ours = _summary(report.run)
        error = ours.mean_test_error
        rows.append(
            (
                report.run.row,
                NONE if ours.num_weights is None else format_count(ours.num_weights),
                format_solved(ours),
                format_count(ours.mean_sequences),
                format_median(ours),
                NONE if math.isnan(error) else f"{error:.4f}",
            )
        )
    heads = ("row", "weights", "solved", "mean sequences", "median [95%]", "test error")
    return Grid(heads, rows, len(heads))


def _curves(report: RunReport) -> str:
    run = report.run
    running = {} if run.is_finished else running_curves(run)
    curves = running | run.curves
    every = run.curve_every or run.config.get("curve_every", 0)
    if not curves or not every:
        return "<p>No curve yet: no trial has run for a whole window.</p>"
    with page_style():
        figure = draw_learning_curves(
            curves,
            [record for record in run.trials if record["trial"] in curves],
            report.paper,
            "",
            run.config.get("error_limit"),
            every,
        )
    text = f"Mean absolute training error of {len(curves)} trials over training sequences, "
    text += "and the fraction solved by then"
    return figure_html(svg_of(figure, f"curves-{slug(run.row)}", text), text)


def _trials(run: RunFiles) -> str:
    heads = ("trial", "status", "sequences", "wrong in test", "mean test error")
    grid = Grid(heads, [tuple(trial_cells(record)) for record in run.trials], len(heads))
    count = f"{len(run.trials):,} trials" if len(run.trials) > 1 else "1 trial"
    return f"<details><summary>{count}, one line each</summary>\n{table_html(grid)}\n</details>"


def _provenance(run: RunFiles) -> str:
    if not run.sessions:
        return "<p>Not recorded yet.</p>"
    pairs = flat(run.sessions[-1])
    starts = len(run.sessions)
    more = f"<p>The last of {starts} starts.</p>" if starts > 1 else ""
    return more + pairs_html(pairs, ("what", "value"))


def _table_of(report: RunReport) -> ReportTable:
    assert report.paper is not None
    return ReportTable(report.paper.source, report.paper.label, [_row_of(report)])


def _row_of(report: RunReport) -> ReportRow:
    """Our trials as a row of the published table, under the name that they were run by."""
    assert report.paper is not None
    info: dict[str, Any] = {"settings": settings_of(ReportRow(report.paper))}
    if "max_sequences" in report.run.config:
        info["max_sequences"] = report.run.config["max_sequences"]
    info["reading"] = _reading(report.run)
    return ReportRow(report.paper._replace(name=report.run.row), report.run.trials, info)


def _reading(run: RunFiles) -> str:
    return str(run.sessions[-1].get("reading") or "") if run.sessions else ""


def _summary(run: RunFiles) -> RowSummary:
    return summarize(run.trials, max_sequences=run.config.get("max_sequences"))


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_shown(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(map(_shown, value)) + ")"
    return str(value).lower() if isinstance(value, bool) else str(value)
