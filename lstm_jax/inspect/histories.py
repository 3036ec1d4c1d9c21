"""A trial over its training: weights and gates at each moment; and how far its gates saturate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.inspect.looks import recorder
from lstm_jax.inspect.runs import Run
from lstm_jax.lanes import named_leaves
from lstm_jax.tasks.task import Example

LEFT, RIGHT = 0.1, 0.9
"""Left- and right-saturated: below and above (Karpathy, Johnson & Li 2015, section 4.3)."""
MOST_STEPS = 20_000  # of the sequences that shares are taken over


class History(NamedTuple):
    """What a trial's numbers were at each moment of its training that is on file.

    Attributes:
      moments: training sequences, rising.
      weights: ``{name: [moments, ...]}``, by the leaves of the network's weights.
      arrays: ``{name: [moments, T, H]}`` of one test sequence, as `record` names them.
    """

    moments: list[int]
    weights: dict[str, np.ndarray]
    arrays: dict[str, np.ndarray]


class Shares(NamedTuple):
    """How saturated the units of a gate are over some sequences.

    Attributes:
      left: share of the steps with an activation below 0.1, ``[H]``.
      right: share of those above 0.9.
    """

    left: np.ndarray
    right: np.ndarray


def history(run: Run, trial: int, sequence: int = 0) -> History:
    """Weights, and gates and states over one test sequence, at every moment kept.

    Raises:
      RunFolderError: in one line, where the run has no such trial.
    """
    run.last_moment(trial)
    moments = run.moments(trial)
    example = run.example(sequence, trial)
    params = [run.params(trial, moment) for moment in moments]
    play = recorder(run.network)
    seen = [jax.device_get(play(p, example)[1]) for p in params]
    stop = int(example.length)
    weights = [dict(named_leaves(jax.device_get(p))) for p in params]
    return History(
        moments,
        {name: np.stack([w[name] for w in weights]) for name in weights[0]},
        {name: np.stack([s[name][:stop] for s in seen]) for name in seen[0]},
    )


def saturation(
    run: Run, trial: int, sequences: int | None = None
) -> tuple[dict[str, Shares], dict[str, Any]]:
    """The shares of each recorded array that has units, over many test sequences.

    Which of them are gates is for the picture to say. Returns the shares by name, and
    ``{"sequences": how many, "steps": how many}``.

    Raises:
      RunFolderError: in one line, where the run has no such trial or no such weights.
    """
    params = run.params(trial, sequences)
    number = int(np.clip(MOST_STEPS // run.task.length, 4, 64))
    play = recorder(run.network)

    def counts(example: Example) -> dict[str, tuple[Any, Any]]:
        _, arrays = play(params, example)
        valid = (jnp.arange(run.task.length, dtype=jnp.int32) < example.length)[:, None]
        return {
            name: (
                jnp.sum((value < LEFT) & valid, axis=0, dtype=jnp.int32),
                jnp.sum((value > RIGHT) & valid, axis=0, dtype=jnp.int32),
            )
            for name, value in arrays.items()
            if value.ndim == 2
        }

    count = jax.jit(counts)
    total: Mapping[str, Any] | None = None
    steps = 0
    for n in range(number):
        example = run.example(n, trial)
        found = jax.device_get(count(example))
        total = found if total is None else jax.tree.map(np.add, total, found)
        steps += int(example.length)
    assert total is not None
    shares = {name: Shares(left / steps, right / steps) for name, (left, right) in total.items()}
    return shares, {"sequences": number, "steps": steps}
