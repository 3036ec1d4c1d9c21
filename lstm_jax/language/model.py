"""The language model: a symbol's vector, layers over time, a softmax over the next symbol."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax import draws
from lstm_jax.cells.wrappers.dropout import dropped
from lstm_jax.fitting.batches import Text
from lstm_jax.fitting.model import Metrics, Model, mean_of
from lstm_jax.initial import uniform
from lstm_jax.parallel import spread, spreads, whole
from lstm_jax.symbols import countable
from lstm_jax.types import Array, Params, State
from lstm_jax.unroll import Structure

SPREAD_FROM = 16
"""Streams to a device from which it pays to spread them: with 16, 0.87 in place of 0.76 times
PyTorch's speed (LSTM of 128, two CPU devices); with fewer, the devices wait for each other."""


class LanguageParams(NamedTuple):
    """The weights of a language model over V symbols."""

    embedding: Array | None  # [V, E]; None: symbols are unit vectors
    layers: Params
    v: Array | None  # [V, H]; None: tied to the embedding
    b: Array  # [V]


class Language(NamedTuple):
    """A language model.

    Attributes:
      num_symbols: V.
      structure: the layers over time.
      init: ``(key, init_range) -> LanguageParams``. The range may be left out.
      start: ``num_streams -> state``; nothing read yet.
      apply: ``(params, state, symbols[T, B], key) -> (state, log probabilities [T, B, V])`` of
        the symbol that follows each. The key is for dropout; None: there is none.
    """

    num_symbols: int
    structure: Structure
    init: Any
    start: Any
    apply: Any


def language(
    num_symbols: int,
    structure: Structure,
    *,
    embedding_size: int | None = None,
    tied: bool = False,
    dropout: float = 0.0,
) -> Language:
    """``x_t = E[s_t]``, ``h = structure(x)``, ``p(s_t+1 | s_1 .. s_t) = softmax(v h_t + b)``.

    Args:
      num_symbols: V, at least 1.
      structure: layers that run forwards; its inputs are E numbers, or V without embedding.
      embedding_size: E; None: a symbol is a unit vector, and the first layer's weights are its
        embedding.
      tied: ``v = E`` (Press & Wolf 2017), which needs H = E.
      dropout: the share of the embedding's and of the last layer's outputs that training sets to
        zero, drawn anew for each symbol (Zaremba et al. 2014); between layers it is the
        structure's own.

    Raises:
      ValueError: for sizes that do not fit.

    Example:
      >>> from lstm_jax import lstm
      >>> from lstm_jax.structures import layer
      >>> model = language(5, layer(lstm(3, 4)), embedding_size=3)
      >>> params = model.init(jax.random.key(0))
      >>> _, log_p = model.apply(params, model.start(2), jnp.zeros((7, 2), jnp.int32), None)
      >>> log_p.shape, round(float(jnp.exp(log_p[0, 0]).sum()), 4)
      ((7, 2, 5), 1.0)
    """
    size, hidden = embedding_size or num_symbols, structure.output_size
    if structure.input_size != size:
        raise ValueError(f"language: the layers take {structure.input_size} inputs, not {size}")
    if tied and (embedding_size is None or embedding_size != hidden):
        raise ValueError(
            f"language: a tied softmax needs an embedding of the size of the last layer, {hidden}; "
            f"got {embedding_size or 'none'}"
        )

    def init(key: Array, init_range: float | None = None) -> LanguageParams:
        keys = jax.random.split(key, 3)
        given = () if init_range is None else (init_range,)
        # Vectors as long as a layer's outputs may get; as the weights of a softmax, shorter ones.
        own = size**-0.5 if tied else 1.0
        (table,) = uniform(keys[0], *(given or (own,)), [(num_symbols, size)])
        (v,) = uniform(keys[2], *(given or (hidden**-0.5,)), [(num_symbols, hidden)])
        return LanguageParams(
            embedding=None if embedding_size is None else table,
            layers=structure.init(keys[1], *given),
            v=None if tied else v,
            b=jnp.zeros(num_symbols, v.dtype),
        )

    def start(num_streams: int) -> State:
        return jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf, (num_streams, *leaf.shape)),
            structure.initial_state(),
        )

    def apply(
        params: LanguageParams, state: State, symbols: Array, key: Array | None = None
    ) -> tuple[State, Array]:
        xs = embed(params, symbols)
        if key is not None and params.embedding is not None:
            xs = dropped(draws.fold_in(key, 0), dropout, xs)
        state, ys = run_layers(structure, params.layers, state, xs, key)
        if key is not None:
            ys = dropped(draws.fold_in(key, 1), dropout, ys)
        v = params.embedding if params.v is None else params.v
        assert v is not None  # tied needs an embedding
        return state, jax.nn.log_softmax(ys @ v.T + params.b[None, None, :], axis=-1)

    return Language(num_symbols, structure, init, start, apply)


