"""The command of a search: runs what is not on file yet, and writes the page of scores."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import jax

from lstm_jax import runtime
from lstm_jax.config import refusals
from lstm_jax.experiment import say_share
from lstm_jax.group_runs import GroupKind, held_groups
from lstm_jax.paper.selection import items_of
from lstm_jax.plan import NOMINAL, plan
from lstm_jax.record.archive import write_whole
from lstm_jax.record.refusal import refuse
from lstm_jax.rows import INTERRUPTED, stop_signals
from lstm_jax.search.command_line import Request, parse
from lstm_jax.search.factors import Search, readings_of
from lstm_jax.search.groups import (
    Group,
    build,
    file_of,
    groups_of,
    line_of,
    load_groups,
    run_group,
)
from lstm_jax.search.page import markdown
from lstm_jax.tables import format_count, format_duration

GROUPS = GroupKind[Group](
    name=lambda group: f"{group.row:16} {group.name:30}",
    file=lambda workdir, group: file_of(workdir, group.row),
    load=load_groups,
    find=line_of,
    run=lambda group, should_stop: run_group(group, build(group), should_stop),
)


def main(search: Search, argv: Sequence[str] | None = None) -> int:
    """Runs a search for a command line; returns the exit status.

    0: done. 2: one line on stderr said what was wrong, with nothing computed. 130: stopped; every
    finished group is on file and the same command goes on.
    """
    request = parse(search, sys.argv[1:] if argv is None else argv)
    with refusals():
        if request.report:
            return _report(request)
        runtime.configure()
        readings = readings_of(request.factors, request.design)
        groups = [
            group
            for item in request.items.values()
            for group in groups_of(
                item,
                readings,
                request.factors,
                trials=request.trials,
                max_ratio=request.max_ratio,
            )
        ]
        for group in groups:  # what one of them refuses must not come after an hour
            group.config()
        groups = request.share.of(groups)
        return _describe(groups, request) if request.dry_run else _run(groups, request)


def page_of(workdir: Path) -> Path:
    """Where the page goes: to the docs for the records of a checkout, else beside the records."""
    folder = workdir.resolve()
    docs = folder.parent.parent / "docs"
    if folder.parent.name == "results" and docs.is_dir():
        return docs / f"{folder.name}.md"
    return workdir / f"{folder.name}.md"


def _report(request: Request) -> int:
    workdir = Path(request.workdir)
    items = items_of(request.search.paper)
    lines = {row: found for row in items if (found := load_groups(file_of(workdir, row)))}
    if not lines:
        refuse(workdir, "has no finished group to report on")
    page = page_of(workdir)
    write_whole(page, markdown(request.search, lines).encode())
    print(f"readings on {len(lines)} rows: {page}")
    return 0


def _describe(groups: Sequence[Group], request: Request) -> int:
    most = 0.0
    for group in groups:
        built, config = build(group), group.config()
        layout = plan(built, config, len(jax.devices()))
        seconds = layout.seconds(built.trial.task.mean_length * group.max_sequences)
        done = GROUPS.on_file([group], request.share.workdir(Path(request.workdir))) != [None]
        most += 0.0 if done else seconds
        print(
            f"{group.row:16} {group.name:30} {len(group.variants):3} readings "
            f"{group.num_trials:4} trials  to {format_count(group.max_sequences):>9} sequences  "
            + ("done" if done else f"about {format_duration(seconds)} to the cap")
        )
    print(f"{len(groups)} programs, about {format_duration(most)} to the caps, {NOMINAL}")
    return 0


def _run(groups: Sequence[Group], request: Request) -> int:
    workdir, share = Path(request.workdir), request.share
    with held_groups(workdir, share, None, "search") as held, stop_signals() as stopped:
        if not GROUPS.run_all(groups, held, stopped):
            return INTERRUPTED
    if not share.is_whole:
        say_share(share, workdir, len(groups), "groups")
        return 0
    return _report(request)
