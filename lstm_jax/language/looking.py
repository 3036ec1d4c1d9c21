"""Into the cells of a language model: which of them keep something that a reader can name."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.inspect.histories import LEFT, RIGHT, Shares
from lstm_jax.inspect.looks import by_unit
from lstm_jax.inspect.pictures.style import memories_of
from lstm_jax.language.model import Language, LanguageParams, embed
from lstm_jax.recording import record
from lstm_jax.types import Array


class Found(NamedTuple):
    """A unit whose activation goes with a feature of the text."""

    feature: str
    name: str  # of the recorded array, such as "0/c"
    unit: int
    correlation: float  # Pearson's, -1 to 1


def features(text: str) -> dict[str, np.ndarray]:
    """What a reader knows at each character of a text, that one included; float64 [T] each.

    Truth values as 0 and 1: inside quotes (from one ``"`` to the next, or to the end of the
    paragraph), inside brackets, in a word that began with a capital. Counts: place in the line, in
    the word and in the sentence.

    Example:
      >>> found = features('a "b" (c)\\nDe.')
      >>> found["inside quotes"].astype(int).tolist()
      [0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
      >>> found["place in the line"].astype(int).tolist()
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3]
    """
    quotes, brackets, capital = (np.zeros(len(text)) for _ in range(3))
    quoted, depth, in_name = False, 0, False
    for t, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif char == "\n" and t and text[t - 1] == "\n":
            quoted, depth = False, 0
        depth = max(0, depth + (char in "([") - (char in ")]"))
        starts = char.isalpha() and not (t and text[t - 1].isalpha())
        in_name = char.isalpha() and (char.isupper() if starts else in_name)
        quotes[t], brackets[t], capital[t] = quoted, depth > 0, in_name
    return {
        "inside quotes": quotes,
        "inside brackets": brackets,
        "in a capitalised word": capital,
        "place in the line": _since(text, r"\n"),
        "place in the word": _since(text, r"[^A-Za-z]"),
        "place in the sentence": _since(text, r"[.!?]"),
    }


def _since(text: str, pattern: str) -> np.ndarray:
    """Characters since the last match, 0 at one; since the beginning before the first."""
    position = np.arange(len(text))
    last = np.full(len(text), -1)
    for match in re.finditer(pattern, text):
        last[match.start()] = match.start()
    return (position - np.maximum.accumulate(last)).astype(float)


def record_text(model: Language, params: LanguageParams, symbols: Any) -> dict[str, np.ndarray]:
    """Everything that happens in the layers as they read a text: ``{"0/c": [T, H], ...}``.

    Args:
      symbols: ``[T]`` whole numbers.
    """

    @jax.jit
    def run(params: LanguageParams, symbols: Array) -> dict[str, Array]:
        return record(model.structure, params.layers, embed(params, symbols)).arrays

    return by_unit(jax.device_get(run(params, jnp.asarray(symbols, jnp.int32))))


def memories(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What each layer remembers: tanh of its memory cells "c", or its outputs "h" without any.

    A memory cell may grow for as long as a text goes on; its tanh is what the layer shows of it.
    """
    found = {}
    for name in memories_of(arrays):
        held = name.endswith("c")
        found[f"tanh {name}" if held else name] = np.tanh(arrays[name]) if held else arrays[name]
    return found


def rank(arrays: Mapping[str, np.ndarray], of: Mapping[str, np.ndarray]) -> dict[str, list[Found]]:
    """For each feature all units, from the one whose activation goes with it most.

    Args:
      arrays: recorded, ``[T, H]`` each.
      of: the features, ``[T]`` each; one that never changes has no ranking.

    Example:
      >>> t = np.arange(9.0)
      >>> found = rank({"c": np.stack([t % 2, -t], axis=1)}, {"time": t, "none": 0 * t})
      >>> [(f.unit, round(f.correlation, 3)) for f in found["time"]], list(found)
      ([(1, -1.0), (0, 0.0)], ['time'])
    """
    found = {}
    for feature, values in of.items():
        if np.ptp(values) == 0:
            continue
        standard = (values - values.mean()) / values.std()
        units = []
        for name, array in arrays.items():
            deviation = array - array.mean(axis=0)
            spread = np.maximum(deviation.std(axis=0), 1e-12)
            correlation = (standard @ deviation) / (len(values) * spread)
            units += [Found(feature, name, n, float(r)) for n, r in enumerate(correlation)]
        found[feature] = sorted(units, key=lambda unit: -abs(unit.correlation))
    return found


def gate_shares(arrays: Mapping[str, np.ndarray]) -> dict[str, Shares]:
    """For each unit the shares of characters at which it is below 0.1 and above 0.9."""
    return {
        name: Shares((array < LEFT).mean(axis=0), (array > RIGHT).mean(axis=0))
        for name, array in arrays.items()
        if array.ndim == 2
    }
