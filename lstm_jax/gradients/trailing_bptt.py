"""The full gradient of `lstm97` for arrays with trailing axes: many networks side by side."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells import trailing
from lstm_jax.cells.lstm97 import Lstm97Params, Lstm97Spec, slope_g, slope_h, squash_g, squash_h
from lstm_jax.cells.trailing import outer, per_block, per_cell, products
from lstm_jax.gradients.outputs import at_last_step, output_nets
from lstm_jax.gradients.rule import GradientRule, require_lstm97, require_mask, require_timing
from lstm_jax.network import Network, NetworkParams
from lstm_jax.parallel import alike
from lstm_jax.readout import ReadoutParams
from lstm_jax.tasks.task import Example
from lstm_jax.types import Array, State
from lstm_jax.unroll import as_vectors, scan_until


class _Step(NamedTuple):
    """What the way back needs of a time step, [T, ..]."""

    before: trailing.Now  # what the hidden units saw
    a: Array  # [U] their logistic activations
    c: Array  # [C] internal states after it
    h: Array  # [C] cell outputs after it


class _Back(NamedTuple):
    """What a step hands to the step before it: error signals, and the sums so far."""

    gates: Array  # [G]
    h: Array  # [C]
    c: Array  # [C]
    w: Array  # [U, D]
    r: Array | None  # [U, R]
    b: Array  # [U]
    v: Array  # [K, C (+ D)]
    e: Array  # [K]


def trailing_bptt(network: Network, timing: str, *, ragged: bool = False) -> GradientRule:
    """`bptt` of `lstm97`, written out for `kernels.lanes_last`.

    With e_u the error signals of net inputs, sums over the units u of a step, s the sources::

        e_h  = sum_k v_kc e_k + sum_u r_uh e_u(t+1)         e_gate = sum_u r_u,gate e_u(t+1)
        e_o  = f'(net_o) (e_gate + sum_v h(c_v) e_h)
        e_c  = e_c(t+1) + y_o h'(c) e_h
        e_i  = f'(net_i) (e_gate + sum_v g(net_v) e_c)
        e_v  = g'(net_v) y_i e_c                            descend  - e_u s_m, - e_k h_v

    Equal to `bptt`, to rounding; with the lanes last a time step is one kernel both ways, which
    automatic differentiation does not give. Symbols are taken as unit vectors: for the few of a
    grammar that costs less than to gather and scatter.

    Args:
      network: a network over an `lstm97` cell.
      timing: "end" or "every_step".
      ragged: stop at the longest sequence of the lanes instead of the static bound.

    Raises:
      ValueError: for another cell, or an unknown timing.

    Example:
      >>> from lstm_jax import GRADIENT_RULES, adding, lstm97, network, readout
      >>> net = network(lstm97(2, 2, 2), readout(4, 1))
      >>> params = net.init(jax.random.key(0))
      >>> example = adding(T=11).sample(jax.random.key(1))
      >>> _, grads = trailing_bptt(net, "end")(params, example)
      >>> _, definition = GRADIENT_RULES["bptt"](net, "end")(params, example)
      >>> bool(jnp.allclose(grads.cell.r_i, definition.cell.r_i, atol=1e-7))
      True
    """
    require_timing(timing)
    spec = require_lstm97(network, "trailing_bptt", "bptt")
    every_step = timing == "every_step"

    def rule(
        params: NetworkParams, example: Example, state: State | None = None
    ) -> tuple[Array, NetworkParams]:
        params, example, state = alike((params, example, state))
        length = example.length
        num_steps = jnp.max(length) if ragged else jnp.int32(example.inputs.shape[0])
        weights = trailing.weights_of(trailing.heard(spec, params.cell))
        steps = jnp.arange(example.inputs.shape[0], dtype=jnp.int32)
        steps = steps.reshape(-1, *[1] * length.ndim)
        valid = (steps < length[None])[:, None]  # [T, 1]
        xs = as_vectors(example.inputs, network.cell.input_size)
        xs = jnp.where(valid, xs, jnp.zeros((), xs.dtype))  # so that padding cannot leak

        def forth(now, inputs):
            x, valid, target, due = inputs
            new, a = _advance(spec, weights, now, x, valid)
            if not every_step:
                return new, (_Step(now, a, new.c, new.h), None, None)
            net = output_nets(network, params.readout, new.h, x, None)
            e = jnp.where(due, network.readout.delta(net, target), 0.0)
            return new, (_Step(now, a, new.c, new.h), network.readout.output(net), e)

        due = valid & require_mask(example)[:, None] if every_step else None
        start = alike(trailing.start(spec, params.cell.w_z, length.shape, state), params)
        ahead = (xs, valid, example.targets if every_step else None, due)
        now, (taken, outputs, errors) = scan_until(forth, start, ahead, num_steps)
        if not every_step:
            last_x = at_last_step(xs, length).sum(axis=0)
            net = output_nets(network, params.readout, now.h, last_x, None)
            outputs = network.readout.output(net)
            e = network.readout.delta(net, example.targets)
            errors = at_last_step(jnp.broadcast_to(e, (xs.shape[0], *e.shape)), length)

        def back(number, later):
            t = num_steps - 1 - number
            here = jax.tree.map(
                lambda leaf: jax.lax.dynamic_index_in_dim(leaf, t, keepdims=False),
                (taken, xs, valid, errors),
            )
            return _step_back(network, params.readout, weights, later, *here)

        nothing = alike(_nothing(params, weights, start), params)
        found = jax.lax.fori_loop(jnp.int32(0), num_steps, back, nothing)
        return outputs, _gradient(spec, params, found)

    return rule


def _advance(
    spec: Lstm97Spec, weights: trailing.Weights, now: trailing.Now, x: Array, valid: Array
) -> tuple[trailing.Now, Array]:
    """One time step, and the logistic activations of all its units."""
    net = products(weights.w, x)
    if weights.b is not None:
        net = net + weights.b
    if weights.r is not None:
        net = net + products(weights.r, _sources(weights.r, now))
    a = jax.nn.sigmoid(net)
    num_gates, num_cells = now.gates.shape[0], now.c.shape[0]
    i = per_cell(spec, a[: spec.num_blocks], num_cells)
    c = now.c + jnp.where(valid, i * squash_g(spec.g, a[num_gates:]), 0.0)
    h = squash_h(spec.h, c)
    if spec.output_gate:
        h = per_cell(spec, a[spec.num_blocks : num_gates], num_cells) * h
    gates = jnp.where(valid, a[:num_gates], now.gates)
    return trailing.Now(c, gates, jnp.where(valid, h, now.h)), a


def _step_back(
    network: Network,
    readout: ReadoutParams,
    weights: trailing.Weights,
    later: _Back,
    taken: _Step,
    x: Array,
    valid: Array,
    e: Array,
) -> _Back:
    """The errors of a step from those of the next; beyond the sequence's end all are zero."""
    spec: Lstm97Spec = network.cell.spec
    num_gates, num_cells = later.gates.shape[0], later.c.shape[0]
    gates, logistic = taken.a[:num_gates], taken.a[num_gates:]
    i = per_cell(spec, gates[: spec.num_blocks], num_cells)
    squashed = squash_h(spec.h, taken.c)
    e_h = later.h + sum(readout.v[k, :num_cells] * e[k][None] for k in range(e.shape[0]))
    e_gates, passed = later.gates, e_h
    if spec.output_gate:
        passed = per_cell(spec, gates[spec.num_blocks :], num_cells) * e_h
        through = per_block(spec, squashed * e_h)
        e_gates = jnp.concatenate(
            [e_gates[: spec.num_blocks], e_gates[spec.num_blocks :] + through]
        )
    e_c = later.c + passed * slope_h(spec.h, squashed)
    through = per_block(spec, squash_g(spec.g, logistic) * e_c)
    e_gates = jnp.concatenate([e_gates[: spec.num_blocks] + through, e_gates[spec.num_blocks :]])
    nets = jnp.concatenate([gates * (1 - gates) * e_gates, slope_g(spec.g, logistic) * i * e_c])
    nets = jnp.where(valid, nets, 0.0)
    e_sources, r = jnp.zeros_like(jnp.concatenate([later.gates, later.h])), later.r
    if weights.r is not None and r is not None:
        heard = sum(weights.r[u] * nets[u][None] for u in range(nets.shape[0]))
        unseen = e_sources.shape[0] - weights.r.shape[1]  # the gates, where nobody sees them
        e_sources = jnp.concatenate([e_sources[:unseen], heard])
        r = r + outer(nets, _sources(weights.r, taken.before))
    return _Back(
        gates=e_sources[:num_gates],
        h=e_sources[num_gates:],
        c=e_c,
        w=later.w + outer(nets, x),
        r=r,
        b=later.b + nets,
        v=later.v + outer(e, network.seen(taken.h, x)),
        e=later.e + e,
    )


