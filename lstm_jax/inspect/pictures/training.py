"""How weights and gates were spread over training, and how saturated gates are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.inspect.histories import History, Shares
from lstm_jax.inspect.pictures.style import (
    FAINT,
    RULE,
    gates_of,
    memories_of,
    name_panel,
    new_figure,
    role_of,
    said,
)
from lstm_jax.tables import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 40
MOST = 8  # panels of weights, and of gates


def draw_training(past: History, title: str, unit: str = "training sequences") -> Figure:
    """Histograms over training: a column for each moment, darker where more of the values are.

    Above the weights, by the role of the units they lead to; below gates and states over one test
    sequence. The line is the median.
    """
    groups = _weight_groups(past.weights)
    last = {name: array[-1] for name, array in past.arrays.items()}
    names = [*gates_of(last), *memories_of(last)][:MOST]
    rows = max(-(-len(groups) // 2), 1), max(-(-len(names) // 2), 1)
    figure, panels = new_figure(title, [1.9] * sum(rows), columns=2)
    for panel, (name, values) in zip(panels, groups.items(), strict=False):
        _draw_spread(panel, past.moments, values, name, role_of(name[-1], {"c": np.ones(1)})[1])
    start = 2 * rows[0]
    for panel, name in zip(panels[start:], names, strict=False):
        words = f"{said(name, last)}, over the test sequence"
        _draw_spread(panel, past.moments, past.arrays[name], words, role_of(name, last)[1])
    used = {*range(len(groups)), *range(start, start + len(names))}
    for n, panel in enumerate(panels):
        panel.set_visible(n in used)
    for n in sorted(used):
        panels[n].set_xlabel(unit, fontsize=8)
    return figure


def _weight_groups(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{what the weights lead to: [moments, n]}; at most `MOST`, the others left out."""
    groups: dict[str, list[np.ndarray]] = {}
    for name, values in weights.items():
        place, _, leaf = name.rpartition(".")
        kind, _, unit = leaf.partition("_")
        words = {"w": "from the input", "r": "recurrent", "b": "biases", "p": "peepholes"}
        if place.startswith("readout"):
            group = "weights and biases of the output units y"
        elif kind in words and unit:
            group = f"{place.removeprefix('cell').strip('.')} weights into {unit[0]}".strip()
        else:
            group = f"weights {name}"
        groups.setdefault(group, []).append(values.reshape(len(values), -1))
    joined = {name: np.concatenate(parts, axis=1) for name, parts in groups.items()}
    return dict(list(joined.items())[:MOST])


def _draw_spread(
    panel: Axes, moments: Sequence[int], values: np.ndarray, title: str, color: str
) -> None:
    """A column a moment, as high as its histogram's bins, and the median as a line."""
    from matplotlib.colors import LinearSegmentedColormap

    flat = values.reshape(len(values), -1)
    low, high = float(flat.min()), float(flat.max())
    room = 0.03 * max(high - low, 1e-3)
    edges = np.linspace(low - room, high + room, BINS + 1)
    shares = np.stack([np.histogram(row, edges)[0] / row.size for row in flat])
    shade = LinearSegmentedColormap.from_list("shade", ["white", color])
    x = np.arange(len(moments) + 1) - 0.5
    panel.pcolormesh(x, edges, np.sqrt(shares).T, cmap=shade, vmin=0, rasterized=True)
    panel.plot(np.arange(len(moments)), np.median(flat, axis=1), ".-", color=color, linewidth=1)
    step = max(1, len(moments) // 5)
    places = range(0, len(moments), step)
    panel.set_xticks(list(places), [format_count(moments[n]) for n in places], fontsize=7.5)
    name_panel(panel, title)


def draw_saturation(
    shares: Mapping[str, Shares],
    arrays: Mapping[str, np.ndarray],
    over: Mapping[str, Any],
    title: str,
) -> Figure:
    """A dot a gate unit: the share of steps it is right-saturated (> 0.9) over left (< 0.1).

    After Karpathy, Johnson & Li 2015, figure 3. A unit in the lower left corner is neither open
    nor shut; one at the upper end of the left edge is always open, one at the right end of the
    lower edge always shut. No dot can lie beyond the dotted diagonal.
    """
    names = gates_of(arrays)
    places = list(dict.fromkeys(name.rpartition("/")[0] for name in names)) or [""]
    text = f"{title}\nover {over['sequences']} test sequences, {over['steps']:,} steps"
    width = 3.4 * len(places) + 1.6
    figure, panels = new_figure(text, [3.7], columns=len(places), width=width)
    for panel, place in zip(panels, places, strict=True):
        panel.plot([0, 1], [1, 0], ":", color=FAINT, linewidth=0.9)
        for name in names:
            if name.rpartition("/")[0] != place:
                continue
            words, color = role_of(name, arrays)
            left, right = shares[name]
            panel.plot(
                left,
                right,
                "o",
                color=color,
                alpha=0.6,
                markersize=6,
                markeredgewidth=0,
                clip_on=False,
                label=f"{words}: {len(left)} units",
            )
        panel.set_xlim(-0.03, 1.03)
        panel.set_ylim(-0.03, 1.03)
        panel.set_aspect("equal")
        panel.set_xlabel("left-saturated: share of steps < 0.1 (shut)")
        name_panel(panel, place or "gates", "right-saturated: share of steps > 0.9 (open)")
        panel.grid(color=RULE, linewidth=0.6)
        panel.legend(frameon=False, fontsize=8, loc="upper right")
    return figure
