"""The learning algorithm of the 1997 paper itself: the truncated gradient, forward in time.

Every function here takes arrays with trailing axes (`cells.trailing`): none for one network, one
axis of lanes for many networks side by side (`kernels.lanes`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells import trailing
from lstm_jax.cells.lstm97 import Lstm97Params, Lstm97Spec, slope_h, squash_h
from lstm_jax.cells.trailing import Now, Slopes, outer, per_block, per_cell, products
from lstm_jax.gradients.outputs import at_last_step, output_nets, symbol_nets
from lstm_jax.gradients.rule import GradientRule, require_lstm97, require_mask, require_timing
from lstm_jax.network import Network, NetworkParams
from lstm_jax.parallel import alike
from lstm_jax.readout import ReadoutParams
from lstm_jax.tasks.task import Example
from lstm_jax.types import Array, State
from lstm_jax.unroll import as_vectors, is_symbols, scan_until


class Traces(NamedTuple):
    """dc_v / dw, the derivative of each internal state with respect to a weight into cell v.

    The suffix says which weights: x from the inputs, gates from the gates, h from the cell
    outputs of the step before, b the biases. `z` are the weights into the cell itself, `i` those
    into its block's input gate. (The paper's D_v,m and D_in,v,m.) None: there are no such
    weights, or, for inputs that are symbols, they are summed up after the sequence.
    """

    z_x: Array | None  # [C, D]
    z_gates: Array | None  # [C, G]
    z_h: Array | None  # [C, C]
    z_b: Array  # [C]
    i_x: Array | None
    i_gates: Array | None
    i_h: Array | None
    i_b: Array


class _Sources(NamedTuple):
    """What the hidden units saw in a step."""

    x: Array | None  # [D], None for symbols
    gates: Array  # [G] input gates, then output gates
    h: Array  # [C]


class _Last(NamedTuple):
    """What the last valid step adds to the traces: ``slope[:, None] * y[None]`` for a source y."""

    slopes: Slopes
    sources: _Sources


class _Errors(NamedTuple):
    """The error signals of one step."""

    e: Array  # [K] of the output units
    c: Array  # [C] of the internal states
    o: Array | None  # [B] of the output gates


class _Steps(NamedTuple):
    """What every step leaves behind, [T, ..], where the inputs are symbols."""

    slopes: Slopes
    errors: _Errors | None  # None where the target comes at the end


def traces(network: Network, timing: str, *, ragged: bool = False) -> GradientRule:
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
    pass; so weights can change inside a sequence: given a `rate` (one for all weights, or a tree
    of them), the rule uses ``w - rate * (gradient so far)`` in each step, which makes the total
    the sum of updates made after every time step. (Symbols are the exception to the memory:
    their D_vm are sparse, and are summed up from what each step leaves behind.) They have to be
    0 to D - 1: another one, a vector of zeros to the other rules, is looked up unchecked here.

    Args:
      network: a network over an `lstm97` cell.
      timing: "end" or "every_step".
      ragged: stop at the longest sequence of the lanes instead of the static bound; for tasks
        whose bound is far above their length.

    Raises:
      ValueError: for another cell, or an unknown timing; by the rule, for a rate with "end".

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
    spec = require_lstm97(network, "traces", "truncated")
    every_step = timing == "every_step"

    def rule(
        params: NetworkParams,
        example: Example,
        state: State | None = None,
        rate: Array | float | NetworkParams | None = None,
    ) -> tuple[Array, NetworkParams]:
        params, example, state, rate = alike((params, example, state, rate))
        if not spec.silent:
            return recursion(params, example, state, rate)
        rates = _heard(spec, rate) if isinstance(rate, NetworkParams) else rate
        outputs, grads = recursion(_heard(spec, params), example, state, rates)
        still = jax.tree.map(jnp.zeros_like, params.cell)
        cell = grads.cell._replace(r_i=still.r_i, r_o=still.r_o, r_z=still.r_z)
        return outputs, grads._replace(cell=cell)

    def recursion(
        params: NetworkParams,
        example: Example,
        state: State | None,
        rate: Array | float | NetworkParams | None,
    ) -> tuple[Array, NetworkParams]:
        if rate is not None and not every_step:
            raise ValueError("rate: updates after every step need the timing 'every_step'")
        inputs = example.inputs
        if rate is not None:
            inputs = as_vectors(inputs, network.cell.input_size)
        rates = None if rate is None else _rates(rate, params)
        symbols = inputs if is_symbols(inputs) else None
        now = trailing.start(spec, params.cell.w_z, example.length.shape, state)
        no_input = jnp.zeros_like(params.cell.w_z[0]) if symbols is None else None
        last = _Last(
            Slopes(jnp.zeros_like(now.c), jnp.zeros_like(now.c)),
            _Sources(no_input, now.gates, now.h),
        )
        total = _nothing(params, symbols is not None) if every_step else None
        # The step's number is carried: one that is looped over would be T numbers in memory.
        start = (jnp.int32(0), now, last, _no_traces(params.cell, now, symbols is None), total)
        start = alike(start, params)
        weights = trailing.weights_of(params.cell)

        def step(carry, inputs):
            t, now, last, traced, total = carry
            x, net_x, net_y, target, mask = inputs
            valid = (t < example.length)[None]
            used, current = params, weights
            if rates is not None:
                used = jax.tree.map(lambda w, rate, grad: w - rate * grad, params, rates, total)
                current = trailing.weights_of(used.cell)
            if x is not None:
                x = jnp.where(valid, x, 0.0)  # so that padding cannot leak, whatever it holds
                net_x = products(current.w, x)
            if not every_step:
                # One step late: read from the carry, the factors of the traces are computed
                # once. In the same step XLA computes them again for each of their sources.
                traced = _accumulate(traced, last)
            seen = _Sources(x, now.gates, now.h)
            now, slopes = trailing.advance(spec, current, now, net_x, valid)
            last = _Last(
                slopes, jax.tree.map(lambda new, old: jnp.where(valid, new, old), seen, last[1])
            )
            if not every_step:
                left = None if symbols is None else _Steps(slopes, None)
                return (t + 1, now, last, traced, None), (None, left)
            traced = _accumulate(traced, last)
            net = output_nets(network, used.readout, now.h, x, net_y)
            y, e = network.readout.output(net), network.readout.delta(net, target)
            errors = _errors(spec, used.readout, now, jnp.where(valid & mask[None], e, 0.0))
            grads = _gradient(network, params, now, last.sources, traced, errors)
            total = jax.tree.map(jnp.add, total, grads)
            left = None if symbols is None else _Steps(slopes, errors)
            return (t + 1, now, last, traced, total), (y, left)

        direct = None
        if symbols is not None:
            direct = symbol_nets(network, params, symbols, now.c.shape[0])
        xs = (
            inputs if symbols is None else None,
            None if symbols is None else trailing.columns(weights.w, symbols),
            direct if every_step else None,
            example.targets if every_step else None,
            require_mask(example) if every_step else None,
        )
        if ragged:
            ended = scan_until(step, start, xs, jnp.max(example.length))
        else:
            ended = jax.lax.scan(step, start, xs)
        (_, now, last, traced, grads), (outputs, left) = ended
        if not every_step:
            traced = _accumulate(traced, last)
            net_y = None if direct is None else at_last_step(direct, example.length).sum(axis=0)
            net = output_nets(network, params.readout, now.h, last.sources.x, net_y)
            outputs = network.readout.output(net)
            errors = _errors(spec, params.readout, now, network.readout.delta(net, example.targets))
            grads = _gradient(network, params, now, last.sources, traced, errors)
            if left is not None:
                left = _Steps(left.slopes, _at_last(errors, inputs.shape[0], example.length))
        if symbols is not None and left is not None:
            assert grads is not None  # from the steps or from the last one
            grads = _with_inputs(spec, network, grads, symbols, left)
        return outputs, grads  # pyright: ignore[reportReturnType]  # both are there by now

    return rule


def _heard(spec: Lstm97Spec, params: NetworkParams) -> NetworkParams:
    return params._replace(cell=trailing.heard(spec, params.cell))


def _accumulate(traced: Traces, last: _Last) -> Traces:
    """The traces after a step; its factors are zero beyond the sequence's end."""
    (d_z, d_i), (x, gates, h) = last

    def grown(trace: Array | None, slope: Array, source: Array | None) -> Array | None:
        return None if trace is None or source is None else trace + outer(slope, source)

    return Traces(
        z_x=grown(traced.z_x, d_z, x),
        z_gates=grown(traced.z_gates, d_z, gates),
        z_h=grown(traced.z_h, d_z, h),
        z_b=traced.z_b + d_z,
        i_x=grown(traced.i_x, d_i, x),
        i_gates=grown(traced.i_gates, d_i, gates),
        i_h=grown(traced.i_h, d_i, h),
        i_b=traced.i_b + d_i,
    )


