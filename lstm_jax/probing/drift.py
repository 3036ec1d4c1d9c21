"""What the drift study measures: how far internal states go, and what cells are used for.

Section 4 of Hochreiter & Schmidhuber 1997 names two problems of memory cells and an answer to each:
states that drift off until h'(s) is nearly zero (a negative bias of the input gates), and cells
that early in learning become bias units or doubles of each other (one of the output gates).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells.lstm97 import slope_h, squash_h
from lstm_jax.network import Network, NetworkParams
from lstm_jax.probing.engine import Measure
from lstm_jax.probing.flow import probe_examples
from lstm_jax.tasks import Task
from lstm_jax.types import Array
from lstm_jax.unroll import as_vectors, valid_steps

TIMES = 21
"""Points of a sequence at which states are kept: its begin, its end, and 19 in between."""


def drift_measure(network: Network, task: Task, *, num_sequences: int) -> Measure:
    """States of an lstm97 over test sequences of its task.

    Returns:
      A measure with, C cells and B blocks:

      ``state`` [TIMES]: |s| at equal shares of a sequence, mean over cells and sequences;
      ``end`` [C]: |s| at its end, mean over sequences;
      ``common`` [C]: |mean of s at its end|, which every sequence shares: the drift proper;
      ``slope`` [C]: h'(s) at its end, as a share of h'(0), mean over sequences;
      ``gate`` [B]: the input gates' mean activation over all steps;
      ``bias_share`` [C]: the share of a cell's output at the end that is the same for all sequences
      (its squared mean over its mean square): 1 is a bias unit;
      ``overlap``: mean |correlation|, over sequences, of cells of different blocks at the end: 1 is
      a double.

    Raises:
      ValueError: for another cell than lstm97.
    """
    cell, spec = network.cell, network.cell.spec
    if cell.name != "lstm97":
        raise ValueError(f"drift: measured of lstm97, not of {cell.name}")
    examples = probe_examples(task, num_sequences)
    bound = task.length

    def of_sequence(params: NetworkParams, inputs: Array, length: Array) -> dict[str, Array]:
        def step(state: Any, x: Array) -> tuple[Any, tuple[Array, Array, Array]]:
            new, y = cell.step(params.cell, state, x)
            return new, (new.c, new.i, y)

        xs = as_vectors(inputs, cell.input_size)
        _, (cs, gates, ys) = jax.lax.scan(step, cell.initial_state(), xs)
        cs = jnp.concatenate([jnp.zeros_like(cs[:1]), cs])  # [T + 1, C], s(0) = 0
        shares = jnp.arange(TIMES, dtype=jnp.float32) / (TIMES - 1)
        at = jnp.round(shares * length.astype(jnp.float32)).astype(jnp.int32)
        valid = valid_steps(bound, length)
        opened = jnp.sum(jnp.where(valid[:, None], gates, 0.0), axis=0)
        last = cs[length]
        slope = slope_h(spec.h, squash_h(spec.h, last))
        return {
            "state": jnp.mean(jnp.abs(cs[at]), axis=1),
            "last": last,
            "slope": slope / slope_h(spec.h, jnp.zeros_like(last)),
            "gate": opened / length.astype(gates.dtype),
            "h": ys[length - 1],
        }

    @jax.jit
    def of_network(params: NetworkParams, inputs: Array, lengths: Array) -> dict[str, Array]:
        found = jax.vmap(of_sequence, in_axes=(None, 0, 0))(params, inputs, lengths)
        last, h = found["last"], found["h"]  # [M, C]
        # An output weight would scale mean and mean square alike.
        share = jnp.square(h.mean(axis=0)) / (jnp.square(h).mean(axis=0) + 1e-12)
        return {
            "state": found["state"].mean(axis=0),
            "end": jnp.abs(last).mean(axis=0),
            "common": jnp.abs(last.mean(axis=0)),
            "slope": found["slope"].mean(axis=0),
            "gate": found["gate"].mean(axis=0),
            "bias_share": share,
            "overlap": _overlap(h, spec.block_size),
        }

    def measure(params: NetworkParams) -> Mapping[str, Any]:
        on_device = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), params)
        return jax.device_get(of_network(on_device, examples.inputs, examples.length))

    return measure


def _overlap(h: Array, block_size: int) -> Array:  # []
    """The mean |correlation| over the sequences of cells in different blocks; 0 for one block."""
    centred = h - h.mean(axis=0, keepdims=True)
    scaled = centred / (jnp.linalg.norm(centred, axis=0, keepdims=True) + 1e-12)
    correlation = jnp.abs(scaled.T @ scaled)
    block = jnp.arange(h.shape[1], dtype=jnp.int32) // block_size
    other = (block[:, None] != block[None, :]).astype(correlation.dtype)
    return jnp.sum(correlation * other) / jnp.maximum(jnp.sum(other), 1)
