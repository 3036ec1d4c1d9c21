"""How an error at the end of a sequence reaches back in time, and what bounds it.

Section 3 of Hochreiter & Schmidhuber 1997: with conventional units the error that flows back q
steps vanishes, or explodes, exponentially in q; section 4's constant error carousel keeps it.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells.activations import Activation
from lstm_jax.cells.cell import Cell
from lstm_jax.types import Array, Params, State
from lstm_jax.unroll import require_sequence, unroll

WHOLE, MEMORY = "state", "memory"
"""Parts of a state besides its own fields: all of it; the memory cells, or h where there are none.
"""
NORMS = ("spectral", "row_sum", "largest")


def error_flow(
    cell: Cell,
    params: Params,
    xs: Array,  # [T, D] or symbols [T]
    error: Array,  # [H]
    state: State | None = None,
    *,
    length: Array | int | None = None,
    truncated: bool = False,
) -> State:  # leaves [T, ...]
    """The error that reaches the state q steps before the end, for every lag q at once.

    With E a function of the last output y_n (n the length) and state(t) what step t leaves behind,
    row ``q - 1`` holds ``dE / d state(n - q)``, which enters step ``n - q + 1``. One backward pass
    gives all lags: a zero is added to the state before each step, and E is differentiated with
    respect to the zeros. Nothing is approximated.

    Args:
      cell: any `Cell`.
      params: its weights.
      xs: the inputs of one sequence, as `unroll` takes them.
      error: ``dE / dy_n``, the error signal at the last output.
      state: what the sequence starts from; None is ``cell.initial_state()``.
      length: n, from 1 to T; T by default. Rows of lags beyond it are zero.
      truncated: as the 1997 rule sees it: what `cell.truncate` stops passes nothing back.

    Returns:
      The state's tree with a leading axis of lags; a leaf that is no floating-point number, such
      as a count of steps, is None.

    Raises:
      ValueError: as `unroll`, for a structure, or for an error that is not ``[H]``.

    Example:
      >>> from lstm_jax import lstm97
      >>> cell = lstm97(2, num_blocks=2, block_size=2)
      >>> params = cell.init(jax.random.key(0))
      >>> flow = error_flow(cell, params, jnp.ones((5, 2)), jnp.ones(4), truncated=True)
      >>> bool((flow.c == flow.c[:1]).all()), bool((flow.h == 0).all())  # the carousel alone
      (True, True)
    """
    if not isinstance(cell, Cell):
        raise ValueError(f"error_flow: a cell is needed, which goes step by step, not {cell!r:.60}")
    if jnp.shape(error) != (cell.output_size,):
        raise ValueError(
            f"error_flow: an error of shape {jnp.shape(error)} where ({cell.output_size},) is "
            f"needed, one number for each output of {cell.name}"
        )
    start = cell.initial_state() if state is None else state
    vectors = require_sequence("error_flow", xs, cell.input_size, length)
    num_steps, size = vectors.shape[0], _size(start)
    end = jnp.asarray(num_steps if length is None else length, jnp.int32)

    # Errors are of the state's type: one of narrow inputs would make small ones zero.
    dtype = jnp.result_type(vectors, *_floats(start))

    # The zeros travel as inputs, so that `unroll` keeps its one meaning of a length.
    def step(params: Params, state: State, x: Array) -> tuple[State, Array]:
        entering = _nudged(state, x[cell.input_size :])
        return _step(cell, truncated)(params, entering, x[: cell.input_size].astype(vectors.dtype))

    wide = cell._replace(input_size=cell.input_size + size, step=step)

    def outcome(nudges: Array) -> Array:
        joined = jnp.concatenate([vectors.astype(dtype), nudges], axis=1)
        _, ys = unroll(wide, params, joined, start, length=length)
        return ys[end - 1]

    last, back = jax.vjp(outcome, jnp.zeros((num_steps, size), dtype))
    (by_time,) = back(jnp.asarray(error, last.dtype))
    # Row t is of the state that enters step t + 1; the lag n - t goes to row n - t - 1.
    times = end - 1 - jnp.arange(num_steps, dtype=jnp.int32)
    by_lag = jnp.where((times >= 0)[:, None], by_time[jnp.maximum(times, 0)], 0)
    return _split(start, by_lag)


def flow_norm(flow: State, part: str = WHOLE) -> Array:  # [T]
    """The 2-norm of a part of the state's error at each lag.

    Args:
      flow: what `error_flow` gives.
      part: "state" is all of it; "memory" the fields c where there are any, else h; or the name
        of a field, which in a state made of several counts in each.

    Raises:
      ValueError: where the state has no such field.

    Example:
      >>> from lstm_jax import elman
      >>> cell = elman(2, 3)
      >>> flow = error_flow(cell, cell.init(jax.random.key(0)), jnp.ones((6, 2)), jnp.ones(3))
      >>> norms = flow_norm(flow, "h")
      >>> norms.shape, bool((norms[1:] < norms[:-1]).all())
      ((6,), True)
    """
    named = [(_last_name(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(flow)]
    fields = list(dict.fromkeys(name for name, _ in named))
    wanted = part
    if part == MEMORY:
        wanted = "c" if "c" in fields else "h"
    leaves = [leaf for name, leaf in named if part == WHOLE or name == wanted]
    if not leaves:
        raise ValueError(
            f"part: {part!r} is not one of {', '.join([WHOLE, MEMORY, *fields])} of this cell"
        )
    joined = jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in leaves], axis=1)
    # The squares of an error of 1e-20 would be zero in float32.
    largest = jnp.max(jnp.abs(joined), axis=1, keepdims=True)
    scaled = joined / jnp.where(largest > 0, largest, 1)
    return largest[:, 0] * jnp.linalg.norm(scaled, axis=1)


def log_flow_norm(flow: State, jacobians: Array, part: str = WHOLE) -> Array:  # [T]
    """The logarithm of `flow_norm`, also where the norm itself is too small or large a number.

    The error at lag 1 goes back through the Jacobians, scaled by a power of two at each, so that
    -inf stands for an error that is exactly zero.

    Args:
      flow: what `error_flow` gives; its first lag is what is used.
      jacobians: ``[T, S, S]`` of the same sequence, as `step_jacobians` gives them.
      part: as for `flow_norm`, which says what is raised.

    Example:
      >>> from lstm_jax import elman
      >>> cell = elman(1, 1)
      >>> params = jax.tree.map(lambda leaf: 0 * leaf + 1e-3, cell.init(jax.random.key(0)))
      >>> xs, error = jnp.zeros((100, 1)), jnp.ones(1)
      >>> flow, jacobians = error_flow(cell, params, xs, error), step_jacobians(cell, params, xs)
      >>> float(flow_norm(flow)[-1]), round(float(log_flow_norm(flow, jacobians)[-1]), 1)
      (0.0, -690.8)
    """

    def scaled(error: Array, exponent: Array) -> tuple[Array, Array]:
        _, more = jnp.frexp(jnp.max(jnp.abs(error)))
        return jnp.ldexp(error, -more), exponent + more

    def back(carry: tuple[Array, Array], jacobian: Array) -> tuple[Any, Any]:
        error, exponent = carry
        new = scaled(error @ jacobian, exponent)
        return new, new

    at_one = jax.tree.map(lambda leaf: leaf[0], flow)
    first = scaled(jnp.concatenate([leaf.reshape(-1) for leaf in _floats(at_one)]), jnp.int32(0))
    # Back from the end, as in `product_bound`: lag 1 has the last step in it.
    _, others = jax.lax.scan(back, first, jacobians[-2::-1])
    errors, exponents = jax.tree.map(
        lambda one, more: jnp.concatenate([one[None], more]), first, others
    )
    norms = flow_norm(_split(at_one, errors), part)
    return jnp.log(norms) + exponents.astype(norms.dtype) * math.log(2)


def step_jacobians(
    cell: Cell,
    params: Params,
    xs: Array,  # [T, D] or symbols [T]
    state: State | None = None,
    *,
    truncated: bool = False,
) -> Array:  # [T, S, S]
    """``d state(t) / d state(t-1)`` at every step of a sequence, S numbers in a state.

    Args: as for `error_flow`.

    Example:
      >>> from lstm_jax import elman
      >>> cell = elman(2, 3)
      >>> step_jacobians(cell, cell.init(jax.random.key(0)), jnp.ones((5, 2))).shape
      (5, 3, 3)
    """
    start = cell.initial_state() if state is None else state
    zero = jnp.zeros(_size(start), jnp.result_type(float))

    def at(state: State, x: Array) -> tuple[State, Array]:
        def after(nudge: Array) -> Array:
            new, _ = _step(cell, truncated)(params, _nudged(state, nudge), x)
            return jnp.concatenate([leaf.reshape(-1) for leaf in _floats(new)])

        new, _ = cell.step(params, state, x)
        return new, jax.jacrev(after)(zero)

    return jax.lax.scan(at, start, require_sequence("step_jacobians", xs, cell.input_size))[1]


def product_bound(jacobians: Array) -> Array:  # [T]
    """What the norm of the error at each lag is at most, relative to that at lag 1.

    The argument of section 3 taken step by step: ``|dE / d state(n - q)|`` is at most the product
    of the spectral norms of the q - 1 Jacobians in between times the norm at lag 1. Numbers of
    the state that pass nothing on at any step (those that a truncation stops) are left out.

    Args:
      jacobians: ``[T, S, S]`` of the whole sequence, as `step_jacobians` gives them.

    Example:
      >>> product_bound(jnp.stack([0.5 * jnp.eye(2)] * 4)).tolist()
      [1.0, 0.5, 0.25, 0.125]
    """
    norms = _norms_back(jacobians)
    return jnp.concatenate([jnp.ones_like(norms[:1]), jnp.cumprod(norms[1:])])


def log_product_bound(jacobians: Array) -> Array:  # [T]
    """The logarithm of `product_bound`, also where the product is too small or large a number.

    Example:
      >>> log_product_bound(jnp.stack([jnp.exp(-50.0) * jnp.eye(2)] * 4)).round(2).tolist()
      [0.0, -50.0, -100.0, -150.0]
    """
    norms = _norms_back(jacobians)
    return jnp.concatenate([jnp.zeros_like(norms[:1]), jnp.cumsum(jnp.log(norms[1:]))])


def _norms_back(jacobians: Array) -> Array:  # [T]
    """Spectral norms of what passes an error on, from the last step back."""
    passes = jnp.any(jacobians != 0, axis=(0, 1))
    kept = jnp.where(passes[:, None] & passes[None, :], jacobians, 0)
    # Lag q passes the q - 1 steps before the last, which lag 1 has in it.
    return jnp.linalg.norm(kept, ord=2, axis=(1, 2))[::-1]


def weight_bound(r: Array, activation: Activation, norm: str = "spectral") -> Array:  # []
    """The factor per step that section 3 derives from the recurrent weights alone.

    ``|dE / dh(n - q)| <= (f'_max ||R||)^q |dE / dh(n)|`` for units ``h = f(R h + ...)``, whatever
    the inputs are: below 1 the error must vanish. For a net without gates; f'_max is 1 for tanh,
    1/4 for the logistic function, which is where the paper's ``w_max < 4 / n`` comes from.

    Args:
      r: ``[n, n]`` recurrent weights, rows are units.
      activation: f: "tanh", "logistic", "relu" or "identity".
      norm: "spectral" bounds the 2-norm of the error; "row_sum" its largest entry (the error
        flows through the transposed matrix, so the sums are over what leaves a unit); "largest" is
        the paper's last and weakest form, ``n w_max``, which bounds both.

    Raises:
      ValueError: for another norm or activation.

    Example:
      >>> r = jnp.full((4, 4), 0.9)
      >>> [round(float(weight_bound(r, "logistic", norm)), 3) for norm in NORMS]
      [0.9, 0.9, 0.9]
    """
    slopes = {"tanh": 1.0, "logistic": 0.25, "relu": 1.0, "identity": 1.0}
    if activation not in slopes:
        raise ValueError(f"activation: {activation!r} is not one of {', '.join(slopes)}")
    if norm not in NORMS:
        raise ValueError(f"norm: {norm!r} is not one of {', '.join(NORMS)}")
    if norm == "spectral":
        size = jnp.linalg.norm(r, ord=2)
    elif norm == "row_sum":
        size = jnp.max(jnp.sum(jnp.abs(r), axis=0))
    else:
        size = r.shape[0] * jnp.max(jnp.abs(r))
    return slopes[str(activation)] * size


def _step(cell: Cell, truncated: bool) -> Callable[[Params, State, Array], tuple[State, Array]]:
    if not truncated:
        return cell.step
    return lambda params, state, x: cell.step(params, cell.truncate(state), x)


def _is_float(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.inexact)


def _floats(state: State) -> list[Array]:
    return [leaf for leaf in jax.tree.leaves(state) if _is_float(leaf)]


def _size(state: State) -> int:
    return sum(leaf.size for leaf in _floats(state))


def _pieces(state: State, joined: Array) -> list[Array | None]:
    """Numbers in the last axis, cut for the leaves of a state; None for one that has no floats."""
    pieces: list[Array | None] = []
    used = 0
    for leaf in jax.tree.leaves(state):
        if not _is_float(leaf):
            pieces.append(None)
            continue
        piece = joined[..., used : used + leaf.size]
        pieces.append(piece.reshape(*joined.shape[:-1], *leaf.shape))
        used += leaf.size
    return pieces


def _split(state: State, joined: Array) -> State:
    """The same in the state's tree."""
    return jax.tree.unflatten(jax.tree.structure(state), _pieces(state, joined))


def _nudged(state: State, nudge: Array) -> State:
    leaves, tree = jax.tree.flatten(state)
    moved = [
        leaf if piece is None else leaf + piece.astype(leaf.dtype)
        for leaf, piece in zip(leaves, _pieces(state, nudge), strict=True)
    ]
    return jax.tree.unflatten(tree, moved)


def _last_name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path[-1:], simple=True) if path else ""
