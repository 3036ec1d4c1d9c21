"""A classifier as a model to be fitted: cross-entropy, the penalty on weights, accuracy."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.classifier import Classifier, ClassifierParams
from lstm_jax.fitting.model import Metrics, Model, mean_of
from lstm_jax.types import Array


class Labelled(NamedTuple):
    """Sequences of known classes; the first axis counts them."""

    inputs: Any  # words int [B, T] or numbers [B, T, D]
    lengths: Any  # int [B]
    labels: Any  # int [B]; -1: not there, but to fill up


def fill(data: Labelled, size: int) -> Labelled:
    """The sequences of a set, and so many that are not there that there are `size`.

    They are never counted. Sets of different sizes so share a compiled program.

    Example:
      >>> fill(Labelled(np.ones((2, 5)), np.array([5, 4]), np.array([1, 0])), 3).labels.tolist()
      [1, 0, -1]
    """
    missing = size - len(data.labels)
    inputs = np.pad(data.inputs, [(0, missing)] + [(0, 0)] * (np.ndim(data.inputs) - 1))
    lengths = np.pad(data.lengths, (0, missing), constant_values=1)
    return Labelled(inputs, lengths, np.pad(data.labels, (0, missing), constant_values=-1))


def classification(net: Classifier, *, l2: float = 0.0) -> Model:
    """The model whose loss is ``-log y_label``, in the mean, plus ``l2 / 2 * sum w^2``.

    The penalty is on matrices other than the words' vectors: on no bias, peephole or query of an
    attention. Batches are ``(Labelled, weight [B])``, as
    `shuffled` and `in_order` make them; its metrics are "loss", in nats, without the penalty, and
    "accuracy".

    Args:
      net: a classifier.
      l2: weight of the penalty.

    Example:
      >>> from lstm_jax.cells import gru
      >>> from lstm_jax.classifier import classifier
      >>> from lstm_jax.pooling import pooling
      >>> from lstm_jax.structures import layer
      >>> model = classification(classifier(layer(gru(2, 3)), pooling("last", 3), 4))
      >>> params = model.init(jax.random.key(0))
      >>> signals = Labelled(jnp.ones((2, 5, 2)), jnp.array([5, 3]), jnp.array([0, 1]))
      >>> _, metrics = model.evaluate(params, (), (signals, jnp.ones(2)))
      >>> sorted(metrics)
      ['accuracy', 'loss']
    """

    def run(params: Any, batch: Any, keys: Array | None) -> Metrics:
        signals, weight = batch
        if keys is None:
            logits = jax.vmap(net.logits, (None, 0, 0))(params, signals.inputs, signals.lengths)
        else:
            logits = jax.vmap(net.logits, (None, 0, 0, 0))(
                params, signals.inputs, signals.lengths, keys
            )
        weight = jnp.where(signals.labels >= 0, weight, jnp.zeros_like(weight))
        labels = jnp.maximum(signals.labels, 0)[:, None]
        nats = -jnp.take_along_axis(jax.nn.log_softmax(logits, axis=1), labels, axis=1)[:, 0]
        right = (jnp.argmax(logits, axis=1) == signals.labels).astype(weight.dtype)
        return {"loss": mean_of(nats, weight), "accuracy": mean_of(right, weight)}

    def loss(params: Any, carry: Any, batch: Any, key: Array) -> tuple[Array, Any]:
        metrics = run(params, batch, jax.random.split(key, batch[1].shape[0]))
        mean = metrics["loss"].total / jnp.maximum(metrics["loss"].weight, 1)
        return mean + l2 / 2 * squared_weights(params), (carry, metrics)

    def evaluate(params: Any, carry: Any, batch: Any) -> tuple[Any, Metrics]:
        return carry, run(params, batch, None)

    return Model(net.init, lambda batch: (), loss, evaluate)


def squared_weights(params: ClassifierParams) -> Array:
    """The sum of the squares of all matrices but that of the words' vectors.

    What is a vector by itself counts as a bias: peepholes and the query of an attention do too.

    Example:
      >>> from lstm_jax.readout import ReadoutParams
      >>> units = ReadoutParams(jnp.ones((2, 3)), jnp.ones(2))
      >>> float(squared_weights(ClassifierParams(jnp.ones((9, 2)), (), (), units)))
      6.0
    """
    leaves = jax.tree.leaves(params._replace(embedding=None))
    return sum((jnp.vdot(w, w) for w in leaves if w.ndim > 1), jnp.float32(0))
