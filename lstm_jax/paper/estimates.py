"""What a row of a paper would take, said before anything compiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from lstm_jax.paper.records import RowRecords, is_exported, read_records
from lstm_jax.paper.selection import Item
from lstm_jax.plan import plan
from lstm_jax.rows import Row, count_weights
from lstm_jax.tables import format_duration


class Estimate(NamedTuple):
    """A row's line of `--dry_run`."""

    row: str
    experiment: str
    config: str  # ARG of --config=FILE:ARG
    num_weights: int
    paper_weights: int | None
    num_trials: int
    num_lanes: int
    max_sequences: int
    expected_seconds: float | None  # None: the paper gives too little to tell
    measured: bool  # whether from a run on file, or from the paper's number and a nominal cost
    reading: str

    def __str__(self) -> str:
        source = f"{self.experiment}:{self.config}"
        weights = f"{self.num_weights} | {self.paper_weights or '-'} weights"
        time = "time not known"
        if self.expected_seconds is not None:
            time = f"about {format_duration(self.expected_seconds)}"
        return (
            f"{self.row:18} {source:26} {weights:23} {self.num_trials:3} trials "
            f"{self.num_lanes:3} lanes  {time}"
        )

    def as_json(self) -> dict[str, Any]:
        """Its JSON object."""
        return self._asdict()


def estimate(row: Row, item: Item, run: RowRecords | None, num_devices: int) -> Estimate:
    """Sizes of a row, and the time its training takes on so many devices.

    run: a run of the row on file. It tells how many sequences a trial goes through (no more than
    the cap now) and what a trial-step costs. None: the paper's number of sequences and a nominal
    cost are taken, where the paper gives one.
    """
    num_trials = len(row.numbers)
    layout = plan(row.built, row.config, num_devices, num_trials)
    cost, busy = _cost(run, layout.num_devices), num_trials
    measured = run is not None and cost is not None
    sequences = _on_file(run, row) if run is not None else _published_sequences(row)
    if cost is None:
        cost = layout.ns_per_trial_step / layout.num_devices
        # Idle lanes cost as much as others.
        busy = -(-num_trials // layout.num_lanes) * layout.num_lanes
    seconds = None
    if sequences is not None:
        seconds = round(1e-9 * cost * busy * sequences * row.built.trial.task.mean_length, 1)
    return Estimate(
        row.name,
        item.experiment.name,
        item.arg,
        count_weights(row.built),
        item.paper.num_weights,
        num_trials,
        layout.num_lanes,
        row.config.max_sequences,
        seconds,
        measured,
        row.reading,
    )


def runs_on_file(folder: Path, names: Sequence[str]) -> Mapping[str, RowRecords]:
    """The exported rows, by name; none where nothing was exported or a file is damaged."""
    try:
        return read_records(folder, names) if is_exported(folder) else {}
    except ValueError:
        return {}


def _cost(run: RowRecords | None, num_devices: int) -> float | None:
    """ns per trial-step over all lanes and devices, as a run measured it.

    Processor time where it is known: unlike wall time, other work on the machine hardly shows in
    it. On an accelerator it says nothing.
    """
    info = {} if run is None else run.info
    if "processor_ns_per_trial_step" in info and jax.default_backend() == "cpu":
        return info["processor_ns_per_trial_step"] / num_devices
    return info.get("ns_per_trial_step")


def _on_file(run: RowRecords, row: Row) -> float:
    """Sequences of a trial in the mean of a run, none beyond the cap there is now."""
    counts = [min(r["num_sequences"], row.config.max_sequences) for r in run.records]
    return sum(counts) / len(counts)


def _published_sequences(row: Row) -> float | None:
    """Sequences of a trial in the mean: the paper's, and the cap where it did not solve."""
    paper, most = row.paper, row.config.max_sequences
    if paper is None or math.isnan(paper.solved):
        return None
    mean = 0.0 if paper.solved == 0 else min(paper.num_sequences, most)
    total = paper.solved * mean + (1 - paper.solved) * most
    return None if math.isnan(total) else total
