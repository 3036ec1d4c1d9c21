"""Random numbers, bit for bit those of `jax.random`, in a form that fills vector registers.

Keys may have an axis of lanes, and the numbers then have it last.

JAX compiles threefry on the CPU as a loop over its rounds, which spares compile time and leaves
it scalar: for a tiny network the numbers then cost as much as the training. Here the rounds
stand one after the other. The algorithm is Threefry-2x32-20 (Salmon et al. 2011).
"""

import jax
import jax.numpy as jnp

from lstm_jax.stored import stored
from lstm_jax.types import Array

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def uniform(key: Array, num: int) -> Array:
    """`num` numbers uniform in [0, 1): those of ``jax.random.uniform(key, (num,))``.

    Args:
      key: a threefry key, or its data ``[2]`` uint32; or L keys, or their data ``[2, L]``.
      num: how many, at least 1.

    Returns:
      ``[num]``, or ``[num, L]`` in memory (`stored`).

    Example:
      >>> key = jax.random.key(7, impl="threefry2x32")
      >>> bool((uniform(key, 5) == jax.random.uniform(key, (5,))).all())
      True
    """
    key = _data(key)
    counts = jnp.arange(num, dtype=jnp.uint32).reshape(num, *[1] * (key.ndim - 1))
    high, low = _threefry(key[0][None], key[1][None], jnp.zeros_like(counts), counts)
    # 23 random bits after the point of a float32 in [1, 2).
    one_to_two = ((high ^ low) >> 9) | jnp.uint32(0x3F800000)
    numbers = jax.lax.bitcast_convert_type(one_to_two, jnp.float32) - 1
    return stored(numbers) if numbers.ndim > 1 else numbers


def fold_in(key: Array, number: Array | int) -> Array:
    """The data ``[2]`` of ``jax.random.fold_in(key, number)``.

    Args:
      key: a threefry key, or its data ``[2]`` uint32; or L keys, or their data ``[2, L]``.
      number: a whole number, 0 to 2^32 - 1, or one for each lane.

    Example:
      >>> key = jax.random.key(7, impl="threefry2x32")
      >>> same = jax.random.key_data(jax.random.fold_in(key, 3))
      >>> bool((fold_in(key, 3) == same).all())
      True
    """
    key = _data(key)
    number = jnp.broadcast_to(jnp.asarray(number).astype(jnp.uint32), key.shape[1:])
    return jnp.stack(_threefry(key[0], key[1], jnp.zeros_like(number), number))


def wrap(data: Array) -> Array:
    """The threefry key of data ``[2]``, or the L keys of data ``[2, L]``.

    The implementation is named so that a user's default generator changes no result.

    Example:
      >>> data = fold_in(jax.random.key(7, impl="threefry2x32"), 3)
      >>> bool(jax.random.uniform(wrap(data)) == uniform(data, 1)[0])
      True
    """
    return jax.random.wrap_key_data(jnp.moveaxis(data, 0, -1), impl="threefry2x32")


def _data(key: Array) -> Array:
    if not hasattr(key, "dtype"):
        raise ValueError(f"key: {key!r} is no key of JAX, such as jax.random.key(0)")
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    return jnp.moveaxis(jax.random.key_data(key), -1, 0)


def _threefry(k0: Array, k1: Array, x0: Array, x1: Array) -> tuple[Array, Array]:
    keys = (k0, k1, k0 ^ k1 ^ jnp.uint32(_PARITY))
    x0, x1 = x0 + keys[0], x1 + keys[1]
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = (x1 << distance) | (x1 >> (32 - distance))
            x1 = x0 ^ x1
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + jnp.uint32(group + 1)
    return x0, x1
