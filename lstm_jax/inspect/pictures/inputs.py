"""The input of a sequence as a panel: what is shown depends on what a step is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lstm_jax.inspect.looks import Look
from lstm_jax.inspect.pictures.style import FAINT, INK, MARK, draw_colors, name_panel, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LETTERS = 130  # steps whose symbols are written out
MOST_WORDS = 60
POOLING = "pooling"
"""Its name among the arrays of a recorded classifier."""


def input_height(seen: Look) -> float:
    """Of the panel, in inches: many channels need more."""
    if seen.is_symbols or seen.inputs.shape[1] <= 4:
        return 1.35
    return 2.1


def draw_input(panel: Axes, seen: Look) -> None:
    """The input of each step: numbers as stems or rows of color, letters, or words."""
    if "written" in seen.meta:
        _draw_words(panel, seen)
        return
    if seen.is_symbols:
        _draw_symbols(panel, seen)
        return
    if seen.inputs.shape[1] > 2:
        _draw_channels(panel, seen)
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


def _draw_channels(panel: Axes, seen: Look) -> None:
    """A line a channel; more than four, or a piano roll, as rows of color."""
    names = seen.meta["input_names"]
    values = seen.inputs
    if values.shape[1] <= 4:
        for n in range(values.shape[1]):
            width, alpha = (1.3, 1.0) if n == 0 else (0.7, 0.6)
            color = INK if n == 0 else f"C{n - 1}"
            panel.plot(values[:, n], label=names[n], color=color, linewidth=width, alpha=alpha)
        panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=7.5)
        name_panel(panel, "input: what the network sees at each step", "input")
        panel.margins(y=0.15)
        return
    shown, on = used_rows(values), set(np.unique(values)) <= {0, 1}
    draw_colors(panel, values[:, shown], [names[n] for n in shown], on_off=on)
    what = "keys that sound at each step" if on else "channels, blue below 0, red above"
    name_panel(panel, f"input: {what}")
    panel.grid(False)


def used_rows(values: np.ndarray, room: int = 1) -> np.ndarray:
    """The channels from the lowest to the highest that are ever other than 0, and some beside.

    >>> used_rows(np.array([[0, 0, 0, 1, 0, 2, 0, 0, 0]])).tolist()
    [2, 3, 4, 5, 6]
    """
    used = np.flatnonzero((np.nan_to_num(values) != 0).any(axis=0))
    if not len(used):
        return np.arange(values.shape[1])
    return np.arange(max(used[0] - room, 0), min(used[-1] + room + 1, values.shape[1]))


def _draw_words(panel: Axes, seen: Look) -> None:
    """The words upright, each at its step; those that the network does not know are faint."""
    words, known = seen.meta["written"], seen.inputs != 0
    size = 9 if len(words) <= 30 else 7
    for t, word in enumerate(words):
        panel.text(
            t,
            0.02,
            word,
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=size,
            color=INK if known[t] else FAINT,
            fontweight="bold" if known[t] else "normal",
        )
    panel.set_ylim(0, 1)
    panel.set_yticks([])
    name_panel(panel, "input: a word a step; faint: one that the network never learned")


def draw_pooling(panel: Axes, seen: Look) -> None:
    """The share of each step in the vector that the classes are read from."""
    shares = seen.arrays[POOLING][:, 0]
    panel.bar(np.arange(len(shares)), shares, color="#a8567f", width=0.75)
    panel.set_ylim(0, max(1.15 * float(shares.max()), 0.1))
    kind = seen.meta.get("pooling", "")
    what = "attention" if kind in ("dot", "additive") else "pooling"
    title = f"{what} ({kind}): share of each step in what the class is read from"
    name_panel(panel, title, "share")
