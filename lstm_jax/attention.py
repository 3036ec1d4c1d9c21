"""Attention: a weighted mean of vectors, the weights from how well each answers to a query."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.initial import uniform
from lstm_jax.types import Array


class AdditiveParams(NamedTuple):
    """The weights of additive attention over keys of H numbers, with A units.

    `w` is None where there is no query but the learned one that `v` stands for.
    """

    u: Array  # [A, H]
    b: Array  # [A]
    v: Array  # [A]
    w: Array | None  # [A, Q]


def attention_weights(scores: Array, valid: Array | None = None) -> Array:
    """``a_t = exp(e_t) / sum_s exp(e_s)`` over the valid steps; the others have weight 0.

    Args:
      scores: e, ``[T]``.
      valid: truth values ``[T]``; None: all steps. What scores the others have, NaN included,
        reaches neither the weights nor a gradient. Where no step is valid, all weights are 0.

    Example:
      >>> attention_weights(jnp.array([0.0, 0.0, jnp.nan]), jnp.array([True, True, False])).tolist()
      [0.5, 0.5, 0.0]
    """
    if valid is None:
        valid = jnp.ones(scores.shape, jnp.bool_)
    scores = jnp.where(valid, scores, jnp.zeros_like(scores))
    top = jnp.max(scores, initial=-jnp.inf, where=valid)
    top = jax.lax.stop_gradient(jnp.where(valid.any(), top, jnp.zeros_like(top)))
    raised = jnp.where(valid, jnp.exp(scores - top), jnp.zeros_like(scores))
    total = raised.sum()
    return raised / jnp.where(total > 0, total, jnp.ones_like(total))


def dot_product(
    query: Array,  # [A]
    keys: Array,  # [T, A]
    values: Array,  # [T, H]
    valid: Array | None = None,  # [T]
    *,
    scaled: bool = True,
) -> tuple[Array, Array]:
    """``c = sum_t a_t values_t``, ``a = softmax(e)``, ``e_t = query . keys_t / sqrt(A)``.

    Scaled, eq. 1 of Vaswani et al. 2017; without the root, "dot" of eq. 8 in Luong et al. 2015.
    For one query; several are the caller's ``jax.vmap``.

    Args:
      query: what is looked for.
      keys: what each step offers to it.
      values: what each step hands on; the keys themselves, as a rule.
      valid: truth values; the other steps, NaN or not, reach neither results nor gradients.
      scaled: divide by the root of A, which keeps the softmax from saturating for large A.

    Returns:
      The context c ``[H]`` and the weights a ``[T]``.

    Raises:
      ValueError: where shapes do not fit.

    Example:
      >>> keys = jnp.array([[1.0, 0.0], [0.0, 1.0]])
      >>> context, weights = dot_product(jnp.array([9.0, 0.0]), keys, keys, scaled=False)
      >>> [round(float(a), 4) for a in weights]
      [0.9999, 0.0001]
    """
    _require_fit("dot_product", keys, values, valid)
    if query.shape != keys.shape[1:]:
        raise ValueError(f"dot_product: a query of shape {query.shape}, keys of {keys.shape}")
    keys, values = _without_padding(keys, valid), _without_padding(values, valid)
    scores = keys @ query
    if scaled:
        scores = scores / math.sqrt(query.shape[0])
    weights = attention_weights(scores, valid)
    return weights @ values, weights


def init_additive(
    key: Array, key_size: int, num_units: int, query_size: int = 0, init_range: float | None = None
) -> AdditiveParams:
    """Fresh weights of `additive`, uniform in ``[-init_range, init_range]``; None: 1/sqrt(H).

    Example:
      >>> params = init_additive(jax.random.key(0), 6, 4)
      >>> params.u.shape, params.v.shape, params.w
      ((4, 6), (4,), None)
    """
    span = 1 / math.sqrt(key_size) if init_range is None else init_range
    shapes = [(num_units, key_size), (num_units,), (num_units,), (num_units, query_size)]
    u, b, v, w = uniform(key, span, shapes)
    return AdditiveParams(u, b, v, w if query_size else None)


def additive(
    params: AdditiveParams,
    query: Array | None,  # [Q]
    keys: Array,  # [T, H]
    values: Array,  # [T, K]
    valid: Array | None = None,  # [T]
) -> tuple[Array, Array]:
    """``c = sum_t a_t values_t``, ``a = softmax(e)``, ``e_t = v . tanh(w query + u keys_t + b)``.

    Appendix A.1.2 of Bahdanau et al. 2015 (there without b). Without a query it is the attention
    of Yang et al. 2016 over the words of a sentence: v is then what is looked for.

    Args:
      params: as `init_additive` makes them.
      query: what is looked for; None where the params have no `w`.
      keys: what each step offers to it.
      values: what each step hands on; the keys themselves, as a rule.
      valid: truth values; the other steps, NaN or not, reach neither results nor gradients.

    Returns:
      The context c ``[K]`` and the weights a ``[T]``.

    Raises:
      ValueError: where shapes do not fit, or only one of query and `w` is there.

    Example:
      >>> ys = jnp.ones((5, 6))
      >>> context, weights = additive(init_additive(jax.random.key(0), 6, 4), None, ys, ys)
      >>> context.shape, [round(float(a), 6) for a in weights]
      ((6,), [0.2, 0.2, 0.2, 0.2, 0.2])
    """
    _require_fit("additive", keys, values, valid)
    if (query is None) != (params.w is None):
        raise ValueError("additive: a query needs params with w, and params with w need a query")
    keys, values = _without_padding(keys, valid), _without_padding(values, valid)
    net = keys @ params.u.T + params.b[None]
    if query is not None and params.w is not None:
        net = net + (params.w @ query)[None]
    weights = attention_weights(jnp.tanh(net) @ params.v, valid)
    return weights @ values, weights


def _without_padding(array: Array, valid: Array | None) -> Array:
    """Zeros for the steps that are not valid: 0 * NaN would be NaN, forwards and backwards."""
    return array if valid is None else jnp.where(valid[:, None], array, jnp.zeros_like(array))


def _require_fit(name: str, keys: Array, values: Array, valid: Array | None) -> None:
    steps = keys.shape[:1]
    fit = keys.ndim == values.ndim == 2 and values.shape[:1] == steps
    if not fit or (valid is not None and valid.shape != steps):
        shapes = f"keys {keys.shape}, values {values.shape}"
        shapes += "" if valid is None else f", valid {valid.shape}"
        raise ValueError(f"{name}: {shapes} where (T, A), (T, H) and (T,) are needed")
