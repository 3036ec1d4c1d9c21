"""Online learning of small networks: an update after each piece, one trial on each core.

The nets of the odyssey (Greff et al. 2017) are trained by stochastic gradient descent with
Nesterov's momentum, one sequence an update. Nothing can be batched over time or pieces but what
no state enters: the products with the inputs, and the gradients of all weights.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec

from lstm_jax import draws
from lstm_jax.music.frames import frame_nll, next_frames, piece_nll
from lstm_jax.network import Network, NetworkParams
from lstm_jax.types import Array, Params

RUNNING, STOPPED, EXHAUSTED, DIVERGED = range(4)
STATUS_NAMES = ("RUNNING", "STOPPED", "EXHAUSTED", "DIVERGED")
"""Stopped: `patience` epochs without a better validation loss. Exhausted: all epochs are used."""


class Hyper(NamedTuple):
    """What may differ from trial to trial within one program."""

    learning_rate: Array
    momentum: Array
    noise: Array  # standard deviation of what is added to the inputs while training
    hidden_size: Array  # units that are there; the rest of the program's are padding


class Learner(NamedTuple):
    """Everything a trial is."""

    key: Array  # data of its threefry key
    hyper: Hyper
    params: Params
    velocity: Any  # state of the optimizer
    best: Params
    best_valid: Array
    best_epoch: Array
    epoch: Array
    status: Array


class Pieces(NamedTuple):
    """Pieces sorted into a few lengths, so that short ones are not carried to the longest's end."""

    notes: Array  # [N, T, K]
    lengths: Array  # [N]
    classes: Array  # [N], index into `bounds`
    bounds: tuple[int, ...]  # static lengths, the last is T


def pieces(notes: np.ndarray, lengths: np.ndarray, num_classes: int = 3) -> Pieces:
    """Pieces for `make_epoch`, with static lengths at quantiles of theirs.

    Example:
      >>> made = pieces(np.zeros((4, 9, 2), np.uint8), np.array([3, 4, 5, 9]), num_classes=2)
      >>> made.bounds, made.classes.tolist()
      ((5, 9), [0, 0, 0, 1])
    """
    shares = np.linspace(0, 1, num_classes + 1)[1:]
    bounds = np.unique(np.quantile(lengths, shares, method="higher"))
    return Pieces(
        jnp.asarray(notes[:, : bounds[-1]]),
        jnp.asarray(lengths, jnp.int32),
        jnp.asarray(np.searchsorted(bounds, lengths), jnp.int32),
        tuple(int(bound) for bound in bounds),
    )


def learner(key: Array, hyper: Hyper, params: Params) -> Learner:
    """A trial before its first epoch; its key is a threefry one."""
    return Learner(
        key=jax.random.key_data(key),
        hyper=hyper,
        params=params,
        velocity=_optimizer(hyper).init(params),
        best=params,
        best_valid=jnp.float32(jnp.inf),
        best_epoch=jnp.int32(0),
        epoch=jnp.int32(0),
        status=jnp.int32(RUNNING),
    )


def net_inputs(net: Network) -> Callable[[NetworkParams, Array], Array]:
    """``(params, xs[T, D]) -> net[T, K]``: the definition, by a scan over the cell."""

    def run(params: NetworkParams, xs: Array) -> Array:
        start = net.cell.initial_state()
        _, hs = jax.lax.scan(lambda state, x: net.cell.step(params.cell, state, x), start, xs)
        return jax.vmap(lambda h: net.readout.net(params.readout, h))(hs)

    return run


