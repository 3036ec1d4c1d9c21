"""The equations of `lstm97` for arrays with any number of trailing axes.

None for one network, one axis of lanes for many networks side by side, one more for many
sequences of each. That is why products are written as sums over columns and not as ``@``: a
column times a source is then one elementwise product over all lanes, which is also what makes it
fast. The cell itself (`lstm97`) is the definition; tests hold this equal to it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.lstm97 import (
    Lstm97Params,
    Lstm97Spec,
    Lstm97State,
    slope_g,
    squash_g,
    squash_h,
    stack_all,
)
from lstm_jax.parallel import alike
from lstm_jax.symbols import countable
from lstm_jax.types import Array


class Weights(NamedTuple):
    """All hidden units in one array per kind of source: one fused product for all of them."""

    w: Array  # [U, D]
    r: Array | None  # [U, R]
    b: Array | None  # [U]


class Now(NamedTuple):
    """The internal state, and what the next step will see."""

    c: Array  # [C]
    gates: Array  # [G] input gates, then output gates
    h: Array  # [C]


class Slopes(NamedTuple):
    """What a step adds to the derivatives of the internal states: dc_v / dnet."""

    z: Array  # [C] of the cell's own net input
    i: Array  # [C] of the net input of its block's input gate


def heard(spec: Lstm97Spec, params: Lstm97Params) -> Lstm97Params:
    """The weights without the recurrent ones where those carry nothing."""
    return params._replace(r_i=None, r_o=None, r_z=None) if spec.silent else params


def weights_of(params: Lstm97Params) -> Weights:
    """The weights with all hidden units stacked."""
    return Weights(*stack_all(params))


def start(
    spec: Lstm97Spec, w: Array, lanes: tuple[int, ...], state: Lstm97State | None = None
) -> Now:
    """What a sequence begins with: the cell's initial state, or the state given. `w` gives the
    dtype."""
    if state is not None:
        gates = [gate for gate in (state.i, state.o) if gate is not None]
        return Now(state.c, jnp.concatenate(gates), state.h)
    num_gates = spec.num_blocks * (2 if spec.output_gate else 1)
    cells = jnp.zeros((spec.num_blocks * spec.block_size, *lanes), w.dtype)
    return Now(cells, jnp.full((num_gates, *lanes), spec.initial_gate, w.dtype), cells)


def advance(
    spec: Lstm97Spec, weights: Weights, now: Now, net_x: Array, valid: Array
) -> tuple[Now, Slopes]:
    """One time step of all units; where `valid` is false nothing moves.

    Args:
      net_x: what the inputs contribute to the net inputs, ``[U]``.
      valid: ``[1]``, each with the trailing axes.
    """
    num_cells, num_gates = now.c.shape[0], now.gates.shape[0]
    net = net_x
    if weights.b is not None:
        net = net + weights.b
    if weights.r is not None:
        if weights.r.shape[1] > num_cells:
            net = net + products(weights.r[:, :-num_cells], now.gates)
        net = net + products(weights.r[:, -num_cells:], now.h)
    a = jax.nn.sigmoid(net)
    gates = a[:num_gates]
    i = per_cell(spec, gates[: spec.num_blocks], num_cells)
    logistic = a[num_gates:]
    z = squash_g(spec.g, logistic)
    dz = slope_g(spec.g, logistic)
    moving_i = jnp.where(valid, i, 0.0)

    c = now.c + moving_i * z
    h = squash_h(spec.h, c)
    if spec.output_gate:
        h = per_cell(spec, gates[spec.num_blocks :], num_cells) * h
    gates, h = jnp.where(valid, gates, now.gates), jnp.where(valid, h, now.h)
    return Now(c, gates, h), Slopes(dz * moving_i, z * moving_i * (1 - i))


def products(w: Array, y: Array) -> Array:
    """``w @ y`` as a sum over columns."""
    return sum((w[:, m] * y[m][None] for m in range(w.shape[1])), start=jnp.zeros_like(w[:, 0]))


def outer(f: Array, y: Array) -> Array:
    """``f_v y_m``."""
    return f[:, None] * y[None]


def per_cell(spec: Lstm97Spec, gate: Array, num_cells: int) -> Array:
    """Each block's gate, once for each of its cells."""
    shape = (spec.num_blocks, spec.block_size, *gate.shape[1:])
    return jnp.broadcast_to(gate[:, None], shape).reshape(num_cells, *gate.shape[1:])


def per_block(spec: Lstm97Spec, cells: Array) -> Array:
    """The sum over the cells of each block."""
    # Slice by slice: XLA makes a library call of a reduction over this axis, and a loop with
    # such a call in it is no longer compiled as one kernel.
    blocks = cells.reshape(spec.num_blocks, spec.block_size, *cells.shape[1:])
    return sum((blocks[:, s] for s in range(1, spec.block_size)), start=blocks[:, 0])


def columns(w: Array, symbols: Array) -> Array:
    """``w`` times the unit vectors of a sequence of symbols: a gather, whatever D is.

    Args:
      w: ``[U, D]`` with trailing axes; those of size 1 serve all of the symbols'.
      symbols: ``[T]`` whole numbers in ``0 .. D - 1``, with trailing axes.

    Returns:
      ``[T, U]`` with trailing axes.

    Example:
      >>> w = jnp.arange(6.0).reshape(2, 3)
      >>> columns(w, jnp.array([2, 0], jnp.int32)).tolist()
      [[2.0, 5.0], [0.0, 3.0]]
    """
    index = countable(symbols)[None]
    taken = jnp.take_along_axis(w, index, axis=1, mode="promise_in_bounds")
    return jnp.moveaxis(taken, 1, 0)


def add_by_symbol(symbols: Array, values: Array, num_symbols: int) -> Array:
    """Sums of values over the steps that show each symbol: `columns` backwards.

    One slice a step and lane. A scatter would do the same; in a loop it keeps XLA's CPU compiler
    from making one kernel of that loop.

    Args:
      symbols: ``[T]``, with at most one trailing axis.
      values: ``[T, F]``, with the same.

    Returns:
      ``[F, num_symbols]``, with the same.

    Example:
      >>> values = jnp.array([[1.0], [2.0], [4.0]])
      >>> add_by_symbol(jnp.array([2, 0, 2], jnp.int32), values, 3).tolist()
      [[2.0, 0.0, 5.0]]
    """
    symbols, lanes = symbols.astype(jnp.int32), symbols.shape[1:]  # the type of the other indices
    if not lanes:
        return add_by_symbol(symbols[:, None], values[..., None], num_symbols)[..., 0]
    num_lanes, num_values = lanes[0], values.shape[1]
    rows = jnp.moveaxis(values, 2, 1)  # [T, L, F]

    def step(total: Array, inputs: tuple[Array, Array]) -> tuple[Array, None]:
        symbol, row = inputs
        for lane in range(num_lanes):
            where = (jnp.int32(lane), symbol[lane], jnp.int32(0))
            old = jax.lax.dynamic_slice(total, where, (1, 1, num_values))
            total = jax.lax.dynamic_update_slice(total, old + row[lane][None, None], where)
        return total, None

    zero = alike(jnp.zeros((num_lanes, num_symbols, num_values), values.dtype), rows)
    return jnp.transpose(jax.lax.scan(step, zero, (symbols, rows))[0], (2, 1, 0))
