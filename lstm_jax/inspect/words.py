"""Sentences as a picture: each word on a ground as dark as its weight."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

WIDTH = 9.0  # inches
LINE = 0.34  # inches from one line to the next


def plot_words(
    path: str | os.PathLike[str],
    sentences: Sequence[tuple[Sequence[str], np.ndarray, str]],
    title: str,
) -> Path:
    """Draws sentences, each ``(words, weight of each word, caption)``; one PNG.

    The darkest ground of a sentence is its largest weight.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     file = Path(folder) / "words.png"
      ...     plot_words(file, [(["so", "good"], np.array([0.1, 0.9]), "positive")], "").name
      'words.png'
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = [_lines(words) for words, _, _ in sentences]
    height = LINE * (sum(map(len, lines)) + 1.6 * len(lines) + 1.5)
    figure = Figure(figsize=(WIDTH, height), dpi=110)
    FigureCanvasAgg(figure)
    figure.text(0.02, 1 - 0.7 * LINE / height, title, fontsize=11, va="center")
    y = 1 - 1.8 * LINE / height
    for (words, weights, caption), rows in zip(sentences, lines, strict=True):
        figure.text(0.02, y, caption, fontsize=8, color="#555555", va="center")
        y -= LINE / height
        top = max(float(np.max(weights, initial=0.0)), 1e-9)
        for row in rows:
            x = 0.02
            for at in row:
                share = float(weights[at]) / top
                figure.text(
                    x, y, words[at], fontsize=10, family="monospace", va="center",
                    color="white" if share > 0.6 else "black",
                    bbox={"facecolor": _shade(share), "edgecolor": "none", "pad": 2.5},
                )  # fmt: skip
                x += _width(words[at])
            y -= LINE / height
        y -= 0.6 * LINE / height
    with open(path, "wb") as stream:
        figure.savefig(stream, format="png")
    return Path(path)


def _width(word: str) -> float:
    """Of a word and the space after it, as a share of the figure's; the letters are all as wide."""
    return (len(word) + 1) * 10 * 0.602 / 72 / WIDTH + 0.004


def _lines(words: Sequence[str]) -> list[list[int]]:
    """The words of each line, by their places."""
    lines: list[list[int]] = [[]]
    x = 0.02
    for at, word in enumerate(words):
        if x + _width(word) > 0.98 and lines[-1]:
            lines.append([])
            x = 0.02
        lines[-1].append(at)
        x += _width(word)
    return lines


def _shade(share: float) -> tuple[float, float, float]:
    """From white to a dark blue."""
    white, dark = np.ones(3), np.array([0.09, 0.28, 0.52])
    r, g, b = white + share * (dark - white)
    return float(r), float(g), float(b)
