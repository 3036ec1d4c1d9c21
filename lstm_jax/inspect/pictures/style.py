"""What the pictures share: colors by role, an axis of time with the marks through all panels."""

from __future__ import annotations

import io
import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.cells.cell import NET
from lstm_jax.inspect.looks import Look
from lstm_jax.record.archive import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, RULE, MARK = "#1c1f24", "#6d737c", "#d5d8dc", "#c8352b"
ROLES: dict[str, tuple[str, str]] = {
    "i": ("input gate", "#d9822b"),
    "f": ("forget gate", "#8056a8"),
    "o": ("output gate", "#2a8a7f"),
    "r": ("reset gate", "#a8567f"),
    "u": ("update gate", "#8056a8"),
    "z": ("cell input", "#7b8794"),
    "n": ("candidate", "#7b8794"),
    "c": ("cell state", "#2f5fa8"),
    "h": ("cell output", "#4a90c2"),
    "y": ("output unit", "#1d7a4c"),
}
"""What the letters stand for, and their colors; u is the z of cells that have no c."""
MANY_UNITS = 48
"""More rows than this are not drawn: they would be lines of a pixel."""

_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def new_figure(
    title: str, heights: Sequence[float], *, columns: int = 1, width: float = 9.4
) -> tuple[Figure, list[Axes]]:
    """A figure and its panels, row by row; in one column they share the time axis.

    Args:
      title: above all of it, on the left; its lines are broken where the figure ends.
      heights: of the rows, in inches.
      columns: panels in a row.
      width: in inches.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, sum(heights) + 0.75), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(
            len(heights),
            columns,
            sharex=columns == 1,
            squeeze=False,
            height_ratios=list(heights),
        )
        lines = [
            part for line in title.split("\n") for part in textwrap.wrap(line, int(12.5 * width))
        ]
        title = "\n".join(lines)
        figure.suptitle(title, x=0.012, ha="left", fontsize=10.5, color=INK, linespacing=1.35)
    return figure, list(panels.ravel())


def set_time(panels: Sequence[Axes], seen: Look, *, cells: bool = False) -> None:
    """The axis of time below, and the marks through every panel.

    cells: each step is a column of color, which a mark must not hide: it is framed.
    """
    length = seen.meta["length"]
    ahead = seen.outputs.shape[1] if seen.meta["timing"] == "ahead" else 0
    for panel in panels:
        panel.set_xlim(-0.7, length + ahead - 0.3)
        for mark in seen.marks if len(seen.marks) <= 8 else ():
            if cells:
                for edge in (mark - 0.5, mark + 0.5):
                    panel.axvline(edge, color=MARK, linewidth=0.7)
                continue
            panel.axvline(mark, color=MARK, linewidth=5, alpha=0.13, zorder=0)
            panel.axvline(mark, color=MARK, linewidth=0.8, alpha=0.55, zorder=0.5)
    from matplotlib.ticker import MaxNLocator

    panels[-1].set_xlabel(seen.meta.get("time", "time step t"))
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))


def name_panel(panel: Axes, title: str, label: str = "") -> None:
    """A title on the left, and the name of the vertical axis with its unit."""
    panel.set_title(title, loc="left", fontsize=9.5, color=INK, pad=4)
    if label:
        panel.set_ylabel(label)
    panel.grid(axis="y", color=RULE, linewidth=0.6)
    panel.set_axisbelow(True)


def say(
    panel: Axes,
    t: Any,
    y: Any,
    text: str,
    color: str,
    *,
    side: bool = False,
    left: bool = False,
    below: bool = False,
) -> None:
    """A number beside a point: above or below it, or to its side.

    left: it ends at the point, above it, or below it if `below`.
    """
    from matplotlib.patheffects import withStroke

    up = not below if left else y >= 0 or side
    shift = 14 if up else -14
    panel.annotate(
        text,
        (t, y),
        xytext=(5, 3) if side else (-4, shift) if left else (0, 5 if up else -5),
        textcoords="offset points",
        color=color,
        fontsize=8.5,
        ha="left" if side else "right" if left else "center",
        va="bottom" if up else "top",
        zorder=6,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )


def draw_colors(
    panel: Axes,
    values: np.ndarray,
    names: Sequence[str],
    *,
    on_off: bool,
    cmap: str = "Greys",
    scale: bool = False,
) -> None:
    """Numbers ``[T, rows]`` as rows of color with their names, the first row below.

    Args:
      on_off: whether they run from 0 to 1; else blue is below 0 and red above.
      cmap: colors for 0 to 1.
      scale: whether a scale stands beside it; always where they do not run from 0 to 1.
    """
    top = 1.0 if on_off else max(float(np.abs(values).max()), 1e-6)
    drawn = panel.imshow(
        values.T,
        aspect="auto",
        origin="lower",
        interpolation="nearest",
        cmap=cmap if on_off else "RdBu_r",
        vmin=0 if on_off else -top,
        vmax=top,
        extent=(-0.5, len(values) - 0.5, -0.5, values.shape[1] - 0.5),
    )
    if scale or not on_off:
        panel.figure.colorbar(drawn, ax=panel, pad=0.01).ax.tick_params(labelsize=7.5)
    step = max(1, -(-len(names) // 10))
    panel.set_yticks(range(0, len(names), step), names[::step], fontsize=7.5)


def role_of(name: str, arrays: Mapping[str, np.ndarray]) -> tuple[str, str]:
    """What an array is, in words, and its color.

    >>> role_of("0/z", {"0/z": np.ones(1), "0/c": np.ones(1)})[0], role_of("z", {"z": 1})[0]
    ('cell input', 'update gate')
    """
    place, _, letter = name.rpartition("/")
    if letter.startswith(NET):
        return f"net input of {letter.removeprefix(NET)}", FAINT
    if letter == "z" and f"{place}/c".lstrip("/") not in arrays:
        letter = "u"
    return ROLES.get(letter, (letter, FAINT))


def said(name: str, arrays: Mapping[str, np.ndarray]) -> str:
    """The role, the letter, and where in the structure it is.

    >>> said("1/forward/i", {})
    'input gate i, layer 1 forward'
    """
    place, _, letter = name.rpartition("/")
    role = role_of(name, arrays)[0]
    words = role if role == letter else f"{role} {letter}"
    parts = [f"layer {step}" if step.isdigit() else step for step in place.split("/") if step]
    return ", ".join([words, " ".join(parts)]) if parts else words


def is_gate(name: str, arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether an array opens and closes something: its numbers are shares, 0 shut and 1 open."""
    role = role_of(name, arrays)[0]
    if role.endswith("gate"):
        return True
    place, _, letter = name.rpartition("/")
    net = arrays.get(f"{place}/{NET}{letter}".lstrip("/"))
    if net is None or letter in ROLES:
        return False
    return bool(np.allclose(arrays[name], 1 / (1 + np.exp(-net)), atol=1e-5))


