"""The model of a piece: layers over its frames, a logistic output unit for each key."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax import draws
from lstm_jax.cells.wrappers.dropout import dropped, require_rate
from lstm_jax.fitting.model import Mean, Metrics, Model
from lstm_jax.initial import uniform
from lstm_jax.music.frames import frame_nll, next_frames
from lstm_jax.types import Array, Params
from lstm_jax.unroll import Structure


class MusicParams(NamedTuple):
    """The weights of the layers and of the K output units over H outputs."""

    layers: Params
    v: Array  # [K, H]
    b: Array  # [K]


class Music(NamedTuple):
    """A model of pieces.

    Attributes:
      structure: the layers over time.
      init: ``(key, init_range) -> MusicParams``. The range may be left out.
      net: ``(params, xs[T, K], key) -> net[T, K]``; the net input of each key in the next frame.
        The key is for dropout; None: there is none.
    """

    structure: Structure
    init: Callable[..., MusicParams]
    net: Callable[..., Array]


def music(structure: Structure, *, dropout: float = 0.0, input_dropout: float = 0.0) -> Music:
    """``p(frame_t+1,k = 1 | frames 0 .. t) = s(v_k h_t + b_k)``, ``h = structure(frames)``.

    Args:
      structure: layers that run forwards over frames of K keys.
      dropout: the share of the last layer's outputs that training sets to zero; between layers
        it is the structure's own.
      input_dropout: the share of the inputs, likewise.

    Raises:
      ValueError: for rates outside [0, 1).

    Example:
      >>> from lstm_jax import lstm
      >>> from lstm_jax.structures import layer
      >>> model = music(layer(lstm(88, 5)))
      >>> params = model.init(jax.random.key(0))
      >>> model.net(params, jnp.zeros((7, 88))).shape
      (7, 88)
    """
    require_rate("dropout", dropout)
    require_rate("input_dropout", input_dropout)
    num_keys, hidden = structure.input_size, structure.output_size

    def init(key: Array, init_range: float | None = None) -> MusicParams:
        key_layers, key_out = jax.random.split(key)
        given = () if init_range is None else (init_range,)
        (v,) = uniform(key_out, init_range or hidden**-0.5, [(num_keys, hidden)])
        return MusicParams(structure.init(key_layers, *given), v, jnp.zeros(num_keys, v.dtype))

    def net(params: MusicParams, xs: Array, key: Array | None = None) -> Array:
        if key is not None:
            xs = dropped(draws.fold_in(key, 0), input_dropout, xs)
        inner = None if key is None else draws.wrap(draws.fold_in(key, 1))
        _, hs = structure.apply(params.layers, xs, key=inner)
        if key is not None:
            hs = dropped(draws.fold_in(key, 2), dropout, hs)
        return hs @ params.v.T + params.b[None, :]

    return Music(structure, init, net)


def piece_model(model: Music, *, noise: float = 0.0, transpose: int = 0) -> Model:
    """What is fitted to batches of pieces: the negative log-likelihood per frame.

    Args:
      model: of one piece.
      noise: standard deviation of what training adds to the inputs.
      transpose: training shifts each piece by -transpose .. transpose semitones, drawn anew each
        time; the keyboard must have room for it.

    Returns:
      A `Model` of batches ``((notes[B, T, K], lengths[B]), weight[B])`` as `fitting.shuffled` and
      `fitting.in_order` make them. Its loss is the sum over the frames that are predicted over
      their number.
    """

    def measured(params: MusicParams, batch: Any, key: Array | None) -> Metrics:
        (notes, lengths), weight = batch
        keys = None if key is None else jax.random.split(key, lengths.shape[0])

        def piece(roll: Array, length: Array, key: Array | None) -> tuple[Array, Array]:
            if key is not None and transpose:
                own = jax.random.fold_in(key, 1)
                shift = jax.random.randint(own, (), -transpose, transpose + 1)
                roll = jnp.roll(roll, shift, axis=1)
            xs, ys, valid = next_frames(roll, length)
            if key is not None and noise:
                xs = xs + noise * jax.random.normal(jax.random.fold_in(key, 2), xs.shape)
            nll = frame_nll(model.net(params, xs, key), ys)
            return jnp.where(valid, nll, 0.0).sum(), valid.sum()

        nll, frames = jax.vmap(piece)(notes, lengths, keys)
        frames = frames.astype(nll.dtype)
        return {"loss": Mean((nll * weight).sum(), (frames * weight).sum())}

    def loss(
        params: MusicParams, carry: Any, batch: Any, key: Array
    ) -> tuple[Array, tuple[Any, Metrics]]:
        found = measured(params, batch, key)
        mean = found["loss"]
        return mean.total / jnp.maximum(mean.weight, 1.0), (carry, found)

    def evaluate(params: MusicParams, carry: Any, batch: Any) -> tuple[Any, Metrics]:
        return carry, measured(params, batch, None)

    return Model(model.init, lambda batch: (), loss, evaluate)