def loss_and_gradient(net: Network) -> Callable[..., tuple[Array, Params]]:
    """``(params, xs, ys, valid) -> (summed loss, gradient)`` of full back-propagation.

    The recurrent weights' gradient is not added up step by step: the signals at their products
    are kept, and the products of all steps with the states are one product after the sweep.
    """
    cell = net.cell
    if cell.parts is None:
        raise ValueError(f"{cell.name}: is not cut into parts (Cell.parts); the odyssey needs them")
    project, recur, combine = cell.parts

    def run(params: NetworkParams, probes: Any, xs: Array, ys: Array, valid: Array) -> Any:
        fixed = jax.lax.stop_gradient(params.cell)
        from_x = jax.vmap(lambda x: project(params.cell, x))(xs)

        def step(state: Any, at: Any) -> Any:
            from_x, probe = at
            from_h = jax.tree.map(jnp.add, recur(fixed, state), probe)
            now = combine(params.cell, state, from_x, from_h)
            held = {name: now[name] for name, old in state._asdict().items() if old is not None}
            return state._replace(**held), (state, now["h"])

        _, (states, hs) = jax.lax.scan(step, cell.initial_state(), (from_x, probes))
        nets = jax.vmap(lambda h: net.readout.net(params.readout, h))(hs)
        return jnp.where(valid, frame_nll(nets, ys), 0.0).sum(), states

    def rule(
        params: NetworkParams, xs: Array, ys: Array, valid: Array
    ) -> tuple[Array, NetworkParams]:
        one = jax.eval_shape(lambda p: recur(p, cell.initial_state()), params.cell)
        probes = jax.tree.map(lambda leaf: jnp.zeros((xs.shape[0], *leaf.shape)), one)
        (loss, states), (grads, signals) = jax.value_and_grad(run, argnums=(0, 1), has_aux=True)(
            params, probes, xs, ys, valid
        )
        _, back = jax.vjp(lambda p: jax.vmap(lambda s: recur(p, s))(states), params.cell)
        (recurrent,) = back(signals)
        return loss, grads._replace(cell=jax.tree.map(jnp.add, grads.cell, recurrent))

    return rule


def make_epoch(
    net: Network,
    train: Pieces,
    valid: Pieces,
    axes: Any,
    *,
    num_epochs: int,
    patience: int,
    rescale: bool,
) -> Callable[[Learner, Pieces, Pieces], Learner]:
    """``(learner, train, valid) -> learner`` after one more epoch, and its look at the validation.

    Args:
      net: padded to the size of the program.
      train, valid: for their static lengths.
      axes: `hidden_axes` of the network's weights.
      num_epochs, patience: when a trial ends.
      rescale: whether the learning rate is multiplied by ``1 - momentum``.
    """
    gradient, measure = loss_and_gradient(net), _measure(net, valid.bounds)

    def update(bound: int) -> Callable[..., Any]:
        def one(carry: Any, key: Array, hyper: Hyper, roll: Array, length: Array) -> Any:
            params, velocity = carry
            xs, ys, counted = next_frames(roll[:bound], length)
            xs = xs + hyper.noise * jax.random.normal(key, xs.shape)
            loss, grads = gradient(params, xs, ys, counted)
            grads = mask(grads, axes, hyper.hidden_size)
            steps, velocity = _optimizer(hyper, rescale).update(grads, velocity)
            return (optax.apply_updates(params, steps), velocity), loss

        return one

    branches = [update(bound) for bound in train.bounds]

    def epoch(one: Learner, train: Pieces, valid: Pieces) -> Learner:
        key = jax.random.fold_in(draws.wrap(one.key), one.epoch)
        key_order, key_noise = jax.random.split(key)
        order = jax.random.permutation(key_order, train.lengths.shape[0])

        def piece(carry: Any, n: Array) -> Any:
            own = jax.random.fold_in(key_noise, n)
            given = (carry, own, one.hyper, train.notes[n], train.lengths[n])
            return jax.lax.switch(train.classes[n], branches, *given)

        (params, velocity), losses = jax.lax.scan(piece, (one.params, one.velocity), order)
        now = measure(params, valid)
        better = now < one.best_valid  # a NaN is never better
        count = one.epoch + 1
        best_epoch = jnp.where(better, count, one.best_epoch)
        finite = jnp.isfinite(now) & jnp.isfinite(losses).all()
        status = jnp.where(count >= num_epochs, EXHAUSTED, RUNNING)
        status = jnp.where(count - best_epoch >= patience, STOPPED, status)
        status = jnp.where(finite, status, DIVERGED).astype(jnp.int32)
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), params, one.best)
        return one._replace(
            params=params,
            velocity=velocity,
            best=best,
            best_valid=jnp.where(better, now, one.best_valid),
            best_epoch=best_epoch,
            epoch=count,
            status=status,
        )

    return epoch


