"""The learning algorithm of the 1997 paper itself: the truncated gradient, forward in time.

Every function here takes arrays with any number of trailing axes: none for one network, one
axis of lanes for many networks side by side (`kernels.lanes`). That is why products are written
as sums over columns and not as ``@``: a column times a source is then one elementwise product
over all lanes, which is also what makes it fast.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.lstm97 import (
    Lstm97Params,
    Lstm97Spec,
    Lstm97State,
    squash_g,
    squash_h,
    stack_all,
)
from lstm_jax.gradients.rule import GradientRule, require_mask, require_timing
from lstm_jax.network import Network, NetworkParams
from lstm_jax.readout import ReadoutParams
from lstm_jax.tasks.task import Example
from lstm_jax.types import Array, State


class Traces(NamedTuple):
    """dc_v / dw, the derivative of each internal state with respect to a weight into cell v.

    The suffix says which weights: x from the inputs, gates from the gates, h from the cell
    outputs of the step before, b the biases. `z` are the weights into the cell itself, `i` those
    into its block's input gate. (The paper's D_v,m and D_in,v,m.)
    """

    z_x: Array  # [C, D]
    z_gates: Array  # [C, G]
    z_h: Array  # [C, C]
    z_b: Array  # [C]
    i_x: Array
    i_gates: Array
    i_h: Array
    i_b: Array


class _Sources(NamedTuple):
    """What the hidden units saw in a step."""

    x: Array  # [D]
    gates: Array  # [G] input gates, then output gates
    h: Array  # [C]


class _Last(NamedTuple):
    """What the last valid step adds to the traces: ``d[:, None] * y[None]`` for each source y."""

    d_z: Array  # [C] dc_v / dnet_v
    d_i: Array  # [C] dc_v / dnet_in
    sources: _Sources


class _Now(NamedTuple):
    """The internal state, and what the next step will see."""

    c: Array  # [C]
    gates: Array  # [G]
    h: Array  # [C]


class _Weights(NamedTuple):
    """All hidden units in one array per kind of source: one fused product for all of them."""

    w: Array  # [U, D]
    r: Array | None  # [U, R]
    b: Array | None  # [U]


def traces(network: Network, timing: str) -> GradientRule:
    """The truncated gradient of `lstm97` by the paper's forward recursion (A.1, eqs 16 to 28).

    With f the logistic function, y_m a source's activation, in and out the gates of the block
    of cell v::

        e_k      = delta(net_k, t_k)
        e_out    = f'(net_out) sum_v h(c_v) sum_k v_kv e_k
        e_v      = y_out h'(c_v) sum_k v_kv e_k
        D_vm    += g'(net_v) y_in y_m                 descend  - e_v D_vm
        D_in,vm += g(net_v) f'(net_in) y_m            descend  - sum_v e_v D_in,vm
                                                      descend  - e_out y_m, - e_k h_v

    Equal to `truncated`, to rounding. Memory does not grow with T, and there is no backward
    pass; so weights could change inside a sequence.

    Args:
      network: a network over an `lstm97` cell.
      timing: "end" or "every_step".

    Raises:
      ValueError: for another cell, or an unknown timing.

    Example:
      >>> from lstm_jax import GRADIENT_RULES, adding, lstm97, network, readout
      >>> net = network(lstm97(2, 2, 2), readout(4, 1))
      >>> params = net.init(jax.random.key(0))
      >>> example = adding(T=11).sample(jax.random.key(1))
      >>> _, forward = traces(net, "end")(params, example)
      >>> _, autodiff = GRADIENT_RULES["truncated"](net, "end")(params, example)
      >>> bool(jnp.allclose(forward.cell.r_i, autodiff.cell.r_i, atol=1e-7))
      True
    """
    require_timing(timing)
    spec = network.cell.spec
    if not isinstance(spec, Lstm97Spec):
        raise ValueError(
            f"traces: the rule is written for the lstm97 cell, not for {network.cell.name!r}; "
            "'truncated' is the same gradient for any cell"
        )

    def rule(
        params: NetworkParams, example: Example, state: State | None = None
    ) -> tuple[Array, NetworkParams]:
        lanes = example.length.shape
        weights = _Weights(*stack_all(params.cell))
        now = _start(spec, params, lanes, state)
        carry = (now, _no_step(params, now), _no_traces(params.cell, now))

        def step(carry, inputs):
            (now, last, traced), accumulated = carry
            x, t, target, mask = inputs
            valid = (t < example.length)[None]
            x = jnp.where(valid, x, 0.0)  # so that padding cannot leak, whatever it holds
            if timing == "end":
                # One step late: read from the carry, the factors of the traces are computed
                # once. In the same step XLA computes them again for each of their sources.
                traced = _accumulate(traced, last)
                now, last = _step(spec, weights, now, last, x, valid)
                return ((now, last, traced), None), None
            now, last = _step(spec, weights, now, last, x, valid)
            traced = _accumulate(traced, last)
            y, e = _output(network, params.readout, now, last.sources, target)
            e = jnp.where(valid & mask[None], e, 0.0)
            grads = _gradient(spec, network, params, now, last.sources, traced, e)
            accumulated = jax.tree.map(jnp.add, accumulated, grads)
            return ((now, last, traced), accumulated), y

        every_step = timing == "every_step"
        xs = (
            example.inputs,
            jnp.arange(example.inputs.shape[0], dtype=jnp.int32),
            example.targets if every_step else None,
            require_mask(example) if every_step else None,
        )
        total = jax.tree.map(jnp.zeros_like, params) if every_step else None
        (carry, grads), outputs = jax.lax.scan(step, (carry, total), xs)
        if every_step:
            return outputs, grads  # pyright: ignore[reportReturnType]  # both are there then
        now, last, traced = carry
        traced = _accumulate(traced, last)
        outputs, e = _output(network, params.readout, now, last.sources, example.targets)
        return outputs, _gradient(spec, network, params, now, last.sources, traced, e)

    return rule


def _step(
    spec: Lstm97Spec, weights: _Weights, now: _Now, last: _Last, x: Array, valid: Array
) -> tuple[_Now, _Last]:
    """One time step of all units; after the sequence's end nothing moves."""
    num_cells, num_gates = now.c.shape[0], now.gates.shape[0]
    net = _products(weights.w, x)
    if weights.b is not None:
        net = net + weights.b
    if weights.r is not None:
        net = net + _products(weights.r[:, :num_gates], now.gates)
        net = net + _products(weights.r[:, num_gates:], now.h)
    a = jax.nn.sigmoid(net)
    gates = a[:num_gates]
    i = _per_cell(spec, gates[: spec.num_blocks], num_cells)
    logistic = a[num_gates:]
    z = squash_g(spec.g, logistic)
    dz = logistic * (1 - logistic) * (4 if spec.g == "g2" else 1)
    moving_i = jnp.where(valid, i, 0.0)

    c = now.c + moving_i * z
    h = squash_h(spec.h, c)
    if spec.output_gate:
        h = _per_cell(spec, gates[spec.num_blocks :], num_cells) * h
    gates, h = jnp.where(valid, gates, now.gates), jnp.where(valid, h, now.h)
    seen = _Sources(x, now.gates, now.h)
    sources = jax.tree.map(lambda new, old: jnp.where(valid, new, old), seen, last.sources)
    return _Now(c, gates, h), _Last(dz * moving_i, z * moving_i * (1 - i), sources)


