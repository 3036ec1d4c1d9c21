"""What a step computes from weights alone, computed once before the loop.

With it go transposed copies of the matrices. ``h @ W^T`` with `W` as it lies takes XLA's library on
the CPU to 130 GFLOP/s a core, ``h @ C`` with the copy ``C = W^T`` to 215 (docs/decisions, 0013).
The way back multiplies with `W` itself, which is the fast way there.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from lstm_jax.loops.turned import inlined, product
from lstm_jax.types import Array, Params

LONG_ROW = 4096
"""Bytes from which the rows of a stack of matrices are far apart in memory, and in the caches too
often in each other's place: the matrices are then multiplied one by one."""


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

    wanted = [*(atom for eqn in left for atom in eqn.invars), *jaxpr.outvars]
    for atom in wanted:
        if not isinstance(atom, core.Literal) and atom in known and atom not in places:
            places[atom] = put(known[atom])
    copies = {}
    for n, eqn in enumerate(left):
        matrix = eqn.invars[0]
        if copied and _is_product(eqn, places):
            whole = known[matrix]
            long = whole.shape[0] * whole.dtype.itemsize >= LONG_ROW
            pieces = stacks.get(matrix, [whole]) if long else [whole]
            copies[n] = [put(piece.T) for piece in pieces]

    def run(arrays: list[Array], *args: Any) -> Any:
        values = {atom: arrays[place] for atom, place in places.items()}
        values |= zip(jaxpr.invars[num_weights:], jax.tree.leaves(args), strict=True)

        def value(atom: Any) -> Any:
            return atom.val if isinstance(atom, core.Literal) else values[atom]

        for n, eqn in enumerate(left):
            inputs = [value(atom) for atom in eqn.invars]
            if n in copies:
                columns = [arrays[place] for place in copies[n]]
                how = eqn.params["precision"], eqn.params["preferred_element_type"]
                results = [_by_columns(how, columns, *inputs)]
            elif eqn.primitive.name == "dot_general":
                results = [product(inputs[0], inputs[1], eqn.params)]
            else:
                results = eqn.primitive.bind(*inputs, **eqn.primitive.get_bind_params(eqn.params))
                results = results if eqn.primitive.multiple_results else [results]
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
        results = eqn.primitive.bind(*given, **eqn.primitive.get_bind_params(eqn.params))
        known |= zip(
            eqn.outvars, results if eqn.primitive.multiple_results else [results], strict=True
        )
        if eqn.primitive.name == "concatenate" and eqn.params["dimension"] == 0:
            stacks[eqn.outvars[0]] = given
    return left, stacks


def _is_product(eqn: Any, known: dict[Any, int]) -> bool:
    """Whether it is a known matrix times a vector."""
    if eqn.primitive.name != "dot_general":
        return False
    left, right = eqn.invars
    plain = eqn.params["dimension_numbers"] == (((1,), (0,)), ((), ()))
    return plain and left in known and (left.aval.ndim, right.aval.ndim) == (2, 1)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _by_columns(how: Any, columns: list[Array], rows: Array, vector: Array) -> Array:
    """``rows @ vector`` for constant `rows`, of which `columns` are the transposed pieces."""
    del rows
    over = ((0,), (0,)), ((), ())
    nets = [_dot(vector, piece, over, how) for piece in columns]
    return nets[0] if len(nets) == 1 else jnp.concatenate(nets)


@_by_columns.defjvp
def _along(how: Any, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
    columns, rows, vector = primals
    over = ((0,), (1,)), ((), ())
    return _by_columns(how, columns, rows, vector), _dot(tangents[2], rows, over, how)


def _dot(left: Array, right: Array, over: Any, how: Any) -> Array:
    precision, dtype = how
    return jax.lax.dot_general(left, right, over, precision=precision, preferred_element_type=dtype)
