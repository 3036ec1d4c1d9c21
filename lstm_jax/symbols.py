"""Symbols: whole numbers that stand for unit vectors, in whatever type they are stored."""

import jax.numpy as jnp

from lstm_jax.types import Array


def countable(symbols: Array) -> Array:
    """The same whole numbers in a type that can count all symbols: int32, or a wider one as it is.

    A narrow one cannot hold the number of symbols where that is 256, say, and 256 compared with
    or written into uint8 is 0.

    Example:
      >>> countable(jnp.array([2, 255], jnp.uint8)).dtype.name
      'int32'
    """
    return symbols.astype(jnp.int32) if jnp.iinfo(symbols.dtype).bits < 32 else symbols
