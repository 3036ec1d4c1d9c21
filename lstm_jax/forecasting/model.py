"""Networks that forecast: one for each origin and member of the ensemble, all in one program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lstm_jax.forecasting.past import Past
from lstm_jax.initial import uniform
from lstm_jax.types import Array, Params
from lstm_jax.unroll import Structure, choose


class ForecastParams(NamedTuple):
    """The weights of the layers and of the h outputs over H."""

    layers: Params
    v: Array  # [h, H]
    b: Array  # [h]


class Fit(NamedTuple):
    """How networks are fitted.

    Attributes:
      structure: layers that run forwards.
      horizon: h.
      num_updates: of Adam, each on the whole past, at most.
      learning_rate: of Adam; falls to zero along half a cosine.
      refit: whether a second network learns from the whole past, for as many updates as were
        best for the first.
    """

    structure: Structure
    horizon: int
    num_updates: int
    learning_rate: float
    refit: bool


class Fitted(NamedTuple):
    """What one network comes to.

    Attributes:
      forecast: ``[h]``, in units of the targets.
      validation: ``[T, h]``, the first network's answers, of which those of `Past.valid` count.
      num_updates: how many were best on the validation part.
      params: the weights that the forecast is of.
    """

    forecast: Array
    validation: Array
    num_updates: Array
    params: ForecastParams


def network_key(seed: int, origin: int, member: int) -> Array:
    """The root of all that is random in a network, by origin and member of the ensemble."""
    return _network_key(jax.random.key(seed, impl="threefry2x32"), origin, member)


def _network_key(root: Array, origin: Array | int, member: Array | int) -> Array:
    return jax.random.fold_in(jax.random.fold_in(root, origin), member)


def init(fit: Fit, key: Array) -> ForecastParams:
    """Fresh weights of one network."""
    key_layers, key_out = jax.random.split(key)
    size = fit.structure.output_size
    (v,) = uniform(key_out, size**-0.5, [(fit.horizon, size)])
    return ForecastParams(fit.structure.init(key_layers), v, jnp.zeros(fit.horizon, v.dtype))


def outputs(fit: Fit, params: ForecastParams, inputs: Array) -> Array:
    """``[T, h]``: at each step all h steps ahead of it, directly."""
    _, hs = fit.structure.apply(params.layers, inputs)
    return hs @ params.v.T + params.b[None, :]


def fit_network(fit: Fit, past: Past, key: Array) -> Fitted:
    """Fits one network to the past of one origin."""

    def loss(params: ForecastParams, which: Array) -> tuple[Array, Array]:
        ys = outputs(fit, params, past.inputs)
        squares = (ys - past.targets) ** 2
        return _mean(squares, which), squares

    def train(params: ForecastParams, which: Array, last_update: Array) -> Any:
        """Weights after `last_update` updates, and those with the best validation on the way."""
        rule = optax.adam(optax.cosine_decay_schedule(fit.learning_rate, fit.num_updates))

        def update(carry: Any, n: Array) -> tuple[Any, None]:
            params, state, best, best_loss, best_at = carry
            grads, squares = jax.grad(loss, has_aux=True)(params, which)
            now = _mean(squares, past.valid)  # of the weights after n updates
            better = now < best_loss
            best = choose(better, params, best)
            best_loss = jnp.where(better, now, best_loss)
            best_at = jnp.where(better, n, best_at)
            with jax.numpy_dtype_promotion("standard"):  # optax.adam raises a float to an int32
                steps, new_state = rule.update(grads, state)
                new = optax.apply_updates(params, steps)
            go_on = n < last_update
            return (
                choose(go_on, new, params),
                choose(go_on, new_state, state),
                best,
                best_loss,
                best_at,
            ), None

        with jax.numpy_dtype_promotion("standard"):
            start = (params, rule.init(params), params, jnp.float32(jnp.inf), jnp.int32(0))
        # The last step only looks at the weights that the last update has left.
        times = jnp.arange(fit.num_updates + 1, dtype=jnp.int32)
        (params, _, best, _, best_at), _ = jax.lax.scan(update, start, times)
        return params, best, best_at

    fresh = init(fit, key)
    _, best, best_at = train(fresh, past.train, jnp.int32(fit.num_updates))
    validation = outputs(fit, best, past.inputs)
    if fit.refit:
        everything = jnp.logical_or(past.train, past.valid)
        best, _, _ = train(fresh, everything, best_at)
    return Fitted(outputs(fit, best, past.inputs)[past.last], validation, best_at, best)


def fit_lanes(
    fit: Fit, num_members: int, seed: int
) -> Callable[[Sequence[Past], Sequence[int]], Fitted]:
    """``(pasts, origins) -> Fitted`` with leaves ``[origins, members, ..]``; compiled once a size.

    Every network has random numbers of its own origin and member, so that neither the other
    origins nor their number changes it.
    """
    root = jax.random.key(seed, impl="threefry2x32")

    def member(past: Past, origin: Array, n: Array) -> Fitted:
        return fit_network(fit, past, _network_key(root, origin, n))

    members = jnp.arange(num_members, dtype=jnp.int32)
    program = jax.jit(
        jax.vmap(jax.vmap(member, in_axes=(None, None, 0)), in_axes=(0, 0, None)),
    )

    def run(pasts: Sequence[Past], origins: Sequence[int]) -> Fitted:
        stacked = jax.tree.map(
            lambda *leaves: np.stack(leaves),
            *[
                p._replace(base=np.float32(0), scale=np.float32(1), shift=np.float32(0))
                for p in pasts
            ],
        )
        return jax.device_get(program(stacked, np.asarray(origins, np.int32), members))

    return run


def _mean(squares: Array, which: Array) -> Array:
    total = jnp.where(which, squares, 0.0).sum()
    return total / jnp.maximum(which.sum(), 1).astype(total.dtype)
