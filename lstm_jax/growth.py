"""Sequential construction: training starts without the memory cells, which are added later.

In Experiments 2a and 2b of the 1997 paper the memory cell and its gate join the net once the
error has stopped decreasing. The paper gives no rule for "stopped"; this one compares the means
of successive windows.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.network import NetworkParams
from lstm_jax.types import Array


class Growth(NamedTuple):
    """When the cells are added: the mean error of a window of training sequences is no longer
    below ``1 - decrease`` times that of the window before."""

    window: int
    decrease: float


class GrowthState(NamedTuple):
    """Where the error stands, and the output weights that wait for the cells."""

    sum: Array  # [] of the errors in the window so far
    num: Array  # [] int32, how many they are
    previous: Array  # [] mean of the window before
    grown_at: Array  # [] int32, training sequences before the cells were added; -1: not yet
    waiting: Array  # [K, C]


def growth(window: int, decrease: float) -> Growth:
    """A `Growth` with its values checked.

    Raises:
      ValueError: for a window below 1 or a decrease outside [0, 1).

    Example:
      >>> growth(100, 0.05).window
      100
    """
    if window < 1:
        raise ValueError(f"window: {window!r} is not valid; it must be a whole number >= 1")
    if not 0 <= decrease < 1:
        raise ValueError(f"decrease: {decrease!r} is not valid; it must be in [0, 1)")
    return Growth(window, decrease)


def begin(params: NetworkParams, num_cells: int) -> tuple[NetworkParams, GrowthState]:
    """The net without its cells: their output weights are zero, and wait in the state."""
    v = params.readout.v
    state = GrowthState(
        sum=jnp.float32(0),
        num=jnp.int32(0),
        previous=jnp.float32(jnp.inf),
        grown_at=jnp.int32(-1),
        waiting=v[:, :num_cells],
    )
    return _with_output_weights(params, jnp.zeros_like(state.waiting)), state


def hold(grads: NetworkParams, state: GrowthState) -> NetworkParams:
    """The gradients, none for the output weights of cells that are not there yet.

    With zero output weights no error reaches the cells, so nothing else of theirs moves.
    """
    num_cells = state.waiting.shape[1]
    kept = jnp.where(state.grown_at >= 0, grads.readout.v[:, :num_cells], 0.0)
    return _with_output_weights(grads, kept)


def grow(
    growth: Growth, params: NetworkParams, state: GrowthState, error: Array, sequences: Array
) -> tuple[NetworkParams, GrowthState]:
    """Counts one training sequence's error, and adds the cells when it has stopped decreasing."""
    total, num = state.sum + error, state.num + 1
    full = num >= growth.window
    mean = total / growth.window
    now = full & (state.grown_at < 0) & ~(mean < (1 - growth.decrease) * state.previous)
    v = params.readout.v[:, : state.waiting.shape[1]]
    new = GrowthState(
        sum=jnp.where(full, 0.0, total),
        num=jnp.where(full, 0, num),
        previous=jnp.where(full, mean, state.previous),
        grown_at=jnp.where(now, sequences, state.grown_at),
        waiting=state.waiting,
    )
    return _with_output_weights(params, jnp.where(now, state.waiting, v)), new


def _with_output_weights(params: NetworkParams, v: Array) -> NetworkParams:
    # Written in place: a concatenation of 10,000 weights costs as much as their update.
    whole = jax.lax.dynamic_update_slice(params.readout.v, v, (0, 0))
    return params._replace(readout=params.readout._replace(v=whole))
