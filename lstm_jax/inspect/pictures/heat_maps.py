"""Every unit over time as rows of color."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lstm_jax.cells.cell import NET
from lstm_jax.inspect.looks import Look
from lstm_jax.inspect.pictures.inputs import POOLING
from lstm_jax.inspect.pictures.style import (
    MANY_UNITS,
    is_gate,
    name_panel,
    natural,
    new_figure,
    said,
    set_time,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 14
HIDDEN = ("y", POOLING)
"""Arrays that have a panel of their own in the overview."""


def draw_gates(seen: Look) -> Figure:
    """Heat maps of every gate and every state: a row a unit, a column a time step.

    The marked steps stand between red lines. Gates run from 0 (white, shut) to 1 (dark, open);
    all else is blue below 0 and red above, with the scale beside it. Net inputs are left out; of
    more units than fit the first are shown.
    """
    names = [n for n in natural(list(seen.arrays)) if _is_shown(n, seen)][:MOST_PANELS]
    heights = [0.32 + 0.17 * seen.arrays[name].shape[1] for name in names]
    figure, panels = new_figure(seen.title, [float(np.clip(h, 0.5, 1.7)) for h in heights])
    for panel, name in zip(panels, names, strict=True):
        draw_rows(panel, seen, name)
    set_time(panels, seen, cells=True)
    return figure


def _is_shown(name: str, seen: Look) -> bool:
    letter = name.rpartition("/")[2]
    return not letter.startswith(NET) and seen.arrays[name].ndim == 2 and letter not in HIDDEN


def draw_rows(panel: Axes, seen: Look, name: str) -> None:
    """One array as rows of color, with its scale beside it."""
    whole = seen.arrays[name]
    values = whole[:, :MANY_UNITS]
    gate = is_gate(name, seen.arrays)
    top = 1.0 if gate else max(float(np.abs(values).max()), 1e-6)
    drawn = panel.imshow(
        values.T,
        aspect="auto",
        interpolation="nearest",
        cmap="Greys" if gate else "RdBu_r",
        vmin=0 if gate else -top,
        vmax=top,
        extent=(-0.5, len(values) - 0.5, values.shape[1] - 0.5, -0.5),
    )
    bar = panel.figure.colorbar(
        drawn, ax=panel, pad=0.01, aspect=int(np.clip(3 * values.shape[1] // 2, 4, 14))
    )
    bar.set_ticks([0, 1] if gate else [-top, 0, top])
    bar.set_ticklabels(["0 shut", "1 open"] if gate else [f"{-top:.2g}", "0", f"{top:.2g}"])
    bar.ax.tick_params(labelsize=7.5)
    title = said(name, seen.arrays)
    if whole.shape[1] > values.shape[1]:
        title += f": the first {values.shape[1]} of {whole.shape[1]} units"
    name_panel(panel, title, "unit")
    panel.grid(False)
    step = max(1, values.shape[1] // 6)
    panel.set_yticks(range(0, values.shape[1], step))
