"""The player: recorded sequences to step through, as a part of a page.

The script beside this module (`player.js`) draws what is given here as JSON. All that a step needs
is in the page; a text is never read as HTML.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.cells.cell import NET
from lstm_jax.inspect.pictures.style import said
from lstm_jax.report.parts import asset

MOST_UNITS = 12  # of a panel that are shown
MOST_LINES = 6  # more units than this are strips, not lines: the colors of lines are six
ORDER = "ifouzrnch"  # of the arrays of a cell: gates before what they act on
SPEEDS = {"2": "2 steps a second", "10": "10 steps a second", "30": "30 steps a second"}
KEYS = "Keys: space plays, ← and → step, Page Up and Page Down step by ten, Home and End jump."


class Panel(NamedTuple):
    """One quantity over time.

    Attributes:
      name: what it is.
      values: ``[T, n]``; nan where there is none.
      units: n names.
      lines: drawn as lines over a common scale, not as a strip a unit.
      dashed: which of the lines are dashed.
    """

    name: str
    values: np.ndarray
    units: Sequence[str]
    lines: bool = False
    dashed: Sequence[bool] = ()


class Playback(NamedTuple):
    """A sequence to step through: its panels from top to bottom, all of one length.

    Attributes:
      title: which sequence, and of which network.
      panels: at least one.
      marks: steps that matter, from 0.
      note: a sentence below the controls.
    """

    title: str
    panels: Sequence[Panel]
    marks: Sequence[int] = ()
    note: str = ""


def playback(
    title: str,
    inputs: np.ndarray,
    arrays: Mapping[str, np.ndarray],
    outputs: np.ndarray,
    targets: np.ndarray,
    *,
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
    marks: Sequence[int] = (),
    note: str = "",
) -> Playback:
    """A recorded sequence as panels: inputs, gates, state, and outputs with their targets.

    Args:
      title: which sequence, and of which network.
      inputs: ``[T, D]``.
      arrays: ``{name: [T, H]}`` as `lstm_jax.recording.record` names them; pre-activations
        ("net_...") and outputs ("y") are left out.
      outputs: ``[T, K]``.
      targets: ``[T, K]``, nan where a step has none.
      input_names: D names; numbers by default.
      output_names: K names, likewise.
      marks: steps that matter, from 0.
      note: a sentence below the controls.

    >>> ones = np.ones((5, 2))
    >>> shown = playback("one", ones, {"c": ones, "i": ones}, ones[:, :1], ones[:, :1])
    >>> [panel.name for panel in shown.panels]
    ['input', 'input gate i', 'cell state c', 'output and target']
    """
    panels = [Panel("input", inputs, _names(input_names, inputs.shape[1]))]
    for name in sorted(arrays, key=_place):
        letter = name.rpartition("/")[2]
        if letter.startswith(NET) or letter == "y":
            continue
        values = np.reshape(arrays[name], (len(inputs), -1))
        lines = letter == "c" and values.shape[1] <= MOST_LINES
        panels.append(Panel(said(name, arrays), values, _names((), values.shape[1]), lines))
    num = outputs.shape[1]
    names = _names(output_names, num)
    if 2 * num <= MOST_LINES:
        both = np.concatenate([outputs, targets], axis=1)
        units = ["output", "target"] if num == 1 else [f"{n} {k}" for n in "yt" for k in range(num)]
        dashed = [False] * num + [True] * num
        panels.append(Panel("output and target", both, units, True, dashed))
    else:
        panels.append(Panel("output", outputs, names))
        panels.append(Panel("target", targets, names))
    return Playback(title, panels, marks, note)


def player_html(playbacks: Sequence[Playback], name: str) -> str:
    """The player of some sequences, as HTML; the page needs the script `player_script` too.

    Args:
      playbacks: one or more, the first shown first.
      name: what is played, for those who hear the page.

    Raises:
      ValueError: none, or panels whose lengths differ.
    """
    if not playbacks:
        raise ValueError("no sequence to play: give at least one")
    speeds = "".join(
        f"<option value={speed}{' selected' if speed == '10' else ''}>{text}</option>"
        for speed, text in SPEEDS.items()
    )

    def button(kind: str, label: str, sign: str) -> str:
        return f'<button type=button class={kind} aria-label="{label}">{sign}</button>'

    return f"""<div class="player" role="group" tabindex=0 aria-label="{escape(name)}. {KEYS}">
