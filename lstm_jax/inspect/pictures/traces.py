"""Single cells over time with their gates; and answers against targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.inspect.looks import Look
from lstm_jax.inspect.pictures.inputs import draw_input, input_height
from lstm_jax.inspect.pictures.outputs import draw_expected, draw_output, several_due
from lstm_jax.inspect.pictures.style import (
    FAINT,
    INK,
    gates_of,
    memories_of,
    name_panel,
    new_figure,
    role_of,
    said,
    set_time,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CELLS = 8


def draw_cells(seen: Look) -> Figure:
    """A panel a cell: its state, and the gates over it as they open and shut.

    The cells that move most, at most `MOST_CELLS`. Gates are those of the cell's own layer; where
    cells share the gates of a block, of their block.
    """
    cells = [(n, u) for n in memories_of(seen.arrays) for u in range(seen.arrays[n].shape[1])]
    moves = [float(np.ptp(seen.arrays[name][:, unit])) for name, unit in cells]
    kept = sorted(np.argsort(moves)[::-1][:MOST_CELLS].tolist())
    figure, panels = new_figure(seen.title, [input_height(seen) - 0.25, *[1.25] * len(kept)])
    draw_input(panels[0], seen)
    for panel, which in zip(panels[1:], kept, strict=True):
        _draw_cell(panel, seen, *cells[which])
    set_time(panels, seen)
    return figure


def _draw_cell(panel: Axes, seen: Look, name: str, unit: int) -> None:
    values, color = seen.arrays[name], role_of(name, seen.arrays)[1]
    place = name.rpartition("/")[0]
    t = np.arange(len(values))
    right = panel.twinx()
    for gate in gates_of(seen.arrays):
        if gate.rpartition("/")[0] != place:
            continue
        shares = seen.arrays[gate]
        own = unit * shares.shape[1] // values.shape[1]
        words, shade = role_of(gate, seen.arrays)
        right.plot(t, shares[:, own], color=shade, linewidth=1.0, alpha=0.85, label=words)
    right.set_ylim(-0.03, 1.03)
    right.set_yticks([0, 1], ["shut", "open"])
    right.spines[["top"]].set_visible(False)
    panel.plot(t, values[:, unit], color=color, linewidth=2.0, label="state", zorder=3)
    panel.set_zorder(right.get_zorder() + 1)
    panel.patch.set_visible(False)
    lines = [*panel.get_lines()[:1], *right.get_lines()]
    panel.legend(
        lines,
        [str(line.get_label()) for line in lines],
        loc="upper left",
        bbox_to_anchor=(1.05, 1.05),
        frameon=False,
        fontsize=7.5,
    )
    panel.margins(y=0.15)
    name_panel(panel, f"{said(name, seen.arrays)}, unit {unit}", "state")


def draw_answers(looks: Sequence[Look]) -> Figure:
    """Answers against targets over many test sequences; for targets at every step, of the first.

    Where the target comes at the end: a dot a sequence and output, on the diagonal where right.
    """
    first = looks[0]
    if first.meta["timing"] == "every_step":
        return _draw_every_step(first)
    wrong = sum(not one.meta["correct"] for one in looks)
    head = first.title.split("\n")[0]
    counted = f"{len(looks)} {first.meta.get('counted', 'test sequences')}"
    judged = f", {wrong} of them wrong" if first.meta["timing"] == "end" else ""
    figure, panels = new_figure(f"{head}\n{counted}{judged}", [4.2], width=5.6)
    panel = panels[0]
    targets = np.stack([one.targets[-1] for one in looks])
    answers = np.stack([one.outputs[-1] for one in looks])
    right = np.array([one.meta["correct"] for one in looks])
    low, high = min(targets.min(), answers.min()), max(targets.max(), answers.max())
    room = 0.05 * max(high - low, 0.1)
    panel.plot([low - room, high + room], [low - room, high + room], color=FAINT, linewidth=0.8)
    spread = _jitter(targets, room)
    color = role_of("y", {})[1]
    panel.plot(spread[right].ravel(), answers[right].ravel(), ".", color=color, label="right")
    if wrong:
        panel.plot(spread[~right].ravel(), answers[~right].ravel(), "x", color=INK, label="wrong")
        panel.legend(frameon=False, fontsize=8)
    name_panel(panel, "answers at the end; on the line they equal the target", "output")
    panel.set_xlabel("target" + (" (spread out sideways)" if spread is not targets else ""))
    return figure


def _jitter(targets: np.ndarray, room: float) -> np.ndarray:
    """Targets of a few values are spread a little, so that dots do not hide each other."""
    if len(np.unique(targets)) > 8:
        return targets
    return targets + np.random.default_rng(0).uniform(-room, room, targets.shape)


def _draw_every_step(seen: Look) -> Figure:
    """The outputs as rows of color, with a ring on each target of 1."""
    if several_due(seen):
        figure, panels = new_figure(seen.title, [4.0])
        draw_expected(panels[0], seen)
        set_time(panels, seen)
        return figure
    names, outputs = seen.meta["output_names"], seen.outputs
    shown = np.flatnonzero(np.nan_to_num(seen.targets).max(axis=0) > 0)
    if len(names) <= 24:
        shown = np.arange(len(names))
    figure, panels = new_figure(seen.title, [1.1, 0.3 + 0.2 * min(len(shown), 40), 1.2])
    draw_input(panels[0], seen)
    panel, shown = panels[1], shown[:40]
    drawn = panel.imshow(
        outputs[:, shown].T,
        aspect="auto",
        cmap="Greens",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        extent=(-0.5, len(outputs) - 0.5, len(shown) - 0.5, -0.5),
    )
    figure.colorbar(drawn, ax=panel, pad=0.01).ax.tick_params(labelsize=7.5)
    due = np.nan_to_num(seen.targets[:, shown]) > 0.5
    steps, rows = np.nonzero(due)
    ring: Any = {"markersize": 4, "markerfacecolor": "none", "markeredgewidth": 0.8}
    panel.plot(steps, rows, "o", color=INK, **ring)
    step = max(1, len(shown) // 20)
    panel.set_yticks(range(0, len(shown), step), [names[n] for n in shown[::step]])
    name_panel(panel, "outputs; rings: the symbol that follows", "output")
    panel.grid(False)
    draw_output(panels[2], seen)
    set_time(panels, seen)
    return figure
