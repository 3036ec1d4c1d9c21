"""A step of a loop over one sequence, with its padding and its resets."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.types import Array, State


class Inputs(NamedTuple):
    """What a step gets beside the state; ``[T, ..]`` for a whole sequence."""

    x: Array  # [D]
    valid: Array | None  # [] bool; None: all are
    reset: Array | None  # [] bool; None: none is


def choose(which: Array, yes: Any, no: Any) -> Any:
    """Leaf by leaf `yes` where the truth value `which` holds, else `no`.

    Example:
      >>> choose(jnp.array(True), {"t": jnp.int32(2)}, {"t": jnp.int32(7)})["t"].tolist()
      2
    """
    return jax.tree.map(lambda y, n: jnp.where(which, y, n), yes, no)


def masked(
    advance: Callable[[State, Array], tuple[State, Array]], fresh: State
) -> Callable[[State, Inputs], tuple[State, Array]]:
    """``(state, inputs) -> (state, y)`` of a cell's own ``(state, x) -> (state, y)``.

    Args:
      advance: one step of a cell.
      fresh: the state after a reset.

    Example:
      >>> step = masked(lambda total, x: (total + x, total + x), jnp.float32(0))
      >>> padding = Inputs(jnp.float32(jnp.nan), jnp.array(False), None)
      >>> [float(number) for number in step(jnp.float32(2), padding)]
      [2.0, 0.0]
    """

    def step(state: State, now: Inputs) -> tuple[State, Array]:
        begin = state if now.reset is None else choose(now.reset, fresh, state)
        if now.valid is None:
            return advance(begin, now.x)
        # Zeroing x first keeps a NaN in the padding out of the backward pass as well, where
        # 0 * NaN would be NaN again.
        new, y = advance(begin, jnp.where(now.valid, now.x, jnp.zeros_like(now.x)))
        nothing = jax.tree.map(jnp.zeros_like, y)  # a step that is recorded gives more than y
        return choose(now.valid, new, state), choose(now.valid, y, nothing)

    return step