def _errors(spec: Lstm97Spec, params: ReadoutParams, now: Now, e: Array) -> _Errors:
    """The error signals behind the output units."""
    num_cells = now.c.shape[0]
    back = sum(params.v[k, :num_cells] * e[k][None] for k in range(e.shape[0]))
    squashed = squash_h(spec.h, now.c)
    dh = slope_h(spec.h, squashed)
    if not spec.output_gate:
        return _Errors(e, back * dh, None)
    o = now.gates[spec.num_blocks :]
    e_o = (o * (1 - o)) * per_block(spec, squashed * back)
    return _Errors(e, per_cell(spec, o, num_cells) * (back * dh), e_o)


def _gradient(
    network: Network,
    params: NetworkParams,
    now: Now,
    sources: _Sources,
    traced: Traces,
    errors: _Errors,
) -> NetworkParams:
    """The contribution of the errors at one time step, to be descended."""
    spec: Lstm97Spec = network.cell.spec
    has, (x, gates, h) = params.cell, sources
    z, i = traced[:4], traced[4:]

    def against(trace: Array | None) -> Array | None:
        if trace is None:
            return None
        return (-errors.c[:, None] if trace.ndim > errors.c.ndim else -errors.c) * trace

    def block(trace: Array | None) -> Array | None:
        return None if trace is None else per_block(spec, trace)

    def recurrent(parts: tuple[Array | None, ...]) -> Array | None:
        there = [part for part in parts if part is not None]
        return jnp.concatenate(there, axis=1) if there else None

    w_o = r_o = b_o = None
    if errors.o is not None:
        b_o = -errors.o
        w_o = None if x is None else outer(b_o, x)
        if has.r_o is not None:
            seen = jnp.concatenate([gates, h]) if traced.z_gates is not None else h
            r_o = outer(b_o, seen)
    cell = Lstm97Params(
        w_i=block(against(i[0])),  # pyright: ignore[reportArgumentType]  # symbols: filled in later
        w_o=w_o,
        w_z=against(z[0]),  # pyright: ignore[reportArgumentType]
        r_i=block(recurrent((against(i[1]), against(i[2])))),
        r_o=r_o,
        r_z=recurrent((against(z[1]), against(z[2]))),
        b_i=None if has.b_i is None else block(against(i[3])),
        b_o=None if has.b_o is None else b_o,
        b_z=None if has.b_z is None else against(z[3]),
    )
    v = -outer(errors.e, now.h if x is None else network.seen(now.h, x))
    return NetworkParams(cell, ReadoutParams(v, None if params.readout.b is None else -errors.e))


