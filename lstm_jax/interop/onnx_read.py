"""ONNX nodes read: what their attributes and stacked weights mean as cells."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.cells.cell import Cell
from lstm_jax.interop.layers import together
from lstm_jax.interop.onnx_functions import NodeFunction, ours, read_functions, shortest
from lstm_jax.interop.weights import assemble, fields, require_shape, to_numpy
from lstm_jax.structures.layer import layer
from lstm_jax.types import Params
from lstm_jax.unroll import Structure

GATES = {"LSTM": "iofz", "GRU": "zrn", "RNN": ""}
"""The order of the rows; ONNX calls the LSTM's block input z "c", the GRU's candidate "h"."""

FUNCTIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
"""The activations of one direction where the node names none."""

NUM_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}

_COMMON = ("activation_alpha", "activation_beta", "activations", "clip", "direction")
ATTRIBUTES = {
    "LSTM": (*_COMMON, "hidden_size", "input_forget", "layout"),
    "GRU": (*_COMMON, "hidden_size", "layout", "linear_before_reset"),
    "RNN": (*_COMMON, "hidden_size", "layout"),
}


class _Direction(NamedTuple):
    """One direction's share of a node."""

    functions: list[NodeFunction]
    w: np.ndarray  # [G*H, D]
    r: np.ndarray  # [G*H, H]
    b: np.ndarray | None  # [2, G*H]
    p: np.ndarray | None  # [3*H]


def from_node(
    op_type: str, attributes: Mapping[str, Any], W: Any, R: Any, B: Any = None, P: Any = None
) -> tuple[Cell | Structure, Params]:
    """The cell or structure, and its params, of a recurrent node (opsets 7 to 22).

    ``direction`` makes a `Cell` (forward), a `layer` (reverse) or a `bidirectional`. The LSTM has
    peepholes where P is given; ``input_forget=1`` is CIFG, f = 1 - i, and leaves the forget
    gate's own weights unread. ``linear_before_reset`` is the GRU's reset after (1) or before (0)
    the product. The two biases are added, but for the GRU's Rbh where it is inside the reset.
    ``layout`` says how X lies, which is for the caller: see `run_node`, and `node_state` for
    initial_h and initial_c.

    Args:
      op_type: "LSTM", "GRU" or "RNN".
      attributes: by name, as ``onnx.helper.get_attribute_value`` gives them. Values of
        activation_alpha and activation_beta go, in order, to the activations that take one.
      W: ``[directions, G * H, D]``, of G gates.
      R: ``[directions, G * H, H]``.
      B: ``[directions, 2 * G * H]`` or None.
      P: ``[directions, 3 * H]`` or None.

    Raises:
      ValueError: for an op, attribute or activation that is not supported, by name; for shapes
        that do not fit.

    Example:
      >>> W, R = np.ones((1, 9, 2)), np.ones((1, 9, 3))
      >>> cell, params = from_node("GRU", {"hidden_size": 3}, W, R)
      >>> cell.name, cell.spec.reset, params.w_z.shape
      ('gru', 'before', (3, 2))
    """
    given = read_attributes(op_type, attributes)
    num_directions = NUM_DIRECTIONS[given["direction"]]
    arrays = {"W": W, "R": R, "B": B, "P": P}
    arrays = {name: to_numpy(array) for name, array in arrays.items() if array is not None}
    _require_shapes(op_type, given, arrays)
    if "B" in arrays:
        arrays["B"] = arrays["B"].reshape(num_directions, 2, -1)
    functions = _functions(op_type, given, num_directions)
    each = len(functions) // num_directions
    cells = []
    for n in range(num_directions):
        own = {name: array[n] for name, array in arrays.items()}
        squashers = functions[n * each : (n + 1) * each]
        one = _Direction(squashers, own["W"], own["R"], own.get("B"), own.get("P"))
        cells.append(_READERS[op_type](given, one))
    if given["direction"] == "reverse":
        return layer(cells[0][0], reverse=True), cells[0][1]
    return together([cells])


