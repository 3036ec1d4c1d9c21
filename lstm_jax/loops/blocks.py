"""What blocks of a kernel on a Hopper GPU do: keep tiles, multiply, and meet between steps.

For `lstm_jax.loops.resident`: checked in Pallas's GPU interpreter and lowered for sm_90, never run
on a GPU.

**The order, and why no block reads too early.** What others read is never overwritten: h_t and
d_nets_t have a place in device memory for each step. `publish`: what a block wrote to shared
memory is shown to the copy engine (`commit_smem`) and copied; when the copy is *written*, not just
read, the semaphore of these 64 sequences goes up by one, with release. `wait_for`: a block reads
what step s made only when the semaphore has come to (blocks x s), with acquire, then a fence, as
the one that reads next is the copy engine. The count only grows and is zero at each launch (JAX
clears it), so no round is taken for another; and it tells of all blocks, as none can be a round
ahead of one that is missing. The exchange of a group has one place a block for all steps: it is
written again only after a wait for all blocks, each of which published after it had read. Inside a
block the copy engine's barriers say when a chunk is there, and its slot is given away when the
product that read it is through (`wgmma_wait`).

**Why it ends.** Every block publishes a round before it waits for that round, so waits end if all
blocks run at the same time. `lstm_jax.loops.persistent` launches no more of them than there are
multiprocessors, one launch after the other. A kernel of somebody else that sits there delays a
block and cannot stop it, unless that one waits for us.
"""

from typing import Any

import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxlib.mlir.dialects import nvvm

from lstm_jax.types import Array

TILE = 64  # sequences of a block: the rows of a `wgmma`; also the units of a group
RING = 512  # columns on their way or in use: 64 KB, what comes while one byte of it takes 0.7 us


def tile(dtype: Any, *shape: int) -> Any:
    """Shared memory as the tensor cores and the copy engine want it."""
    size = jnp.dtype(dtype).itemsize
    row = min(128, shape[-1] * size)
    transforms = plgpu.TilingTransform((8, row // size)), plgpu.SwizzleTransform(row)
    return plgpu.SMEM(shape, dtype, transforms=transforms)


def _fence(_: Any) -> None:
    """What this thread knows to be in memory, its copy engine knows as well."""
    nvvm.fence_proxy(nvvm.ProxyKind.async_)


def wait_for(semaphore: Any, count: Any) -> None:
    """Until so many have published; what they wrote can be copied then."""
    plgpu.semaphore_wait(semaphore, count, decrement=False, memory_scope="gpu")
    plgpu.inline_mgpu()(_fence)()


def publish(semaphore: Any, *copies: tuple[Any, Any]) -> None:
    """Copies from shared to device memory, and says so when all of them are there."""
    plgpu.commit_smem()
    for source, target in copies:
        plgpu.copy_smem_to_gmem(source, target)
    plgpu.wait_smem_to_gmem(0)
    plgpu.semaphore_signal(semaphore, memory_scope="gpu")


def chunks(size: int) -> tuple[int, int, int]:
    """How wide a chunk of the columns is, how many there are, and how many have a slot.

    Example:
      >>> chunks(1024), chunks(64)
      ((128, 8, 4), (64, 1, 1))
    """
    width = 2 * TILE if size % (2 * TILE) == 0 else TILE
    return width, size // width, min(RING, size) // width


def product(source: Any, weights: Any, slots: Any, arrived: Any, first: Any = 0) -> Array:
    """``source[64, first:first + K] @ weights[K, 64]``; two slots at least for several chunks."""
    (num_chunks, width, _), num_slots = weights.shape, slots.shape[0]

    def load(k: int) -> None:
        chunk = source.at[:, pl.ds(first + k * width, width)]
        plgpu.copy_gmem_to_smem(chunk, slots.at[k % num_slots], arrived.at[k % num_slots])

    for k in range(num_slots):
        load(k)

    def add_up(total: Any) -> Array:
        for k in range(num_chunks):
            plgpu.barrier_wait(arrived.at[k % num_slots])
            plgpu.wgmma(total, slots.at[k % num_slots], weights.at[k])
            if k >= 1 and k - 1 + num_slots < num_chunks:
                plgpu.wgmma_wait(1)  # the product before this one is through with its slot
                load(k - 1 + num_slots)
        return total[...]

    return pl.run_scoped(add_up, plgpu.WGMMAAccumulatorRef((TILE, TILE), jnp.float32))
