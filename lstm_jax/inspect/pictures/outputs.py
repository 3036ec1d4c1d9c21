"""The output of a sequence as a panel, against what it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.inspect.looks import Look
from lstm_jax.inspect.pictures.inputs import POOLING, used_rows
from lstm_jax.inspect.pictures.style import INK, MARK, draw_colors, name_panel, role_of, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DUE = {"adding": lambda total: 0.5 + total / 4, "multiplication": lambda product: product}
"""The answer to what has been counted so far."""


def draw_output(panel: Axes, seen: Look) -> None:
    """Outputs at every step, targets as circles: a line an output, or rows of color for many."""
    if seen.meta["timing"] == "ahead":
        _draw_ahead(panel, seen)
        return
    outputs, targets, names = seen.outputs, seen.targets, seen.meta["output_names"]
    num_outputs = outputs.shape[1]
    t = np.arange(len(outputs))
    color = role_of("y", {})[1]
    right = "right" if seen.meta["correct"] else "wrong"
    verdict = seen.meta.get(
        "verdict", f"the answer is {right}, mean error {seen.meta['error']:.3f}"
    )
    title = f"output: {verdict}"
    if several_due(seen):
        draw_expected(panel, seen)
        return
    if num_outputs > 12:
        which = np.nan_to_num(targets, nan=-np.inf).argmax(axis=1)
        due = np.isfinite(targets).any(axis=1)
        picked = outputs[t, which]
        panel.plot(t[due], picked[due], ".", color=color, markersize=4)
        title += f"; dots: the output that should be 1, of {num_outputs}"
        panel.axhline(1, color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
        name_panel(panel, title, "output")
        return
    shades = _shades(num_outputs)
    for unit in range(num_outputs):
        panel.plot(
            t,
            outputs[:, unit],
            color=shades[unit],
            linewidth=1.6,
            label=names[unit] if num_outputs > 1 else None,
        )
        due = np.isfinite(targets[:, unit])
        panel.plot(
            t[due],
            targets[due, unit],
            "o",
            markersize=6 if due.sum() < 4 else 3.5,
            color=shades[unit],
            markerfacecolor="none",
            clip_on=False,
            zorder=5,
        )
    if seen.truth is not None and seen.meta["task"] in DUE:
        due_now = DUE[seen.meta["task"]](seen.truth)
        panel.plot(t, due_now, color=INK, linewidth=1.2, linestyle=(0, (4, 2)), zorder=4)
        title += "; dashed: what would be due if the sequence ended there"
    if num_outputs == 1 and np.isfinite(targets).sum() == 1:
        end = len(t) - 1
        answer, target = outputs[end, 0], targets[end, 0]
        low, high = panel.get_ylim()
        text = f"answer {answer:.3f}, target {target:.3f} "
        below = answer > (low + high) / 2  # above there would be the title
        say(panel, end, answer, text, color, left=True, below=below)
    if POOLING in seen.arrays:
        title += "; lines: were the sequence to end there"
    if num_outputs > 1:
        panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=7.5)
    panel.margins(y=0.2)
    name_panel(panel, title + ("" if num_outputs == 1 else "; circles: targets"), "output")


def output_height(seen: Look) -> float:
    """Of the panel, in inches: a piano roll needs more."""
    return 2.6 if several_due(seen) or seen.meta["timing"] == "ahead" else 1.35


def several_due(seen: Look) -> bool:
    """Whether several outputs should be 1 at once, as the keys of a piano."""
    due = np.nan_to_num(seen.targets) > 0.5
    return due.shape[1] > 12 and bool((due.sum(axis=1) > 1).any())


def draw_expected(panel: Axes, seen: Look) -> None:
    """Outputs as rows of color, and a ring on each that should be 1; rows never due left out."""
    due = np.nan_to_num(seen.targets) > 0.5
    shown = used_rows(due)
    names = [seen.meta["output_names"][n] for n in shown]
    draw_colors(panel, seen.outputs[:, shown], names, on_off=True, cmap="Greens", scale=True)
    steps, rows = np.nonzero(due[:, shown])
    ring: Any = {"markersize": 3, "markerfacecolor": "none", "markeredgewidth": 0.7}
    panel.plot(steps, rows, "o", color=INK, **ring)
    verdict = seen.meta["verdict"]
    name_panel(panel, f"output: green, how likely it comes next; rings: what came; {verdict}")
    panel.grid(False)


def _draw_ahead(panel: Axes, seen: Look) -> None:
    """The series, what one step ahead was foretold along it, and the forecast from the end."""
    length, color = len(seen.outputs), role_of("y", {})[1]
    t = np.arange(1, length)
    ahead = length + np.arange(seen.outputs.shape[1])
    panel.plot(t, seen.targets[:-1, 0], color=INK, linewidth=1.0, label="series, known")
    panel.plot(
        t, seen.outputs[:-1, 0], color=color, linewidth=0.8, alpha=0.8, label="one step ahead"
    )
    panel.plot(ahead, seen.outputs[-1], ".-", color=color, linewidth=2.0, label="forecast")
    ring: Any = {"color": MARK, "markersize": 3.5, "fillstyle": "none"}
    panel.plot(ahead, seen.targets[-1], "o", label="what came", **ring)
    panel.axvline(length - 0.5, color=MARK, linewidth=0.9)
    panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=7.5)
    panel.margins(y=0.12)
    title = f"output: forecast from the red line on, all steps at once; {seen.meta['verdict']}"
    name_panel(panel, title, seen.meta["series"])


def _shades(number: int) -> list:
    import matplotlib as mpl

    if number == 1:
        return [role_of("y", {})[1]]
    return [mpl.colormaps["tab10"](n % 10) for n in range(number)]
