"""The picture of the drift study: one for each task, a color for each condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.inspect.plots import DIVERGED, OURS, SOLVED, UNSOLVED
from lstm_jax.probing.drift import TIMES
from lstm_jax.tables import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Line = Mapping[str, Any]
COLORS = (SOLVED, DIVERGED, UNSOLVED, OURS)


def values_at(line: Line, name: str, sequences: float) -> np.ndarray:
    """What was measured last of each trial by then: ``[trials, ...]``.

    A trial that has ended keeps its last value: those that learn soon do not drop out.

    Example:
      >>> probes = [{"sequences": 0, "end": [1.0]}, {"sequences": 500, "end": [2.0]}]
      >>> values_at({"trials": [{"probes": probes}]}, "end", 499).tolist()
      [[1.0]]
    """
    rows = []
    for trial in line["trials"]:
        (*_, last) = (probe for probe in trial["probes"] if probe["sequences"] <= sequences)
        rows.append(np.asarray(last[name], float))
    return np.array(rows)


def looks_of(lines: Sequence[Line]) -> list[int]:
    """The numbers of training sequences at which trials were looked into."""
    return [0, *lines[0]["measured"]["at"]]


def draw_drift(lines: Sequence[Line]) -> Figure:
    """States within a sequence at three stages, and over training; what the cells are used for.

    Args:
      lines: of the conditions of one task, as on file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.2, 6.8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 4)
    looks = looks_of(lines)
    stages = {
        "before training": 0,
        f"after {format_count(looks[1])} sequences": looks[1],
        "at the end of training": np.inf,
    }
    top = 0.0
    for axes, (words, when) in zip(upper, stages.items(), strict=False):
        for line, color in zip(lines, COLORS, strict=False):
            top = max(top, _draw_states(axes, line, when, color))
        axes.set_title(f"|s| within a sequence, {words}", fontsize=9.5, loc="left")
        axes.set_xlabel("share of the sequence that has passed")
    for axes in upper[:3]:
        axes.set_ylim(0, 1.05 * top)
    upper[0].set_ylabel("|s|, mean over cells")
    panels: list[tuple[Axes, str, str, tuple[float, float] | None]] = [
        (upper[3], "gate", "input gates, mean activation", None),
        (lower[0], "end", "|s| at the end of a sequence", None),
        (lower[1], "slope", "h'(s) / h'(0) at the end of a sequence", (0, 1.05)),
        (lower[2], "bias_share", "share of the cells' output that is constant", (0, 1.05)),
    ]
    for axes, name, words, limits in panels:
        for line, color in zip(lines, COLORS, strict=False):
            _draw_over_training(axes, line, looks, name, color)
        axes.set_title(words, fontsize=9.5, loc="left")
        if limits:
            axes.set_ylim(*limits)
        else:
            axes.set_ylim(bottom=0)
    for line, color in zip(lines, COLORS, strict=False):
        _draw_solved(lower[3], line, looks, color)
    lower[3].set_ylim(0, 1.05)
    lower[3].set_title("share of the trials solved", fontsize=9.5, loc="left")
    for axes in (upper[3], *lower):
        axes.set_xlabel("training sequences (log scale)")
    for axes in (*upper, *lower):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    _finish(figure, lines)
    return figure


def _draw_states(axes: Axes, line: Line, when: float, color: str) -> float:
    """The states within a sequence; the largest number drawn."""
    low, middle, high = np.quantile(values_at(line, "state", when), (0.1, 0.5, 0.9), axis=0)
    shares = np.linspace(0, 1, TIMES)
    axes.fill_between(shares, low, high, color=color, alpha=0.15, linewidth=0)
    axes.plot(shares, middle, color=color, linewidth=1.7)
    return float(high.max())


def _draw_over_training(
    axes: Axes, line: Line, looks: Sequence[int], name: str, color: str
) -> None:
    means = [values_at(line, name, look).mean(axis=1) for look in looks]
    low, middle, high = np.quantile(means, (0.1, 0.5, 0.9), axis=1)
    places = _places(looks)
    axes.fill_between(places, low, high, color=color, alpha=0.15, linewidth=0)
    axes.plot(places, middle, ".-", color=color, linewidth=1.7)
    _set_scale(axes, looks)


def _draw_solved(axes: Axes, line: Line, looks: Sequence[int], color: str) -> None:
    times = np.sort([t["num_sequences"] for t in line["trials"] if t["status"] == "SOLVED"])
    cap = line["settings"]["max_sequences"]
    steps = np.concatenate([[_places(looks)[0]], times, [cap]])
    share = np.concatenate([np.arange(len(times) + 1), [len(times)]]) / len(line["trials"])
    axes.step(steps, share, where="post", color=color, linewidth=1.7)
    _set_scale(axes, looks)


def _places(looks: Sequence[int]) -> list[float]:
    """Where on a logarithmic axis: what is before training stands half a step to the left."""
    return [looks[1] / 3, *(float(look) for look in looks[1:])]


def _set_scale(axes: Axes, looks: Sequence[int]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    places = _places(looks)
    decades = [n for n in looks[1:] if str(n).strip("0") == "1"] or looks[1:]
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([places[0], *decades]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: "0" if n == places[0] else _short(n)))


def _short(count: float) -> str:
    return f"{count / 1000:g}k" if count >= 1000 else f"{count:g}"


def _finish(figure: Figure, lines: Sequence[Line]) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=color, label=_words(line), linewidth=2)
        for line, color in zip(lines, COLORS, strict=False)
    ]
    figure.legend(handles=marks, loc="outside lower left", ncols=2, frameon=False, fontsize=9.5)
    figure.suptitle(
        f"State drift and the use of cells: {lines[0]['task']}, T={lines[0]['settings']['T']}; "
        f"median and 10% to 90% of {len(lines[0]['trials'])} trials",
        fontsize=12,
        x=0.01,
        ha="left",
    )


def _words(line: Line) -> str:
    """A condition with its biases."""

    def biases(name: str) -> str:
        values = line["settings"][name]
        return ", ".join(f"{value:g}" for value in values) if values else "random"

    return (
        f"{line['label']} (input gates {biases('input_gate_bias')}; "
        f"output gates {biases('output_gate_bias')})"
    )
