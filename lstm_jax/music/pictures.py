"""Piano rolls as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from lstm_jax.data.chorales import LOWEST
from lstm_jax.music.midi import notes_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def piano_rolls(rolls: Mapping[str, np.ndarray], given: int = 0) -> Figure:
    """One panel over the other, a bar for each note, pitches on the same scale.

    Args:
      rolls: ``{title: [T, 88]}``.
      given: first frames, of which the last panel's are shaded: what the model was given.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    longest = max(len(roll) for roll in rolls.values())
    figure = Figure(figsize=(9, 0.4 + 2.6 * len(rolls)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)  # no pyplot: no global state, no display
    panels = figure.subplots(len(rolls), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    colour = "#1f5f99"
    for axes, (title, roll) in zip(panels, rolls.items(), strict=True):
        notes = notes_of(roll)
        axes.barh(
            [pitch for _, pitch, _ in notes],
            [length - 0.12 for *_, length in notes],
            left=[start for start, *_ in notes],
            height=0.9,
            color=colour,
        )
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_ylabel("pitch")
        axes.grid(axis="both", color="0.9", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlim(0, longest)
    used = [p for roll in rolls.values() for _, p, _ in notes_of(roll)] or [60]
    octaves = [p for p in range(24, 109, 12) if min(used) - 12 <= p <= max(used) + 12]
    panels[-1].set_yticks(octaves, [f"C{p // 12 - 1}" for p in octaves])
    panels[-1].set_ylim(max(LOWEST, min(used) - 2), min(108, max(used) + 2) + 1)
    panels[-1].set_xlabel("frame (quarter notes)")
    if given:
        panels[-1].axvspan(0, given, color="0.85", zorder=0)
    return figure
