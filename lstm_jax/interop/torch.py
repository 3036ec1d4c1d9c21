"""Weights of `torch.nn.LSTM`, `GRU`, `RNN` and their cells. torch itself is not imported."""

from collections.abc import Collection, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from lstm_jax.cells.cell import Cell
from lstm_jax.interop.layers import Directions, layers_of, together
from lstm_jax.interop.refusal import PLAIN_GRU, PLAIN_LSTM, require_alike, require_options
from lstm_jax.interop.weights import assemble, fields, join, require_kind, require_shape, to_numpy
from lstm_jax.types import Params
from lstm_jax.unroll import Structure

GATES = {"lstm": "ifzo", "gru": "rzn", "rnn": ""}
"""The order of the rows; torch calls the LSTM's block input z "g"."""

NONLINEARITIES = ["tanh", "relu"]

ALLOWED = {
    "lstm": {name: values for name, values in PLAIN_LSTM.items() if name != "projection_size"},
    "gru": PLAIN_GRU | {"reset": ["after"]},
    "rnn": {"activation": NONLINEARITIES},
}


def from_torch(
    state_dict: Mapping[str, Any],
    *,
    kind: str = "lstm",
    nonlinearity: str = "tanh",
    prefix: str = "",
) -> tuple[Cell | Structure, Params]:
    """The cell or structure, and its params, of a torch module's state dict.

    Layers, directions, projection and biases are read off the names and shapes. torch's two
    biases are added; only the GRU's b_hn, inside the reset, stays by itself (b_rn). One layer in
    one direction is a `Cell`, in two a `bidirectional`, several layers are a `stack`. torch's
    h_0 and c_0, ``[layers * directions, B, H]``, are the fields h and c of the states, layer by
    layer, forward before backward.

    Args:
      state_dict: arrays or tensors by name, of ``nn.LSTM``, ``nn.GRU``, ``nn.RNN``, or of one
        ``nn.LSTMCell``, ``nn.GRUCell``, ``nn.RNNCell``.
      kind: "lstm", "gru" or "rnn".
      nonlinearity: of an "rnn", "tanh" or "relu": the weights do not tell.
      prefix: takes the names that begin with it, out of a larger module's: "encoder.rnn.".

    Raises:
      ValueError: for names that are unknown or missing, or shapes that do not fit.

    Example:
      >>> arrays = {"weight_ih_l0": np.ones((12, 2)), "weight_hh_l0": np.ones((12, 3))}
      >>> cell, params = from_torch(arrays, kind="lstm")
      >>> cell.name, cell.input_size, cell.output_size, params.b_f.tolist()
      ('lstm', 2, 3, [0.0, 0.0, 0.0])
    """
    require_kind(kind)
    if nonlinearity not in NONLINEARITIES:
        raise ValueError(f"nonlinearity: {nonlinearity!r} is not one of tanh, relu")
    if not isinstance(state_dict, Mapping):
        raise ValueError(
            f"state dict: a {type(state_dict).__name__} where a mapping of arrays by name is "
            "needed, such as module.state_dict()"
        )
    left = {
        name.removeprefix(prefix): to_numpy(value)
        for name, value in state_dict.items()
        if name.startswith(prefix)
    }
    layers = _suffixes(left)
    if not layers:
        there = [name for name in state_dict if ".weight_ih" in name]
        hint = f"; there is {there[0]!r}: give what begins it as prefix" if there else ""
        raise ValueError(f"state dict: {prefix + 'weight_ih_l0'!r} is missing{hint}")
    first = layers[0][0]
    has = ["weight_ih", "weight_hh"]
    has += ["bias_ih", "bias_hh"] if f"bias_ih{first}" in left else []
    has += ["weight_hr"] if f"weight_hr{first}" in left else []
    needed = [f"{name}{suffix}" for suffixes in layers for suffix in suffixes for name in has]
    missing = [name for name in needed if name not in left]
    if missing:
        raise ValueError(f"state dict: {prefix + missing[0]!r} is missing")
    if "weight_hr" not in has:  # of a projection: rows and columns are of two sizes
        _require_rows(kind, left[f"weight_hh{first}"])
    unknown = [name for name in left if name not in needed]
    if unknown:
        raise ValueError(f"state dict: {prefix + unknown[0]!r} has no place in this {kind}")
    return together(
        [
            [
                _read(kind, nonlinearity, suffix, {name: left[f"{name}{suffix}"] for name in has})
                for suffix in suffixes
            ]
            for suffixes in layers
        ]
    )


def _require_rows(kind: str, r: np.ndarray) -> None:
    """ValueError where the rows of the recurrent weights are as many as those of another kind."""
    for other, gates in GATES.items():
        of_other = len(fields("r", gates)) * r.shape[-1] if r.ndim == 2 else -1
        if other != kind and r.shape[:1] == (of_other,):
            raise ValueError(
                f"state dict: recurrent weights of shape {r.shape} are those of a {other}, where "
                f"kind={kind!r} was asked for; give kind={other!r}"
            )


def _suffixes(names: Collection[str]) -> list[list[str]]:
    """How the names of each layer's directions end; an ``nn.LSTMCell``'s have no ending."""
    if "weight_ih" in names:
        return [[""]]
    ways = ["", "_reverse"] if "weight_ih_l0_reverse" in names else [""]
    layers: list[list[str]] = []
    while f"weight_ih_l{len(layers)}" in names:
        layers.append([f"_l{len(layers)}{way}" for way in ways])
    return layers


