"""Weights of Flax's LSTM, GRU and simple cells, linen and nnx. Neither module is imported."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstm_jax.cells.cell import Cell
from lstm_jax.interop.refusal import PLAIN_GRU, PLAIN_LSTM, require_options
from lstm_jax.interop.weights import assemble, fields, join, require_kind, require_shape, to_numpy
from lstm_jax.types import Params

Tree = dict[str, Any]

GATES = {"lstm": "ifzo", "gru": "rzn", "rnn": ""}
"""The order of the columns where one kernel has them all, ours by theirs: z is Flax's g."""

NAMES = {"lstm": "ifgo", "gru": "rzn"}
"""Flax's names of the same gates: the modules "ii", "if", ... see the inputs, "hi", ... h."""

ALLOWED = {
    "lstm": PLAIN_LSTM,
    "gru": PLAIN_GRU | {"reset": ["after"]},
    "rnn": {"activation": ["tanh"]},
}


def from_linen(tree: Mapping[str, Any], *, kind: str = "lstm") -> tuple[Cell, Params]:
    """The cell and its params, of a `flax.linen` cell's parameters.

    ``LSTMCell`` and ``OptimizedLSTMCell`` have the same tree; ``GRUCell`` resets after the
    product, its "hn" bias is b_rn; ``SimpleCell`` has a tanh and one bias. The carry of an LSTM,
    ``(c, h)``, is ``LstmState(c, h)``.

    Args:
      tree: ``variables["params"]`` of the cell: {"ii": {"kernel": [D, H]}, ...}.
      kind: "lstm", "gru" or "rnn".

    Raises:
      ValueError: where modules or arrays are missing, unknown, or do not fit.

    Example:
      >>> tree = {"i": {"kernel": np.ones((2, 3)), "bias": np.zeros(3)},
      ...         "h": {"kernel": np.ones((3, 3))}}
      >>> cell, params = from_linen(tree, kind="rnn")
      >>> cell.input_size, cell.output_size, params.w.shape
      (2, 3, (3, 2))
    """
    require_kind(kind)
    return _from_named(tree, kind, "if")


def from_nnx(
    state: Mapping[str, Any], *, kind: str = "lstm", optimized: bool = False
) -> tuple[Cell, Params]:
    """The cell and its params, of a `flax.nnx` cell's state.

    The function is linen's, the tree is not: ``LSTMCell`` calls one module "if_"; the others put
    all gates into "dense_i" and "dense_h". ``GRUCell`` has one bias and none inside the reset, so
    it is a `gru` with ``recurrent_bias=False``.

    Args:
      state: ``nnx.state(cell, nnx.Param)``, or the same as plain dicts of arrays.
      kind: "lstm", "gru" or "rnn".
      optimized: an "lstm" is an ``OptimizedLSTMCell``.

    Raises:
      ValueError: where modules or arrays are missing, unknown, or do not fit.

    Example:
      >>> state = {"dense_i": {"kernel": np.ones((2, 9)), "bias": np.zeros(9)},
      ...          "dense_h": {"kernel": np.ones((3, 9))}}
      >>> cell, params = from_nnx(state, kind="gru")
      >>> cell.input_size, cell.output_size, params.b_rn
      (2, 3, None)
    """
    require_kind(kind)
    if kind == "lstm" and not optimized:
        return _from_named(state, kind, "if_")
    biased = "dense_h" if kind == "lstm" else "dense_i"
    kernels, biases = _read(state, {"dense_i": biased == "dense_i", "dense_h": biased == "dense_h"})
    size = len(kernels["dense_h"])
    columns = len(fields("w", GATES[kind])) * size
    w, r, b = kernels["dense_i"], kernels["dense_h"], biases[biased]
    require_shape(f"dense_i kernel of this {kind}", w, (len(w), columns))
    require_shape(f"dense_h kernel of this {kind}", r, (size, columns))
    require_shape(f"{biased} bias of this {kind}", b, (columns,))
    options: dict[str, Any] = {"recurrent_bias": False} if kind == "gru" else {}
    return assemble(kind, GATES[kind], w.T, r.T, b, **options)


def to_linen(cell: Cell, params: Params) -> Tree:
    """The parameters of the `flax.linen` cell with the same function: ``{"params": tree}`` applies.

    Args:
      cell: lstm (NP), gru (reset after) or elman (tanh).
      params: its weights. A missing bias is zeros.

    Raises:
      ValueError: for what Flax does not have, named.

    Example:
      >>> import jax
      >>> from lstm_jax.cells import lstm
      >>> cell = lstm(2, 3)
      >>> tree = to_linen(cell, cell.init(jax.random.key(0)))
      >>> sorted(tree), sorted(tree["hf"]), sorted(tree["if"])
      (['hf', 'hg', 'hi', 'ho', 'if', 'ig', 'ii', 'io'], ['bias', 'kernel'], ['kernel'])
    """
    return _to_named(require_options(cell, "flax", ALLOWED), params)