<script type="application/json">{_json([_plain(one) for one in playbacks])}</script>
<div class="controls">
<label hidden>sequence <select class="pick"></select></label>
<div class="buttons">{button("first", "First step", "⇤")}{button("back", "Step back", "←")}
{button("play", "Play", "▶")}{button("next", "Step forward", "→")}
{button("last", "Last step", "⇥")}</div>
<input type=range class="slider" min=0 max=0 value=0 aria-label="time step">
<output class="clock" aria-live="off"></output>
<label><span class="hidden">speed</span><select class="speed">{speeds}</select></label>
</div>
<p class="note small"></p>
<div class="stage"><div class="cursor" aria-hidden="true"></div></div>
<p class="keys small">{KEYS} A click or a finger in a panel goes there.</p>
<p class="said hidden" role="status" aria-live="polite"></p>
<noscript><p>The player needs JavaScript; the pictures below show the same sequence.</p></noscript>
</div>"""


def player_script() -> str:
    """The script of all players of a page."""
    return asset("player.js")


def _plain(one: Playback) -> dict[str, Any]:
    length = len(one.panels[0].values)
    if any(len(panel.values) != length for panel in one.panels):
        raise ValueError(f"sequence {one.title!r}: its panels differ in length")
    return {
        "title": one.title,
        "note": one.note,
        "length": length,
        "marks": [int(mark) for mark in one.marks],
        "panels": [_plain_panel(panel) for panel in one.panels],
    }


def _plain_panel(panel: Panel) -> dict[str, Any]:
    values = np.asarray(panel.values, float)[:, :MOST_UNITS]
    low, high = _scale(values, panel.lines)
    return {
        "name": panel.name,
        "units": list(panel.units)[:MOST_UNITS],
        "values": [[_short(value) for value in row] for row in values.T],
        "low": low,
        "high": high,
        "lines": panel.lines,
        "dashed": list(panel.dashed),
        "left": np.shape(panel.values)[1] - values.shape[1],
    }


def _scale(values: np.ndarray, lines: bool) -> tuple[float, float]:
    """The ends of a scale: from 0 for shares, up to the next tenth; else alike on both sides."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return 0.0, 1.0
    if known.min() >= 0 and known.max() <= 1 and not lines:
        return 0.0, max(0.2, float(np.ceil(10 * known.max() - 1e-6)) / 10)
    if lines:  # as far as the lines go, and 0
        low, high = min(float(known.min()), 0.0), max(float(known.max()), 0.0)
        return float(f"{low:.3g}"), float(f"{high if high > low else low + 1:.3g}")
    most = float(f"{np.abs(known).max():.2g}")
    return -most, most


def _short(value: float) -> float | None:
    """Four digits are more than a screen shows."""
    return float(f"{value:.4g}") if np.isfinite(value) else None


def _json(sequences: Any) -> str:
    """JSON that cannot end the element it stands in, whatever its texts are."""
    text = json.dumps({"sequences": sequences}, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


def _names(given: Sequence[str], num: int) -> list[str]:
    return list(given) if len(given) == num else [str(unit) for unit in range(num)]


def _place(name: str) -> tuple[list[tuple[int, str]], int, str]:
    """Layer by layer, and in a layer in `ORDER`."""
    *way, letter = name.split("/")
    steps = [(int(step), "") if step.isdigit() else (-1, step) for step in way]
    return steps, ORDER.find(letter) if letter in ORDER else len(ORDER), letter
