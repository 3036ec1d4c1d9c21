"""An ONNX node run by our cells: batches, layouts and states as ONNX has them."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells.cell import Cell
from lstm_jax.interop.onnx_read import from_node, read_attributes
from lstm_jax.structures.bidirectional import BidirectionalState
from lstm_jax.types import Array, State
from lstm_jax.unroll import Structure, unroll


def node_state(
    part: Cell | Structure, initial_h: Array | None = None, initial_c: Array | None = None
) -> State:
    """The state that stands for one sequence's initial_h and initial_c.

    initial_h is the field h, initial_c the LSTM's c: of the cell itself (forward, reverse), or of
    ``forward`` and ``backward`` in this order. A missing one is zeros.

    Args:
      part: what `from_node` returned.
      initial_h: ``[directions, H]``.
      initial_c: ``[directions, H]``.

    Example:
      >>> from lstm_jax.cells import lstm
      >>> node_state(lstm(2, 3), initial_h=jnp.ones((1, 3))).h.tolist()
      [1.0, 1.0, 1.0]
    """
    given = {"h": initial_h, "c": initial_c}

    def filled(state: State, n: int) -> State:
        there = {name: jnp.asarray(a)[n] for name, a in given.items() if a is not None}
        return state._replace(**there)

    start = part.initial_state()
    if isinstance(start, BidirectionalState):
        return BidirectionalState(filled(start.forward, 0), filled(start.backward, 1))
    return filled(start, 0)


def run_node(
    op_type: str,
    attributes: Mapping[str, Any],
    X: Any,
    W: Any,
    R: Any,
    B: Any = None,
    sequence_lens: Any = None,
    initial_h: Any = None,
    initial_c: Any = None,
    P: Any = None,
) -> tuple[np.ndarray, ...]:
    """The outputs Y, Y_h and, of an LSTM, Y_c that the node has for these inputs.

    The inputs have ONNX's names, order and shapes: X ``[T, B, D]`` (``layout=1``:
    ``[B, T, D]``), initial_h and initial_c ``[directions, B, H]`` (``[B, directions, H]``),
    sequence_lens ``[B]``; Y is ``[T, directions, B, H]`` (``[B, T, directions, H]``), zero after
    each sequence's end, Y_h and Y_c are as initial_h. Those of a sequence of no steps are zeros, as
    onnxruntime has them (ONNX does not say), where `unroll` gives the initial state.

    Raises:
      ValueError: as `from_node`.

    Example:
      >>> X, W, R = np.ones((7, 4, 2)), np.ones((1, 3, 2)), np.ones((1, 3, 3))
      >>> Y, Y_h = run_node("RNN", {"hidden_size": 3}, X, W, R, sequence_lens=[7, 5, 0, 1])
      >>> Y.shape, Y_h.shape, bool(Y[5:, :, 1].any())
      ((7, 1, 4, 3), (1, 4, 3), False)
    """
    part, params = from_node(op_type, attributes, W, R, B, P)
    batch_first = read_attributes(op_type, attributes)["layout"] == 1
    xs = jnp.swapaxes(jnp.asarray(X), 0, 0 if batch_first else 1)  # [B, T, D]
    h, c = (None if a is None else jnp.asarray(a) for a in (initial_h, initial_c))
    if not batch_first:  # [B, directions, H]
        h, c = (None if a is None else jnp.swapaxes(a, 0, 1) for a in (h, c))
    lengths = None if sequence_lens is None else jnp.asarray(sequence_lens, jnp.int32)

    def one(
        xs: Array, h: Array | None, c: Array | None, length: Array | None
    ) -> tuple[Array, list[Array]]:
        final, ys = unroll(part, params, xs, node_state(part, h, c), length=length)
        both = isinstance(final, BidirectionalState)
        ends = [final.forward, final.backward] if both else [final]
        names = "hc" if op_type == "LSTM" else "h"
        last = [jnp.stack([getattr(end, name) for end in ends]) for name in names]
        if length is not None:
            last = [jnp.where(length > 0, a, jnp.zeros_like(a)) for a in last]
        return ys.reshape(len(xs), len(ends), -1), last

    ys, last = jax.vmap(one)(xs, h, c, lengths)
    if not batch_first:
        ys, last = jnp.moveaxis(ys, 0, 2), [jnp.swapaxes(a, 0, 1) for a in last]
    return tuple(np.asarray(array) for array in (ys, *last))
