"""Many fits of one classifier on a page: folds or seeds, what each was tried on, and its losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lstm_jax.inspect.plots import SOLVED, UNSOLVED
from lstm_jax.record.reading import RunFiles
from lstm_jax.report.grids import Grid
from lstm_jax.report.parts import figure_html, slug, table_html, told_html, wall_time
from lstm_jax.report.pictures import line_panels, page_style, svg_of
from lstm_jax.tables import NONE, format_count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOSSES = {"train_loss": ("training", SOLVED), "valid_loss": ("validation", UNSOLVED)}
MEASURES = [(part, name) for part in ("valid", "test") for name in ("loss", "accuracy")]


def fits_numbers(run: RunFiles) -> list[tuple[str, str, str]]:
    """The figures that matter most: (name, value, what stands below it)."""
    found = []
    for part, name in MEASURES:
        values = [record[part][name] for record in run.records if part in record]
        if values:
            ends = f"mean of {len(values)}, {min(values):.4f} to {max(values):.4f}"
            found.append((f"{part} {name}", f"{sum(values) / len(values):.4f}", ends))
    if run.records:
        found.append(("weights", format_count(run.records[0]["num_weights"]), ""))
    return [*found, *wall_time(run)]


def fits_parts(run: RunFiles) -> dict[str, str]:
    """What the fits came to and how they went, as parts of a page."""
    if not run.records:
        return {"Results": "<p>No fit has ended yet.</p>"}
    with page_style():
        figure = draw_fits(run.records)
    text = f"Losses of {len(run.records)} fits over epochs; each ends where its training did"
    curves = figure_html(svg_of(figure, f"fits-{slug(run.row)}", text), text)
    results = table_html(fits_grid(run.records)) + told_html(run)
    return {"Results": results, "Learning curves": curves}


def fits_grid(records: Sequence[Mapping[str, Any]]) -> Grid:
    """A line a fit: which it is, its best epoch, and what came out there.

    >>> values = {"loss": 0.5, "accuracy": 0.75}
    >>> record = {"fit": 0, "row": "all", "seed": 3, "best_epoch": 7, "test": values}
    >>> grid = fits_grid([record])
    >>> grid.heads
    ('fit', 'seed', 'best epoch', 'test loss', 'test accuracy')
    >>> grid.rows
    [('0', '3', '7', '0.5000', '0.7500')]
    """
    which = [name for name in ("seed", "fold") if name in records[0]]
    measures = [m for m in MEASURES if any(m[1] in record.get(m[0], {}) for record in records)]
    rows = []
    for record in records:
        values = [record.get(part, {}).get(name) for part, name in measures]
        cells = [NONE if value is None else f"{value:.4f}" for value in values]
        said = [record["fit"], *(record[name] for name in which), record["best_epoch"]]
        rows.append((*map(str, said), *cells))
    heads = ("fit", *which, "best epoch", *(f"{part} {name}" for part, name in measures))
    return Grid(heads, rows, len(heads))


def draw_fits(records: Sequence[Mapping[str, Any]]) -> Figure:
    """The losses of every fit over epochs, a thin line each."""
    figure, (axes,) = line_panels(1, 3.2, "epoch")
    for name, (label, color) in LOSSES.items():
        curves = [record[name] for record in records if record.get(name)]
        for number, curve in enumerate(curves):
            epochs = range(1, len(curve) + 1)
            said = "" if number else label  # in the legend once
            axes.plot(epochs, curve, "o-", color=color, lw=0.8, markersize=1.5, label=said)
    axes.set_ylabel("loss, nats")
    if axes.lines:  # none of fits without epochs
        axes.legend(frameon=False, fontsize=9)
    return figure
