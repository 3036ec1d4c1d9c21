"""Updates and evaluations as compiled programs: many steps a call, every one addressed."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lstm_jax.fitting.batches import Batches
from lstm_jax.fitting.model import Metrics, Model
from lstm_jax.types import Array, Params
from lstm_jax.unroll import choose

INIT, EPOCHS = 0, 1
"""What the root key is folded with: for fresh weights, and for all that epochs draw."""


class FitState(NamedTuple):
    """All that an update needs and changes."""

    step: Array  # int32; updates done
    params: Params
    opt_state: Any
    carry: Any  # what the last batch hands to the next
    sums: Metrics  # of the epoch so far
    failed: Array  # bool; the loss or gradient of update `step` was not finite, nothing changed


Advance = Callable[[FitState, Any, Array, Array], FitState]


def make_init(
    model: Model, batches: Batches, optimizer: optax.GradientTransformation
) -> Callable[..., FitState]:
    """``(key, init_range=None) -> FitState``; the state before the first update."""

    def init(key: Array, init_range: float | None = None) -> FitState:
        given = () if init_range is None else (init_range,)
        params = model.init(jax.random.fold_in(key, INIT), *given)
        return from_weights(model, batches, optimizer, params)

    return init


def from_weights(
    model: Model, batches: Batches, optimizer: optax.GradientTransformation, params: Params
) -> FitState:
    """The state before the first update, from given weights."""

    def first(params: Params, data: Any, key: Array) -> tuple[Any, Metrics]:
        batch = batches.take(data, batches.arrange(data, key), jnp.int32(0))
        carry = model.start(batch)
        return carry, model.loss(params, carry, batch, key)[1][1]

    shapes = jax.eval_shape(first, params, batches.data, jax.random.key(0))
    carry, sums = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    with jax.numpy_dtype_promotion("standard"):
        opt_state = optimizer.init(params)
    return FitState(jnp.int32(0), params, opt_state, carry, sums, jnp.bool_(False))


def make_advance(
    model: Model, batches: Batches, optimizer: optax.GradientTransformation
) -> Advance:
    """``(state, data, key, until) -> state``: updates until `until` are done, or one fails.

    Batch and noise of update n are functions of the root key and n alone, so the same updates
    come out whatever `until` each call is given. `until` lies in the epoch of the state. An
    update whose loss or gradient is not finite is not made: the state stays as it was before it,
    with `failed` set.
    """
    num_steps = batches.num_steps

    def advance(state: FitState, data: Any, key: Array, until: Array) -> FitState:
        epoch_key = jax.random.fold_in(jax.random.fold_in(key, EPOCHS), state.step // num_steps)
        order = batches.arrange(data, jax.random.fold_in(epoch_key, 0))
        noise = jax.random.fold_in(epoch_key, 1)

        def update(state: FitState) -> FitState:
            n = state.step % num_steps
            batch = batches.take(data, order, n)
            carry, sums = choose(
                n == 0,
                (model.start(batch), jax.tree.map(jnp.zeros_like, state.sums)),
                (state.carry, state.sums),
            )
            loss_of = jax.value_and_grad(model.loss, has_aux=True)
            (loss, (carry, metrics)), grads = loss_of(
                state.params, carry, batch, jax.random.fold_in(noise, n)
            )
            finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(grads))
            with jax.numpy_dtype_promotion("standard"):  # optax.adam raises a float to an int32
                updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
                params = optax.apply_updates(state.params, updates)
            sums = jax.tree.map(jnp.add, sums, metrics)
            new = FitState(state.step + 1, params, opt_state, carry, sums, state.failed)
            return choose(finite, new, state._replace(failed=jnp.bool_(True)))

        def wanted(state: FitState) -> Array:
            return (state.step < until) & ~state.failed

        return jax.lax.while_loop(wanted, update, state)

    return jax.jit(advance, donate_argnums=0)


def make_evaluate(model: Model, batches: Batches) -> Callable[[Params, Any], Metrics]:
    """``(params, data) -> metrics`` of a whole pass, each sum in float32 over batches."""

    def evaluate(params: Params, data: Any) -> Metrics:
        order = batches.arrange(data, jax.random.key(0, impl="threefry2x32"))

        def step(n: Array, so_far: tuple[Any, Metrics]) -> tuple[Any, Metrics]:
            carry, sums = so_far
            carry, metrics = model.evaluate(params, carry, batches.take(data, order, n))
            return carry, jax.tree.map(jnp.add, sums, metrics)

        batch = batches.take(data, order, jnp.int32(0))
        first = model.evaluate(params, model.start(batch), batch)
        _, sums = jax.lax.fori_loop(1, batches.num_steps, step, first)
        return sums

    return jax.jit(evaluate)


def means(metrics: Metrics) -> dict[str, float]:
    """The numbers that sums stand for.

    Example:
      >>> from lstm_jax.fitting.model import Mean
      >>> means({"loss": Mean(jnp.float32(3.0), jnp.float32(2.0))})
      {'loss': 1.5}
    """
    return {name: mean() for name, mean in metrics.items()}
