"""Forecasts from many origins on a page: the errors of each method, by step and by origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.inspect.plots import OURS, PAPER
from lstm_jax.record.reading import RunFiles
from lstm_jax.report.cells import Cell
from lstm_jax.report.grids import Grid
from lstm_jax.report.parts import figure_html, slug, table_html, told_html, wall_time
from lstm_jax.report.pictures import line_panels, page_style, svg_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES = ("o-", "s--", "^:", "v-.")
NETWORK = "network"
"""Its name among the methods of a record; the others are simple forecasts."""


def errors_of(records: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Each method's forecasts less what came, ``[origins, steps ahead]``.

    >>> errors_of([{"truth": [1, 2], "forecasts": {"network": [1, 3]}}])["network"].tolist()
    [[0, 1]]
    """
    truth = np.array([record["truth"] for record in records])
    return {
        name: np.array([record["forecasts"][name] for record in records]) - truth
        for name in records[0]["forecasts"]
    }


def origins_numbers(run: RunFiles) -> list[tuple[str, str, str]]:
    """The figures that matter most: (name, value, what stands below it)."""
    if not run.records:
        return wall_time(run)
    errors = {name: abs(error).mean() for name, error in errors_of(run.records).items()}
    found = [("mean absolute error", f"{errors[NETWORK]:.4g}", f"of {len(run.records)} origins")]
    simple = {name: error for name, error in errors.items() if name != NETWORK}
    if simple:
        best = min(simple, key=lambda name: simple[name])
        found.append(("best simple forecast", f"{simple[best]:.4g}", best.replace("_", " ")))
    return [*found, *wall_time(run)]


def origins_parts(run: RunFiles) -> dict[str, str]:
    """Errors by method, by steps ahead and by origin, as parts of a page."""
    if not run.records:
        return {"Results": "<p>No origin has been forecast from yet.</p>"}
    errors = errors_of(run.records)
    with page_style():
        figure = draw_errors(errors)
    text = "Mean absolute error by steps ahead"
    picture = figure_html(svg_of(figure, f"errors-{slug(run.row)}", text), text)
    parts = {"Results": table_html(methods_grid(errors)), "Steps ahead": picture}
    parts["Results"] += told_html(run)
    return parts | {"Origins": table_html(origins_grid(run.records, errors))}


def methods_grid(errors: Mapping[str, np.ndarray]) -> Grid:
    """A line a method.

    >>> methods_grid({"network": np.array([[3.0, -4.0]])}).rows
    [('network', '3.5', '3.536')]
    """
    heads = ("method", "mean absolute error", "root of the mean square")
    rows: list[tuple[Cell, ...]] = [
        (name.replace("_", " "), f"{abs(error).mean():.4g}", f"{(error**2).mean() ** 0.5:.4g}")
        for name, error in errors.items()
    ]
    return Grid(heads, rows, len(heads))


def origins_grid(records: Sequence[Mapping[str, Any]], errors: Mapping[str, np.ndarray]) -> Grid:
    """A line an origin: the mean absolute error of each method from there."""
    heads = ("origin", "first value forecast", *(name.replace("_", " ") for name in errors))
    rows: list[tuple[Cell, ...]] = [
        (
            str(record["trial"]),
            str(record["label"]),
            *(f"{abs(error[number]).mean():.4g}" for error in errors.values()),
        )
        for number, record in enumerate(records)
    ]
    return Grid(heads, rows, len(heads))


def draw_errors(errors: Mapping[str, np.ndarray]) -> Figure:
    """Mean absolute errors over steps ahead, a line a method."""
    figure, (axes,) = line_panels(1, 3.2, "steps ahead")
    for (name, error), style in zip(errors.items(), cycle(STYLES), strict=False):
        color = OURS if name == NETWORK else PAPER
        steps = range(1, error.shape[1] + 1)
        said = name.replace("_", " ")
        axes.plot(steps, abs(error).mean(axis=0), style, color=color, markersize=4, label=said)
    axes.set_ylabel("mean absolute error")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9)
    return figure
