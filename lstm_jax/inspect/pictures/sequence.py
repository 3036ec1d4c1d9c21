"""The overview of a sequence: what was shown, when gates opened, what was held, what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.inspect.looks import Look
from lstm_jax.inspect.pictures.heat_maps import draw_rows
from lstm_jax.inspect.pictures.inputs import POOLING, draw_input, draw_pooling, input_height
from lstm_jax.inspect.pictures.outputs import draw_output, output_height
from lstm_jax.inspect.pictures.style import (
    INK,
    gates_of,
    memories_of,
    name_panel,
    new_figure,
    role_of,
    said,
    say,
    set_time,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 10  # units of a panel
FOLLOWS = 0.8
"""Correlation from which a unit is said to hold what a task counts."""


def draw_sequence(seen: Look) -> Figure:
    """Input, gates, memory and output of one sequence over time, the marks through all of them.

    Of the gates each kind has a panel with a line a unit; of the memory the unit is bold that
    follows what the task counts (the sum of the marked values, say), which is drawn along with it.
    Of a classifier there is also the share that each step has in the pooling.
    """
    gates = gates_of(seen.arrays)[:6]
    memories = memories_of(seen.arrays)[:3]
    pooled = [0.9] if POOLING in seen.arrays else []
    heights = [input_height(seen), *[1.05] * len(gates), *[1.7] * len(memories), *pooled]
    figure, panels = new_figure(seen.title, [*heights, output_height(seen)])
    draw_input(panels[0], seen)
    rest = iter(panels[1:-1])
    for name in gates:
        _draw_gate(next(rest), seen, name)
    for name in memories:
        _draw_memory(next(rest), seen, name)
    if pooled:
        draw_pooling(next(rest), seen)
    draw_output(panels[-1], seen)
    set_time(panels, seen)
    return figure


def _draw_gate(panel: Axes, seen: Look, name: str) -> None:
    """A line a unit, the area below filled: open is 1, shut is 0. Many units are rows of color."""
    if seen.arrays[name].shape[1] > MOST_LINES:
        draw_rows(panel, seen, name)
        return
    values, color = seen.arrays[name], role_of(name, seen.arrays)[1]
    t = np.arange(len(values))
    widest = int(np.argmax(values.max(axis=0) - values.min(axis=0)))
    for unit in range(values.shape[1]):
        bold = unit == widest
        panel.plot(
            t,
            values[:, unit],
            color=color,
            linewidth=1.9 if bold else 0.8,
            alpha=1.0 if bold else 0.45,
        )
        if bold:
            panel.fill_between(t, values[:, unit], color=color, alpha=0.18, linewidth=0)
    if len(seen.marks) <= 8:
        for mark in seen.marks:
            say(panel, mark, values[mark, widest], f"{values[mark, widest]:.2f}", color)
    panel.set_ylim(0, 1.32)  # room for the numbers
    panel.set_yticks([0, 0.5, 1], ["0 shut", "0.5", "1 open"])
    name_panel(panel, _units_said(said(name, seen.arrays), values.shape[1], widest))


def _draw_memory(panel: Axes, seen: Look, name: str) -> None:
    if seen.arrays[name].shape[1] > MOST_LINES and seen.truth is None:
        draw_rows(panel, seen, name)
        return
    values, color = seen.arrays[name], role_of(name, seen.arrays)[1]
    t = np.arange(len(values))
    best, scale, fit = _follows(values, seen.truth)
    for unit in range(values.shape[1]):
        bold = unit == best
        width, alpha = (2.4, 1.0) if bold else (0.8, 0.4)
        panel.plot(t, values[:, unit], color=color, linewidth=width, alpha=alpha, zorder=2 + bold)
    title = _units_said(said(name, seen.arrays), values.shape[1], best)
    if scale is not None and abs(fit) < FOLLOWS:
        title += f"; none follows the {seen.meta['truth']} (correlation {fit:.2f} at best)"
    elif scale is not None and seen.truth is not None:
        slope, offset = scale
        line: Any = slope * seen.truth + offset
        panel.plot(t, line, color=INK, linewidth=1.2, linestyle=(0, (4, 2)), zorder=4)
        title += f"; dashed: the {seen.meta['truth']} (correlation {fit:.3f})"

        # An axis of its own for what is counted, so that both can be read off.
        def to_truth(state: Any) -> Any:
            return (state - offset) / slope

        def from_truth(count: Any) -> Any:
            return slope * count + offset

        right = panel.secondary_yaxis("right", functions=(to_truth, from_truth))
        right.set_ylabel(seen.meta["truth"].split(" ")[0], color=INK)
        right.spines["right"].set_visible(True)
        for mark in seen.marks[:8]:
            text = f"{seen.meta['truth'].split(' ')[0]} {seen.truth[mark]:+.2f}"
            say(panel, mark, line[mark], text, INK, side=True)
    panel.margins(y=0.18)
    name_panel(panel, title, "state")


def _follows(
    values: np.ndarray, truth: np.ndarray | None
) -> tuple[int, tuple[float, float] | None, float]:
    """The unit that moves with the truth, (slope, offset) of it on the truth, the correlation.

    Of units that follow it alike, the one that moves most. Without a truth: the one that does.
    """
    moves = np.ptp(values, axis=0)
    if truth is None or np.ptp(truth) == 0:
        return int(np.argmax(moves)), None, 0.0
    centred, wanted = values - values.mean(axis=0), truth - truth.mean()
    scale = np.sqrt((centred**2).sum(axis=0) * (wanted**2).sum())
    fits = (centred * wanted[:, None]).sum(axis=0) / np.maximum(scale, 1e-12)
    alike = abs(fits) >= abs(fits).max() - 0.01
    best = int(np.argmax(np.where(alike, moves, -1)))
    slope, offset = np.polyfit(truth, values[:, best], 1)
    return best, (float(slope), float(offset)), float(fits[best])


def _units_said(text: str, num_units: int, bold: int) -> str:
    return text if num_units == 1 else f"{text}: {num_units} units, bold: unit {bold}"
