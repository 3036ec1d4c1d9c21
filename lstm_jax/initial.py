"""Fresh weights."""

import math
from collections.abc import Sequence

import jax.numpy as jnp

from lstm_jax import draws
from lstm_jax.types import Array


def uniform(
    key: Array, init_range: float | Array, shapes: Sequence[tuple[int, ...]]
) -> list[Array]:
    """Arrays of the given shapes, uniform in ``[-init_range, init_range]``, from one draw.

    One draw cut into pieces: a draw for each array makes a program that XLA compiles for
    seconds. The numbers are drawn in float32 whatever the default dtype, in which they come: the
    same key gives the same net under ``jax.enable_x64``.

    Example:
      >>> import jax
      >>> w, b = uniform(jax.random.key(0), 0.1, [(3, 2), (3,)])
      >>> w.shape, b.shape, bool(abs(w).max() <= 0.1)
      ((3, 2), (3,), True)
    """
    sizes = [math.prod(shape) for shape in shapes]
    dtype = jnp.result_type(float)
    drawn = (2 * draws.uniform(key, sum(sizes)) - 1).astype(dtype)
    draw = jnp.asarray(init_range, dtype) * drawn
    arrays, start = [], 0
    for shape, size in zip(shapes, sizes, strict=True):
        arrays.append(draw[start : start + size].reshape(shape))
        start += size
    return arrays
