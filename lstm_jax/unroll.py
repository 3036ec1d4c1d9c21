"""A cell over a sequence, by `jax.lax.scan`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell
from lstm_jax.types import Array, Params, State


def is_symbols(inputs: Array) -> bool:
    """Whether inputs are whole numbers, each standing for a unit vector.

    Example:
      >>> is_symbols(jnp.array([2, 0], jnp.int32)), is_symbols(jnp.ones((2, 3)))
      (True, False)
    """
    return jnp.issubdtype(inputs.dtype, jnp.integer)


def as_vectors(inputs: Array, size: int) -> Array:
    """Symbols ``[T]`` as unit vectors ``[T, size]``; numbers ``[T, D]`` as they are.

    Trailing axes are kept.

    Example:
      >>> as_vectors(jnp.array([2, 0], jnp.int32), 3).tolist()
      [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    return jax.nn.one_hot(inputs, size, axis=1) if is_symbols(inputs) else inputs


def scan_until(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, stop: Array
) -> tuple[Any, Any]:
    """`jax.lax.scan` that takes the first `stop` of the T steps; what is stacked is zero after.

    For sequences whose bound is far above their length. Not for reverse-mode differentiation.

    Example:
      >>> def step(total, x):
      ...     return total + x, total
      >>> total, before = scan_until(step, jnp.float32(0), jnp.ones(4), jnp.int32(3))
      >>> float(total), before.tolist()
      (3.0, [0.0, 1.0, 2.0, 0.0])
    """

    def at(t: Array) -> Any:
        return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, t, keepdims=False), xs)

    num_steps = jax.tree.leaves(xs)[0].shape[0]
    _, shapes = jax.eval_shape(step, carry, at(jnp.int32(0)))
    stacked = jax.tree.map(lambda leaf: jnp.zeros((num_steps, *leaf.shape), leaf.dtype), shapes)

    def body(state: Any) -> Any:
        t, carry, stacked = state
        carry, out = step(carry, at(t))
        stacked = jax.tree.map(
            lambda whole, leaf: jax.lax.dynamic_update_index_in_dim(whole, leaf, t, 0),
            stacked,
            out,
        )
        return t + 1, carry, stacked

    begin = (jnp.int32(0), carry, stacked)
    _, carry, stacked = jax.lax.while_loop(lambda state: state[0] < stop, body, begin)
    return carry, stacked


def unroll(
    cell: Cell,
    params: Params,
    xs: Array,  # [T, D] or symbols [T]
    state: State | None = None,
    *,
    length: Array | int | None = None,
    reverse: bool = False,
) -> tuple[State, Array]:  # state, ys [T, H]
    """Runs `cell` over one sequence: ``state_t, y_t = step(params, state_tm1, x_t)``.

    Args:
      cell: any `Cell`.
      params: its weights.
      xs: the inputs ``[T, D]``, time-major, or symbols ``[T]``.
      state: what to start from; None is ``cell.initial_state()``.
      length: how many of the T steps are valid, 0 to T. Outputs after it are zero, the final
        state is that of the last valid step (for 0, the state given), and whatever the padding
        holds, NaN included, reaches neither outputs nor gradients.
      reverse: run from the last valid step to the first; outputs keep their positions.

    Returns:
      The final state and the outputs ``[T, H]``.

    Raises:
      ValueError: where `xs` is not ``[T, D]``, or for a `length` known to be outside 0 .. T.

    Example:
      >>> from lstm_jax import CELLS
      >>> cell = CELLS["lstm"](input_size=2, hidden_size=3)
      >>> params = cell.init(jax.random.key(0))
      >>> state, ys = unroll(cell, params, jnp.ones((5, 2)), length=3)
      >>> ys.shape, bool((ys[3:] == 0).all()), bool((state.h == ys[2]).all())
      ((5, 3), True, True)
    """
    xs = as_vectors(xs, cell.input_size)
    if xs.ndim != 2 or xs.shape[1] != cell.input_size:
        raise ValueError(
            f"unroll: inputs of shape {xs.shape} where (T, {cell.input_size}) is needed "
            "(one sequence, time first, no batch axis)"
        )
    if isinstance(length, int) and not 0 <= length <= xs.shape[0]:
        raise ValueError(f"unroll: length {length} is not within 0 .. {xs.shape[0]}")
    start = cell.initial_state() if state is None else state
    if length is None:
        return jax.lax.scan(
            lambda state, x: cell.step(params, state, x), start, xs, reverse=reverse
        )

    def masked(state: State, step: tuple[Array, Array]) -> tuple[State, Array]:
        x, valid = step
        # Zeroing x first keeps a NaN in the padding out of the backward pass as well, where
        # 0 * NaN would be NaN again.
        new, y = cell.step(params, state, jnp.where(valid, x, jnp.zeros_like(x)))
        keep = jax.tree.map(lambda new, old: jnp.where(valid, new, old), new, state)
        return keep, jnp.where(valid, y, jnp.zeros_like(y))

    valid = jnp.arange(xs.shape[0], dtype=jnp.int32) < jnp.asarray(length, jnp.int32)
    return jax.lax.scan(masked, start, (xs, valid), reverse=reverse)
