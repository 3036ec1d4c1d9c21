"""The next frame of a piano roll: its likelihood, and how frames and pieces are averaged.

A frame says which of K pitches sound; every pitch is an output unit of its own with a logistic
squasher, independent of the others given the past (Boulanger-Lewandowski et al. 2012).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lstm_jax.types import Array, Params
from lstm_jax.unroll import valid_steps

NUM_PITCHES = 88
"""The keys of a piano: MIDI pitches 21 to 108."""


class Likelihood(NamedTuple):
    """Negative log-likelihoods in nats and the frames that were predicted, piece by piece."""

    nll: np.ndarray  # [N]
    frames: np.ndarray  # [N]

    @property
    def per_frame(self) -> float:
        """The sum over all frames of all pieces over their number: a long piece counts more.

        So does the code of Bai et al. 2018; it is the figure that is compared and selected by.
        """
        return float(self.nll.sum() / self.frames.sum())

    @property
    def per_piece(self) -> float:
        """The mean over pieces of each one's mean over its frames: all pieces count the same.

        Example:
          >>> likelihood = Likelihood(np.array([8.0, 30.0]), np.array([1, 3]))
          >>> likelihood.per_frame, likelihood.per_piece
          (9.5, 9.0)
        """
        there = self.frames > 0
        return float((self.nll[there] / self.frames[there]).mean())


def frame_nll(net: Array, frames: Array) -> Array:
    """``-sum_k log p(frame_k)``, ``p(1) = s(net_k)``, of each frame, in nats.

    Args:
      net: net inputs of the output units, ``[T, K]``.
      frames: what sounded, 0 or 1, ``[T, K]``.

    Returns:
      ``[T]``.

    Example:
      >>> frame_nll(jnp.zeros((1, 2)), jnp.array([[0.0, 1.0]])).tolist()  # 2 log 2
      [1.386...]
    """
    return optax.sigmoid_binary_cross_entropy(net, frames).sum(axis=-1)


def next_frames(roll: Array, length: Array) -> tuple[Array, Array, Array]:
    """Inputs, targets and which targets are frames of the piece.

    A piece of n frames has n - 1 predictions: frame t + 1 from frames 0 to t. Nothing is asked of
    the first frame, as in the code of Bai et al. 2018.

    Args:
      roll: ``[T, K]``, anything past the length.
      length: n.

    Returns:
      ``[T - 1, K]``, ``[T - 1, K]`` and truth values ``[T - 1]``.

    Example:
      >>> xs, ys, valid = next_frames(jnp.eye(4), jnp.int32(3))
      >>> xs.shape, bool((ys[0] == xs[1]).all()), valid.tolist()
      ((3, 4), True, [True, True, False])
    """
    frames = roll.astype(jnp.float32)
    return frames[:-1], frames[1:], valid_steps(roll.shape[0] - 1, length - 1)


def piece_nll(net_of: Callable[[Params, Array], Array]) -> Callable[..., tuple[Array, Array]]:
    """``(params, roll[T, K], length) -> (nll, frames)``, both summed over one piece.

    Args:
      net_of: ``(params, xs[T, K]) -> net[T, K]``, the network from its first step on.
    """

    def of_piece(params: Params, roll: Array, length: Array) -> tuple[Array, Array]:
        xs, ys, valid = next_frames(roll, length)
        return jnp.where(valid, frame_nll(net_of(params, xs), ys), 0.0).sum(), valid.sum()

    return of_piece


def likelihood_of(
    net_of: Callable[[Params, Array], Array],
) -> Callable[[Params, Array, Array], Likelihood]:
    """``(params, notes[N, T, K], lengths[N]) -> Likelihood``; compiled once for each shape."""
    pieces = jax.jit(jax.vmap(piece_nll(net_of), in_axes=(None, 0, 0)))

    def run(params: Params, notes: Array, lengths: Array) -> Likelihood:
        nll, frames = pieces(params, jnp.asarray(notes), jnp.asarray(lengths, jnp.int32))
        return Likelihood(np.asarray(nll, np.float64), np.asarray(frames))

    return run