def gates_of(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """The gates among arrays, layer by layer; those that a switch has taken away left out."""
    found = [n for n, v in arrays.items() if is_gate(n, arrays) and not (np.asarray(v) == 1).all()]
    return natural(found)


def memories_of(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """What holds the memory: the cell states c, and h of a cell that has no c."""
    found = []
    for name in arrays:
        place, _, letter = name.rpartition("/")
        if letter == "c" or (letter == "h" and _own_memory(place, arrays)):
            found.append(name)
    return natural(found)


def _own_memory(place: str, arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether h is the only state there: no c beside it, and no cells below it (a whole stack)."""
    head = f"{place}/" if place else ""
    below = [name for name in arrays if name.startswith(head) and "/" in name[len(head) :]]
    return f"{head}c" not in arrays and not below


def natural(names: Sequence[str]) -> list[str]:
    """Names with numbers in the order of the numbers.

    >>> natural(["10/i", "2/i"])
    ['2/i', '10/i']
    """

    def parts(name: str) -> list[tuple[int, str]]:
        return [(int(p), "") if p.isdigit() else (-1, p) for p in re.findall(r"\d+|\D+", name)]

    return sorted(names, key=parts)


def png_of(figure: Figure, dpi: int = 110) -> bytes:
    """The bytes of a PNG, the same for the same figure."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
    return file.getvalue()


def svg_of(figure: Figure) -> bytes:
    """The bytes of an SVG, the same for the same figure; text stays text."""
    import matplotlib as mpl

    file = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lstm_jax"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def write_pictures(figure: Figure, path: str | os.PathLike[str], dpi: int = 110) -> list[Path]:
    """Writes a figure as PATH.png and PATH.svg, each whole or absent."""
    files = []
    # The SVG first: a figure that has been drawn once has other names in it.
    for ending, data in ((".svg", svg_of(figure)), (".png", png_of(figure, dpi))):
        file = Path(f"{os.fspath(path)}{ending}")
        write_whole(file, data)
        files.append(file)
    return files