def _read(
    kind: str, nonlinearity: str, suffix: str, arrays: Mapping[str, np.ndarray]
) -> tuple[Cell, Params]:
    """One direction of one layer."""
    gates, w, r = GATES[kind], arrays["weight_ih"], arrays["weight_hh"]
    w_h = arrays.get("weight_hr")
    num_gates, output_size = len(fields("w", gates)), r.shape[-1]
    hidden_size = output_size if w_h is None else w_h.shape[-1]
    rows = num_gates * hidden_size
    require_shape(f"weight_ih{suffix} of a {kind}", w, (rows, w.shape[-1]))
    require_shape(f"weight_hh{suffix} of a {kind}", r, (rows, output_size))
    for name in ("bias_ih", "bias_hh"):
        if name in arrays:
            require_shape(f"{name}{suffix} of a {kind}", arrays[name], (rows,))
    if w_h is not None:
        require_shape(f"weight_hr{suffix}", w_h, (output_size, hidden_size))
        if kind != "lstm":
            raise ValueError(f"state dict: weight_hr{suffix} projects an lstm; this is a {kind}")
    b, b_hh = arrays.get("bias_ih"), arrays.get("bias_hh")
    b_rn = None
    if b is not None and b_hh is not None:
        if kind == "gru":
            b_hh, b_rn = b_hh.copy(), b_hh[2 * hidden_size :]
            b_hh[2 * hidden_size :] = 0
        b = b + b_hh
    if kind == "lstm":
        size = None if w_h is None else output_size
        return assemble(kind, gates, w, r, b, {"w_h": w_h}, projection_size=size)
    if kind == "gru":
        return assemble(kind, gates, w, r, b, {"b_rn": b_rn}, recurrent_bias=b_rn is not None)
    return assemble(kind, gates, w, r, b, activation=nonlinearity)


def to_torch(part: Cell | Structure, params: Params, *, bias: bool = True) -> dict[str, np.ndarray]:
    """The state dict that ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` has for the same function.

    Its arrays are copies, for ``module.load_state_dict({name: torch.from_numpy(array) ...})``.
    Weights in bfloat16 come as float32, which holds them exactly: `torch.from_numpy` takes no
    bfloat16, and a module ``.to(torch.bfloat16)`` has the same bits again after loading.
    Our one bias is bias_ih, and bias_hh is zero, apart from the GRU's b_rn; torch trains both, so
    their sum learns at twice the rate. An ``nn.RNN`` has its nonlinearity, and any module its
    dropout, as arguments.

    Args:
      part: lstm (NP, with a projection or without), gru (reset after) or elman (tanh, relu), a
        `bidirectional` of two, or a `stack` of layers that are all alike.
      params: its weights.
      bias: False makes the state dict of a module with ``bias=False``.

    Raises:
      ValueError: for what torch does not have, named; for biases that are not zero where `bias`
        is False.

    Example:
      >>> import jax
      >>> from lstm_jax.cells.gru import gru
      >>> cell = gru(2, 3)
      >>> arrays = to_torch(cell, cell.init(jax.random.key(0)))
      >>> {name: array.shape for name, array in arrays.items()}
      {'weight_ih_l0': (9, 2), 'weight_hh_l0': (9, 3), 'bias_ih_l0': (9,), 'bias_hh_l0': (9,)}
    """
    layers = layers_of(part, params, "torch")
    _require_one_module(layers)
    arrays = {}
    for n, directions in enumerate(layers):
        for cell, own, backwards in directions:
            suffix = f"_l{n}_reverse" if backwards else f"_l{n}"
            kind = require_options(cell, "torch", ALLOWED)
            written = _write(kind, own)
            if not bias:
                for name in ("bias_ih", "bias_hh"):
                    if written.pop(name).any():
                        raise ValueError(f"bias=False, but {name}{suffix} is not zero")
            arrays |= {f"{name}{suffix}": _for_torch(array) for name, array in written.items()}
    return arrays


def _for_torch(array: np.ndarray) -> np.ndarray:
    """The same numbers in a type that `torch.from_numpy` takes."""
    return array.astype(np.float32) if array.dtype == jnp.bfloat16 else array


def _write(kind: str, params: Params) -> dict[str, np.ndarray]:
    """One direction of one layer, in torch's order."""
    gates = GATES[kind]
    b = join(params, "b", gates)
    arrays = {
        "weight_ih": join(params, "w", gates),
        "weight_hh": join(params, "r", gates),
        "bias_ih": b,
        "bias_hh": np.zeros_like(b),
    }
    if kind == "gru" and params.b_rn is not None:
        arrays["bias_hh"][-len(params.b_rn) :] = params.b_rn
    if kind == "lstm" and params.w_h is not None:
        arrays["weight_hr"] = np.array(params.w_h)
    return arrays


def _require_one_module(layers: list[Directions]) -> None:
    """ValueError unless one torch module has all these layers."""
    made = []
    for directions in layers:
        if [backwards for _, _, backwards in directions] == [True]:
            raise ValueError("torch has no layer that runs in the backward direction only")
        for cell, params, _ in directions:
            require_options(cell, "torch", ALLOWED)
            made.append((cell, params, f" in {len(directions)} directions"))
    require_alike("torch: the layers of one module", made)
