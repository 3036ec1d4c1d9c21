"""Values that the compiler is to compute once, and in their own layout."""

import jax
import jax.numpy as jnp

from lstm_jax.types import Array


def stored(values: Array) -> Array:
    """The same values, in memory: a loop that copies them row by row.

    XLA's CPU compiler computes a cheap producer again in each of its consumers, and in their
    layout. Random numbers are such a producer: a gather of 12 weights a symbol draws each symbol
    12 times, and with the lanes turned to the last axis their rounds no longer fill vectors. What
    goes into a loop is computed before it, and what comes out of one is there for all that read
    it. (`jax.lax.optimization_barrier` has no effect there.)

    Example:
      >>> stored(jnp.array([2, 0], jnp.int32)).tolist()
      [2, 0]
    """

    last = values.shape[0] - 1

    def copy(row: Array, copied: Array) -> Array:
        row = jnp.minimum(row, last)
        value = jax.lax.dynamic_index_in_dim(values, row, keepdims=False)
        return jax.lax.dynamic_update_index_in_dim(copied, value, row, 0)

    # Twice at least: a loop of one round is no loop to the compiler.
    rounds = jnp.int32(max(values.shape[0], 2))
    return jax.lax.fori_loop(jnp.int32(0), rounds, copy, jnp.zeros_like(values))
