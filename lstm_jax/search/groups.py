"""Readings of a row that are lanes of one program: what is run, and what is on file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from lstm_jax.build import Built, build_trial
from lstm_jax.config import Config
from lstm_jax.lanes import lane_mesh
from lstm_jax.paper.selection import Item
from lstm_jax.plan import plan
from lstm_jax.record.lines import load_lines
from lstm_jax.runner import TrialRecord, run_trials
from lstm_jax.search.factors import Factor, Variant, configured, text_of, timing_of, variant_of

IDENTITY = ("row", "group", "readings", "trials", "max_sequences", "seed")
"""What two commands must agree in to share a group's records."""
MOST_TEST = 256
"""Test sequences of a finished trial; its test is not scored."""


class Group(NamedTuple):
    """Readings of a row with one static structure; lane n has reading ``n // trials``."""

    item: Item
    name: str
    variants: tuple[Variant, ...]
    trials: int  # of each reading
    max_sequences: int

    @property
    def row(self) -> str:
        """The name of the row."""
        return self.item.paper.name

    @property
    def num_trials(self) -> int:
        """Trials of all readings."""
        return self.trials * len(self.variants)

    def hyper(self, trial: int) -> tuple[float, float]:
        """Learning rate and range of the initial weights of a trial."""
        variant = self.variants[trial // self.trials]
        return variant.learning_rate, variant.init_range

    def config(self) -> Config:
        """The settings that its readings share."""
        values = self.variants[0].values | {
            "num_trials": self.num_trials,
            "max_sequences": self.max_sequences,
        }
        values["num_test"] = min(values["num_test"], MOST_TEST)
        return configured(self.item, values)

    def identity(self) -> dict[str, Any]:
        """The head of its line on file."""
        names = [variant.reading for variant in self.variants]
        seed = self.variants[0].values["seed"]
        values = (self.row, self.name, names, self.trials, self.max_sequences, seed)
        return dict(zip(IDENTITY, values, strict=True))


def groups_of(
    item: Item,
    readings: Sequence[Sequence[Factor]],
    factors: Sequence[Factor],
    *,
    trials: int,
    max_ratio: float,
) -> list[Group]:
    """The programs that a row needs for these readings, each reading once.

    trials: of each reading. max_ratio: a trial is given up at this multiple of the paper's mean,
    rounded up to a whole exam. Raises ConfigError for rows without a published number.
    """
    values, timing = text_of(item), timing_of(item)
    cap = cap_of(item, max_ratio)
    found: dict[str, dict[str, Variant]] = {}
    for reading in readings:
        variant = variant_of(values, timing, reading, factors)
        found.setdefault(variant.group, {})[variant.reading] = variant
    return [
        Group(item, name, tuple(variants.values()), trials, cap) for name, variants in found.items()
    ]


def cap_of(item: Item, max_ratio: float) -> int:
    """The multiple of the paper's mean at which a trial is given up, rounded up to an exam."""
    term = text_of(item).get("exam_every", 1)
    return term * math.ceil(max_ratio * item.paper.num_sequences / term)


def run_group(group: Group, built: Built, should_stop: Callable[[], bool]) -> dict[str, Any] | None:
    """Runs all trials of a group; its line for the file, or None where it was stopped."""
    config, mesh, began = group.config(), lane_mesh(), time.perf_counter()
    layout = plan(built, config, int(mesh.devices.size))
    records = run_trials(
        built.trial,
        jax.random.key(config.seed, impl="threefry2x32"),
        num_trials=group.num_trials,
        num_lanes=layout.num_lanes,
        chunk=layout.chunk,
        hyper=group.hyper,
        num_test=config.num_test,
        should_stop=should_stop,
        mesh=mesh,
    )
    if len(records) < group.num_trials:
        return None
    return group.identity() | {
        "wall_s": round(time.perf_counter() - began, 1),
        "records": [_line(group, record) for record in records],
    }


def build(group: Group) -> Built:
    """The program of a group, not compiled."""
    return build_trial(group.config())


def _line(group: Group, record: TrialRecord) -> dict[str, Any]:
    variant = group.variants[record.trial // group.trials]
    return {
        "reading": variant.reading,
        "trial": record.trial,
        "status": record.status,
        "num_sequences": record.num_sequences,
        "num_wrong": record.num_wrong,
        "num_test": record.num_test,
    }


def file_of(workdir: Path, row: str) -> Path:
    """Where the groups of a row are on file, one a line."""
    return workdir / f"{row}.jsonl"


def load_groups(file: Path) -> list[dict[str, Any]]:
    """The finished groups on file; RunFolderError, in one line, where it is damaged."""

    def is_whole(line: dict[str, Any]) -> bool:
        needed = {"reading", "status", "num_sequences"}
        return set(IDENTITY) <= line.keys() and all(
            needed <= record.keys() for record in line["records"]
        )

    return load_lines(file, is_whole)


def line_of(group: Group, lines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The line of a group, where it is on file."""
    identity = group.identity()
    same = (line for line in lines if {key: line[key] for key in IDENTITY} == identity)
    return next(same, None)
