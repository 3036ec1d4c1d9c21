"""A loop over a sequence cut into segments, each computed again on the way back."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.types import Array, Params, State


def in_segments(
    run: Callable[[Params, State, Any], tuple[State, Array]],
    params: Params,
    start: State,
    inputs: Any,
    *,
    size: int,
    reverse: bool,
) -> tuple[State, Array]:
    """``run(params, start, inputs)``, differentiated with little memory.

    Only the states between segments are kept; on the way back each segment is run once more
    (Chen et al. 2016; Gruslys et al. 2016). For ``size`` about sqrt(T) that is 2 sqrt(T) steps'
    worth of memory in place of T, for one more forward run.

    Args:
      run: the loop over any number of steps, reverse or not as here.
      inputs: a pytree of ``[T, ..]``.
      size: steps a segment; those left over make a shorter one.

    Example:
      >>> def run(w, total, xs):
      ...     return jax.lax.scan(lambda t, x: (t + w * x, t), total, xs)
      >>> zero, one = jnp.float32(0), jnp.float32(1)
      >>> end, ys = in_segments(run, one, zero, jnp.ones(5), size=2, reverse=False)
      >>> float(end), ys.tolist()
      (5.0, [0.0, 1.0, 2.0, 3.0, 4.0])
    """
    num_steps = jax.tree.leaves(inputs)[0].shape[0]
    even = num_steps - num_steps % size
    segment = jax.checkpoint(run, prevent_cse=False)

    def many(state: State) -> tuple[State, Array]:
        cut = jax.tree.map(lambda a: a[:even].reshape(-1, size, *a.shape[1:]), inputs)
        state, ys = jax.lax.scan(
            lambda s, now: segment(params, s, now), state, cut, reverse=reverse
        )
        return state, jax.tree.map(lambda y: y.reshape(even, *y.shape[2:]), ys)

    def rest(state: State) -> tuple[State, Array]:
        return segment(params, state, jax.tree.map(lambda a: a[even:], inputs))

    if even == num_steps:
        return many(start)
    if reverse:  # what is last in time comes first
        state, late = rest(start)
        state, early = many(state)
    else:
        state, early = many(start)
        state, late = rest(state)
    return state, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), early, late)


def segment_size(checkpoint: bool | int, num_steps: int) -> int | None:
    """Steps a segment: about sqrt(T) for True, None for False, else the number given.

    Raises:
      ValueError: for a number below 1.

    Example:
      >>> segment_size(True, 10_000), segment_size(False, 7), segment_size(25, 7)
      (100, None, 25)
    """
    if isinstance(checkpoint, bool):
        return max(1, math.isqrt(num_steps)) if checkpoint else None
    if checkpoint < 1:
        raise ValueError(
            f"checkpoint: {checkpoint} is not valid; it must be True, False or a number of steps "
            ">= 1"
        )
    return checkpoint