def _sources(r: Array, now: trailing.Now) -> Array:
    """What the recurrent weights see of the step before."""
    return now.h if r.shape[1] == now.h.shape[0] else jnp.concatenate([now.gates, now.h])


def _nothing(params: NetworkParams, weights: trailing.Weights, start: trailing.Now) -> _Back:
    zero = jnp.zeros_like
    r = None if weights.r is None else zero(weights.r)
    w, v = zero(weights.w), zero(params.readout.v)
    return _Back(zero(start.gates), zero(start.h), zero(start.c), w, r, w[:, 0], v, v[:, 0])


def _gradient(spec: Lstm97Spec, params: NetworkParams, found: _Back) -> NetworkParams:
    """The sums, cut into the tree of the weights, and turned round: they are to be descended."""
    has = params.cell
    ends = {"i": spec.num_blocks, "o": found.gates.shape[0], "z": found.b.shape[0]}
    cell, begin = {}, 0
    for unit, end in ends.items():
        for kind, total in (("w", found.w), ("r", found.r), ("b", found.b)):
            weight = getattr(has, f"{kind}_{unit}")
            if weight is not None:  # weights that carry nothing are not moved
                cell[f"{kind}_{unit}"] = (
                    jnp.zeros_like(weight) if total is None else -total[begin:end]
                )
        begin = end
    absent: dict[str, Any] = dict.fromkeys(Lstm97Params._fields)
    bias = None if params.readout.b is None else -found.e
    return NetworkParams(Lstm97Params(**absent | cell), ReadoutParams(-found.v, bias))
