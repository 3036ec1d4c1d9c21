"""A class for each sequence: words or signals, a structure over them, a pooling, a softmax."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax import draws
from lstm_jax.cells.wrappers.dropout import dropped, require_rate
from lstm_jax.initial import uniform
from lstm_jax.pooling import Pooling
from lstm_jax.readout import ReadoutParams, readout
from lstm_jax.symbols import countable
from lstm_jax.types import Array, Params
from lstm_jax.unroll import Structure

UNKNOWN = 0
"""The number of the word that stands for every unknown one."""


class ClassifierParams(NamedTuple):
    """The weights of a classifier; `embedding` is None where inputs are numbers."""

    embedding: Array | None  # [W, D]
    structure: Params
    pooling: Any
    readout: ReadoutParams


class Classifier(NamedTuple):
    """A net that names the class of a sequence.

    Attributes:
      structure: the layers over time.
      init: ``(key, init_range=None) -> ClassifierParams``.
      logits: ``(params, inputs, length=None, key=None) -> [K]``, before the softmax. `inputs` are
        words ``[T]`` or numbers ``[T, D]``; with a key, the dropouts are drawn from it.
      weights: ``(params, inputs, length=None) -> [T]``, the share of each step in the pooling.
    """

    structure: Structure
    init: Callable[..., ClassifierParams]
    logits: Callable[..., Array]
    weights: Callable[..., Array]


def classifier(
    structure: Structure,
    pooling: Pooling,
    num_classes: int,
    *,
    num_words: int = 0,
    dropout: float = 0.0,
    word_dropout: float = 0.0,
) -> Classifier:
    """``y = softmax(v pool(structure(x)) + b)``, one distribution over K classes a sequence.

    Args:
      structure: D inputs to H outputs; its own dropouts are drawn as well.
      pooling: of H numbers.
      num_classes: K.
      num_words: W; the inputs are then words, 0 to W - 1, each a learned vector of D numbers.
        0: the inputs are numbers ``[T, D]``.
      dropout: the share of the structure's inputs, and of the pooled numbers, that training sets
        to zero, the others scaled by ``1 / (1 - dropout)``.
      word_dropout: the share of words that training takes for unknown (word `UNKNOWN`), so that
        this one is learned.

    Raises:
      ValueError: where sizes do not fit, or a rate is not within [0, 1).

    Example:
      >>> from lstm_jax.cells import lstm
      >>> from lstm_jax.pooling import pooling
      >>> from lstm_jax.structures import bidirectional
      >>> both = bidirectional(lstm(4, 3), lstm(4, 3))
      >>> net = classifier(both, pooling("mean", 6), 2, num_words=9)
      >>> params = net.init(jax.random.key(0))
      >>> net.logits(params, jnp.array([5, 7, 0, 0]), 2).shape
      (2,)
    """
    if pooling.size != structure.output_size:
        raise ValueError(
            f"classifier: a pooling of {pooling.size} numbers over the {structure.output_size} "
            f"outputs of the {structure.name}"
        )
    require_rate("dropout", dropout)
    require_rate("word_dropout", word_dropout)
    units = readout(pooling.size, num_classes, activation="identity")

    def init(key: Array, init_range: float | Array | None = None) -> ClassifierParams:
        given = () if init_range is None else (init_range,)
        keys = jax.random.split(key, 4)
        # Words start at a tenth of the range of a unit vector's numbers: rare ones stay small.
        shape = (num_words, structure.input_size)
        span = 0.1 if init_range is None else init_range
        return ClassifierParams(
            uniform(keys[0], span, [shape])[0] if num_words else None,
            structure.init(keys[1], *given),
            pooling.init(keys[2], *given),
            units.init(keys[3], *given),
        )

    def outputs(params: ClassifierParams, inputs: Array, length: Any, keys: list[Any]) -> Array:
        if params.embedding is not None:
            if keys[0] is not None and word_dropout:
                kept = draws.uniform(keys[0], inputs.shape[0]) >= word_dropout
                inputs = jnp.where(kept, inputs, jnp.full_like(inputs, UNKNOWN))
            inputs = params.embedding[countable(inputs)]
        if keys[1] is not None:
            inputs = dropped(keys[1], dropout, inputs)
        return structure.apply(params.structure, inputs, length=length, key=keys[2])[1]

    def logits(
        params: ClassifierParams,
        inputs: Array,
        length: Array | int | None = None,
        key: Array | None = None,
    ) -> Array:
        keys = [None if key is None else draws.fold_in(key, n) for n in range(4)]
        pooled = pooling.apply(params.pooling, outputs(params, inputs, length, keys), length)
        if keys[3] is not None:
            pooled = dropped(keys[3], dropout, pooled)
        return units.net(params.readout, pooled)

    def weights(
        params: ClassifierParams, inputs: Array, length: Array | int | None = None
    ) -> Array:
        return pooling.weights(params.pooling, outputs(params, inputs, length, [None] * 4), length)

    return Classifier(structure, init, logits, weights)