def read_attributes(op_type: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes with their defaults, bytes as text; ``ValueError`` for one not supported.

    Example:
      >>> read_attributes("RNN", {"hidden_size": 3, "direction": b"reverse"})
      {'direction': 'reverse', 'layout': 0, 'hidden_size': 3}
      >>> read_attributes("RNN", {"input_forget": 1})
      Traceback (most recent call last):
      ValueError: onnx RNN: the attribute 'input_forget' is not supported; those that are:
      activation_alpha, activation_beta, activations, clip, direction, hidden_size, layout
    """
    if op_type not in GATES:
        raise ValueError(f"onnx: the op {op_type!r} is not one of {', '.join(GATES)}")
    given: dict[str, Any] = {"direction": "forward", "layout": 0}
    for name, value in attributes.items():
        if name not in ATTRIBUTES[op_type]:
            raise ValueError(
                f"onnx {op_type}: the attribute {name!r} is not supported; those that are: "
                f"{', '.join(ATTRIBUTES[op_type])}"
            )
        given[name] = value.decode() if isinstance(value, bytes) else value
    if given["direction"] not in NUM_DIRECTIONS:
        raise ValueError(
            f"onnx {op_type}: direction {given['direction']!r} is not one of "
            f"{', '.join(NUM_DIRECTIONS)}"
        )
    if "clip" in given:
        given["clip"] = shortest(given["clip"])
        if not given["clip"] > 0:
            raise ValueError(f"onnx {op_type}: clip {given['clip']!r} is not a number > 0")
    for name in ("layout", "input_forget", "linear_before_reset"):
        if given.get(name, 0) not in (0, 1):
            raise ValueError(f"onnx {op_type}: {name} {given[name]!r} is neither 0 nor 1")
    return given


def _require_shapes(
    op_type: str, given: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """ValueError unless the arrays fit the node and each other."""
    if "P" in arrays and op_type != "LSTM":
        raise ValueError(f"onnx {op_type}: P is given, but only an LSTM has peepholes")
    num_directions = NUM_DIRECTIONS[given["direction"]]
    size = given.get("hidden_size", arrays["R"].shape[-1])
    rows = len(fields("w", GATES[op_type])) * size
    inputs = arrays["W"].shape[-1]
    needed = {"W": (rows, inputs), "R": (rows, size), "B": (2 * rows,), "P": (3 * size,)}
    for name, array in arrays.items():
        require_shape(f"onnx {op_type} {name}", array, (num_directions, *needed[name]))


def _functions(op_type: str, given: Mapping[str, Any], num_directions: int) -> list[NodeFunction]:
    """The activations of all directions, one after the other."""
    names = given.get("activations") or FUNCTIONS[op_type] * num_directions
    names = [name.decode() if isinstance(name, bytes) else name for name in names]
    needed = len(FUNCTIONS[op_type]) * num_directions
    if op_type == "RNN" and names == ["Tanh", "Tanh"]:
        names = names[:needed]  # the schema's default, written out for one direction
    if len(names) != needed:
        raise ValueError(
            f"onnx {op_type}: {len(names)} activations ({', '.join(names)}) where {needed} are "
            f"needed, {len(FUNCTIONS[op_type])} for each direction"
        )
    return read_functions(
        names, given.get("activation_alpha") or (), given.get("activation_beta") or ()
    )


def _read_lstm(given: Mapping[str, Any], own: _Direction) -> tuple[Cell, Params]:
    gates, (w, r) = GATES["LSTM"], (own.w, own.r)
    b = None if own.b is None else own.b[0] + own.b[1]
    p: dict[str, np.ndarray] = {}
    if own.p is not None:
        p = dict(zip(("p_i", "p_o", "p_f"), np.split(own.p, 3), strict=True))
    switches = () if p else ("NP",)
    if given.get("input_forget"):
        switches = (*switches, "CIFG")
        kept = [n for n, gate in enumerate(gates) if gate != "f"]
        w, r = (np.concatenate([np.split(rows, 4)[n] for n in kept]) for rows in (w, r))
        b = None if b is None else np.concatenate([np.split(b, 4)[n] for n in kept])
        gates = gates.replace("f", "")
        p.pop("p_f", None)
    gate, g, h = (ours(function) for function in own.functions)
    options = {"gate_activation": gate, "g": g, "h": h, "clip": given.get("clip")}
    return assemble("lstm", gates, w, r, b, p, switches=switches, **options)


def _read_gru(given: Mapping[str, Any], own: _Direction) -> tuple[Cell, Params]:
    after = bool(given.get("linear_before_reset"))
    b, b_rn = None, None
    if own.b is not None:
        b = own.b[0] + own.b[1]
        if after:
            size = own.r.shape[1]
            b[2 * size :] = own.b[0, 2 * size :]
            b_rn = own.b[1, 2 * size :]
    gate, g = (ours(function) for function in own.functions)
    return assemble(
        "gru",
        GATES["GRU"],
        own.w,
        own.r,
        b,
        {"b_rn": b_rn},
        reset="after" if after else "before",
        recurrent_bias=b_rn is not None,
        clip=given.get("clip"),
        gate_activation=gate,
        g=g,
    )


def _read_rnn(given: Mapping[str, Any], own: _Direction) -> tuple[Cell, Params]:
    b = None if own.b is None else own.b[0] + own.b[1]
    squash = ours(own.functions[0])
    if given.get("clip") is not None:  # elman has no such option; its squasher can
        squash = own.functions[0]
        squash = NodeFunction(squash.name, squash.numbers, given["clip"])
    return assemble("rnn", GATES["RNN"], own.w, own.r, b, activation=squash)


_READERS = {"LSTM": _read_lstm, "GRU": _read_gru, "RNN": _read_rnn}
