"""What a study is: settings whose trials are measured while they learn, and their file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lstm_jax.build import build_trial
from lstm_jax.config import Config, Fields
from lstm_jax.network import Network
from lstm_jax.plugins import source_hash
from lstm_jax.probing.engine import Measure, run_probed, spacing
from lstm_jax.record.lines import load_lines
from lstm_jax.record.since import completed
from lstm_jax.rows import FREE_FIELDS, count_weights
from lstm_jax.tasks import Task

Line = Mapping[str, Any]
"""A finished group as the file of records holds it."""
_NEEDED = {"trial", "status", "num_sequences", "probes"}


class Group(NamedTuple):
    """Trials of one setting.

    Attributes:
      name: of the group; no two of a study share one.
      task, label: what it is called in tables.
      config: what `build_trial` takes.
      measured: the settings of what is measured.
      make_measure: ``(network, task) -> measure``.
      at: training sequences after which trials are measured, besides their begin and end.
    """

    name: str
    task: str
    label: str
    config: Config
    measured: Mapping[str, Any]
    make_measure: Callable[[Network, Task], Measure]
    at: tuple[int, ...] = ()

    def identity(self) -> dict[str, Any]:
        """What a line on file must agree in to be this group's."""
        settings = json.loads(self.config.to_json())
        for name in FREE_FIELDS:
            settings.pop(name, None)
        own = source_hash(self.config.cell)
        if own:  # another text of the file is another cell
            settings["cell_sha256"] = own
        measured = json.loads(json.dumps({"at": self.at, **self.measured}))
        return {"group": self.name, "settings": settings, "measured": measured}


class Study(NamedTuple):
    """An experiment that looks inside.

    Attributes:
      name: of the module and of the default run folder.
      usage: what the command does; the head of its help.
      config_path: the config file it starts from, relative to the checkout.
      fields: the table of its own fields.
      args: ``{ARG: meaning}`` of ``--config=FILE:ARG``.
      groups: ``config -> groups``; ConfigError for what cannot be.
      page: ``(lines, command, config) -> (Markdown, {file name: PNG})``.
    """

    name: str
    usage: str
    config_path: str
    fields: Fields
    args: Mapping[str, str]
    groups: Callable[[Config], list[Group]]
    page: Callable[[Sequence[Line], str, Config], tuple[str, dict[str, bytes]]]


def check_group(group: Group) -> None:
    """Builds a group and its measure, so that what they refuse is said before anything runs."""
    built = build_trial(group.config)
    if group.at:
        spacing(group.config, group.at)
    group.make_measure(built.trial.network, built.trial.task)


def run_group(group: Group, should_stop: Callable[[], bool]) -> dict[str, Any] | None:
    """Runs all trials of a group; its line for the file, or None where it was stopped."""
    began = time.perf_counter()
    built = build_trial(group.config)
    measure = group.make_measure(built.trial.network, built.trial.task)
    done = run_probed(group.name, built, group.config, measure, group.at, should_stop)
    if done is None:
        return None
    records, probes = done
    return group.identity() | {
        "task": group.task,
        "label": group.label,
        "num_weights": count_weights(built),
        "wall_s": round(time.perf_counter() - began, 1),
        "trials": [
            {
                "trial": record.trial,
                "status": record.status,
                "num_sequences": record.num_sequences,
                "mean_test_error": float(f"{record.mean_test_error:.4g}"),
                "probes": [{"sequences": p.sequences} | p.values for p in probes[record.trial]],
            }
            for record in records
        ],
    }


def load(file: Path) -> list[dict[str, Any]]:
    """The finished groups on file; RunFolderError, in one line, where it is damaged."""

    def is_whole(line: dict[str, Any]) -> bool:
        head = {"group", "settings", "measured", "task", "label", "num_weights"} <= line.keys()
        return head and all(trial.keys() >= _NEEDED for trial in line["trials"])

    return load_lines(file, is_whole)


def line_of(group: Group, lines: Sequence[Line]) -> Line | None:
    """The line of a group, where it is on file."""
    identity = group.identity()
    for line in lines:
        own = dict(line) | {"settings": completed(line["settings"], identity["settings"])}
        if {key: own[key] for key in identity} == identity:
            return line
    return None
