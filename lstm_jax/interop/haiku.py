"""Weights of dm-haiku's `hk.LSTM`, `hk.GRU`, `hk.VanillaRNN`. Haiku itself is not imported."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstm_jax.cells.cell import Cell
from lstm_jax.interop.refusal import PLAIN_GRU, PLAIN_LSTM, require_options
from lstm_jax.interop.weights import assemble, join, require_kind, require_shape, to_numpy
from lstm_jax.types import Params

GATES = {"lstm": "izfo", "gru": "zrn", "rnn": ""}
"""The order of the columns; Haiku calls the LSTM's block input z "g", the GRU's candidate "a"."""

ALLOWED = {
    "lstm": PLAIN_LSTM,
    "gru": PLAIN_GRU | {"reset": ["before"]},
    "rnn": {"activation": ["relu"]},
}

NAMES = {"lstm": "lstm", "gru": "gru", "rnn": "vanilla_rnn"}
"""What Haiku calls these modules where the user gives no name."""


def from_haiku(
    params: Mapping[str, Mapping[str, Any]], *, kind: str = "lstm", name: str | None = None
) -> tuple[Cell, Params]:
    """The cell and its params, of a Haiku core's parameters.

    Haiku's LSTM adds 1 to the forget gate's net input in its code: here that 1 is part of b_f.
    Its GRU resets before the product, and its z weighs the new candidate, ``h = (1 - z) h' + z a``:
    ours weighs the old state, so the weights of z change sign, as s(-x) = 1 - s(x). Its vanilla
    net is a relu with two biases, which are added. Its state ``LSTMState(hidden, cell)`` is
    ``LstmState(h=hidden, c=cell)``.

    Args:
      params: what ``hk.transform(...).init`` returned.
      kind: "lstm", "gru" or "rnn".
      name: of the module, with the names of those around it: "my_net/~/lstm". None: Haiku's
        own, "lstm", "gru" or "vanilla_rnn".

    Raises:
      ValueError: where the module's parameters are missing, or do not fit.

    Example:
      >>> linear = {"w": np.ones((5, 12)), "b": np.zeros(12)}
      >>> cell, params = from_haiku({"lstm/linear": linear}, kind="lstm")
      >>> cell.input_size, cell.output_size, params.b_f.tolist()
      (2, 3, [1.0, 1.0, 1.0])
    """
    require_kind(kind)
    name = NAMES[kind] if name is None else name
    if kind == "lstm":
        return _read_lstm(params, name)
    if kind == "gru":
        return _read_gru(params, name)
    return _read_rnn(params, name)


def to_haiku(cell: Cell, params: Params, *, name: str | None = None) -> dict[str, dict[str, Any]]:
    """Parameters for ``hk.LSTM``, ``hk.GRU`` or ``hk.VanillaRNN``: the inverse of `from_haiku`.

    The forget gate's biases are rounded as 1 is taken from them, and again in Haiku as it is
    added; all other numbers are kept to the last bit.

    Args:
      cell: lstm (NP), gru with ``reset="before"``, or elman or irnn with relu.
      params: its weights.
      name: of the module; None: Haiku's own.

    Raises:
      ValueError: for what Haiku does not have, named.

    Example:
      >>> import jax
      >>> from lstm_jax.cells import elman
      >>> cell = elman(2, 3, activation="relu")
      >>> tree = to_haiku(cell, cell.init(jax.random.key(0)))
      >>> {module: {field: array.shape for field, array in own.items()}
      ...  for module, own in tree.items()}  # doctest: +NORMALIZE_WHITESPACE
      {'vanilla_rnn/linear': {'w': (2, 3), 'b': (3,)},
       'vanilla_rnn/linear_1': {'w': (3, 3), 'b': (3,)}}
    """
    kind = require_options(cell, "haiku", ALLOWED)
    name = NAMES[kind] if name is None else name
    gates = GATES[kind]
    w, r, b = (join(params, letter, gates) for letter in "wrb")
    if kind == "lstm":
        _forget(b)[:] -= 1
        both = np.concatenate([w, r], axis=1)
        return {f"{name}/linear": {"w": np.ascontiguousarray(both.T), "b": b}}
    turned = [np.ascontiguousarray(rows.T) for rows in (w, r)]
    if kind == "gru":
        hidden_size = cell.output_size
        for array in (turned[0].T, turned[1].T, b):
            array[:hidden_size] *= -1
        return {name: {"w_i": turned[0], "w_h": turned[1], "b": b}}
    return {
        f"{name}/linear": {"w": turned[0], "b": b},
        f"{name}/linear_1": {"w": turned[1], "b": np.zeros_like(b)},
    }


def _read_lstm(params: Mapping[str, Mapping[str, Any]], name: str) -> tuple[Cell, Params]:
    w, b = _take(params, f"{name}/linear", "w", "b")
    hidden_size = w.shape[-1] // 4
    require_shape(f"{name}/linear b", b, (4 * hidden_size,))
    require_shape(f"{name}/linear w", w, (max(len(w), hidden_size + 1), 4 * hidden_size))
    _forget(b)[:] += 1
    return assemble("lstm", GATES["lstm"], w[:-hidden_size].T, w[-hidden_size:].T, b)


def _read_gru(params: Mapping[str, Mapping[str, Any]], name: str) -> tuple[Cell, Params]:
    w, r, b = _take(params, name, "w_i", "w_h", "b")
    hidden_size = len(r)
    require_shape(f"{name} w_i", w, (len(w), 3 * hidden_size))
    require_shape(f"{name} w_h", r, (hidden_size, 3 * hidden_size))
    require_shape(f"{name} b", b, (3 * hidden_size,))
    for array in (w.T, r.T, b):
        array[:hidden_size] *= -1
    return assemble("gru", GATES["gru"], w.T, r.T, b, reset="before")


def _read_rnn(params: Mapping[str, Mapping[str, Any]], name: str) -> tuple[Cell, Params]:
    w, b = _take(params, f"{name}/linear", "w", "b")
    r, *more = _take(params, f"{name}/linear_1", "w", "b")  # no second bias: double_bias=False
    require_shape(f"{name}/linear w", w, (len(w), len(r)))
    require_shape(f"{name}/linear_1 w", r, (len(r), len(r)))
    for bias in (b, *more):
        require_shape(f"{name} b", bias, (len(r),))
    return assemble("rnn", "", w.T, r.T, sum(more, b), activation="relu")


def _forget(b: np.ndarray) -> np.ndarray:
    """The forget gate's part of an LSTM's biases, a view."""
    return np.split(b, 4)[GATES["lstm"].index("f")]


def _take(params: Mapping[str, Mapping[str, Any]], module: str, *names: str) -> list[np.ndarray]:
    """Copies of a module's arrays; ValueError where it is not there, or has other arrays."""
    if module not in params:
        raise ValueError(f"haiku: no module {module!r}; there are {', '.join(params)}")
    own = params[module]
    optional = {"b"} if module.endswith("/linear_1") else set()
    if not set(names) - optional <= set(own) <= set(names):
        raise ValueError(
            f"haiku: {module!r} has {', '.join(sorted(own))}; {', '.join(names)} are needed"
        )
    return [np.array(to_numpy(own[name])) for name in names if name in own]
