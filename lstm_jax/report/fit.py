"""Fits to data sets on a page: losses over epochs, as a picture and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from lstm_jax.inspect.plots import OURS, SOLVED, UNSOLVED
from lstm_jax.record.reading import RunFiles
from lstm_jax.report.grids import Grid
from lstm_jax.report.parts import figure_html, slug, table_html, wall_time
from lstm_jax.report.pictures import line_panels, page_style, svg_of
from lstm_jax.tables import NONE, format_count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = {"train": SOLVED, "valid": UNSOLVED}
MOST_EPOCHS = 200  # lines of the table


def draw_epochs(epochs: Sequence[Mapping[str, Any]]) -> Figure:
    """Every measure of the epochs over their number: one panel a measure, one line a part.

    Args:
      epochs: one or more lines of `epochs.jsonl`: "epoch", "train" and perhaps "valid", each
        ``{measure: value}``, and "best".
    """
    measures = measures_of(epochs)
    figure, panels = line_panels(len(measures), 0.8 + 2.4 * len(measures), "epoch")
    for axes, measure in zip(panels, measures, strict=True):
        for part, color in PARTS.items():
            known = [(e["epoch"], e[part][measure]) for e in epochs if measure in e.get(part, {})]
            if known:
                axes.plot(*zip(*known, strict=True), "o-", color=color, markersize=3, label=part)
        best = [e for e in epochs if e.get("best")]
        if best and measure in best[-1].get("valid", {}):
            place = best[-1]["epoch"], best[-1]["valid"][measure]
            axes.plot(*place, "o", color=OURS, markersize=8, label=f"best: epoch {place[0]}")
        axes.set_ylabel(measure)
        axes.legend(frameon=False, fontsize=9)
    return figure


def epochs_grid(epochs: Sequence[Mapping[str, Any]]) -> Grid:
    """The measures of each epoch; of many epochs the last ones.

    >>> epochs_grid([{"epoch": 1, "train": {"loss": 2.0}, "best": True}]).rows
    [('1', '2.0000', 'yes')]
    """
    measures = [
        (part, measure)
        for part in PARTS
        for measure in measures_of(epochs)
        if any(measure in epoch.get(part, {}) for epoch in epochs)
    ]
    rows = []
    for epoch in epochs[-MOST_EPOCHS:]:
        values = [epoch.get(part, {}).get(measure) for part, measure in measures]
        cells = [NONE if value is None else f"{value:.4f}" for value in values]
        rows.append((str(epoch["epoch"]), *cells, "yes" if epoch.get("best") else ""))
    heads = ("epoch", *(f"{part} {measure}" for part, measure in measures), "best so far")
    return Grid(heads, rows, len(heads))


def fit_numbers(run: RunFiles) -> list[tuple[str, str, str]]:
    """The figures of a fit that matter most: (name, value, what stands below it)."""
    found = []
    best = next((e for e in reversed(run.records) if e.get("best")), None)
    if best is not None:
        part = "valid" if "valid" in best else "train"
        for measure, value in best[part].items():
            found.append((f"{part} {measure}", f"{value:.4f}", f"epoch {best['epoch']}"))
    for part, values in run.result.items():
        if part not in {"best", *PARTS} and isinstance(values, Mapping):
            found += [(f"{part} {name}", f"{value:.4f}", "") for name, value in values.items()]
    if run.result.get("num_weights"):
        found.append(("weights", format_count(run.result["num_weights"]), ""))
    return [*found, *wall_time(run)]


def fit_parts(run: RunFiles) -> dict[str, str]:
    """Curves, epochs and samples of a fit, as parts of a page."""
    if not run.records:
        return {"Epochs": "<p>No epoch has ended yet.</p>"}
    with page_style():
        figure = draw_epochs(run.records)
    text = "Losses over epochs; the dot is the epoch with the least validation loss"
    curves = figure_html(svg_of(figure, f"epochs-{slug(run.row)}", text), text)
    parts = {"Learning curves": curves, "Epochs": table_html(epochs_grid(run.records))}
    samples = sorted((run.path / "samples").glob("epoch-*.txt"))
    if samples:
        name, text = samples[-1].stem.replace("-", " "), samples[-1].read_text(errors="replace")
        parts["Samples"] = f"<p>Of {escape(name)}.</p>\n<pre>{escape(text)}</pre>"
    return parts


def measures_of(epochs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of what was measured, in the order of first mention.

    >>> measures_of([{"epoch": 1, "train": {"loss": 2.0}, "valid": {"loss": 1.0, "bits": 2.0}}])
    ['loss', 'bits']
    """
    names = [name for epoch in epochs for part in PARTS for name in epoch.get(part, {})]
    return list(dict.fromkeys(names))
