"""Two cells over one sequence, one in each direction."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell
from lstm_jax.structures.layer import fresh, layer
from lstm_jax.types import Array, Params, State
from lstm_jax.unroll import Structure, require_sequence

MERGES: dict[str, Callable[[Array, Array], Array]] = {
    "concat": lambda forward, backward: jnp.concatenate([forward, backward], axis=1),
    "sum": lambda forward, backward: forward + backward,
    "mean": lambda forward, backward: (forward + backward) / 2,
    "mul": lambda forward, backward: forward * backward,
}


class BidirectionalParams(NamedTuple):
    """The weights of the cell that runs forwards and of the one that runs backwards."""

    forward: Params
    backward: Params


class BidirectionalState(NamedTuple):
    """Their states: forwards that of the last valid step, backwards that of the first step."""

    forward: State
    backward: State


class BidirectionalSpec(NamedTuple):
    """What a bidirectional structure is made of."""

    forward: Cell
    backward: Cell
    merge: str


def bidirectional(forward: Cell, backward: Cell, *, merge: str = "concat") -> Structure:
    """The bidirectional net of Schuster & Paliwal 1997: ``y_t = merge(forward y_t, backward y_t)``.

    Args:
      forward: the cell that runs from the first step to the last.
      backward: the one that runs from the last valid step to the first; of any kind.
      merge: "concat" puts the outputs of the two side by side, forward first; "sum", "mean" and
        "mul" (their product) take them unit by unit.

    Returns:
      A `Structure` with `BidirectionalParams` and `BidirectionalState`; its outputs are
      ``[T, Hf + Hb]`` for "concat", else ``[T, H]``. Resets say where new sequences begin,
      for both directions.

    Raises:
      ValueError: for an unknown merge, or cells whose sizes do not go together.

    Example:
      >>> from lstm_jax.cells import elman, lstm
      >>> both = bidirectional(lstm(2, 3), elman(2, 4))
      >>> params = both.init(jax.random.key(0))
      >>> state, ys = both.apply(params, jnp.ones((5, 2)))
      >>> ys.shape, bool((ys[0, 3:] == state.backward.h).all())
      ((5, 7), True)
    """
    if merge not in MERGES:
        raise ValueError(f"merge: {merge!r} is not one of {', '.join(MERGES)}")
    if forward.input_size != backward.input_size:
        raise ValueError(
            f"bidirectional: the forward cell takes {forward.input_size} inputs, the backward "
            f"cell {backward.input_size}; they see the same ones"
        )
    if merge != "concat" and forward.output_size != backward.output_size:
        raise ValueError(
            f"bidirectional: merge {merge!r} of {forward.output_size} forward and "
            f"{backward.output_size} backward outputs; the numbers must be equal"
        )
    sizes = forward.output_size, backward.output_size
    onwards, back = layer(forward), layer(backward, reverse=True)

    def init(key: Array, init_range: float | Array | None = None) -> BidirectionalParams:
        key_forward, key_backward = jax.random.split(key)
        return BidirectionalParams(
            forward=fresh(forward, key_forward, init_range),
            backward=fresh(backward, key_backward, init_range),
        )

    def initial_state() -> BidirectionalState:
        return BidirectionalState(forward.initial_state(), backward.initial_state())

    def apply(
        params: BidirectionalParams,
        xs: Array,
        state: BidirectionalState | None = None,
        *,
        length: Array | int | None = None,
        resets: Array | None = None,
        key: Array | None = None,
        **loop: Any,  # kernel, checkpoint: see `unroll`
    ) -> tuple[BidirectionalState, Array]:
        del key  # nothing is drawn
        xs = require_sequence("bidirectional", xs, forward.input_size, length, resets)
        start = initial_state() if state is None else state
        how: dict[str, Any] = {"length": length, "resets": resets} | loop
        state_f, ys_f = onwards.apply(params.forward, xs, start.forward, **how)
        state_b, ys_b = back.apply(params.backward, xs, start.backward, **how)
        return BidirectionalState(state_f, state_b), MERGES[merge](ys_f, ys_b)

    return Structure(
        "bidirectional",
        forward.input_size,
        sum(sizes) if merge == "concat" else sizes[0],
        init,
        initial_state,
        apply,
        BidirectionalSpec(forward, backward, merge),
    )
