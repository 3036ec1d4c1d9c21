"""The heat map of a sweep: what was solved, and how soon, over cells and learning rates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.ablation.analysis import Family, PointResult
from lstm_jax.config import show

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Results = Mapping[Family, Mapping[str, Sequence[PointResult]]]
"""``{(task, recipe): {cell: its points}}``."""


def short(count: float) -> str:
    """A count of sequences in few letters.

    Example:
      >>> [short(n) for n in (850, 4_300, 41_600, float("inf"))]
      ['850', '4.3k', '42k', '']
    """
    if not math.isfinite(count):
        return ""
    if count < 1000:
        return f"{count:.0f}"
    return f"{count / 1000:.1f}k" if count < 10_000 else f"{count / 1000:.0f}k"


def columns_of(points: Sequence[PointResult], axis: str) -> list[Any]:
    """The values of a setting, sorted; numbers by size."""
    values = {show(point.values[axis]): point.values[axis] for point in points}
    return sorted(values.values(), key=lambda v: (isinstance(v, (str, tuple)), v))


def heat_map(results: Results, axis: str = "learning_rate") -> Figure:
    """A panel for each task and recipe: cells down, values of `axis` across.

    The colour is the share of trials solved, the number the median of the training sequences
    until then (Kaplan-Meier; none where fewer than half were solved). Points that differ in other
    settings share a field: the best of them is shown.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = list(results.items())
    rows = max(len(cells) for _, cells in panels)
    figure = Figure(
        figsize=(1.6 + 5.2 * len(panels), 1.5 + 0.36 * rows), dpi=120, layout="constrained"
    )
    FigureCanvasAgg(figure)  # no pyplot: no global state, no display
    drawn = figure.subplots(1, len(panels), squeeze=False)[0]
    image = None
    for axes, (family, cells) in zip(drawn, panels, strict=True):
        image = _panel(axes, family, cells, axis)
    if image is not None:
        bar = figure.colorbar(image, ax=drawn.tolist(), shrink=0.8, pad=0.01)
        bar.set_label("share of trials solved")
    figure.suptitle(
        "Share of trials solved (colour) and median training sequences until then (numbers)",
        fontsize=10,
    )
    return figure


def _panel(
    axes: Axes, family: Family, cells: Mapping[str, Sequence[PointResult]], axis: str
) -> Any:
    columns = columns_of([point for points in cells.values() for point in points], axis)
    place = {show(value): column for column, value in enumerate(columns)}
    share = np.full((len(cells), len(columns)), np.nan)
    for row, points in enumerate(cells.values()):
        fields: dict[int, PointResult] = {}
        for point in points:
            column = place[show(point.values[axis])]
            old = fields.get(column)
            if old is None or _rank(point) < _rank(old):
                fields[column] = point
        for column, point in fields.items():
            summary = point.summary
            share[row, column] = summary.num_solved / summary.num_trials
            axes.text(
                column,
                row,
                short(summary.median_sequences),
                ha="center",
                va="center",
                fontsize=7,
                color="white" if share[row, column] > 0.6 else "black",
            )
    image = axes.imshow(share, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axes.set_xticks(range(len(columns)), [show(value) for value in columns], rotation=60)
    axes.set_yticks(range(len(cells)), list(cells))
    axes.tick_params(labelsize=8, length=0)
    axes.set_xlabel(axis.replace("_", " "))
    axes.set_title(f"{family[0]}, {family[1]}", fontsize=10, loc="left")
    return image


def _rank(point: PointResult) -> tuple[float, float]:
    return -point.summary.num_solved, point.summary.median_sequences
