"""The picture of the error-flow study: the error over the lag, a column a net, a row a stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.inspect.plots import OURS, SOLVED, UNSOLVED
from lstm_jax.probing.flow import decay, measured_lags

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGES = {"at initialisation": 0, "after training": -1}
"""Which of a trial's probes a row of the picture shows."""
LEAST, MOST = 1e-16, 1e4  # of the axis: beyond it a curve has said what it has to say
TINY = float(np.finfo(float).tiny)
BOUND = "#555555"


def curves_of(line: Mapping[str, Any], name: str, stage: int) -> list[list[float]]:
    """The curves of all trials of a net at a stage that have numbers; [] where none has.

    Example:
      >>> line = {"trials": [{"probes": [{"full": [1.0, 0.0]}, {"full": [1.0, None]}]}]}
      >>> curves_of(line, "full", 0), curves_of(line, "full", -1)
      ([[1.0, 0.0]], [])
    """
    found = [trial["probes"][stage].get(name) for trial in line["trials"]]
    # A net without flow under the truncation has no numbers, nor has one whose training diverged.
    return [curve for curve in found if curve and None not in curve]


def logs_of(line: Mapping[str, Any], name: str, stage: int) -> np.ndarray:
    """Logarithms of the curves of a net's trials, ``[trials, lags]``, beyond what float64 holds.

    A trial without numbers is left out; -inf stands for a flow of exactly zero. In records from
    before the logarithms were kept a zero may be too small a number as well: where the others
    lead to one it is nan.

    Example:
      >>> small = {"full": [1.0, 1e-200, 0.0], "full_log": [0.0, -460.5, -921.0]}
      >>> large = {"full": [1.0, 1e200, None], "full_log": [0.0, 460.5, 921.0]}
      >>> line = {"settings": {"T": 3}, "trials": [{"probes": [small]}, {"probes": [large]}]}
      >>> logs_of(line, "full", 0).round(1).tolist()
      [[0.0, -460.5, -921.0], [0.0, 460.5, 921.0]]
    """
    lags, found = np.asarray(lags_of(line), float), []
    for trial in line["trials"]:
        probe = trial["probes"][stage]
        curve = np.array(probe.get(name) or [None], float)
        seen = curve >= TINY  # numbers below it have fewer digits
        logs = np.log(np.where(seen, curve, 1.0))
        if (kept := probe.get(f"{name}_log")) is not None:
            known = np.array(kept, float)
            zero = np.isnan(known) & (curve < TINY)
            logs = np.where(seen, logs, np.where(zero, -math.inf, known))
            if np.isnan(logs).any():
                continue
        elif np.isnan(curve).any():
            continue
        elif not seen.all():
            slope, start = np.polyfit(lags[seen], logs[seen], 1) if seen.sum() > 1 else (0, 0)
            # Half way there, for the norms of some sequences are below their mean.
            small = start + slope * lags < math.log(TINY) / 2
            logs = np.where(seen, logs, np.where(small, math.nan, -math.inf))
        found.append(logs)
    return np.array(found)


def lags_of(line: Mapping[str, Any]) -> tuple[int, ...]:
    """The lags of a line's curves."""
    return measured_lags(line["settings"]["T"])