def _accumulate(traced: Traces, last: _Last) -> Traces:
    """The traces after a step; its factors are zero beyond the sequence's end."""
    d_z, d_i, (x, gates, h) = last
    return Traces(
        z_x=traced.z_x + _outer(d_z, x),
        z_gates=traced.z_gates + _outer(d_z, gates),
        z_h=traced.z_h + _outer(d_z, h),
        z_b=traced.z_b + d_z,
        i_x=traced.i_x + _outer(d_i, x),
        i_gates=traced.i_gates + _outer(d_i, gates),
        i_h=traced.i_h + _outer(d_i, h),
        i_b=traced.i_b + d_i,
    )


def _output(
    network: Network, params: ReadoutParams, now: _Now, sources: _Sources, target: Array
) -> tuple[Array, Array]:
    """The outputs y_k and the error signals e_k."""
    net = _products(params.v, network.seen(now.h, sources.x))
    if params.b is not None:
        net = net + params.b
    return network.readout.output(net), network.readout.delta(net, target)


def _gradient(
    spec: Lstm97Spec,
    network: Network,
    params: NetworkParams,
    now: _Now,
    sources: _Sources,
    traced: Traces,
    e: Array,  # [K]
) -> NetworkParams:
    """The contribution of the errors at one time step, to be descended."""
    num_blocks, num_cells = spec.num_blocks, now.c.shape[0]
    back = sum(params.readout.v[k, :num_cells] * e[k][None] for k in range(e.shape[0]))
    squashed = squash_h(spec.h, now.c)
    dh = (1 + squashed) * (1 - squashed) / 2 if spec.h == "h1" else jnp.ones_like(squashed)
    o = now.gates[num_blocks:]
    e_c = back * dh
    if spec.output_gate:
        e_c = _per_cell(spec, o, num_cells) * e_c
    recurrent = params.cell.r_z is not None
    z_w, z_r, z_b = _against(-e_c, traced[:4])
    i_w, i_r, i_b = (_per_block(spec, d) for d in _against(-e_c, traced[4:]))
    w_o = r_o = b_o = None
    if spec.output_gate:
        b_o = -(o * (1 - o)) * _per_block(spec, squashed * back)
        w_o = _outer(b_o, sources.x)
        r_o = _outer(b_o, jnp.concatenate([sources.gates, sources.h])) if recurrent else None
    has = params.cell
    cell = Lstm97Params(
        w_i=i_w,
        w_o=w_o,
        w_z=z_w,
        r_i=i_r if recurrent else None,
        r_o=r_o,
        r_z=z_r if recurrent else None,
        b_i=None if has.b_i is None else i_b,
        b_o=None if has.b_o is None else b_o,
        b_z=None if has.b_z is None else z_b,
    )
    v = -_outer(e, network.seen(now.h, sources.x))
    return NetworkParams(cell, ReadoutParams(v, None if params.readout.b is None else -e))


