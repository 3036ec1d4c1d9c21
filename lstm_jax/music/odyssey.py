"""The command of the odyssey's search: runs what is not on file yet, and writes its page."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lstm_jax import runtime
from lstm_jax.config import Config, Fields, parse_command_line, refusals
from lstm_jax.experiment import config_of_page, this_command
from lstm_jax.music.page import report
from lstm_jax.music.problem import data_hash, load_parts
from lstm_jax.music.protocol import Group, Setting, cell_hash, groups_of, program_size, settings_of
from lstm_jax.music.search import Data, load_costs, load_trials, run_group
from lstm_jax.record.archive import plain
from lstm_jax.record.opening import held_folder
from lstm_jax.record.refusal import differences
from lstm_jax.record.since import HASHES
from lstm_jax.rows import INTERRUPTED, say, stop_signals
from lstm_jax.tables import format_duration

FREE_FIELDS = ("num_samples", "per_round", "minutes", "variants", "rows", "top_share")
"""What a search that goes on may change: no trial's result depends on them."""
NOMINAL_SECONDS = 20
"""Of one core, a trial; where none is on file that tells."""


class Search(NamedTuple):
    """The search as a command: what its help says, and its settings."""

    usage: str
    config_path: str
    fields: Fields
    args: Mapping[str, str]
    extra_flags: Fields


def asks_for_search(argv: Sequence[str]) -> bool:
    """Whether a command line is for the search: its ``--config=FILE:ARG`` begins with odyssey.

    Example:
      >>> asks_for_search(["--config=configs/music.py:odyssey"]), asks_for_search([])
      (True, False)
    """
    text = " ".join(argv)
    return re.search(r"(^| )--?config[= ]\S*:odyssey", text) is not None


def search(search: Search, argv: Sequence[str]) -> int:
    """Runs a search for a command line; returns the exit status.

    0: done, or its `minutes` are over. 2: one line on stderr said what was wrong. 130: stopped;
    every finished trial is on file and the same command goes on.
    """
    command_line = parse_command_line(
        argv,
        fields=search.fields,
        default_config_path=search.config_path,
        arg_names=search.args,
        usage=search.usage,
        extra_flags=search.extra_flags,
        check=check_search,
    )
    config = command_line.config
    runtime.configure()
    workdir = Path(command_line.workdir or f"runs/music/{command_line.config_arg or 'odyssey'}")
    page_only = command_line.extra["report"]
    with refusals():
        if page_only:
            free = (*FREE_FIELDS, *HASHES)
            config = config_of_page(search.fields, command_line, workdir, "search", free)
        settings = settings_of(config)
        if command_line.dry_run:
            return _describe(settings, config, workdir)
        status = 0
        if not page_only:  # which needs no data
            data_dir = command_line.extra["data_dir"]
            data = load_data(config, data_dir)
            kept = plain(json.loads(config.to_json()))
            kept["sha256_of_pieces"] = data_hash(config, data_dir)
            with held_folder(workdir, kept, what="search", free=FREE_FIELDS, say=say):
                status = _run(settings, config, data, workdir)
        return status or report(workdir, config)


def check_search(config: Config) -> None:
    """Raises ConfigError for a search that cannot be."""
    settings_of(config)


def load_data(config: Config, data_dir: str) -> Data:
    """The pieces of a configuration, at most `config.max_pieces` of each part; DataError."""
    rolls = load_parts(config, data_dir)
    return Data(*((rolls[part].notes, rolls[part].lengths) for part in Data._fields))


def missing(
    settings: Mapping[str, Sequence[Setting]], trials: Sequence[Mapping[str, Any]]
) -> list[list[Setting]]:
    """What is not on file yet. A trial on file of other settings or another cell is refused."""
    on_file = {(line["variant"], line["trial"]): line for line in trials}
    left = []
    for variant, own in settings.items():
        of_cell = cell_hash(variant)
        for setting in own:
            line = on_file.get((variant, setting.trial))
            if line is None:
                continue
            known = of_cell.keys() & line.keys()  # older records do not say
            there = line["values"] | {name: line[name] for name in known}
            here = setting.values | {name: of_cell[name] for name in known}
            if there != here:
                raise ValueError(
                    f"trial {setting.trial} of {variant} is on file with other settings "
                    f"({differences(there, here)}); give another --workdir"
                )
        left.append([s for s in own if (variant, s.trial) not in on_file])
    return left


def _run(
    settings: Mapping[str, Sequence[Setting]], config: Config, data: Data, workdir: Path
) -> int:
    groups = _groups(settings, config, load_trials(workdir))
    end = None if config.minutes is None else time.monotonic() + 60 * config.minutes
    with stop_signals() as stopped:
        for number, group in enumerate(groups, start=1):
            say(f"[{number} of {len(groups)}] {group.variant}, up to {group.size} cells")

            def should_stop() -> bool:
                return stopped() or (end is not None and time.monotonic() > end)

            if not run_group(group, config, data, workdir, should_stop, print_line):
                say(f"stopped; every finished trial is in {workdir}")
                say(f"the same command goes on:  {this_command()}")
                return 0 if not stopped() else INTERRUPTED
    return 0


def print_line(text: str) -> None:
    """A line on stdout at once."""
    print(text, flush=True)


def _groups(
    settings: Mapping[str, Sequence[Setting]], config: Config, trials: Sequence[Mapping[str, Any]]
) -> list[Group]:
    """What is left, in the rounds that it had from the start."""
    left = {(s.variant, s.trial) for own in missing(settings, trials) for s in own}
    groups = groups_of(list(settings.values()), config.per_round)
    cut = [
        group._replace(settings=tuple(s for s in group.settings if (s.variant, s.trial) in left))
        for group in groups
    ]
    return [group for group in cut if group.settings]


def _describe(settings: Mapping[str, Sequence[Setting]], config: Config, workdir: Path) -> int:
    trials = load_trials(workdir)
    left = [s for own in missing(settings, trials) for s in own]
    sizes = sorted({program_size(s.values["hidden_size"]) for s in left})
    costs = load_costs(workdir)
    num_done = sum(line["trials"] for line in costs)
    each = sum(line["cpu_s"] for line in costs) / num_done if num_done else NOMINAL_SECONDS
    nominal = "" if num_done else f" (at a nominal {NOMINAL_SECONDS} s a trial)"
    print(
        f"{sum(map(len, settings.values())):,} trials of {len(settings)} variants, {len(left):,} "
        f"not on file, in programs of {', '.join(map(str, sizes))} cells; about "
        f"{format_duration(each * len(left))} of one core{nominal}; records in {workdir}"
    )
    return 0
