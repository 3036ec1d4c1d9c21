"""New music from a model: frame after frame, each key by its own coin."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.music.model import Music, MusicParams
from lstm_jax.types import Array


def sample_piece(
    model: Music,
    params: MusicParams,
    key: Array,
    beginning: Array,
    length: int,
    temperature: float = 1.0,
) -> Array:
    """A piece that begins with given frames and goes on as the model would have it.

    Key k sounds in the next frame with the probability ``s(net_k / temperature)``. Below 1 the
    likely becomes more likely; above 1 all keys go towards one half, and a keyboard has many.

    Args:
      model: of pieces.
      params: its weights.
      key: a PRNG key.
      beginning: ``[P, K]``, P >= 1; what the model hears first.
      length: frames of the whole piece, at least P.
      temperature: positive.

    Returns:
      ``[length, K]``, 0 or 1; the beginning first.

    Raises:
      ValueError: without a beginning, for a length below it, or a temperature that is not
        positive.

    Example:
      >>> from lstm_jax import lstm
      >>> from lstm_jax.music.model import music
      >>> from lstm_jax.structures import layer
      >>> model = music(layer(lstm(88, 5)))
      >>> params = model.init(jax.random.key(0))
      >>> piece = sample_piece(model, params, jax.random.key(1), jnp.zeros((1, 88)), 6)
      >>> piece.shape, bool(((piece == 0) | (piece == 1)).all())
      ((6, 88), True)
    """
    given = beginning.shape[0]
    if given < 1 or length < given:
        raise ValueError(f"sample_piece: {length} frames, of which {given} are given; at least 1")
    if not temperature > 0:
        raise ValueError(f"sample_piece: a temperature of {temperature}; it must be positive")
    frames = jnp.asarray(beginning, params.v.dtype)
    state, hs = model.structure.apply(params.layers, frames)

    def step(carry: Any, t: Array) -> tuple[Any, Array]:
        state, h = carry
        net = params.v @ h + params.b
        coins = jax.random.uniform(jax.random.fold_in(key, t), net.shape, net.dtype)
        frame = (coins < jax.nn.sigmoid(net / temperature)).astype(net.dtype)
        state, hs = model.structure.apply(params.layers, frame[None], state)
        return (state, hs[0]), frame

    times = jnp.arange(given, length, dtype=jnp.int32)  # each frame has its own coins
    _, drawn = jax.lax.scan(step, (state, hs[-1]), times)
    return jnp.concatenate([frames, drawn])
