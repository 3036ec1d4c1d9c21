"""What a search minimises: how many training sequences some networks need under given settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from lstm_jax.build import build_trial
from lstm_jax.config import Config
from lstm_jax.lanes import lane_mesh
from lstm_jax.plan import plan
from lstm_jax.runner import Progress, TrialRecord, run_trials

NUM_REPORTS = 20
"""Times in a run at which a pruner is asked."""


class Pruned(Exception):
    """Raised where a run is not worth its end."""


def cost(records: Sequence[TrialRecord], max_sequences: int) -> float:
    """The mean over networks of log10 of the sequences needed.

    A network that was not solved counts as ten times the cap to the power of its test error, at
    most 1: so that among settings that solve nothing the nearer one is the better one, and any
    that solves is better still.

    Example:
      >>> def record(status, num_sequences, error):
      ...     return TrialRecord(0, status, num_sequences, 0, 1, error, error)
      >>> cost([record("SOLVED", 1000, 0.0)], 10_000)
      3.0
      >>> cost([record("EXHAUSTED", 10_000, 0.5)], 10_000)
      4.5
      >>> cost([record("DIVERGED", 10, float("nan"))], 10_000)
      5.0
    """
    total = 0.0
    for record in records:
        if record.status == "SOLVED":
            total += math.log10(record.num_sequences)
        else:
            error = record.mean_test_error
            total += math.log10(max_sequences) + (min(error, 1.0) if math.isfinite(error) else 1.0)
    return total / len(records)


def evaluate(
    config: Config, report: Callable[[float, int], bool], should_stop: Callable[[], bool]
) -> tuple[float, list[TrialRecord]] | None:
    """Runs the networks of a configuration; their cost and records, or None where stopped.

    Args:
      config: of one row, checked; `num_trials` networks are trained.
      report: ``(error, step) -> give up?``, asked `NUM_REPORTS` times: the mean recent training
        error, that of a solved network counting as 0.
      should_stop: asked after every chunk.

    Raises:
      Pruned: where `report` says so.
      ValueError: what cells, tasks and rules refuse.
    """
    built, mesh = build_trial(config), lane_mesh()
    layout = plan(built, config, int(mesh.devices.size))
    trial = built.trial
    term = trial.exam.every if trial.exam is not None else 1
    updates = -(-config.max_sequences // trial.batch_size)
    # Chunks of the same length whatever the settings: only then can runs be compared by steps.
    chunk = max(term, updates // NUM_REPORTS // term * term)
    pruned = False

    def on_chunk(progress: Progress, snapshot: Any) -> None:
        nonlocal pruned
        del snapshot
        errors = [error if math.isfinite(error) else 1.0 for error in progress.errors.values()]
        done = [0.0 if r.status == "SOLVED" else 1.0 for r in progress.finished]
        if errors:
            pruned = report(sum(errors + done) / len(errors + done), progress.step)

    records = run_trials(
        trial,
        jax.random.key(config.seed, impl="threefry2x32"),
        num_trials=config.num_trials,
        num_lanes=layout.num_lanes,
        chunk=chunk,
        hyper=lambda number: (config.learning_rate, config.init_range),
        num_test=config.num_test,
        on_chunk=on_chunk,
        should_stop=lambda: pruned or should_stop(),
        mesh=mesh,
    )
    if len(records) == config.num_trials:
        return cost(records, config.max_sequences), records
    if pruned:
        raise Pruned
    return None


def numbers_of(records: Sequence[TrialRecord]) -> Mapping[str, Any]:
    """What is kept of a run beside its cost.

    Example:
      >>> numbers_of([TrialRecord(0, "SOLVED", 900, 0, 1, 0.0, 0.0)])
      {'solved': 1, 'num_sequences': [900], 'status': ['SOLVED']}
    """
    ordered = sorted(records)
    return {
        "solved": sum(record.status == "SOLVED" for record in ordered),
        "num_sequences": [record.num_sequences for record in ordered],
        "status": [record.status for record in ordered],
    }
