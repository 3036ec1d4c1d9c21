"""Weights of Keras 3's `LSTM`, `GRU`, `SimpleRNN` layers. Keras itself is not imported."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from lstm_jax.cells.cell import Cell
from lstm_jax.interop.layers import directions_of, together
from lstm_jax.interop.refusal import PLAIN_GRU, PLAIN_LSTM, require_alike, require_options
from lstm_jax.interop.weights import assemble, fields, join, require_kind, require_shape, to_numpy
from lstm_jax.types import Params
from lstm_jax.unroll import Structure

GATES = {"lstm": "ifzo", "gru": "zrn", "rnn": ""}
"""The order of the columns; Keras calls the LSTM's block input z "c", the GRU's candidate "h"."""

ACTIVATIONS: dict[str, Any] = {
    "tanh": "tanh",
    "sigmoid": "logistic",
    "relu": "relu",
    "linear": "identity",
    "softsign": "softsign",
    "softplus": "softplus",
    "elu": "elu",
    "hard_sigmoid": jax.nn.hard_sigmoid,  # a slope of 1/6; our hard_logistic has 0.2
}
"""Ours by Keras's name."""

MERGES = {"concat": "concat", "sum": "sum", "ave": "mean", "mul": "mul"}
"""Ours by Keras's name."""


def from_keras(
    weights: Sequence[Any],
    *,
    kind: str = "lstm",
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    reset_after: bool = True,
    merge_mode: str = "concat",
) -> tuple[Cell | Structure, Params]:
    """The cell or structure, and its params, of one Keras layer's ``get_weights()``.

    Two or three arrays are a layer's kernel ``[D, 4H]``, recurrent kernel ``[H, 4H]`` and bias
    (none with ``use_bias=False``); four or six those of a `Bidirectional` one, forward first. The
    two biases of a GRU that resets after the product are added, but for the candidate's recurrent
    one, inside the reset (b_rn). Keras repeats the last valid output after the end of a masked
    sequence, where ours are zero; the states agree: Keras's are h, then c.

    Args:
      weights: the arrays, in the order of ``layer.get_weights()``.
      kind: "lstm", "gru" or "rnn".
      activation, recurrent_activation, reset_after, merge_mode: as in the layer's config, which
        the weights do not tell.

    Raises:
      ValueError: for a number of arrays or shapes that do not fit, or an unknown option.

    Example:
      >>> arrays = [np.ones((2, 12)), np.ones((3, 12)), np.zeros(12)]
      >>> cell, params = from_keras(arrays, kind="lstm")
      >>> cell.input_size, cell.output_size, params.w_f.shape
      (2, 3, (3, 2))
    """
    require_kind(kind)
    squash = _ours("activation", activation, ACTIVATIONS)
    gate = _ours("recurrent_activation", recurrent_activation, ACTIVATIONS)
    merge = _ours("merge_mode", merge_mode, MERGES)
    if len(weights) not in (2, 3, 4, 6):
        raise ValueError(
            f"keras: {len(weights)} arrays, where a layer has 2 or 3, a bidirectional one 4 or 6"
        )
    half = len(weights) // 2
    parts = [weights] if len(weights) < 4 else [weights[:half], weights[half:]]
    options: dict[str, Any] = {
        "lstm": {"gate_activation": gate, "g": squash, "h": squash},
        "gru": {
            "gate_activation": gate,
            "g": squash,
            "reset": "after" if reset_after else "before",
        },
        "rnn": {"activation": squash},
    }[kind]
    found = [_read(kind, [to_numpy(array) for array in part], **options) for part in parts]
    return together([found], merge)


def _read(kind: str, arrays: Sequence[np.ndarray], **options: Any) -> tuple[Cell, Params]:
    """One direction."""
    gates, (w, r) = GATES[kind], arrays[:2]
    b = arrays[2] if len(arrays) == 3 else None
    size = len(r)
    columns = len(fields("w", gates)) * size
    require_shape(f"keras: kernel of this {kind}", w, (len(w), columns))
    require_shape(f"keras: recurrent kernel of this {kind}", r, (size, columns))
    if kind != "gru":
        if b is not None:
            require_shape(f"keras: bias of this {kind}", b, (columns,))
        return assemble(kind, gates, w.T, r.T, b, **options)
    if options["reset"] == "before" or b is None:
        if b is not None:
            require_shape("keras: bias of this gru with reset_after=False", b, (columns,))
        return assemble(kind, gates, w.T, r.T, b, recurrent_bias=False, **options)
    require_shape("keras: bias of this gru with reset_after=True", b, (2, columns))
    summed = b[0] + b[1]
    summed[2 * size :] = b[0, 2 * size :]
    return assemble(kind, gates, w.T, r.T, summed, {"b_rn": b[1, 2 * size :]}, **options)


def to_keras(
    part: Cell | Structure,
    params: Params,
    *,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    merge_mode: str = "concat",
    use_bias: bool = True,
) -> list[np.ndarray]:
    """Arrays for ``layer.set_weights``: the inverse of `from_keras`.

    A GRU's arrays are those of a layer with ``reset_after`` as the cell has it. A `layer` that
    runs backwards has those for ``go_backwards=True``, which leaves the outputs in reverse order.

    Args:
      part: lstm (NP), gru (either reset), elman or irnn; or a `bidirectional` of two alike.
      params: its weights.
      activation, recurrent_activation, merge_mode, use_bias: those of the layer that takes the
        arrays.

    Raises:
      ValueError: for what a layer with these options does not have, named; for biases that are
        not zero where ``use_bias=False``.

    Example:
      >>> import jax
      >>> from lstm_jax.cells.gru import gru
      >>> cell = gru(2, 3)
      >>> [array.shape for array in to_keras(cell, cell.init(jax.random.key(0)))]
      [(2, 9), (3, 9), (2, 9)]
    """
    squash = _ours("activation", activation, ACTIVATIONS)
    gate = _ours("recurrent_activation", recurrent_activation, ACTIVATIONS)
    allowed = {
        "lstm": PLAIN_LSTM | {"gate_activation": [gate], "g": [squash], "h": [squash]},
        "gru": PLAIN_GRU | {"gate_activation": [gate], "g": [squash]},
        "rnn": {"activation": [squash]},
    }
    who = "this keras layer"
    directions = directions_of(part, params, who, [_ours("merge_mode", merge_mode, MERGES)])
    kinds = [require_options(cell, who, allowed) for cell, _, _ in directions]
    require_alike("the two directions of a keras layer", [(*one[:2], "") for one in directions])
    arrays = []
    for kind, (cell, own, _) in zip(kinds, directions, strict=True):
        arrays += _write(kind, cell, own)
        if not use_bias and arrays.pop().any():
            raise ValueError("use_bias=False, but the biases are not zero")
    return arrays


def _write(kind: str, cell: Cell, params: Params) -> list[np.ndarray]:
    """One direction."""
    w, r, b = (join(params, letter, GATES[kind]) for letter in "wrb")
    if kind == "gru" and cell.spec.reset == "after":
        b = np.stack([b, np.zeros_like(b)])
        if params.b_rn is not None:
            b[1, -len(params.b_rn) :] = params.b_rn
    return [np.ascontiguousarray(w.T), np.ascontiguousarray(r.T), b]


def _ours(option: str, value: str, names: Mapping[str, Any]) -> Any:
    """Our name of a Keras option's value."""
    if value not in names:
        raise ValueError(f"{option}: {value!r} is not one of {', '.join(names)}")
    return names[value]
