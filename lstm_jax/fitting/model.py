"""What is fitted to a data set: a model as pure functions, and the means it reports."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from lstm_jax.types import Array, Params


class Mean(NamedTuple):
    """A mean over examples or time steps as a sum and the weight it stands for.

    Sums add up over batches of different sizes, means do not.
    """

    total: Array  # sum of value * weight
    weight: Array  # sum of weights

    def __call__(self) -> float:
        """The mean; NaN where there was nothing to average.

        Example:
          >>> Mean(jnp.float32(6.0), jnp.float32(4.0))()
          1.5
        """
        return float(self.total) / float(self.weight) if float(self.weight) else float("nan")


Metrics = dict[str, Mean]


class Model(NamedTuple):
    """A model that is fitted to batches; pure functions, as everything before the loop.

    Unlike a `Cell` it is written for a whole batch: how examples are batched, masked and padded
    is the model's own matter. Whatever it runs over time is a `jax.vmap` inside.

    Attributes:
      init: ``(key, init_range) -> params``; fresh weights. The range may be left out.
      start: ``batch -> carry``; what enters the first batch of a pass over the data (of which
        only the shapes matter). ``()`` where nothing is handed from batch to batch.
      loss: ``(params, carry, batch, key) -> (loss, (carry, metrics))``; the scalar that training
        descends, what is handed on, and `Metrics`. The key is for dropout and noise.
      evaluate: ``(params, carry, batch) -> (carry, metrics)``; nothing is drawn. Its metric
        "loss" decides which epoch is the best.
    """

    init: Callable[..., Params]
    start: Callable[[Any], Any]
    loss: Callable[[Params, Any, Any, Array], tuple[Array, tuple[Any, Metrics]]]
    evaluate: Callable[[Params, Any, Any], tuple[Any, Metrics]]


def mean_of(values: Array, weight: Array | None = None) -> Mean:
    """The mean of an array, each number with its weight.

    Args:
      values: numbers of any shape.
      weight: of the same shape, 0 for padding; None: all 1. What a 0 stands on may be anything.

    Example:
      >>> mean_of(jnp.array([1.0, 3.0, jnp.nan]), jnp.array([1.0, 1.0, 0.0]))()
      2.0
    """
    if weight is None:
        return Mean(values.sum(), jnp.asarray(values.size, values.dtype))
    kept = jnp.where(weight > 0, values, jnp.zeros_like(values))
    return Mean((kept * weight).sum(), weight.sum())
