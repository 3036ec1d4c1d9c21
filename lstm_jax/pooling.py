"""From the outputs of a whole sequence to one vector that a readout sees."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.attention import additive, attention_weights, dot_product, init_additive
from lstm_jax.cells.cell import require_positive
from lstm_jax.initial import uniform
from lstm_jax.types import Array
from lstm_jax.unroll import valid_steps

POOLINGS = ("last", "mean", "max", "dot", "additive")


class Pooling(NamedTuple):
    """One vector from the outputs ``[T, H]`` of a sequence.

    Attributes:
      name: which kind it is, one of `POOLINGS`.
      size: H.
      init: ``(key, init_range) -> params``, () where there are none. The range may be left out.
      apply: ``(params, ys[T, H], length=None) -> pooled[H]``. Steps after `length` reach neither
        the result nor a gradient, NaN included; of a sequence without a step the result is 0.
      weights: ``(params, ys[T, H], length=None) -> a[T]``, the share of each step; for looking at.
    """

    name: str
    size: int
    init: Callable[..., Any]
    apply: Callable[..., Array]
    weights: Callable[..., Array]


def pooling(name: str, size: int, *, attention_size: int = 32, backward_size: int = 0) -> Pooling:
    """A pooling by its name, over outputs of H numbers.

    "last": ``ys_length``. "mean": ``sum_t ys_t / length``. "max": the largest of each unit, unit
    by unit. "dot": ``dot_product`` with a learned query ``q``, ``e_t = q . ys_t / sqrt(H)``.
    "additive": ``e_t = v . tanh(u ys_t + b)`` (Bahdanau et al. 2015; Yang et al. 2016).

    Args:
      name: one of `POOLINGS`.
      size: H.
      attention_size: additive: units.
      backward_size: last: how many of the H numbers, the last ones, belong to cells that run
        backwards. Those have read the sequence at its first step, and are taken from there.

    Raises:
      ValueError: for an unknown name, a size below 1, or more backward numbers than numbers.

    Example:
      >>> pool = pooling("additive", 6)
      >>> params = pool.init(jax.random.key(0))
      >>> ys = jax.random.normal(jax.random.key(1), (5, 6))
      >>> pool.apply(params, ys, 3).shape, pool.weights(params, ys, 3)[3:].tolist()
      ((6,), [0.0, 0.0])
    """
    if name not in POOLINGS:
        raise ValueError(f"pooling: {name!r} is not one of {', '.join(POOLINGS)}")
    require_positive(size=size, attention_size=attention_size)
    if not 0 <= backward_size <= size:
        raise ValueError(f"pooling: backward_size {backward_size} is not within 0 .. {size}")
    init = {"dot": _init_query, "additive": _init_additive}.get(name, lambda *_: ())
    attend = {
        "last": lambda _, ys, valid: _last(ys, valid, backward_size),
        "mean": _mean,
        "max": _max,
        "dot": lambda query, ys, valid: dot_product(query, ys, ys, valid),
        "additive": lambda params, ys, valid: additive(params, None, ys, ys, valid),
    }[name]

    def fresh(key: Array, init_range: float | Array | None = None) -> Any:
        return init(key, size, attention_size, init_range)

    def apply(params: Any, ys: Array, length: Array | int | None = None) -> Array:
        return attend(params, ys, _valid(ys, length))[0]

    def weights(params: Any, ys: Array, length: Array | int | None = None) -> Array:
        return attend(params, ys, _valid(ys, length))[1]

    return Pooling(name, size, fresh, apply, weights)


def _valid(ys: Array, length: Array | int | None) -> Array:
    return valid_steps(ys.shape[0], ys.shape[0] if length is None else length)


def _init_query(key: Array, size: int, attention_size: int, init_range: Any) -> Array:
    del attention_size
    return uniform(key, size**-0.5 if init_range is None else init_range, [(size,)])[0]


def _init_additive(key: Array, size: int, attention_size: int, init_range: Any) -> Any:
    return init_additive(key, size, attention_size, init_range=init_range)


def _last(ys: Array, valid: Array, backward_size: int) -> tuple[Array, Array]:
    """The weights are the shares of numbers that are taken from each step."""
    steps = jnp.arange(ys.shape[0], dtype=jnp.int32)
    last = valid & (steps == valid.sum(dtype=jnp.int32) - 1)
    backward = jnp.arange(ys.shape[1], dtype=jnp.int32) >= ys.shape[1] - backward_size
    taken = jnp.where(backward[None], (valid & (steps == 0))[:, None], last[:, None])
    return jnp.where(taken, ys, jnp.zeros_like(ys)).sum(0), taken.astype(ys.dtype).mean(1)


def _mean(params: Any, ys: Array, valid: Array) -> tuple[Array, Array]:
    del params
    weights = attention_weights(jnp.zeros(ys.shape[:1], ys.dtype), valid)
    return weights @ jnp.where(valid[:, None], ys, jnp.zeros_like(ys)), weights


def _max(params: Any, ys: Array, valid: Array) -> tuple[Array, Array]:
    """The weights are the shares of units that have their maximum in each step."""
    del params
    if not ys.shape[0]:  # argmax has nothing to choose from
        return ys.sum(0), jnp.zeros(0, ys.dtype)
    lowest = jnp.full_like(ys, -jnp.inf)
    top = jnp.where(valid[:, None], ys, lowest)
    at = jax.nn.one_hot(jnp.argmax(top, axis=0), ys.shape[0], dtype=ys.dtype, axis=0)  # [T, H]
    kept = jnp.where((at > 0) & valid[:, None], ys, jnp.zeros_like(ys))
    return kept.sum(0), jnp.where(valid, at.mean(1), jnp.zeros(ys.shape[:1], ys.dtype))
