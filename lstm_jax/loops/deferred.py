"""A cell over a sequence with the weight gradients formed after the loop, in one large product.

`unroll` by `jax.lax.scan` is the definition. Differentiated, its backward loop adds to every
weight matrix at every step: T products with a batch's few rows, T passes over all weights. Here
the backward loop hands on the state's cotangent alone and stacks those of the pre-activations;
the weights' gradients are then what one product over all steps (and a caller's whole batch) gives.

How it is put together, for ONE example as everywhere::

    forwards   the loop; weights are constants in it, and it keeps what the way back needs
    nets       project(params, xs) and recur(params, states), the whole sequence at once
    attach     gives what the loop gave; differentiated, it runs the loop backwards and gives
               each step's cotangents to the nets

Nobody reads the values of the nets, so a compiled program does not compute them; but weights
reach the result through nothing else, so their gradients are those of two large products. A
`vmap` over examples makes the products larger, and a `vmap` over networks batches them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell, Parts, held
from lstm_jax.loops.ahead import ahead
from lstm_jax.loops.step import Inputs, choose, masked
from lstm_jax.loops.turned import inlined, piecewise, rows_first
from lstm_jax.parallel import alike
from lstm_jax.symbols import countable
from lstm_jax.types import Array, Params, State

COSTLY = {
    *("tanh", "logistic", "exp", "exp2", "log", "log1p", "expm1", "erf", "erf_inv", "pow"),
    *("sin", "cos", "sqrt", "rsqrt", "cbrt", "div", "dot_general"),
}
"""Primitives whose results the loop keeps for the way back; all others are computed again."""

COPIED_FROM = 16
"""Steps from which it pays, on the CPU, to copy the weights for a loop (`lstm_jax.loops.ahead`)."""


class Ways(NamedTuple):
    """Where weights enter a step, by whose cotangents their gradients are formed."""

    x: dict[str, Array]  # zeros added to project(params, x)
    h: dict[str, Array]  # zeros added to recur(params, state)
    vectors: dict[int, Array]  # biases, peepholes, gains in `combine`: the leaves themselves
    fresh: State | None  # what resets set the state to, where that is learned


class Kept(NamedTuple):
    """What the loop leaves for the way back."""

    constant: tuple[Params, Any]  # the weights, and what was made of them before the loop
    inputs: Inputs  # [T, ..]
    before: State  # [T, ..] what the steps were given
    residuals: list[Array]  # [T, ..]


def deferred(
    cell: Cell, params: Params, inputs: Inputs, start: State, fresh: State, *, reverse: bool
) -> tuple[State, Array]:
    """What the scan of `unroll` gives, with the weights' gradients deferred.

    Equal to it to rounding, values and gradients. For first derivatives in reverse mode: a second
    one would come out wrong, and is refused.

    Args:
      cell: one made by `from_parts`.
      params: its weights.
      inputs: ``[T, ..]``; x may be symbols, which are looked up and not multiplied.
      start: the state before the first step.
      fresh: the state after a reset.
      reverse: from the last step to the first.

    Raises:
      NotImplementedError: when it is differentiated twice.

    Example:
      >>> from lstm_jax import elman
      >>> cell = elman(2, 3)
      >>> params, start = cell.init(jax.random.key(0)), cell.initial_state()
      >>> inputs = Inputs(jnp.ones((5, 2)), None, None)
      >>> state, ys = deferred(cell, params, inputs, start, start, reverse=False)
      >>> ys.shape, bool((state.h == ys[4]).all())
      ((5, 3), True)
    """
    if inputs.valid is not None:
        valid = inputs.valid.reshape(-1, *[1] * (inputs.x.ndim - 1))
        inputs = inputs._replace(x=jnp.where(valid, inputs.x, jnp.zeros_like(inputs.x)))
    num_steps, *shape = inputs.x.shape
    x = alike(jnp.zeros(shape, inputs.x.dtype), start)
    cell, params = _closed(cell, params, x, start)
    resets_learned = inputs.reset is not None and jax.closure_convert(cell.initial_state)[1]
    learned = fresh if resets_learned else None
    constant, seen, begin, fresh, still = jax.lax.stop_gradient(
        (params, inputs, start, fresh, learned)
    )
    looped = cell
    if jnp.issubdtype(inputs.x.dtype, jnp.integer):
        cell, looped = _of_symbols(cell), _of_symbols(cell, constant)
    few = isinstance(num_steps, int) and num_steps < COPIED_FROM  # `jax.export` has symbols for T
    copied = jax.default_backend() == "cpu" and not few
    ready, step, zeros, matrices = _take_apart(looped, constant, begin, fresh, x, copied=copied)
    pulled: list[Any] = []

    def forwards(state: State, now: Inputs) -> tuple[State, Any]:
        ways = zeros(constant)._replace(fresh=still)
        (after, y), pull = jax.vjp(
            lambda state, ways: step(ready, constant, ways, state, now), state, ways
        )
        leaves, tree = jax.tree.flatten(pull)
        sources = _sources(leaves, ((constant, ready), now, state))
        pulled.append((tree, sources))
        new = [leaf for leaf, source in zip(leaves, sources, strict=True) if source is None]
        return after, (y, state, new)

    final, (ys, before, residuals) = jax.lax.scan(forwards, begin, seen, reverse=reverse)
    kept = Kept((constant, ready), seen, before, residuals)
    again = partial(step, ready)
    ways, inner = _nets(cell, params, again, zeros, matrices, inputs, fresh, before)
    ways = ways._replace(fresh=learned)
    tree, sources = pulled[-1]
    attach = _attached(tree, sources, reverse)
    # All that a derivative may be taken of, for `once` to refuse a second one.
    origins = params, inputs.x, start, learned
    return attach((final, ys), start, ways, inner, kept, origins)


def _closed(cell: Cell, params: Params, x: Array, state: State) -> tuple[Cell, Params]:
    """The cell with what its parts close over, where that may be learned, among its weights."""
    assert cell.parts is not None
    if jnp.issubdtype(x.dtype, jnp.integer):
        x = jnp.zeros(cell.input_size, jax.tree.leaves(params)[0].dtype)
    project, of_x = jax.closure_convert(cell.parts.project, params, x)
    recur, of_h = jax.closure_convert(cell.parts.recur, params, state)
    nets = jax.eval_shape(lambda: (project(params, x, *of_x), recur(params, state, *of_h)))
    combine, of_c = jax.closure_convert(cell.parts.combine, params, state, *nets)
    if not (of_x or of_h or of_c):
        return cell, params
    parts = Parts(
        lambda params, x: project(params[0], x, *params[1]),
        lambda params, state: recur(params[0], state, *params[2]),
        lambda params, state, *nets: combine(params[0], state, *nets, *params[3]),
    )
    return cell._replace(parts=parts), (params, *jax.tree.map(jnp.asarray, (of_x, of_h, of_c)))


def _of_symbols(cell: Cell, constant: Params | None = None) -> Cell:
    """The cell with symbols for inputs: its `project` is a row of what it makes of all symbols.

    With constant weights, for the loop, the table of these rows is made once and before it.
    """
    assert cell.parts is not None
    project, size = rows_first(cell.parts.project), cell.input_size

    def table(params: Params) -> dict[str, Array]:
        units = jnp.eye(size + 1, size, dtype=jax.tree.leaves(params)[0].dtype)
        return jax.vmap(project, (None, 0))(params, units)  # the last row: no symbol at all

    made = None if constant is None else table(constant)

    def look_up(params: Params, symbol: Array) -> dict[str, Array]:
        rows = table(params) if made is None else made
        symbol = countable(symbol)
        row = jnp.where((symbol >= 0) & (symbol < size), symbol, size)
        return jax.tree.map(lambda net: net[row], rows)

    return cell._replace(parts=cell.parts._replace(project=look_up))


def _take_apart(
    cell: Cell, params: Params, start: State, fresh: State, x: Array, *, copied: bool
) -> tuple[Any, Callable[..., Any], Callable[[Params], Ways], list[int]]:
    """What products need of the weights; the step with its ways in; zeros; matrices in `combine`.

    These are leaf numbers.
    """
    assert cell.parts is not None
    of_x, project = ahead(cell.parts.project, params, x, copied=copied)
    of_h, recur = ahead(cell.parts.recur, params, start, copied=copied)
    combine = rows_first(cell.parts.combine)
    tree = jax.tree.structure(params)
    from_x, from_h = jax.eval_shape(
        lambda x, state: (project(of_x, x), recur(of_h, state)), x, start
    )
    used = _used(cell.parts.combine, params, start, from_x, from_h)
    sizes = [leaf.ndim for leaf in jax.tree.leaves(params)]
    matrices = [n for n in used if sizes[n] > 1]

    def zeros(params: Params) -> Ways:
        leaves = jax.tree.leaves(params)
        nets = jax.tree.map(lambda net: jnp.zeros(net.shape, net.dtype), (from_x, from_h))
        leaves, (x, h) = alike((leaves, nets))
        return Ways(x, h, {n: leaves[n] for n in used if sizes[n] <= 1}, None)

    def step(
        ready: Any, inside: Params, ways: Ways, state: State, now: Inputs
    ) -> tuple[State, Array]:
        """`ready` has the weights of the products, `inside` are those that `combine` sees."""
        leaves = jax.tree.leaves(inside)
        for n, vector in ways.vectors.items():
            leaves[n] = vector
        inside = jax.tree.unflatten(tree, leaves)

        def advance(state: State, x: Array) -> tuple[State, Array]:
            from_x = jax.tree.map(jnp.add, project(ready[0], x), ways.x)
            from_h = jax.tree.map(jnp.add, recur(ready[1], state), ways.h)
            gates = combine(inside, state, from_x, from_h)
            return held(state, gates), gates["h"]

        return masked(advance, fresh if ways.fresh is None else ways.fresh)(state, now)

    keep = jax.checkpoint(
        step, policy=lambda primitive, *_, **__: primitive.name in COSTLY, prevent_cse=False
    )
    return (of_x, of_h), keep, zeros, matrices


def _used(combine: Callable[..., Any], params: Params, *rest: Any) -> list[int]:
    """Which of the weights `combine` looks at, by leaf number."""
    program = jax.make_jaxpr(combine)(params, *rest).jaxpr
    seen = {id(atom) for eqn in program.eqns for atom in eqn.invars}
    return [n for n in range(len(jax.tree.leaves(params))) if id(program.invars[n]) in seen]


def _sources(leaves: list[Array], given: tuple[Any, ...]) -> list[tuple[int, int] | None]:
    """Where a leaf is one of those given: which of them, and which leaf there."""
    places = {
        id(leaf): (which, n)
        for which, tree in enumerate(given)
        for n, leaf in enumerate(jax.tree.leaves(tree))
    }
    return [places.get(id(leaf)) for leaf in leaves]


def _nets(
    cell: Cell,
    params: Params,
    step: Callable[..., Any],
    zeros: Callable[[Params], Ways],
    matrices: list[int],
    inputs: Inputs,
    fresh: State,
    before: State,
) -> tuple[Ways, Any]:
    """The pre-activations of all steps as functions of the weights, for the sake of gradients.

    And where `combine` has products of its own (the GRU's reset-before candidate), the results of
    all steps as functions of those matrices.
    """
    assert cell.parts is not None
    begins = (
        before
        if inputs.reset is None
        else jax.vmap(choose, (0, None, 0))(inputs.reset, fresh, before)
    )
    # The pieces are for the memory of a CPU; a GPU has one product for all.
    formed = piecewise if jax.default_backend() == "cpu" else rows_first
    x = jax.vmap(formed(cell.parts.project), (None, 0))(params, inputs.x)
    h = jax.vmap(formed(cell.parts.recur), (None, 0))(params, begins)
    ways = Ways(x, h, zeros(params).vectors, None)
    if not matrices:
        return ways, None
    constant, seen = jax.lax.stop_gradient((params, inputs))
    leaves = jax.tree.leaves(constant)
    for n in matrices:
        leaves[n] = jax.tree.leaves(params)[n]
    inside = jax.tree.unflatten(jax.tree.structure(params), leaves)
    inner = jax.vmap(lambda state, now: step(inside, zeros(constant), state, now))
    return ways, inner(before, seen)


def _attached(tree: Any, sources: list[tuple[int, int] | None], reverse: bool) -> Any:
    """``(given, ...) -> given``, whose derivative is the loop backwards."""

    @jax.custom_vjp
    def attach(
        given: Any, start: State, ways: Ways, inner: Any, kept: Kept, origins: Any
    ) -> tuple[State, Array]:
        return given

    def fwd(given: Any, start: State, ways: Ways, inner: Any, kept: Kept, origins: Any) -> Any:
        return given, (inner is not None, kept, origins)

    def bwd(stored: Any, cotangents: tuple[State, Array]) -> tuple[Any, ...]:
        has_inner, kept, origins = stored
        d_final, d_ys = once("deferred", cotangents, origins)
        constants = jax.tree.leaves(kept.constant)
        places: list[Any] = []

        def backwards(d_after: State, now: Any) -> tuple[State, Any]:
            d_y, inputs, before, residuals = now
            given = constants, jax.tree.leaves(inputs), jax.tree.leaves(before)
            new = iter(residuals)
            leaves = [next(new) if s is None else given[s[0]][s[1]] for s in sources]
            pull = jax.tree.unflatten(tree, leaves)
            d_before, d_ways = inlined(pull)((d_after, d_y))
            flat, ways_tree = jax.tree.flatten(d_ways)
            first = {id(leaf): leaf for leaf in flat}  # each cotangent once, whatever it is of
            order = list(first)
            places.append((ways_tree, [order.index(id(leaf)) for leaf in flat]))
            return d_before, (list(first.values()), d_after if has_inner else None)

        inputs = d_ys, kept.inputs, kept.before, kept.residuals
        d_start, (stacked, d_afters) = jax.lax.scan(backwards, d_final, inputs, reverse=not reverse)
        ways_tree, numbers = places[-1]
        d_ways: Ways = jax.tree.unflatten(ways_tree, [stacked[n] for n in numbers])
        once_for_all = d_ways.vectors, d_ways.fresh
        vectors, fresh = jax.tree.map(lambda steps: jnp.sum(steps, axis=0), once_for_all)
        d_inner = (d_afters, d_ys) if has_inner else None
        return None, d_start, d_ways._replace(vectors=vectors, fresh=fresh), d_inner, None, None

    attach.defvjp(fwd, bwd)
    return attach


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def once(kernel: str, cotangents: Any, origins: Any) -> Any:
    """The cotangents; whoever differentiates the way back as well is told that it cannot be."""
    del origins
    return cotangents


@once.defjvp
def _not_twice(kernel: str, primals: Any, tangents: Any) -> Any:
    raise NotImplementedError(
        f"unroll: kernel={kernel!r} gives first derivatives only; take kernel='scan' for second "
        "ones"
    )
