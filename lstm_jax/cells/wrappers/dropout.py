"""Dropout with one mask for a whole sequence; and what every kind of dropout is made of."""

import math

import jax.numpy as jnp

from lstm_jax import draws
from lstm_jax.cells.cell import Cell, Parts, from_parts
from lstm_jax.types import Array, Params, State


def variational_dropout(
    cell: Cell, key: Array | None, *, input_rate: float = 0.0, recurrent_rate: float = 0.0
) -> Cell:
    """The dropout of Gal & Ghahramani 2016: the same units are dropped at every time step.

    The masks, of the D inputs and of the outputs h that are fed back, are drawn here, once::

        project(x_t * m_x / (1 - input_rate)),    recur(h_tm1 * m_h / (1 - recurrent_rate))

    So one call draws for one sequence; a batch is a ``vmap`` over keys, with the wrapper and
    `unroll` inside. What a cell carries on is not masked: neither c, nor the h that a GRU mixes
    with its candidate. Nor is a product that has to wait for a gate of the same step (the
    candidates of mgu, mut1 to mut3, and of a gru that resets before), and a cell that feeds
    nothing back through weights (min_gru, min_lstm) has nothing to mask there.

    Args:
      cell: a cell with `Parts`.
      key: decides the masks; None, for evaluation, gives the cell back as it is.
      input_rate: the share of inputs that are dropped, in [0, 1).
      recurrent_rate: the share of h, likewise.

    Returns:
      A `Cell` with the params and the state of the cell given.

    Raises:
      ValueError: for a rate outside [0, 1), or a cell without parts.

    Example:
      >>> import jax
      >>> from lstm_jax import lstm, unroll
      >>> cell = lstm(2, 3)
      >>> params = cell.init(jax.random.key(0))
      >>> noisy = variational_dropout(cell, jax.random.key(1), recurrent_rate=0.5)
      >>> _, ys = unroll(noisy, params, jnp.ones((5, 2)))
      >>> ys.shape
      (5, 3)
    """
    require_rate("input_rate", input_rate)
    require_rate("recurrent_rate", recurrent_rate)
    parts = require_parts("variational_dropout", cell)
    if key is None:
        return cell
    key_x, key_h = draws.fold_in(key, 0), draws.fold_in(key, 1)

    def project(params: Params, x: Array) -> dict[str, Array]:
        return parts.project(params, dropped(key_x, input_rate, x))

    def recur(params: Params, state: State) -> dict[str, Array]:
        return parts.recur(params, state._replace(h=dropped(key_h, recurrent_rate, state.h)))

    return from_parts(
        Parts(project, recur, parts.combine),
        name=f"variational_dropout({cell.name})",
        input_size=cell.input_size,
        output_size=cell.output_size,
        init=cell.init,
        initial_state=cell.initial_state,
        truncate=cell.truncate,
    )


def dropped(key: Array, rate: float, x: Array) -> Array:
    """`x` with a share of its numbers set to zero, the others scaled by ``1 / (1 - rate)``.

    Example:
      >>> import jax
      >>> sorted(set(dropped(jax.random.key(0), 0.5, jnp.ones(20)).tolist()))
      [0.0, 2.0]
    """
    if rate == 0 or x.size == 0:
        return x
    keep = draws.uniform(key, math.prod(x.shape)).reshape(x.shape) >= rate
    return jnp.where(keep, x / (1 - rate), jnp.zeros_like(x))


def require_rate(name: str, rate: float) -> None:
    """Raises ``ValueError`` for a share that is not in [0, 1).

    Example:
      >>> require_rate("input_rate", 1.0)
      Traceback (most recent call last):
      ValueError: input_rate: 1.0 is not valid; it must be at least 0 and below 1
    """
    if isinstance(rate, bool) or not 0 <= rate < 1:
        raise ValueError(f"{name}: {rate!r} is not valid; it must be at least 0 and below 1")


def require_parts(wrapper: str, cell: Cell) -> Parts:
    """The cell's parts; ``ValueError`` where it has none.

    Example:
      >>> from lstm_jax import elman
      >>> require_parts("layer_norm", elman(2, 3)._replace(parts=None))
      Traceback (most recent call last):
      ValueError: layer_norm: the elman cell has no parts, so its gates cannot be taken hold of
    """
    if cell.parts is None:
        raise ValueError(
            f"{wrapper}: the {cell.name} cell has no parts, so its gates cannot be taken hold of"
        )
    return cell.parts
