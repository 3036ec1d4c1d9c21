"""Runs the groups of a sweep and keeps them on file, one line a group."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from lstm_jax.ablation.design import Group
from lstm_jax.build import build_trial
from lstm_jax.lanes import lane_mesh
from lstm_jax.plan import plan
from lstm_jax.record.lines import load_lines
from lstm_jax.record.shape import NUMBER, require
from lstm_jax.record.since import completed
from lstm_jax.rows import count_weights
from lstm_jax.runner import TrialRecord, run_trials

STAGES = {"sweep": 0, "confirm": 1}
"""Each stage has random numbers of its own."""
_NEEDED = {
    "stage": str,
    "points": [{"task": str, "cell": str, "recipe": str, "values": dict}],
    "seeds": int,
    "settings": {"max_sequences": int},
    "num_weights": int,
    "wall_s": NUMBER,
    "records": [
        {
            **dict.fromkeys(("task", "cell", "recipe", "status"), str),
            "values": dict,
            "seed": int,
            "num_sequences": int,
        }
    ],
}


def run_group(group: Group, should_stop: Callable[[], bool]) -> dict[str, Any] | None:
    """Runs all trials of a group; its line for the file, or None where it was stopped."""
    built, mesh, began = build_trial(group.config), lane_mesh(), time.perf_counter()
    layout = plan(built, group.config, int(mesh.devices.size))
    key = jax.random.key(group.config.seed, impl="threefry2x32")
    records = run_trials(
        built.trial,
        jax.random.fold_in(key, STAGES[group.stage]),
        num_trials=group.num_trials,
        num_lanes=layout.num_lanes,
        chunk=layout.chunk,
        hyper=group.hyper,
        num_test=group.config.num_test,
        should_stop=should_stop,
        mesh=mesh,
    )
    if len(records) < group.num_trials:
        return None
    return group.identity() | {
        "num_weights": count_weights(built),
        "wall_s": round(time.perf_counter() - began, 1),
        "records": [_record(group, record) for record in sorted(records)],
    }


def load(file: Path) -> list[dict[str, Any]]:
    """The finished groups on file; RunFolderError, in one line, where it is damaged."""

    def is_whole(line: dict[str, Any]) -> bool:
        require(line, _NEEDED)
        return True

    return load_lines(file, is_whole)


def line_of(group: Group, lines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The line of a group, where it is on file."""
    identity = group.identity()
    for line in lines:
        own = dict(line) | {"settings": completed(line["settings"], identity["settings"])}
        if {key: own[key] for key in identity} == identity:
            return line
    return None


def _record(group: Group, record: TrialRecord) -> dict[str, Any]:
    point = group.points[record.trial // group.seeds]
    return {
        "task": point.task,
        "cell": point.cell,
        "recipe": point.recipe,
        "values": point.values,
        "seed": record.trial % group.seeds,
        "status": record.status,
        "num_sequences": record.num_sequences,
        "num_wrong": record.num_wrong,
        "num_test": record.num_test,
        "mean_test_error": record.mean_test_error,
    }
