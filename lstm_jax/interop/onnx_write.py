"""ONNX nodes written: cells as attributes and stacked weights."""

from typing import Any, NamedTuple

import numpy as np

from lstm_jax.cells.cell import Cell
from lstm_jax.cells.lstm97 import Lstm97Spec
from lstm_jax.interop.blocks import as_lstm
from lstm_jax.interop.layers import directions_of
from lstm_jax.interop.onnx_functions import NodeFunction, theirs, write_functions
from lstm_jax.interop.onnx_read import FUNCTIONS, GATES
from lstm_jax.interop.refusal import kind_of
from lstm_jax.interop.weights import join
from lstm_jax.types import Params
from lstm_jax.unroll import Structure

SATURATED = 100.0
"""The bias of a gate that is always open: the logistic of 100 is 1.0 to the last bit."""

_OPEN = {"NIG": "i", "NFG": "f", "NOG": "o"}


class Node(NamedTuple):
    """A recurrent node: what `from_node` takes, in its order."""

    op_type: str
    attributes: dict[str, Any]
    W: np.ndarray  # [directions, G*H, D]
    R: np.ndarray  # [directions, G*H, H]
    B: np.ndarray  # [directions, 2*G*H]
    P: np.ndarray | None  # [directions, 3*H]


class _Direction(NamedTuple):
    """One direction's share of a node; the attributes are those that both must agree in."""

    op_type: str
    functions: list[NodeFunction]
    attributes: dict[str, Any]
    w: np.ndarray
    r: np.ndarray
    b: np.ndarray
    p: np.ndarray | None


def to_node(part: Cell | Structure, params: Params) -> Node:
    """The ONNX node that computes the same: ``from_node(*to_node(part, params))`` is the way back.

    Our one bias is Wb, and Rb is zero, but for the GRU's b_rn. A gate that NIG, NFG or NOG leaves
    out, and the forget gate of 1997, is one without weights and with a bias of 100: open, to the
    last bit. An `lstm97` whose gates nobody sees is an LSTM with a copy of its block's gates for
    each cell. Y is ``[T, directions, B, H]`` where ours is ``[T, directions * H]``.

    Args:
      part: lstm, gru, elman, irnn or lstm97 with ``see_gates=False`` or ``silent=True``; a `layer`
        or a `bidirectional` of one kind.
      params: its weights.

    Returns:
      A `Node`; make it with ``onnx.helper.make_node(node.op_type, ..., **node.attributes)``.

    Raises:
      ValueError: for what ONNX does not have, named: full gate recurrence, a projection, an
        activation, the clip of one activation of several, a stack (one node is one layer),
        directions that differ.

    Example:
      >>> import jax
      >>> from lstm_jax.cells import lstm
      >>> cell = lstm(2, 3, switches=("NIAF",))
      >>> node = to_node(cell, cell.init(jax.random.key(0)))
      >>> node.op_type, node.attributes["activations"], node.W.shape, node.P.shape
      ('LSTM', ['Sigmoid', 'Affine', 'Tanh'], (1, 12, 2), (1, 9))
    """
    directions = directions_of(part, params, "an onnx node")
    ways = [backwards for _, _, backwards in directions]
    written = [_write(cell, own) for cell, own, _ in directions]
    one = written[0]
    for other in written[1:]:
        if (one.op_type, one.attributes) != (other.op_type, other.attributes):
            raise ValueError(
                f"an onnx node has both directions alike; these are {one.op_type} "
                f"{one.attributes} and {other.op_type} {other.attributes}"
            )
    attributes: dict[str, Any] = {
        "direction": "bidirectional" if len(ways) == 2 else "reverse" if ways[0] else "forward",
        **one.attributes,
    }
    functions = [function for own in written for function in own.functions]
    if [function.name for function in functions] != FUNCTIONS[one.op_type] * len(written):
        attributes |= write_functions(functions)
    peepholes = None
    if any(own.p is not None for own in written):
        none = np.zeros(3 * attributes["hidden_size"], one.w.dtype)
        peepholes = np.stack([none if own.p is None else own.p for own in written])
    w, r, b = (np.stack([getattr(own, name) for own in written]) for name in "wrb")
    return Node(one.op_type, attributes, w, r, b, peepholes)


