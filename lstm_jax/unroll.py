"""A cell over a sequence, by `jax.lax.scan`."""

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell
from lstm_jax.types import Array, Params, State


def unroll(
    cell: Cell,
    params: Params,
    xs: Array,  # [T, D]
    state: State | None = None,
    *,
    length: Array | int | None = None,
    reverse: bool = False,
) -> tuple[State, Array]:  # state, ys [T, H]
    """Runs `cell` over one sequence: ``state_t, y_t = step(params, state_tm1, x_t)``.

    Args:
      cell: any `Cell`.
      params: its weights.
      xs: the inputs ``[T, D]``, time-major.
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
