"""The rectified net that starts from the identity (Le, Jaitly & Hinton 2015)."""

import jax.numpy as jnp

from lstm_jax.cells.cell import Cell, draw, require_positive
from lstm_jax.cells.elman import ElmanParams, ElmanSpec, simple
from lstm_jax.types import Array

SMALL = 0.001 * 3**0.5
"""The range of a uniform distribution with the paper's standard deviation, 0.001."""


def irnn(input_size: int, hidden_size: int, *, scale: float = 1.0) -> Cell:
    """Elman's net with rectified linear units, started as a memory (Le, Jaitly & Hinton 2015)::

        h_t = relu(w x_t + r h_tm1 + b)        r = scale * I,  b = 0  at the start

    Without input the fresh net keeps its state; the rest is `elman`.

    Args:
      input_size: D.
      hidden_size: H.
      scale: of the identity; below 1 the fresh net forgets (the paper has 0.01 for speech).

    The input weights start uniform with standard deviation 0.001 (in the paper Gaussian). The
    truncation stops h, which is all of the state: its self-connections are weights as others are.

    Returns:
      A `Cell` with `ElmanParams`, `ElmanState` and `ElmanSpec`.

    Raises:
      ValueError: for a size below 1 or an input of the wrong shape.

    Example:
      >>> import jax
      >>> cell = irnn(input_size=2, hidden_size=2)
      >>> params = cell.init(jax.random.key(0))
      >>> params.r.tolist(), bool(abs(params.w).max() < 0.002)
      ([[1.0, 0.0], [0.0, 1.0]], True)
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key: Array, init_range: float | Array = SMALL) -> ElmanParams:
        weights = draw(key, init_range, {"w": (hidden_size, input_size)})
        return ElmanParams(**weights, r=scale * jnp.eye(hidden_size), b=jnp.zeros(hidden_size))

    return simple("irnn", input_size, hidden_size, init, ElmanSpec("relu", True))