def _write(cell: Cell, params: Params) -> _Direction:
    if isinstance(cell.spec, Lstm97Spec):
        cell, params = as_lstm(cell, params)
    return {"lstm": _write_lstm, "gru": _write_gru, "rnn": _write_rnn}[kind_of(cell, "onnx")](
        cell, params
    )


def _write_lstm(cell: Cell, params: Params) -> _Direction:
    spec = cell.spec
    if "FGR" in spec.switches or spec.projection_size is not None:
        lacks = "full gate recurrence (FGR)" if "FGR" in spec.switches else "projection_size"
        raise ValueError(f"an onnx LSTM has no {lacks}")
    always_open = {_OPEN[switch] for switch in spec.switches if switch in _OPEN}
    if always_open and (
        theirs(spec.gate_activation).name != "Sigmoid" or (spec.clip or SATURATED) < SATURATED
    ):
        raise ValueError(
            f"an onnx LSTM without the gates {', '.join(sorted(always_open))} needs logistic gates "
            f"and no clip below {SATURATED}: an open gate is one with a large bias"
        )
    functions = _without_clips("LSTM", spec.gate_activation, spec.g, spec.h)

    def rows(letter: str, *, order: str = GATES["LSTM"]) -> np.ndarray:
        none = np.zeros_like(getattr(params, f"{letter}_z" if letter != "p" else "b_z"))
        parts = [getattr(params, f"{letter}_{gate}") for gate in order]
        return np.concatenate([none if part is None else np.asarray(part) for part in parts])

    b = rows("b")
    for gate in always_open:
        np.split(b, 4)[GATES["LSTM"].index(gate)][:] = SATURATED
    attributes: dict[str, Any] = {"hidden_size": cell.output_size}
    if spec.clip is not None:
        attributes["clip"] = float(spec.clip)
    if "CIFG" in spec.switches:
        attributes["input_forget"] = 1
    return _Direction(
        "LSTM",
        functions,
        attributes,
        rows("w"),
        rows("r"),
        np.concatenate([b, np.zeros_like(b)]),
        None if "NP" in spec.switches else rows("p", order="iof"),
    )


def _without_clips(op_type: str, *activations: Any) -> list[NodeFunction]:
    """The functions of an LSTM or a GRU, whose node has one clip, the cell's, for all of them."""
    functions = [theirs(activation) for activation in activations]
    for function in functions:
        if function.clip is not None:
            raise ValueError(
                f"an onnx {op_type} has no clip of its {function.name} alone ({function.clip:g}); "
                "that of a cell (clip=...) is for all its functions"
            )
    return functions


def _write_gru(cell: Cell, params: Params) -> _Direction:
    spec = cell.spec
    w, r, b = (join(params, letter, GATES["GRU"]) for letter in "wrb")
    b_r = np.zeros_like(b)
    if params.b_rn is not None:
        b_r[-cell.output_size :] = params.b_rn
    attributes: dict[str, Any] = {"hidden_size": cell.output_size}
    if spec.clip is not None:
        attributes["clip"] = float(spec.clip)
    attributes["linear_before_reset"] = int(spec.reset == "after")
    functions = _without_clips("GRU", spec.gate_activation, spec.g)
    return _Direction("GRU", functions, attributes, w, r, np.concatenate([b, b_r]), None)


def _write_rnn(cell: Cell, params: Params) -> _Direction:
    w, r, b = (join(params, letter, GATES["RNN"]) for letter in "wrb")
    function = theirs(cell.spec.activation)
    attributes: dict[str, Any] = {"hidden_size": cell.output_size}
    if function.clip is not None:
        attributes["clip"] = function.clip
    return _Direction(
        "RNN", [function], attributes, w, r, np.concatenate([b, np.zeros_like(b)]), None
    )