def draw_flow(lines: Sequence[Mapping[str, Any]], part: str) -> Figure:
    """Norm of the error at each lag, relative to lag 1: median and 10% to 90% of the trials.

    Args:
      lines: of the nets, as on file.
      part: which part of the state it is, for the axis.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = 1.4 + 2.75 * len(lines)
    figure = Figure(figsize=(max(width, 6.2), 7.0), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(STAGES), len(lines), sharex=True, sharey=True, squeeze=False)
    for row, (stage, probe) in zip(grid, STAGES.items(), strict=True):
        for axes, line in zip(row, lines, strict=True):
            _draw(axes, line, probe)
            axes.set_title(f"{line['label']}, {stage}", fontsize=9.5, loc="left")
        row[0].set_ylabel(f"error that reaches the {part}\n(norm, relative to lag 1)")
    for axes in grid[-1]:
        axes.set_xlabel("lag in time steps")
    grid[0][0].set_yscale("log")
    grid[0][0].set_ylim(*_limits(lines))
    figure.suptitle(
        f"Error flow back in time: |d error(t_end) / d {part}(t_end - lag)|\n"
        f"{lines[0]['task']}; median and 10% to 90% of {len(lines[0]['trials'])} nets each",
        fontsize=11.5,
        x=0.01,
        ha="left",
    )
    _legend(figure, lines)
    return figure


def _draw(axes: Axes, line: Mapping[str, Any], stage: int) -> None:
    lags = lags_of(line)
    texts = []
    for name, color, dashes in (("full", SOLVED, "-"), ("truncated", OURS, (0, (4, 1.5)))):
        logs = logs_of(line, name, stage)
        if not len(logs):
            continue
        # Far below the axis all is one, and a quantile is between numbers.
        shown = np.clip(np.fmax(logs, math.log(TINY)), None, -math.log(TINY))
        low, median, high = np.exp(np.quantile(shown, (0.1, 0.5, 0.9), axis=0))
        axes.fill_between(lags, low, high, color=color, alpha=0.2, linewidth=0)
        axes.plot(lags, median, color=color, linestyle=dashes, linewidth=1.8, zorder=3)
        found, total = decay(lags, logs), len(line["trials"])
        text = f"{found.rate:.3g} per step, {half_life(found.half_life)}"
        if found.trials < total:
            text += f", {found.trials} of {total} nets"
        texts.append((text, color))
    bound = curves_of(line, "full_bound", stage)
    if bound:
        axes.plot(
            lags, np.fmax(np.median(bound, axis=0), TINY), color=BOUND, linestyle=":", linewidth=1.4
        )
    factors = curves_of(line, "weight_bounds", stage)
    if factors:
        steps = np.asarray(lags, float) - 1
        for factor, dashes in zip(np.median(factors, axis=0)[[0, 2]], ("-", "-."), strict=True):
            axes.plot(lags, factor**steps, color=UNSOLVED, linestyle=dashes, linewidth=1.2)
    for number, (text, color) in enumerate(texts):
        axes.text(
            0.04,
            0.04 + 0.075 * number,
            text,
            color=color,
            fontsize=8.5,
            transform=axes.transAxes,
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1.0},
        )
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def half_life(steps: float) -> str:
    """A half-life in words.

    Example:
      >>> half_life(1.25), half_life(math.inf)
      ('half-life 1.2 steps', 'no decay')
    """
    return "no decay" if math.isinf(steps) else f"half-life {steps:.3g} steps"


def _limits(lines: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Room for every measured curve, within what can be read."""
    values = [
        value
        for line in lines
        for stage in STAGES.values()
        for name in ("full", "truncated")
        for curve in curves_of(line, name, stage)
        for value in curve
    ]
    return max(min(values, default=0) / 3, LEAST), min(max(values, default=1) * 30, MOST)


def _legend(figure: Figure, lines: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib.lines import Line2D

    styles: list[tuple[str, Any, Any]] = [("full gradient", SOLVED, "-")]
    if any(curves_of(line, "truncated", stage) for line in lines for stage in STAGES.values()):
        styles.append(("as the 1997 truncation sees it", OURS, (0, (4, 1.5))))
    styles.append(("bound: product of the steps' Jacobian norms", BOUND, ":"))
    if any(curves_of(line, "weight_bounds", 0) for line in lines):
        styles.append(("bound from the weights alone: (f'max ||R||)^lag", UNSOLVED, "-"))
        styles.append(("its weakest form: (f'max n w_max)^lag", UNSOLVED, "-."))
    marks = [
        Line2D([], [], color=color, linestyle=dashes, label=label)
        for label, color, dashes in styles
    ]
    columns = max(1, min(len(lines) - 1, len(marks)))
    figure.legend(
        handles=marks, loc="outside lower left", ncols=columns, frameon=False, fontsize=8.5
    )