def compile_lanes(
    epoch: Callable[..., Learner], mesh: Mesh, states: Learner, train: Pieces, valid: Pieces
) -> Callable[[Learner], Learner]:
    """One epoch of every lane, a lane on each device; a lane that has ended stays as it is.

    One lane a device and not more: a state of 100 units fills its core's vectors already, eight
    side by side cost 0.7 to 1.1 times as much each, and branches would become selections.
    """
    lanes, whole = PartitionSpec("lanes"), PartitionSpec()
    arrays = [tuple(p[:3]) for p in (train, valid)]

    def local(states: Learner, train_arrays: Any, valid_arrays: Any) -> Learner:
        one = jax.tree.map(lambda leaf: leaf[0], states)
        given = (
            Pieces(*train_arrays, bounds=train.bounds),
            Pieces(*valid_arrays, bounds=valid.bounds),
        )
        one = jax.lax.cond(
            one.status == RUNNING, lambda one: epoch(one, *given), lambda one: one, one
        )
        return jax.tree.map(lambda leaf: leaf[None], one)

    sharded = jax.shard_map(
        local, mesh=mesh, in_specs=(lanes, whole, whole), out_specs=lanes, check_vma=False
    )
    program = jax.jit(sharded).lower(states, *arrays).compile()
    return lambda states: program(states, *arrays)


def hidden_axes(make: Callable[[int], Network], size: int) -> Any:
    """For each leaf of a network's weights, which of its axes run over the hidden units.

    Example:
      >>> from lstm_jax import elman, network, readout
      >>> axes = hidden_axes(lambda h: network(elman(3, h), readout(h, 2)), 4)
      >>> axes.cell.w, axes.cell.r, axes.readout.v, axes.readout.b
      ((True, False), (True, True), (False, True), (False,))
    """
    small, large = (_shapes(make(s)) for s in (size, size + 1))
    return jax.tree.map(
        lambda a, b: tuple(m != n for m, n in zip(a.shape, b.shape, strict=True)), small, large
    )


def pad(params: Params, net: Network) -> Params:
    """Weights in the shapes of a larger network, zero where theirs end."""

    def one(leaf: np.ndarray, shape: Any) -> np.ndarray:
        wide = np.zeros(shape.shape, np.float32)
        wide[tuple(slice(0, n) for n in leaf.shape)] = leaf
        return wide

    return jax.tree.map(one, params, _shapes(net))


def mask(grads: Params, axes: Any, hidden_size: Array) -> Params:
    """Gradients with zeros for the units beyond `hidden_size`, which so never come to life."""

    def one(leaf: Array, which: Sequence[bool]) -> Array:
        for axis, is_hidden in enumerate(which):
            if is_hidden:
                there = jnp.arange(leaf.shape[axis]) < hidden_size
                shape = [-1 if n == axis else 1 for n in range(leaf.ndim)]
                leaf = jnp.where(there.reshape(shape), leaf, 0.0)
        return leaf

    leaves, tree = jax.tree.flatten(grads)
    marks = tree.flatten_up_to(axes)
    return tree.unflatten([one(leaf, which) for leaf, which in zip(leaves, marks, strict=True)])


def _measure(net: Network, bounds: tuple[int, ...]) -> Callable[[Params, Pieces], Array]:
    """``(params, pieces) -> nll per frame``, piece by piece, so that little padding is computed."""
    of_piece = piece_nll(net_inputs(net))

    def upto(bound: int) -> Callable[..., Any]:
        return lambda params, roll, length: of_piece(params, roll[:bound], length)

    branches = [upto(bound) for bound in bounds]

    def measure(params: Params, some: Pieces) -> Array:
        def one(at: tuple[Array, Array, Array]) -> Any:
            roll, length, which = at
            return jax.lax.switch(which, branches, params, roll, length)

        nll, frames = jax.lax.map(one, (some.notes, some.lengths, some.classes))
        return nll.sum() / frames.sum().astype(nll.dtype)

    return measure


def _optimizer(hyper: Hyper, rescale: bool = False) -> optax.GradientTransformation:
    rate = hyper.learning_rate * (1 - hyper.momentum) if rescale else hyper.learning_rate
    return optax.sgd(rate, momentum=hyper.momentum, nesterov=True)


def _shapes(net: Network) -> Any:
    return jax.eval_shape(net.init, jax.random.key(0))
