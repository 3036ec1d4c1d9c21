"""The plain LSTM by NVIDIA's cuDNN, through `jax.experimental.rnn`.

Written without a GPU at hand: the packing of the weights and the way of a batch are tested on the
CPU with the package's own reference in cuDNN's place, the library itself is not.
"""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell, steps_by_parts
from lstm_jax.cells.lstm import LstmParams, LstmSpec, LstmState
from lstm_jax.types import Array

GATES = "ifzo"
"""cuDNN's order, which is torch's: input, forget, candidate, output."""


def packed(params: LstmParams) -> Array:
    """The weights as cuDNN's one vector: input, recurrent, biases, and recurrent biases of zero.

    Example:
      >>> from lstm_jax import lstm
      >>> packed(lstm(2, 3).init(jax.random.key(0))).shape  # 4 * (3 * 2 + 3 * 3 + 3 + 3)
      (84,)
    """
    named = params._asdict()
    kinds = [[named[f"{kind}_{gate}"] for gate in GATES] for kind in ("w", "r", "b")]
    zeros = [jnp.zeros_like(bias) for bias in kinds[2]]
    return jnp.concatenate([array.ravel() for array in (*kinds[0], *kinds[1], *kinds[2], *zeros)])


def require_cudnn(cell: Cell, platform: str) -> None:
    """Raises ``ValueError`` unless cuDNN computes this cell and there is an NVIDIA GPU.

    Example:
      >>> from lstm_jax import gru
      >>> require_cudnn(gru(2, 3), "gpu")
      Traceback (most recent call last):
      ValueError: kernel: 'cudnn' serves the plain lstm (no peepholes, projection, clip or other
      squashers), not this gru cell; 'deferred' or 'scan' do
    """
    require_plain(cell, "cudnn")
    if platform != "gpu":
        raise ValueError(
            f"kernel: 'cudnn' needs an NVIDIA GPU, and JAX computes on {platform}; 'deferred' or "
            "'scan' do without"
        )


def require_plain(cell: Cell, kernel: str) -> None:
    """Raises ``ValueError`` unless the cell is the `lstm` that such kernels have built in.

    Example:
      >>> from lstm_jax import lstm
      >>> require_plain(lstm(2, 3), "cudnn")
    """
    plain = LstmSpec(("NP",), None, None, "logistic", "tanh", "tanh")
    if cell.spec != plain or not steps_by_parts(cell):
        raise ValueError(
            f"kernel: {kernel!r} serves the plain lstm (no peepholes, projection, clip or other "
            f"squashers), not this {cell.name} cell; 'deferred' or 'scan' do"
        )


def require_type(kernel: str, dtype: str, *arrays: Any) -> None:
    """Raises ``ValueError`` unless all of these arrays are of the type that the kernel reads.

    Example:
      >>> require_type("cudnn", "float32", jnp.ones(3, jnp.bfloat16))
      Traceback (most recent call last):
      ValueError: kernel: 'cudnn' multiplies in float32, and weights, inputs or states are bfloat16;
      'deferred' or 'scan' take every type
    """
    others = {str(leaf.dtype) for leaf in jax.tree.leaves(arrays)} - {dtype}
    if others:
        raise ValueError(
            f"kernel: {kernel!r} multiplies in {dtype}, and weights, inputs or states are "
            f"{', '.join(sorted(others))}; 'deferred' or 'scan' take every type"
        )


def by_cudnn(params: LstmParams, xs: Array, start: LstmState) -> Any:  # state, ys [T, H]
    """The whole sequence ``[T, D]`` by cuDNN; float32, products in TF32 unless JAX is told not to.

    A `vmap` over sequences, and the gradient of that, is one call of cuDNN. JAX cannot
    differentiate what has no `vmap` around it here; a single sequence is a batch of one.

    Raises:
      ValueError: for weights, inputs or a state that are not float32.
    """
    require_type("cudnn", "float32", params, xs, start)
    return _one(packed(params), xs, start.c, start.h)


def _batch(weights: Array, xs: Array, c: Array, h: Array) -> tuple[LstmState, Array]:
    """``[B, T, D]``, ``[B, H]``."""
    from jax.experimental import rnn  # only here: it looks for a GPU library

    num_examples, num_steps, input_size = xs.shape
    lengths = jnp.full(num_examples, num_steps, jnp.int32)
    sizes: tuple[Any, ...] = (input_size, h.shape[1], 1, 0.0, False)
    results: Any = rnn.lstm(xs, h[None], c[None], weights, lengths, *sizes)
    ys, h_last, c_last = results
    return LstmState(c=c_last[0], h=h_last[0]), ys


@jax.custom_batching.custom_vmap
def _one(weights: Array, xs: Array, c: Array, h: Array) -> tuple[LstmState, Array]:
    results = _batch(weights, xs[None], c[None], h[None])
    return jax.tree.map(lambda leaf: leaf[0], results)


@_one.def_vmap
def _many(
    axis_size: int, batched: list[bool], weights: Array, xs: Array, c: Array, h: Array
) -> tuple[Any, Any]:
    if batched[0]:
        raise NotImplementedError("kernel 'cudnn': one set of weights for a batch; 'deferred' else")
    rest = [
        leaf if has else jnp.broadcast_to(leaf, (axis_size, *leaf.shape))
        for leaf, has in zip((xs, c, h), batched[1:], strict=True)
    ]
    results = _batch(weights, *rest)
    return results, jax.tree.map(lambda _: True, results)