def embed(params: LanguageParams, symbols: Array) -> Array:
    """What the layers see of symbols: their vectors, or without an embedding they themselves.

    By a product with unit vectors: the gradient of a gather is a scatter, which is slow on a CPU.
    """
    if params.embedding is None:
        return symbols
    num_symbols = params.embedding.shape[0]
    units = jax.nn.one_hot(countable(symbols), num_symbols, dtype=params.embedding.dtype)
    return units @ params.embedding


def is_spread(num_streams: int) -> bool:
    """Whether so many streams are spread over the devices."""
    return spreads(num_streams) and num_streams >= SPREAD_FROM * jax.device_count()


def run_layers(
    structure: Structure, params: Params, state: State, xs: Array, key: Array | None
) -> tuple[State, Array]:
    """The layers over B streams side by side: ``(state, ys[T, B, H])``."""

    loop = {"kernel": "spread"} if is_spread(xs.shape[1]) else {}

    def one(xs: Array, state: State, key: Array | None) -> tuple[State, Array]:
        return structure.apply(params, xs, state, key=key, **loop)

    keys = None if key is None else jax.random.split(draws.wrap(draws.fold_in(key, 2)), xs.shape[1])
    if is_spread(xs.shape[1]):
        xs, state, keys = spread(xs, axis=1), spread(state), spread(keys)
    return jax.vmap(one, in_axes=(1, 0, 0), out_axes=(0, 1))(xs, state, keys)


def text_model(model: Language) -> Model:
    """What is fitted to a text in streams: the mean negative log-likelihood in nats per symbol.

    The state that one batch ends with is where the next begins, as a constant: truncated BPTT
    with the state carried through the text. Evaluation also tells "error", the share of symbols
    with a probability below one half (Karpathy et al. 2015).
    """

    def read(
        params: LanguageParams, state: State, batch: Text, key: Array | None
    ) -> tuple[Array, State]:
        state, log_p = model.apply(params, state, batch.inputs, key)
        return -jnp.take_along_axis(log_p, batch.targets[..., None], axis=-1)[..., 0], state

    def loss(
        params: LanguageParams, state: State, batch: Text, key: Array
    ) -> tuple[Array, tuple[State, Metrics]]:
        nats, state = read(params, state, batch, key)
        mean = mean_of(nats, batch.weight)
        if is_spread(batch.weight.shape[1]):
            mean = mean._replace(weight=whole(batch.weight).sum())
        return mean.total / mean.weight, (state, {"loss": mean})

    def evaluate(params: LanguageParams, state: State, batch: Text) -> tuple[State, Metrics]:
        nats, state = read(params, state, batch, None)
        unsure = (nats > jnp.log(2.0).astype(nats.dtype)).astype(nats.dtype)
        return state, {
            "loss": mean_of(nats, batch.weight),
            "error": mean_of(unsure, batch.weight),
        }

    return Model(
        init=model.init,
        start=lambda batch: model.start(batch.inputs.shape[1]),
        loss=loss,
        evaluate=evaluate,
    )
