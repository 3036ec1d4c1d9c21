"""Products of a matrix with a vector, turned so that a batch's rows come first."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from lstm_jax.loops.linear import linear
from lstm_jax.types import Array

Formed = Callable[[Array, Array, dict[str, Any], list[Array]], Array]
"""``left, right, params, pieces -> product``: a `dot_general`, and what `left` is a stack of."""

INLINED = ("jit", "pjit", "remat", "remat2", "checkpoint")


def rows_first(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, with each product ``W @ h`` of a vector formed as ``h @ W^T``.

    Cells say ``W @ h``, as the papers do. A ``vmap`` over many h makes ``W H^T`` of it, whose
    result lies features first while the state that goes through `jax.lax.scan` lies batch first;
    every step would turn its gates round. Formed the other way, ``H W^T`` is batch first as well.
    For one vector both are the same numbers.

    Example:
      >>> import jax.numpy as jnp
      >>> w, hs = jnp.ones((5, 3)), jnp.ones((7, 3))
      >>> product = rows_first(lambda h: w @ h)
      >>> str(jax.make_jaxpr(jax.vmap(product))(hs)).count("transpose")
      0
    """
    return _again(function, lambda left, right, params, _: product(left, right, params))


def piecewise(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, with each product of a stack of matrices formed matrix by matrix.

    And each by `lstm_jax.loops.linear`: for many vectors at once, and the gradients of the
    weights. Products of the whole stack would first join the cotangents of its parts, four times
    as much memory as the vectors in an LSTM.

    Example:
      >>> import jax.numpy as jnp
      >>> w, hs = {"a": jnp.ones((5, 3)), "b": jnp.ones((5, 3))}, jnp.ones((7, 3))
      >>> def nets(w, h):
      ...     return jnp.split(jnp.concatenate([w["a"], w["b"]]) @ h, 2)
      >>> gradient = jax.grad(lambda w: jax.vmap(piecewise(nets), (None, 0))(w, hs)[1].sum())(w)
      >>> gradient["a"].max().item(), gradient["b"].max().item()
      (0.0, 7.0)
    """
    return _again(inlined(function), _apart)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function without the borders of `jit` and `jax.checkpoint` inside it.

    Results that are one number under two names are then one traced array.

    Example:
      >>> import jax.numpy as jnp
      >>> twice = inlined(jax.jit(lambda x: (y := x + 1, y)))
      >>> str(jax.make_jaxpr(twice)(1.0)).count("jit")
      0
    """
    return _again(function, None)


def _again(function: Callable[..., Any], formed: Formed | None) -> Callable[..., Any]:
    def evaluated(*args: Any) -> Any:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*args)
        results = _evaluate(closed.jaxpr, closed.consts, jax.tree.leaves(args), formed)
        return jax.tree.unflatten(jax.tree.structure(shape), results)

    return evaluated


def _evaluate(
    jaxpr: core.Jaxpr, consts: Sequence[Any], args: Sequence[Any], formed: Formed | None
) -> list[Any]:
    """What the program gives for `args`, its products formed as `formed` says."""
    stacks: dict[Any, list[Array]] = {}
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    values |= zip(jaxpr.invars, args, strict=True)

    def value(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for eqn in jaxpr.eqns:
        inputs = [value(atom) for atom in eqn.invars]
        inner = eqn.params.get("jaxpr")
        if formed and eqn.primitive.name == "dot_general":
            pieces = stacks.get(eqn.invars[0], inputs[:1])
            results = [formed(inputs[0], inputs[1], eqn.params, pieces)]
        elif eqn.primitive.name in INLINED and isinstance(inner, core.ClosedJaxpr):
            results = _evaluate(inner.jaxpr, inner.consts, inputs, formed)
        elif eqn.primitive.name in INLINED and isinstance(inner, core.Jaxpr):
            results = _evaluate(inner, (), inputs, formed)
        else:
            results = bound(eqn, inputs)
            if eqn.primitive.name == "concatenate" and eqn.params["dimension"] == 0:
                stacks[eqn.outvars[0]] = inputs
        values |= zip(eqn.outvars, results, strict=True)
    return [value(atom) for atom in jaxpr.outvars]


def bound(eqn: Any, inputs: Sequence[Any]) -> list[Any]:
    """What one equation of a program gives for these inputs.

    Example:
      >>> program = jax.make_jaxpr(jax.lax.sin)(1.0)
      >>> float(bound(program.eqns[0], [0.0])[0])
      0.0
    """
    with eqn.ctx.manager:  # the mesh that it was traced under
        results = eqn.primitive.bind(*inputs, **eqn.primitive.get_bind_params(eqn.params))
    return list(results) if eqn.primitive.multiple_results else [results]


def product(left: Array, right: Array, params: dict[str, Any]) -> Array:
    """A `dot_general` of a program, its operands exchanged where the right one is a vector.

    Example:
      >>> import jax.numpy as jnp
      >>> w, h = jnp.ones((5, 3)), jnp.ones(3)
      >>> program = jax.make_jaxpr(jnp.dot)(w, h)
      >>> product(w, h, program.eqns[0].params).shape
      (5,)
    """
    (over_left, over_right), batched = params["dimension_numbers"]
    if right.ndim == 1 and left.ndim > 1 and over_right:
        left, right, over_left, over_right = right, left, over_right, over_left
    return jax.lax.dot_general(
        left,
        right,
        ((over_left, over_right), batched),
        precision=params["precision"],
        preferred_element_type=params["preferred_element_type"],
    )


def is_product(params: dict[str, Any], left: Any, right: Any) -> bool:
    """Whether a `dot_general` of such arrays is a matrix times a vector."""
    plain = params["dimension_numbers"] == (((1,), (0,)), ((), ()))
    return plain and (left.ndim, right.ndim) == (2, 1)


def _apart(left: Array, right: Array, params: dict[str, Any], pieces: list[Array]) -> Array:
    if not is_product(params, left, right):
        return product(left, right, params)
    how = {name: params[name] for name in ("precision", "preferred_element_type")}
    return jnp.concatenate([linear(piece, right, **how) for piece in pieces])