def _against(e: Array, traced: tuple[Array, ...]) -> tuple[Array, Array, Array]:
    """``e_v D_vm`` for the weights from inputs, from recurrent sources, and for the biases."""
    x, gates, h, b = traced
    return e[:, None] * x, e[:, None] * jnp.concatenate([gates, h], axis=1), e * b


def _start(
    spec: Lstm97Spec, params: NetworkParams, lanes: tuple[int, ...], state: Lstm97State | None
) -> _Now:
    dtype = params.cell.w_z.dtype
    if state is not None:
        gates = [gate for gate in (state.i, state.o) if gate is not None]
        return _Now(state.c, jnp.concatenate(gates), state.h)
    num_gates = spec.num_blocks * (2 if spec.output_gate else 1)
    cells = jnp.zeros((spec.num_blocks * spec.block_size, *lanes), dtype)
    return _Now(cells, jnp.zeros((num_gates, *lanes), dtype), cells)


def _no_step(params: NetworkParams, now: _Now) -> _Last:
    zero = jnp.zeros_like(now.c)
    return _Last(zero, zero, _Sources(jnp.zeros_like(params.cell.w_z[0]), now.gates, now.h))


def _no_traces(params: Lstm97Params, now: _Now) -> Traces:
    x = jnp.zeros_like(params.w_z)
    zero = [x, _outer(now.c, now.gates) * 0.0, _outer(now.c, now.h) * 0.0, jnp.zeros_like(now.c)]
    return Traces(*zero, *zero)


def _products(w: Array, y: Array) -> Array:
    """``w @ y`` as a sum over columns."""
    return sum((w[:, m] * y[m][None] for m in range(w.shape[1])), start=jnp.zeros_like(w[:, 0]))


def _outer(f: Array, y: Array) -> Array:
    return f[:, None] * y[None]


def _per_cell(spec: Lstm97Spec, gate: Array, num_cells: int) -> Array:
    """Each block's gate, once for each of its cells."""
    shape = (spec.num_blocks, spec.block_size, *gate.shape[1:])
    return jnp.broadcast_to(gate[:, None], shape).reshape(num_cells, *gate.shape[1:])


def _per_block(spec: Lstm97Spec, cells: Array) -> Array:
    """The sum over the cells of each block."""
    return cells.reshape(spec.num_blocks, spec.block_size, *cells.shape[1:]).sum(axis=1)
