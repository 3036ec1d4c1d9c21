"""What a step computes from weights alone, computed once before the loop.

With it go transposed copies of the matrices. ``h @ W^T`` with `W` as it lies takes XLA's library on
the CPU to 130 GFLOP/s a core, ``h @ C`` with the copy ``C = W^T`` to 215 (docs/decisions, 0013).
The way back multiplies with `W` itself, which is the fast way there; a large one is copied in
panels of columns.
"""

from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from lstm_jax.loops.turned import bound, inlined, is_product, product
from lstm_jax.types import Array, Params

LONG_ROW = 4096
"""Bytes from which the rows of a stack of matrices are far apart in memory, and in the caches too
often in each other's place: the matrices are then multiplied one by one."""

PANEL = 2**18
"""Bytes of columns that the way back multiplies with at a time: what stays in a core's second
cache beside the copy that XLA's library makes of it at each product."""

NARROW = 64
"""Columns that such a panel has at least; with fewer the calls cost more than they save."""


def ahead(
    function: Callable[..., Any], weights: Params, *example: Any, copied: bool
) -> tuple[list[Array], Callable[..., Any]]:
    """``function(weights, *args)`` as arrays made now, and ``run(arrays, *args)``.

    Args:
      function: a part of a step, of weights and of what changes from step to step.
      weights: these; no gradient goes to them through `run`.
      example: arguments of the shapes that `run` will get.
      copied: whether a product ``W @ h`` is to be formed as ``h @ C``, with a copy ``C = W^T``.

    Example:
      >>> w = {"a": jnp.ones((2, 3)), "b": 2 * jnp.ones((1, 3))}
      >>> def nets(w, h):
      ...     return jnp.concatenate([w["a"], w["b"]]) @ h
      >>> arrays, run = ahead(nets, w, jnp.ones(3), copied=True)
      >>> [array.shape for array in arrays], run(arrays, jnp.ones(3)).tolist()
      ([(3, 3), (3, 3)], [3.0, 3.0, 6.0])
      >>> str(jax.make_jaxpr(run)(arrays, jnp.ones(3))).count("concatenate")
      0
    """
    closed, shape = jax.make_jaxpr(inlined(function), return_shape=True)(weights, *example)
    jaxpr = closed.jaxpr
    num_weights = len(jax.tree.leaves(weights))
    known: dict[Any, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    known |= zip(jaxpr.invars[:num_weights], jax.tree.leaves(weights), strict=True)
    left, stacks = _computed(jaxpr, known)
    arrays: list[Array] = []
    places: dict[Any, int] = {}

    def put(array: Array) -> int:
        arrays.append(array)
        return len(arrays) - 1

    def place(atom: Any) -> None:
        if not isinstance(atom, core.Literal) and atom in known and atom not in places:
            places[atom] = put(known[atom])

    copies = {}
    for n, eqn in enumerate(left):
        needed = eqn.invars
        if copied and _is_product(eqn, known):
            matrix, needed = eqn.invars[0], eqn.invars[1:]
            whole = known[matrix]
            long = whole.shape[0] * whole.dtype.itemsize >= LONG_ROW
            rows = [put(piece.T) for piece in (stacks.get(matrix, [whole]) if long else [whole])]
            panels = _panels(whole)
            if len(panels) > 1:
                columns = [put(panel) for panel in panels]
            else:
                place(matrix)
                columns = [places[matrix]]
            copies[n] = rows, columns
        for atom in needed:
            place(atom)
    for atom in jaxpr.outvars:
        place(atom)

    def run(arrays: list[Array], *args: Any) -> Any:
        values = {atom: arrays[m] for atom, m in places.items()}
        values |= zip(jaxpr.invars[num_weights:], jax.tree.leaves(args), strict=True)

        def value(atom: Any) -> Any:
            return atom.val if isinstance(atom, core.Literal) else values[atom]

        for n, eqn in enumerate(left):
            if n in copies:  # the matrix itself need not be there
                rows, columns = ([arrays[m] for m in part] for part in copies[n])
                how = eqn.params["precision"], eqn.params["preferred_element_type"]
                values[eqn.outvars[0]] = _by_copies(how, rows, columns, value(eqn.invars[1]))
                continue
            inputs = [value(atom) for atom in eqn.invars]
            if eqn.primitive.name == "dot_general":
                results = [product(inputs[0], inputs[1], eqn.params)]
            else:
                results = bound(eqn, inputs)
            values |= zip(eqn.outvars, results, strict=True)
        results = [value(atom) for atom in jaxpr.outvars]
        return jax.tree.unflatten(jax.tree.structure(shape), results)

    return arrays, run


def _computed(jaxpr: core.Jaxpr, known: dict[Any, Any]) -> tuple[list[Any], dict[Any, list[Array]]]:
    """Computes into `known` what it can; returns the rest, and of what known stacks are made."""
    left, stacks = [], {}
    for eqn in jaxpr.eqns:
        given = [
            atom.val if isinstance(atom, core.Literal) else known.get(atom) for atom in eqn.invars
        ]
        if any(value is None for value in given):
            left.append(eqn)
            continue
        known |= zip(eqn.outvars, bound(eqn, given), strict=True)
        if eqn.primitive.name == "concatenate" and eqn.params["dimension"] == 0:
            stacks[eqn.outvars[0]] = given
    return left, stacks


def _is_product(eqn: Any, known: dict[Any, Any]) -> bool:
    """Whether it is a known matrix times a vector."""
    if eqn.primitive.name != "dot_general":
        return False
    left, right = eqn.invars
    return left in known and is_product(eqn.params, left.aval, right.aval)


def _panels(matrix: Array) -> list[Array]:
    """Its columns, in panels of at most `PANEL` bytes or `NARROW` columns."""
    num_rows, num_columns = matrix.shape
    width = max(NARROW, PANEL // (num_rows * matrix.dtype.itemsize) // NARROW * NARROW)
    ends = list(range(width, num_columns, width))
    return jnp.split(matrix, ends, axis=1) if ends else [matrix]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _by_copies(how: Any, rows: list[Array], columns: list[Array], vector: Array) -> Array:
    """``W @ vector`` for a constant W: `rows` are its rows, transposed; `columns` its columns."""
    del columns
    over = ((0,), (0,)), ((), ())
    nets = [_dot(vector, piece, over, how) for piece in rows]
    return nets[0] if len(nets) == 1 else jnp.concatenate(nets)


@_by_copies.defjvp
def _along(how: Any, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
    rows, columns, vector = primals
    ends = list(accumulate(panel.shape[1] for panel in columns))
    parts = jnp.split(tangents[2], ends[:-1])
    over = ((0,), (1,)), ((), ())
    nets = [_dot(part, panel, over, how) for part, panel in zip(parts, columns, strict=True)]
    return _by_copies(how, rows, columns, vector), sum(nets[1:], start=nets[0])


def _dot(left: Array, right: Array, over: Any, how: Any) -> Array:
    precision, dtype = how
    return jax.lax.dot_general(left, right, over, precision=precision, preferred_element_type=dtype)
