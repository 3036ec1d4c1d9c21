"""Which class is taken for which, as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def plot_confusion(
    path: str | os.PathLike[str], counts: np.ndarray, classes: Sequence[str], title: str
) -> Path:
    """Draws a confusion matrix ``[K, K]``, true class by answer; one PNG.

    Shares of a row are its grounds, counts are written where there are any.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     plot_confusion(Path(folder) / "c.png", np.eye(2), ["a", "b"], "two").name
      'c.png'
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = 1.6 + 0.42 * len(classes)
    figure = Figure(figsize=(size, size), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts > 0).tolist():
        ink = "white" if shares[row, column] > 0.5 else "black"
        said = f"{counts[row, column]:g}"
        axes.text(column, row, said, ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("answer")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=10)
    with open(path, "wb") as stream:
        figure.savefig(stream, format="png")
    return Path(path)
