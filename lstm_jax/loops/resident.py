"""The time loop of an LSTM as one kernel of a Hopper GPU, its recurrent weights kept on chip.

Written in Pallas for Mosaic GPU. Checked in Pallas's GPU interpreter and lowered for sm_90, never
run on a GPU.

**Who does what.** A block (CTA) owns 16 hidden units of 64 sequences. Columns of a step's four
pre-activations are ordered by (block, gate, unit), so that a block's 64 lie side by side::

    forwards   z[64 sequences, own 64 columns] = net_t + h_tm1[64, H] R[own 64 columns, H]^T
               i, f, z, o are slices of it in registers, c stays there, and h_t goes out
    backwards  blocks in fours: of a group's 64 units each multiplies a quarter of the 4H columns,
               p[64, 64] = d_nets_tp1[64, quarter] R[quarter, 64 units]; the four exchange what
               they have, and each adds up d_h of its own 16 units and makes its own d_nets_t

Either way a block keeps ``[H, 64]`` weights in shared memory for the whole sequence, 128 KB for H =
1024 in bfloat16, and reads ``[64, H]`` numbers a step, in chunks of 128 columns; the copy engine
brings them to a ring of `RING` columns while the tensor cores work. All 4H columns in one block
would need no exchange, and four times that traffic, which is what bounds the step.

`lstm_jax.loops.blocks` says in which order blocks write and read, why that is safe and why it ends.

**What a step should take** (not measured), H = 1024, an H100 with 132 multiprocessors at 1.76 GHz,
64 sequences in 64 blocks. Each way, a block: 8.4 Mflop at 4096 a cycle 1.2 us, 128 KB at 64 B a
cycle 1.2 us, both at once; all: 8.4 MB out of the L2 cache, 1.5 us at 5.5 TB/s, which is the
ceiling; and a round of publish and await, about 1 to 1.5 us, for nothing overlaps it. So 2.5 to 3
us forwards, and 4 to 5 backwards, where the exchange (16 KB a block) is a second round. Twice as
many sequences use the other multiprocessors, and then the L2 cache gives 3 us a step. Shared
memory for H = 1024: 214 KB forwards, 226 backwards, of 227.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from lstm_jax.loops.blocks import TILE, chunks, product, publish, tile, wait_for
from lstm_jax.types import Array

UNITS = 16  # of a block
GROUP = TILE // UNITS  # blocks that share the products of the way back
COLUMNS = 4 * UNITS  # gates i, f, z, o of a block's units
PARAMS = plgpu.CompilerParams(
    lowering_semantics=plgpu.LoweringSemantics.Warpgroup, approx_math=True
)


def forwards(r: Array, nets: Array, c: Array) -> tuple[Array, Array, Array]:
    """Runs the loop; B a multiple of 64, and H as well.

    Args:
      r: ``[H, 4H]`` recurrent weights, bfloat16, columns by (block, gate, unit).
      nets: ``[T, B, 4H]`` what the inputs, the biases and, for the first step, the state given add
        to the pre-activations; bfloat16, columns as those of `r`.
      c: ``[B, H]`` the cell state given, float32.

    Returns:
      h ``[T, B, H]`` bfloat16; c ``[T + 1, B, H]`` float32, the one given first; and the activated
      gates ``[T, B, 4H]`` bfloat16.
    """
    num_steps, num_examples, num_columns = nets.shape
    size, num_blocks, num_tiles = r.shape[0], num_columns // COLUMNS, num_examples // TILE
    width, num_chunks, num_slots = chunks(size)

    def body(
        r: Any, nets: Any, start: Any, hs: Any, cs: Any, gates: Any,
        weights: Any, slots: Any, net: Any, h_out: Any, c_out: Any, gates_out: Any,
        arrived: Any, loaded: Any,
    ) -> None:  # fmt: skip
        row, block = lax.axis_index("tile"), lax.axis_index("block")
        done = pl.get_global(plgpu.SemaphoreType.REGULAR((num_tiles,))).at[row]
        rows, units = pl.ds(row * TILE, TILE), pl.ds(block * UNITS, UNITS)
        columns = pl.ds(block * COLUMNS, COLUMNS)
        plgpu.copy_gmem_to_smem(r.at[:, :, columns], weights, loaded)
        plgpu.barrier_wait(loaded)
        plgpu.copy_gmem_to_smem(start.at[rows, units], c_out, loaded)
        plgpu.barrier_wait(loaded)
        plgpu.copy_smem_to_gmem(c_out, cs.at[0, rows, units])

        def step(t: Any, c: Array, first: bool = False) -> Array:
            plgpu.copy_gmem_to_smem(nets.at[t, rows, columns], net, loaded)
            from_h = None
            if not first:
                wait_for(done, num_blocks * t)
                from_h = product(hs.at[t - 1, rows], weights, slots, arrived)
            plgpu.barrier_wait(loaded)
            from_x = net[...].astype(jnp.float32)
            total = from_x if from_h is None else from_x + from_h
            i, f, z, o = (total[:, n : n + UNITS] for n in range(0, COLUMNS, UNITS))
            i, f, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jax.nn.sigmoid(o)
            z = jnp.tanh(z)
            c = i * z + f * c
            h_out[...] = (o * jnp.tanh(c)).astype(jnp.bfloat16)
            publish(done, (h_out, hs.at[t, rows, units]))
            # The rest is for the way back: nobody waits for it, and it is out before h of the
            # next step is, so that its places in shared memory are free again then.
            c_out[...] = c
            for n, gate in enumerate((i, f, z, o)):
                gates_out.at[n][...] = gate.astype(jnp.bfloat16)
            plgpu.commit_smem()
            plgpu.copy_smem_to_gmem(c_out, cs.at[t + 1, rows, units])
            for n in range(4):
                own = pl.ds(block * COLUMNS + n * UNITS, UNITS)
                plgpu.copy_smem_to_gmem(gates_out.at[n], gates.at[t, rows, own])
            return c

        lax.fori_loop(1, num_steps, step, step(0, c_out[...], first=True))
        plgpu.wait_smem_to_gmem(0)

    half, single = jnp.bfloat16, jnp.float32
    kernel = plgpu.kernel(
        body,
        out_type=(
            jax.ShapeDtypeStruct((num_steps, num_examples, size), half),
            jax.ShapeDtypeStruct((num_steps + 1, num_examples, size), single),
            jax.ShapeDtypeStruct((num_steps, num_examples, num_columns), half),
        ),
        scratch_types=(
            *(tile(half, num_chunks, width, COLUMNS), tile(half, num_slots, TILE, width)),
            *(tile(half, TILE, COLUMNS), tile(half, TILE, UNITS)),
            *(tile(single, TILE, UNITS), tile(half, 4, TILE, UNITS)),
            *(plgpu.Barrier(num_barriers=num_slots), plgpu.Barrier()),
        ),
        grid=(num_tiles, num_blocks),
        grid_names=("tile", "block"),
        compiler_params=PARAMS,
    )
    h, c, gates = kernel(r.reshape(num_chunks, width, num_columns), nets, c)
    return h, c, gates


def backwards(r: Array, gates: Array, c: Array, d_h: Array, d_c: Array) -> tuple[Array, Array]:
    """Runs the loop back; B a multiple of 64, and H as well.

    Args:
      r: ``[4H, H]`` recurrent weights, bfloat16, rows by (block, gate, unit).
      gates: ``[T, B, 4H]`` as `forwards` gives them.
      c: ``[T + 1, B, H]`` as well.
      d_h: ``[T, B, H]`` the cotangents of its h that do not come by a later step, bfloat16.
      d_c: ``[B, H]`` the cotangent of its last c, float32.

    Returns:
      The cotangents of its `nets` ``[T, B, 4H]``, bfloat16, and of the c given ``[B, H]``, float32.
      What these give the h given and the weights is left to two large products.
    """
    num_steps, num_examples, num_columns = gates.shape
    size, num_blocks, num_tiles = r.shape[1], num_columns // COLUMNS, num_examples // TILE
    width, num_chunks, num_slots = chunks(size)  # of a quarter of the columns
    num_groups = size // TILE

    def body(
        r: Any, gates: Any, cs: Any, d_hs: Any, last: Any, d_nets: Any, d_start: Any, parts: Any,
        weights: Any, slots: Any, part: Any, gate: Any, c_in: Any, d_h_in: Any,
        arrived: Any, loaded: Any, added: Any,
    ) -> None:  # fmt: skip
        row, block = lax.axis_index("tile"), lax.axis_index("block")
        group, quarter = lax.div(block, jnp.int32(GROUP)), lax.rem(block, jnp.int32(GROUP))
        done = pl.get_global(plgpu.SemaphoreType.REGULAR((num_tiles,))).at[row]
        shared = pl.get_global(plgpu.SemaphoreType.REGULAR((num_tiles * num_groups,)))
        shared = shared.at[row * num_groups + group]
        rows, units = pl.ds(row * TILE, TILE), pl.ds(block * UNITS, UNITS)
        owns = [pl.ds(block * COLUMNS + n * UNITS, UNITS) for n in range(4)]
        mine = pl.ds(quarter * num_chunks, num_chunks), slice(None), pl.ds(group * TILE, TILE)
        plgpu.copy_gmem_to_smem(r.at[mine], weights, added)
        plgpu.barrier_wait(added)
        plgpu.copy_gmem_to_smem(last.at[rows, units], c_in.at[0], added)
        plgpu.barrier_wait(added)

        def step(back: Any, d_c: Array, first: bool = False) -> Array:
            t = num_steps - 1 - back
            for n in range(4):
                plgpu.copy_gmem_to_smem(gates.at[t, rows, owns[n]], gate.at[n], loaded)
            plgpu.copy_gmem_to_smem(cs.at[pl.ds(t, 2), rows, units], c_in, loaded)
            plgpu.copy_gmem_to_smem(d_hs.at[t, rows, units], d_h_in, loaded)
            if not first:
                wait_for(done, num_blocks * back)
                begin = quarter * size
                whole = product(d_nets.at[t + 1, rows], weights, slots, arrived, begin)
                for n in range(GROUP):
                    part.at[n][...] = whole[:, n * UNITS : (n + 1) * UNITS]
                to = [parts.at[row, group * GROUP + n, quarter] for n in range(GROUP)]
                publish(shared, *((part.at[n], to[n]) for n in range(GROUP)))
                wait_for(shared, GROUP * back)
                plgpu.copy_gmem_to_smem(parts.at[row, block], part, added)
            plgpu.barrier_wait(loaded)
            i, f, z, o = (gate.at[n][...].astype(jnp.float32) for n in range(4))
            c_tm1, tanh_c = c_in.at[0][...], jnp.tanh(c_in.at[1][...])
            d_h = d_h_in[...].astype(jnp.float32)
            if not first:
                plgpu.barrier_wait(added)
                for n in range(GROUP):
                    d_h = d_h + part.at[n][...]
            d_c = d_c + d_h * o * (1 - tanh_c * tanh_c)
            d_i, d_f = d_c * z * i * (1 - i), d_c * c_tm1 * f * (1 - f)
            d_z, d_o = d_c * i * (1 - z * z), d_h * tanh_c * o * (1 - o)
            for n, d_net in enumerate((d_i, d_f, d_z, d_o)):
                gate.at[n][...] = d_net.astype(jnp.bfloat16)
            publish(done, *((gate.at[n], d_nets.at[t, rows, owns[n]]) for n in range(4)))
            return d_c * f

        d_c = c_in.at[0][...]
        plgpu.commit_smem()  # read, before the copy engine writes there
        d_c = lax.fori_loop(1, num_steps, step, step(0, d_c, first=True))
        c_in.at[0][...] = d_c
        plgpu.commit_smem()
        plgpu.copy_smem_to_gmem(c_in.at[0], d_start.at[rows, units])
        plgpu.wait_smem_to_gmem(0)

    half, single = jnp.bfloat16, jnp.float32
    kernel = plgpu.kernel(
        body,
        out_type=(
            jax.ShapeDtypeStruct(gates.shape, half),
            jax.ShapeDtypeStruct(d_c.shape, single),
            jax.ShapeDtypeStruct((num_tiles, num_blocks, GROUP, TILE, UNITS), single),
        ),
        scratch_types=(
            *(tile(half, num_chunks, width, TILE), tile(half, num_slots, TILE, width)),
            *(tile(single, GROUP, TILE, UNITS), tile(half, 4, TILE, UNITS)),
            *(tile(single, 2, TILE, UNITS), tile(half, TILE, UNITS)),
            plgpu.Barrier(num_barriers=num_slots),
            *(plgpu.Barrier(num_arrivals=6), plgpu.Barrier()),
        ),
        grid=(num_tiles, num_blocks),
        grid_names=("tile", "block"),
        compiler_params=PARAMS,
    )
    d_nets, d_start, _ = kernel(r.reshape(4 * num_chunks, width, size), gates, c, d_h, d_c)
    return d_nets, d_start
