"""What a row of a paper would take, said before anything compiles."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from lstm_jax.paper.records import ROWS
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
    measured: bool  # whether by the cost of the committed run, or by a nominal one
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


def estimate(row: Row, item: Item, ns_per_trial_step: float | None) -> Estimate:
    """Sizes of a row, and the time it takes if it takes as many sequences as the paper's.

    ns_per_trial_step: as measured over all lanes and devices; None: a nominal cost is taken.
    """
    layout = plan(row.built, row.config, len(jax.devices()))
    seconds = None
    sequences = _published_sequences(row)
    if sequences is not None:
        if ns_per_trial_step is None:
            cost = layout.ns_per_trial_step / layout.num_devices
            # Idle lanes cost as much as others.
            busy = -(-row.config.num_trials // layout.num_lanes) * layout.num_lanes
        else:
            cost, busy = ns_per_trial_step, row.config.num_trials
        seconds = round(1e-9 * cost * busy * sequences * row.built.trial.task.mean_length, 1)
    return Estimate(
        row.name,
        item.experiment.name,
        item.arg,
        count_weights(row.built),
        item.paper.num_weights,
        row.config.num_trials,
        layout.num_lanes,
        row.config.max_sequences,
        seconds,
        ns_per_trial_step is not None,
        row.reading,
    )


def measured_costs(folder: Path) -> Mapping[str, float]:
    """ns per trial-step of the exported rows, by name; none where nothing was exported."""
    try:
        infos = json.loads((folder / ROWS).read_bytes())
        return {name: info["ns_per_trial_step"] for name, info in infos.items()}
    except (OSError, ValueError, KeyError, AttributeError):
        return {}


def _published_sequences(row: Row) -> float | None:
    """Sequences of a trial in the mean: the paper's, and the cap where it did not solve."""
    paper, most = row.paper, row.config.max_sequences
    if paper is None or math.isnan(paper.solved):
        return None
    mean = 0.0 if paper.solved == 0 else min(paper.num_sequences, most)
    total = paper.solved * mean + (1 - paper.solved) * most
    return None if math.isnan(total) else total
