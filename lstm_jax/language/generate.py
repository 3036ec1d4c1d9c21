"""Writing with a language model: one symbol after the other, at a temperature."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.language.model import Language
from lstm_jax.types import Array, Params

PIECE = 32  # symbols per call of the compiled program

Write = Callable[..., Iterator[np.ndarray]]


def draw_symbol(log_p: Array, key: Array, temperature: Array, top_k: Array) -> Array:
    """A symbol drawn from ``softmax(log p / temperature)`` over the `top_k` likeliest.

    By the Gumbel trick, ``argmax(log p + temperature * g)``: at temperature 0 it is the likeliest
    symbol itself, and just above 0 nearly always.

    Args:
      log_p: ``[V]``.
      key: decides g.
      temperature: at least 0; infinite: all `top_k` alike.
      top_k: 1 to V.

    Example:
      >>> log_p = jnp.log(jnp.array([0.2, 0.5, 0.3]))
      >>> int(draw_symbol(log_p, jax.random.key(0), jnp.float32(0), jnp.int32(3)))
      1
    """
    rank = jnp.argsort(jnp.argsort(-log_p))
    noise = jax.random.gumbel(key, log_p.shape, log_p.dtype)
    # Beyond 1e30 log p is lost in the rounding already, and infinite noises would tie.
    noise = jnp.minimum(temperature, 1e30) * noise
    return jnp.argmax(jnp.where(rank < top_k, log_p + noise, -jnp.inf))


def writer(model: Language) -> Write:
    """``write(params, seed, key, length, temperature, top_k=None) -> pieces``.

    `seed` is read first, one or more symbols. Then symbol n is drawn from the key folded with n,
    so the first symbols of a longer text are those of a shorter one. Pieces come as they are
    written, int32 arrays of at most 32 symbols.

    Example:
      >>> from lstm_jax import gru
      >>> from lstm_jax.language.model import language
      >>> from lstm_jax.structures import layer
      >>> model = language(5, layer(gru(5, 4)))
      >>> params = model.init(jax.random.key(0))
      >>> pieces = list(writer(model)(params, [2, 0], jax.random.key(1), 40, 1.0))
      >>> [len(piece) for piece in pieces]
      [32, 8]
    """

    @jax.jit
    def read(params: Params, symbols: Array) -> tuple[Any, Array]:
        state, log_p = model.apply(params, model.start(1), symbols[:, None], None)
        return state, log_p[-1, 0]

    @jax.jit
    def write_piece(
        params: Params, carry: Any, key: Array, start: Array, temperature: Array, top_k: Array
    ) -> tuple[Any, Array]:
        def step(carry: tuple[Any, Array], n: Array) -> tuple[tuple[Any, Array], Array]:
            state, log_p = carry
            symbol = draw_symbol(log_p, jax.random.fold_in(key, n), temperature, top_k)
            state, log_p = model.apply(params, state, symbol[None, None], None)
            return (state, log_p[0, 0]), symbol

        return jax.lax.scan(step, carry, start + jnp.arange(PIECE, dtype=jnp.int32))

    def write(
        params: Params,
        seed: Sequence[int] | np.ndarray,
        key: Array,
        length: int,
        temperature: float,
        top_k: int | None = None,
    ) -> Iterator[np.ndarray]:
        carry = read(params, jnp.asarray(seed, jnp.int32))
        how = jnp.float32(temperature), jnp.int32(top_k or model.num_symbols)
        for start in range(0, length, PIECE):
            carry, symbols = write_piece(params, carry, key, jnp.int32(start), *how)
            yield np.asarray(symbols)[: length - start]

    return write