def _with_inputs(
    spec: Lstm97Spec, network: Network, grads: NetworkParams, symbols: Array, left: _Steps
) -> NetworkParams:
    """The gradients of the weights from the inputs as well, where those are symbols.

    With E_v(t) the sum of e_v over the steps from t on, the weight from symbol s to cell v
    descends ``- sum of E_v(t) dc_v/dnet_v(t)`` over the steps t that show s.
    """
    (d_z, d_i), errors = left
    assert errors is not None
    nothing = alike(jnp.zeros_like(errors.c[0]), errors.c)
    _, later = jax.lax.scan(
        lambda total, e: (total + e, total + e), nothing, errors.c, reverse=True
    )
    parts = [-later * d_z, jax.vmap(lambda e: per_block(spec, e))(-later * d_i)]
    if errors.o is not None:
        parts.append(-errors.o)
    if network.direct:
        parts.append(-errors.e)
    sums = trailing.add_by_symbol(symbols, jnp.concatenate(parts, axis=1), network.cell.input_size)
    ends = [0]
    for part in parts:
        ends.append(ends[-1] + part.shape[1])
    pieces = [sums[a:b] for a, b in zip(ends, ends[1:], strict=False)]
    w_z, w_i = pieces[:2]
    w_o = pieces[2] if errors.o is not None else None
    v = grads.readout.v
    v = jnp.concatenate([v, pieces[-1]], axis=1) if network.direct else v
    cell = grads.cell._replace(w_i=w_i, w_o=w_o, w_z=w_z)
    return NetworkParams(cell, grads.readout._replace(v=v))


def _at_last(errors: _Errors, num_steps: int, length: Array) -> _Errors:
    """The errors of the last step as those of every step, zero before it."""

    def spread(e: Array) -> Array:
        return at_last_step(jnp.broadcast_to(e, (num_steps, *e.shape)), length)

    return jax.tree.map(spread, errors)


def _nothing(params: NetworkParams, symbols: bool) -> NetworkParams:
    """Zero gradients; without the weights from the inputs where those are symbols."""
    zero = jax.tree.map(jnp.zeros_like, params)
    if not symbols:
        return zero
    cell = zero.cell._replace(w_i=None, w_o=None, w_z=None)
    return NetworkParams(
        cell, zero.readout._replace(v=zero.readout.v[:, : params.cell.w_z.shape[0]])
    )


def _rates(rate: Array | float | NetworkParams, params: NetworkParams) -> NetworkParams:
    """The rate of each weight."""
    if isinstance(rate, NetworkParams):
        return rate
    return jax.tree.map(lambda w: jnp.broadcast_to(jnp.asarray(rate, w.dtype), w.shape), params)


def _no_traces(params: Lstm97Params, now: Now, inputs: bool) -> Traces:
    x = jnp.zeros_like(params.w_z) if inputs else None
    gates = h = None
    if params.r_z is not None:
        num_gates = params.r_z.shape[1] - now.c.shape[0]
        gates = jnp.zeros_like(params.r_z[:, :num_gates]) if num_gates else None
        h = jnp.zeros_like(params.r_z[:, num_gates:])
    zero = [x, gates, h, jnp.zeros_like(now.c)]
    return Traces(*zero, *zero)
