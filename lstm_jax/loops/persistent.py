"""The plain LSTM by a kernel that stays on a Hopper GPU for the whole sequence.

`lstm_jax.loops.resident` has the kernel and its reasons, docs/decisions/0015 what speaks for it.
Checked in Pallas's GPU interpreter and lowered for sm_90 on a CPU, never run on a GPU.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell
from lstm_jax.cells.lstm import LstmParams, LstmState
from lstm_jax.loops.cudnn import GATES, require_plain, require_type
from lstm_jax.loops.deferred import once
from lstm_jax.types import Array

MAX_UNITS = 1024
"""So many units' weights fit: 128 bytes a unit in each block's 227 KB, a block for 16 units."""
MULTIPROCESSORS = 132
"""Of an H100 and an H200, where JAX does not say how many there are."""


def require_hopper(cell: Cell, device: Any) -> None:
    """Raises ``ValueError`` unless the kernel computes this cell on this device.

    Example:
      >>> from lstm_jax import lstm
      >>> require_hopper(lstm(2, 3), jax.devices("cpu")[0])
      Traceback (most recent call last):
      ValueError: kernel: 'persistent' needs an NVIDIA GPU of compute capability 9.0 (H100, H200),
      and JAX computes on cpu; 'deferred' or 'scan' do without
    """
    require_plain(cell, "persistent")
    if cell.output_size > MAX_UNITS:
        raise ValueError(
            f"kernel: 'persistent' keeps at most {MAX_UNITS} units' weights on chip, not "
            f"{cell.output_size}; 'deferred' or 'scan' serve any number"
        )
    capability = getattr(device, "compute_capability", None)
    if capability != "9.0":
        found = device.platform + (f" ({capability})" if capability else "")
        raise ValueError(
            "kernel: 'persistent' needs an NVIDIA GPU of compute capability 9.0 (H100, H200), "
            f"and JAX computes on {found}; 'deferred' or 'scan' do without"
        )
    if cell.output_size > 16 * device.core_count:
        raise ValueError(
            "kernel: 'persistent' takes a multiprocessor for 16 units, and this GPU has "
            f"{device.core_count} for {cell.output_size}; 'deferred' or 'scan' do without"
        )


def by_persistent(params: LstmParams, xs: Array, start: LstmState) -> Any:  # state, ys [T, H]
    """The whole sequence ``[T, D]``; bfloat16 weights and inputs, products added up in float32.

    c and the gates are float32 (by the GPU's approximate tanh, to about 5e-4), so rounding is that
    of h and of what is kept for the way back. Every `vmap` over sequences joins the batch; any
    number of units and sequences goes, filled up to a multiple of 64 with zeros, which stay zeros.
    The weights' gradients are products over all steps after the loop, as in
    `lstm_jax.loops.deferred`. First derivatives in reverse mode alone.

    Raises:
      ValueError: for weights or inputs that are not bfloat16.
      NotImplementedError: when it is differentiated twice, or a `vmap` gives several weights.
    """
    require_type("persistent", "bfloat16", params, xs)
    size = start.h.shape[0]
    c, h = (_filled(leaf) for leaf in (start.c.astype(jnp.float32), start.h.astype(xs.dtype)))
    ways = w, r, b = _packed(params)
    first = jax.lax.stop_gradient(_nets(ways, xs, None))
    first = first.at[0].add(jax.lax.stop_gradient(r @ h))
    hs, cs, gates = _forwards(jax.lax.stop_gradient(r.T), first, jax.lax.stop_gradient(c))
    # Their values are not read, and not computed: what matters is where their cotangents go.
    nets = _nets(ways, xs, jax.lax.stop_gradient(jnp.concatenate([h[None], hs[:-1]])))
    kept = jax.lax.stop_gradient(r), gates, cs
    c, hs = _attached((cs[-1], hs), c, h, nets, kept, (params, xs, start))
    state = LstmState(c=c[:size].astype(start.c.dtype), h=hs[-1, :size].astype(start.h.dtype))
    return state, hs[:, :size]


def _filled(array: Array, axis: int = 0) -> Array:
    """Zeros added to a multiple of 64 along the axis."""
    missing = -array.shape[axis] % 64
    return jnp.pad(array, [(0, missing if n == axis else 0) for n in range(array.ndim)])


def _packed(params: LstmParams) -> tuple[Array, Array, Array]:
    """Input weights ``[4H, D]``, recurrent ``[4H, H]``, biases ``[4H]``, H filled up.

    Rows by (block of 16 units, gate, unit), as `lstm_jax.loops.resident` has them.

    Example:
      >>> from lstm_jax import lstm
      >>> [array.shape for array in _packed(lstm(2, 3).init(jax.random.key(0)))]
      [(256, 2), (256, 64), (256,)]
    """
    named = params._asdict()

    def rows(kind: str) -> Array:
        gates = jnp.stack([_filled(named[f"{kind}_{gate}"]) for gate in GATES])
        blocks = gates.reshape(4, -1, 16, *gates.shape[2:])
        return jnp.moveaxis(blocks, 0, 1).reshape(-1, *gates.shape[2:])

    return rows("w"), _filled(rows("r"), 1), rows("b")


def _nets(ways: tuple[Array, Array, Array], xs: Array, before: Array | None) -> Array:
    """Pre-activations of all steps ``[T, 4H]``, without what h adds if `before` is None."""
    w, r, b = ways
    single = jnp.float32  # in which the bias's gradient is added up
    nets = ((xs @ w.T).astype(single) + b.astype(single)[None]).astype(xs.dtype)
    return nets if before is None else nets + before @ r.T


@jax.custom_vjp
def _attached(given: Any, c: Array, h: Array, nets: Array, kept: Any, origins: Any) -> Any:
    """`given`, the last c and all h; differentiated, the loop runs back for the others' sake."""
    return given


def _attached_fwd(given: Any, c: Array, h: Array, nets: Array, kept: Any, origins: Any) -> Any:
    return given, (kept, origins)


def _attached_bwd(stored: Any, cotangents: tuple[Array, Array]) -> tuple[Any, ...]:
    (r, gates, cs), origins = stored
    d_c, d_hs = once("persistent", cotangents, origins)
    d_nets, d_c = _backwards(r, gates, cs, d_hs, d_c)
    return None, d_c, d_nets[0] @ r, d_nets, None, None


_attached.defvjp(_attached_fwd, _attached_bwd)


def _joining(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel for weights and batches ``[.., B, n]``, as one for a sequence ``[.., n]``.

    A `vmap` of it, and a `vmap` of that, adds its axis to the batch. Weights are one set for all.
    """

    @jax.custom_batching.custom_vmap
    def batch(r: Array, *arrays: Array) -> tuple[Array, ...]:
        return kernel(r, *arrays)

    @batch.def_vmap
    def joined(size: int, has: list[bool], r: Array, *arrays: Array) -> tuple[Any, Any]:
        if has[0]:
            raise NotImplementedError(
                "kernel 'persistent': one set of weights for a batch; 'deferred' else"
            )
        results = batch(r, *map(partial(_join, size), has[1:], arrays))
        return tuple(_split(size, result) for result in results), tuple(True for _ in results)

    def one(r: Array, *arrays: Array) -> tuple[Array, ...]:
        results = batch(r, *(array[..., None, :] for array in arrays))
        return tuple(result[..., 0, :] for result in results)

    return one


def _join(size: int, has: bool, array: Array) -> Array:
    """An axis in front made part of the last but one; repeated where there is none."""
    if not has:
        array = jnp.broadcast_to(array, (size, *array.shape))
    array = jnp.moveaxis(array, 0, -3)
    return array.reshape(*array.shape[:-3], -1, array.shape[-1])


def _split(size: int, array: Array) -> Array:
    return jnp.moveaxis(array.reshape(*array.shape[:-2], size, -1, array.shape[-1]), -3, 0)


def _launched(name: str, r: Array, *arrays: Array) -> tuple[Array, ...]:
    """The kernel over as many sequences at once as there is room for on the GPU."""
    from lstm_jax.loops import resident  # only here: importing Pallas takes a second

    kernel = getattr(resident, name)
    num_examples = arrays[0].shape[-2]
    filled = [_filled(array, -2 % array.ndim) for array in arrays]
    blocks = max(r.shape) // resident.COLUMNS
    room = resident.TILE * max(1, multiprocessors() // blocks)
    cuts = list(range(room, filled[0].shape[-2], room))
    pieces: list[Any] = []
    for parts in zip(*(jnp.split(array, cuts, -2) for array in filled), strict=True):
        if pieces:  # one after the other: two at once would wait for each other's multiprocessors
            parts, _ = jax.lax.optimization_barrier((parts, pieces[-1]))
        pieces.append(kernel(r, *parts))
    whole = [jnp.concatenate(parts, -2) for parts in zip(*pieces, strict=True)]
    return tuple(array[..., :num_examples, :] for array in whole)


def multiprocessors() -> int:
    """How many blocks run at the same time, one on each."""
    return getattr(jax.devices()[0], "core_count", MULTIPROCESSORS)


_forwards = _joining(partial(_launched, "forwards"))
_backwards = _joining(partial(_launched, "backwards"))
