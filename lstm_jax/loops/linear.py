"""``W h`` of many h, as an operation of its own for the sake of how W's gradient is formed.

With the h of all steps and examples as rows of H, and the cotangents of the results as rows of D,
the gradient of W is ``D^T H = (H^T D)^T``. JAX forms ``D^T H``, and XLA turns D round in memory for
it. Here H is turned round: for the four gates of an LSTM a quarter as much, and once for all.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import AxisType

from lstm_jax.types import Array

_linear = Primitive("linear")

TINY = 3
"""Rows and columns up to which W is multiplied number by number. A batch of products that small,
the gradients of many networks' or examples' W, ends the process in XLA's CPU compiler of jax 0.10
where the results are wanted turned round (dot_op_emitter.cc: IsMonotonicWithDim0Major)."""


def linear(w: Array, h: Array, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """``W h``, with leading axes of h kept.

    Args:
      w: ``[rows, columns]``.
      h: ``[..., columns]``.
      precision, preferred_element_type: as for `jax.lax.dot_general`.

    Returns:
      ``[..., rows]``.

    Example:
      >>> w, h = jnp.ones((5, 3)), jnp.ones((4, 2, 3))
      >>> linear(w, h).shape, jax.grad(lambda w: linear(w, h).sum())(w).shape
      ((4, 2, 5), (5, 3))
    """
    how = {"precision": precision, "preferred_element_type": preferred_element_type}
    types = [jax.typeof(array) for array in (w, h)]
    varying = {of.manual_axis_type for of in types}
    explicit = any(AxisType.Explicit in of.sharding.mesh.axis_types for of in types)
    # JAX's own gradient adds those of replicas up inside `jax.shard_map`, and knows where it
    # lies on a mesh with explicit axes.
    if explicit or len(varying) > 1 or max(w.shape) <= TINY:
        return _dot(w, h, **how)
    return _linear.bind(w, h, **how)


def _dot(w: Array, h: Array, **how: Any) -> Array:
    if max(w.shape) <= TINY:
        dtype = how["preferred_element_type"] or jnp.promote_types(w.dtype, h.dtype)
        rows = w.astype(dtype).reshape(*[1] * (h.ndim - 1), *w.shape)
        return jnp.sum(h.astype(dtype)[..., None, :] * rows, axis=-1)
    return jax.lax.dot_general(h, w, _over(h), **how)


def _over(h: Any) -> Any:
    return ((h.ndim - 1,), (1,)), ((), ())


def _gradient_of_w(d: Array, w: Any, h: Array, **how: Any) -> Array:
    leading = tuple(range(h.ndim - 1))
    turned = jax.lax.dot_general(h, d, ((leading, leading), ((), ())), **how)
    # Without the barrier XLA makes D^T H of it again.
    return jax.lax.optimization_barrier(turned).T.astype(w.aval.dtype)


def _gradient_of_h(d: Array, w: Array, h: Any, **how: Any) -> Array:
    over = ((d.ndim - 1,), (0,)), ((), ())
    return jax.lax.dot_general(d, w, over, **how).astype(h.aval.dtype)


def _batched(args: tuple[Array, Array], axes: tuple[Any, Any], **how: Any) -> tuple[Array, int]:
    (w, h), (of_w, of_h) = args, axes
    if of_w is None:
        if of_h == h.ndim - 1:  # where the columns have to be
            h, of_h = jnp.moveaxis(h, of_h, 0), 0
        return linear(w, h, **how), of_h
    return jax.vmap(lambda w, h: _dot(w, h, **how), axes)(w, h), 0


def _result(w: Any, h: Any, **how: Any) -> Any:
    return jax.lax.dot_general_p.abstract_eval(
        h, w, dimension_numbers=_over(h), out_sharding=None, **how
    )[0]


_linear.def_impl(_dot)
_linear.def_abstract_eval(_result)
ad.defbilinear(_linear, _gradient_of_w, _gradient_of_h)
batching.primitive_batchers[_linear] = _batched
mlir.register_lowering(_linear, mlir.lower_fun(_dot, multiple_results=False))
