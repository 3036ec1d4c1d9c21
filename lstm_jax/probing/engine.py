"""Trains the trials of one setting and measures their weights on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.build import Built
from lstm_jax.config import Config, ConfigError, show
from lstm_jax.lanes import EMPTY, Snapshot, lane_mesh, named_leaves, part
from lstm_jax.network import NetworkParams
from lstm_jax.plan import plan
from lstm_jax.progress import ProgressLine
from lstm_jax.runner import Progress, TrialRecord, run_trials
from lstm_jax.trial import Hyper, Trial, TrialState

Measure = Callable[[NetworkParams], Mapping[str, Any]]
"""What is measured of one network: numbers and arrays by name."""


class Probe(NamedTuple):
    """What was measured of one trial after so many training sequences."""

    sequences: int
    values: dict[str, Any]


def run_probed(
    name: str,
    built: Built,
    config: Config,
    measure: Measure,
    at: Sequence[int],
    should_stop: Callable[[], bool],
) -> tuple[list[TrialRecord], dict[int, list[Probe]]] | None:
    """Runs all trials of a setting; records and probes by trial, or None where it was stopped.

    Each trial is measured before its first sequence, after each number of sequences in `at` that
    it lives to see, and at its end.

    Args:
      name: for the line of progress.
      built: of `config`.
      config: of the setting.
      measure: applied to the weights of one network, on the host's numbers.
      at: as `spacing` demands.
      should_stop: asked after each chunk.
    """
    mesh = lane_mesh()
    layout = plan(built, config, int(mesh.devices.size))
    key = jax.random.key(config.seed, impl="threefry2x32")
    rates = Hyper(jnp.float32(config.learning_rate), jnp.float32(config.init_range))
    init = jax.jit(built.trial.init)
    probes = {
        n: [Probe(0, _plain(measure(init(key, np.int32(n), rates).params)))]
        for n in range(config.num_trials)
    }
    line = ProgressLine(name, config.max_sequences)

    def finish(record: TrialRecord, state: TrialState) -> None:
        found = probes[record.trial]
        if found[-1].sequences < record.num_sequences:
            found.append(Probe(record.num_sequences, _plain(measure(state.params))))

    def after_chunk(progress: Progress, take: Callable[[], Snapshot]) -> None:
        line.show(progress)
        due = {n: count for n, count in progress.running.items() if count in wanted}
        if due:
            for n, params in params_in(take(), built.trial).items():
                if n in due:
                    probes[n].append(Probe(due[n], _plain(measure(params))))

    wanted = set(at)
    chunk = spacing(config, at) // built.trial.batch_size if at else layout.chunk
    try:
        records = run_trials(
            built.trial,
            key,
            num_trials=config.num_trials,
            num_lanes=layout.num_lanes,
            chunk=chunk,
            hyper=lambda n: (config.learning_rate, config.init_range),
            num_test=config.num_test,
            on_finish=finish,
            on_chunk=after_chunk,
            should_stop=should_stop,
            mesh=mesh,
        )
    finally:
        line.close()
    return (records, probes) if len(records) == config.num_trials else None


def spacing(config: Config, at: Sequence[int]) -> int:
    """The training sequences between two looks: the greatest that meets every number in `at`.

    Raises ConfigError where that is no whole number of updates, or of exams.

    Example:
      >>> from ml_collections import ConfigDict
      >>> spacing(ConfigDict({"batch_size": 1}), (1000, 2000, 5000))
      1000
    """
    unit = config.batch_size
    if "exam_every" in config:
        unit = math.lcm(unit, config.exam_every)
    step = math.gcd(*at)
    if step % unit:
        raise ConfigError(f"config.probe_at={show(tuple(at))}: must be multiples of {unit} here")
    return step


def params_in(snapshot: Snapshot, trial: Trial) -> dict[int, NetworkParams]:
    """The weights of the trials in the lanes of a snapshot, by trial.

    A snapshot holds every array of a `TrialState` by its path in the tree.
    """
    key = jax.random.key(0, impl="threefry2x32")
    rates = Hyper(jnp.float32(0), jnp.float32(0))
    shapes = jax.eval_shape(trial.init, key, np.int32(0), rates).params
    stored = part(snapshot.arrays, "lanes/params.")
    leaves, tree = [stored[name] for name, _ in named_leaves(shapes)], jax.tree.structure(shapes)
    return {
        int(n): jax.tree.unflatten(tree, [leaf[lane] for leaf in leaves])
        for lane, n in enumerate(snapshot.arrays["numbers"])
        if n != EMPTY
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of four digits, as a file of records holds them; what is not finite is None."""

    def short(value: Any) -> Any:
        if isinstance(value, list):
            return [short(item) for item in value]
        return float(f"{value:.4g}") if math.isfinite(value) else None

    return {name: short(np.asarray(value).tolist()) for name, value in values.items()}
