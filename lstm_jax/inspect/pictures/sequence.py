"""The overview of a sequence: what was shown, when gates opened, what was held, what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.inspect.looks import Look
from lstm_jax.inspect.pictures.heat_maps import draw_rows
from lstm_jax.inspect.pictures.style import (
    FAINT,
    INK,
    MARK,
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

DUE = {"adding": lambda total: 0.5 + total / 4, "multiplication": lambda product: product}
"""The answer to what has been counted so far."""
MOST_LINES = 10  # units of a panel
MOST_LETTERS = 130  # steps whose symbols are written out


def draw_sequence(seen: Look) -> Figure:
    """Input, gates, memory and output of one sequence over time, the marks through all of them.

    Of the gates each kind has a panel with a line a unit; of the memory the unit is bold that
    follows what the task counts (the sum of the marked values, say), which is drawn along with it.
    """
    gates = gates_of(seen.arrays)[:6]
    memories = memories_of(seen.arrays)[:3]
    heights = [1.35, *[1.05] * len(gates), *[1.7] * len(memories), 1.35]
    figure, panels = new_figure(seen.title, heights)
    draw_input(panels[0], seen)
    rest = iter(panels[1:-1])
    for name in gates:
        _draw_gate(next(rest), seen, name)
    for name in memories:
        _draw_memory(next(rest), seen, name)
    draw_output(panels[-1], seen)
    set_time(panels, seen)
    return figure


def draw_input(panel: Axes, seen: Look) -> None:
    """The input of each step: numbers as stems, the marked ones written out, or letters."""
    if seen.is_symbols:
        _draw_symbols(panel, seen)
        return
    t, values = np.arange(len(seen.inputs)), seen.inputs[:, 0]
    first = seen.meta["input_names"][0]
    panel.vlines(t, 0, values, color=FAINT, linewidth=0.9, alpha=0.6)
    panel.axhline(0, color=FAINT, linewidth=0.6)
    few = len(seen.marks) <= 8
    for mark in seen.marks:
        panel.vlines(mark, 0, values[mark], color=MARK, linewidth=2.2)
        panel.plot(mark, values[mark], "o", color=MARK, markersize=4.5)
        if few:
            say(panel, mark, values[mark], f"{values[mark]:+.2f}", MARK)
    note = "; red: marked" if len(seen.marks) else ""
    others = seen.meta["input_names"][1:]
    if others:
        note += f" (the second input, {others[0]}, is 1 there)" if len(others) == 1 else ""
    name_panel(panel, f"input: {first} at each step{note}", first)
    panel.margins(y=0.3)


def _draw_symbols(panel: Axes, seen: Look) -> None:
    names, shown = seen.meta["input_names"], seen.inputs.astype(int)
    present = sorted(set(shown.tolist()))
    row = {symbol: y for y, symbol in enumerate(present)}
    marked = set(seen.marks.tolist()) if len(seen.marks) <= 8 else set()
    fits = len(shown) <= MOST_LETTERS
    if fits and len(present) > 12 and all(len(names[symbol]) == 1 for symbol in present):
        _draw_text(panel, [names[symbol] for symbol in shown])
        return
    written = fits and len(present) <= 12
    for t, symbol in enumerate(shown.tolist()):
        y = row[symbol] if len(present) <= 12 else symbol
        color, weight = (MARK, "bold") if t in marked else (FAINT, "normal")
        if written or t in marked:
            panel.text(
                t,
                y,
                names[symbol],
                ha="center",
                va="center",
                color=color,
                fontweight=weight,
                fontsize=7.5 if t not in marked else 9,
            )
        else:
            panel.plot(t, y, ".", color=color, markersize=3)
    if len(present) <= 12:
        panel.set_yticks(range(len(present)), [names[symbol] for symbol in present])
        panel.set_ylim(-0.7, len(present) - 0.3)
    else:
        panel.set_ylim(-0.04 * len(names), 1.04 * len(names))
    label = "symbol" if len(present) <= 12 else f"symbol, 0 to {len(names) - 1}"
    name_panel(panel, "input: the symbol shown at each step; red: what counts", label)
    panel.grid(False)


def _draw_text(panel: Axes, letters: list[str]) -> None:
    """One line of text, a letter at its step; a line end and a space as signs."""
    for t, letter in enumerate(letters):
        sign = {"\n": "↵", " ": "·"}.get(letter, letter)
        color = FAINT if letter in "\n " else INK
        panel.text(
            t, 0, sign, ha="center", va="center", color=color, fontsize=8, family="monospace"
        )
    panel.set_ylim(-1, 1)
    panel.set_yticks([])
    name_panel(panel, "input: the text, a character a step (· a space, ↵ a line's end)")


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
    if scale is not None and seen.truth is not None:
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


def draw_output(panel: Axes, seen: Look) -> None:
    """Outputs at every step, targets as circles: a line an output, or rows of color for many."""
    outputs, targets, names = seen.outputs, seen.targets, seen.meta["output_names"]
    num_outputs = outputs.shape[1]
    t = np.arange(len(outputs))
    color = role_of("y", {})[1]
    right = "right" if seen.meta["correct"] else "wrong"
    verdict = seen.meta.get(
        "verdict", f"the answer is {right}, mean error {seen.meta['error']:.3f}"
    )
    title = f"output: {verdict}"
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
        say(panel, end, answer, f"answer {answer:.3f}, target {target:.3f} ", color, left=True)
    if num_outputs > 1:
        panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=7.5)
    panel.margins(y=0.2)
    name_panel(panel, title + ("" if num_outputs == 1 else "; circles: targets"), "output")


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


def _shades(number: int) -> list:
    import matplotlib as mpl

    if number == 1:
        return [role_of("y", {})[1]]
    return [mpl.colormaps["tab10"](n % 10) for n in range(number)]