def to_nnx(cell: Cell, params: Params, *, optimized: bool = False) -> Tree:
    """The state of the `flax.nnx` cell with the same function, for ``nnx.update(module, state)``.

    Args:
      cell: lstm (NP), gru (reset after) or elman (tanh).
      params: its weights. A missing bias is zeros.
      optimized: an lstm goes to an ``OptimizedLSTMCell``.

    Raises:
      ValueError: for what Flax does not have, named: among it, a GRU whose bias inside the reset
        (b_rn) is not zero.

    Example:
      >>> import jax
      >>> from lstm_jax.cells.gru import gru
      >>> cell = gru(2, 3)
      >>> params = cell.init(jax.random.key(0))
      >>> sorted(to_nnx(cell, params)["dense_i"])
      ['bias', 'kernel']
      >>> to_nnx(cell, params._replace(b_rn=np.ones(3, np.float32)))
      Traceback (most recent call last):
      ValueError: nnx.GRUCell has no bias inside the reset; b_rn must be zero, its largest is 1.0
    """
    kind = require_options(cell, "flax", ALLOWED)
    if kind == "lstm" and not optimized:
        named = _to_named(kind, params)
        named["if_"] = named.pop("if")
        return named
    if kind == "gru" and params.b_rn is not None and np.any(params.b_rn):
        raise ValueError(
            "nnx.GRUCell has no bias inside the reset; b_rn must be zero, its largest is "
            f"{np.abs(params.b_rn).max()}"
        )
    w, r, b = (join(params, letter, GATES[kind]) for letter in "wrb")
    tree = {"dense_i": _kernel(w), "dense_h": _kernel(r)}
    tree["dense_h" if kind == "lstm" else "dense_i"]["bias"] = b
    return tree


def _modules(kind: str, forget: str) -> dict[str, tuple[str, bool]]:
    """Our field by Flax's module, and whether it has a bias; `forget` is the name of "if"."""
    if kind == "rnn":
        return {"i": ("w", True), "h": ("r", False)}
    seen = {}
    for gate, name in zip(GATES[kind], NAMES[kind], strict=True):
        of_input = kind == "gru"
        seen[forget if name == "f" else f"i{name}"] = (f"w_{gate}", of_input)
        seen[f"h{name}"] = (f"r_{gate}", not of_input or gate == "n")
    return seen


def _from_named(tree: Mapping[str, Any], kind: str, forget: str) -> tuple[Cell, Params]:
    """A cell with one module for each gate and source."""
    modules = _modules(kind, forget)
    kernels, biases = _read(tree, {name: biased for name, (_, biased) in modules.items()})
    size = len(kernels["h" if kind == "rnn" else f"h{NAMES[kind][0]}"])
    rows: dict[str, list[np.ndarray]] = {"w": [], "r": [], "b": []}
    b_rn = None
    for name, (field, _) in modules.items():
        kernel, bias = kernels[name], biases.get(name)
        inputs = len(kernel) if field[0] == "w" else size
        require_shape(f"{name} kernel of this {kind}", kernel, (inputs, size))
        rows[field[0]].append(kernel.T)
        if bias is not None:
            require_shape(f"{name} bias of this {kind}", bias, (size,))
            if field == "r_n":
                b_rn = bias
            else:
                rows["b"].append(bias)
    w, r, b = (np.concatenate(parts) for parts in rows.values())
    more = {} if b_rn is None else {"b_rn": b_rn}
    return assemble(kind, GATES[kind], w, r, b, more)


def _to_named(kind: str, params: Params) -> Tree:
    """The inverse of `_from_named`, in linen's names."""
    tree = {}
    for name, (field, biased) in _modules(kind, "if").items():
        tree[name] = _kernel(np.asarray(getattr(params, field)))
        if biased:
            b = getattr(params, "b_rn" if field == "r_n" else f"b{field[1:]}")
            kernel = tree[name]["kernel"]
            tree[name]["bias"] = (
                np.zeros(kernel.shape[1], kernel.dtype) if b is None else np.array(b)
            )
    return tree


def _kernel(rows: np.ndarray) -> dict[str, np.ndarray]:
    return {"kernel": np.array(rows.T, order="C")}


def _read(
    tree: Mapping[str, Any], modules: Mapping[str, bool]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Kernels and biases by module; ValueError unless exactly these are there."""
    if set(tree) != set(modules):
        raise ValueError(
            f"flax: the tree has {', '.join(sorted(tree))}; this kind of cell has "
            f"{', '.join(sorted(modules))}"
        )
    kernels, biases = {}, {}
    for name, biased in modules.items():
        needed = {"kernel", "bias"} if biased else {"kernel"}
        if set(tree[name]) != needed:
            raise ValueError(
                f"flax: {name} has {', '.join(sorted(tree[name]))}; this kind of cell has "
                f"{', '.join(sorted(needed))} there"
            )
        kernels[name] = to_numpy(tree[name]["kernel"])
        if biased:
            biases[name] = to_numpy(tree[name]["bias"])
    return kernels, biases
