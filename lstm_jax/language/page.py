"""A page that shows a text coloured by the activation of single cells."""

import html
from collections.abc import Mapping, Sequence

import numpy as np

from lstm_jax.language.looking import Found

LEVELS = 12  # shades on either side of zero
EXCERPT = 1200  # characters shown for each cell
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  background: #fff; color: #111; }}
pre {{ font: 13px/1.55 ui-monospace, monospace; white-space: pre-wrap; border: 1px solid #ddd;
  padding: .7rem; }}
table {{ border-collapse: collapse; }}
td, th {{ padding: .15rem .8rem .15rem 0; text-align: left; }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
.key span {{ padding: 0 .5em; }}
{shades}</style></head><body>
"""


def cells_page(
    title: str,
    text: str,
    arrays: Mapping[str, np.ndarray],
    ranking: Mapping[str, Sequence[Found]],
    of: Mapping[str, np.ndarray],
) -> str:
    """The page: for each feature its best cells, and an excerpt coloured by the first of them.

    Args:
      title: what model, what text.
      text: what was read, T characters.
      arrays: recorded, ``[T, H]`` each.
      ranking: of `rank`.
      of: the features, ``[T]`` each; the excerpt is where one changes most.
    """
    parts = [_HEAD.format(title=html.escape(title), shades=_shades())]
    parts.append(f"<h1>{html.escape(title)}</h1>")
    parts.append(
        f"<p>{len(text):,} characters of the test part, each coloured by what a single cell "
        "remembers after reading it. A feature's best cell is the one whose activation has the "
        "largest correlation with it, of "
        f"{sum(array.shape[1] for array in arrays.values()):,} cells.</p>"
    )
    parts.append(f'<p class="key">{_key()}</p>')
    for feature, units in ranking.items():
        parts.append(_section(feature, units, text, arrays, of[feature]))
    return "\n".join([*parts, "</body></html>", ""])


def _section(
    feature: str,
    units: Sequence[Found],
    text: str,
    arrays: Mapping[str, np.ndarray],
    values: np.ndarray,
) -> str:
    best = units[0]
    rows = "".join(
        f'<tr><td>{u.name}</td><td class="n">{u.unit}</td><td class="n">{u.correlation:+.3f}</td>'
        for u in units[:3]
    )
    begin = excerpt_at(values, EXCERPT)
    shown = slice(begin, begin + EXCERPT)
    column = arrays[best.name][:, best.unit]
    coloured = colour(text[shown], column[shown] / max(np.abs(column).max(), 1e-12))
    return (
        f"<h2>{html.escape(feature)}</h2>"
        f"<table><tr><th>array</th><th>cell</th><th>correlation</th></tr>{rows}</table>"
        f"<p>Cell {best.unit} of {best.name}:</p><pre>{coloured}</pre>"
    )


def excerpt_at(values: np.ndarray, length: int) -> int:
    """Where the stretch of this length begins in which a feature varies most.

    Example:
      >>> excerpt_at(np.array([0.0, 0, 0, 0, 1, 0, 1, 0, 0]), 4)
      3
    """
    if len(values) <= length:
        return 0
    ones = np.ones(length)
    mean = np.convolve(values, ones, "valid") / length
    square = np.convolve(values**2, ones, "valid") / length
    return int(np.argmax(np.round(square - mean**2, 9)))


def colour(text: str, values: np.ndarray) -> str:
    """A text as HTML, each character with the shade of its value in [-1, 1].

    Neighbours of one shade share a tag.

    Example:
      >>> colour("a<b", np.array([1.0, 1.0, 0.0]))
      '<span class="p12">a&lt;</span>b'
    """
    levels = np.rint(np.clip(values, -1, 1) * LEVELS).astype(int)
    parts, begin = [], 0
    for end in range(1, len(text) + 1):
        if end == len(text) or levels[end] != levels[begin]:
            piece, level = html.escape(text[begin:end]), int(levels[begin])
            shade = f"{'p' if level > 0 else 'm'}{abs(level)}"
            parts.append(f'<span class="{shade}">{piece}</span>' if level else piece)
            begin = end
    return "".join(parts)


def _shades() -> str:
    rules = []
    for level in range(1, LEVELS + 1):
        share = level / LEVELS
        rules.append(f".p{level} {{ background: rgb({_mix((29, 120, 216), share)}); }}")
        rules.append(f".m{level} {{ background: rgb({_mix((222, 90, 40), share)}); }}")
    return "\n".join(rules)


def _mix(color: tuple[int, int, int], share: float) -> str:
    return ",".join(str(round(255 + 0.85 * share * (part - 255))) for part in color)


def _key() -> str:
    steps = [(f"m{n}", f"-{n / LEVELS:.1f}") for n in (12, 6, 2)] + [("", "0")]
    steps += [(f"p{n}", f"+{n / LEVELS:.1f}") for n in (2, 6, 12)]
    spans = "".join(f'<span class="{name}">{text}</span>' for name, text in steps)
    return f"{spans} of the cell's largest activation"
