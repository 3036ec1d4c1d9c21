"""The command of a study: runs the groups that are not on file, and writes page and pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import jax

from lstm_jax import runtime
from lstm_jax.build import build_trial
from lstm_jax.config import (
    Config,
    Field,
    parse_command_line,
    refusals,
)
from lstm_jax.experiment import command_of, config_on_file, default_workdir, say_share
from lstm_jax.group_runs import GroupKind, held_groups
from lstm_jax.plan import NOMINAL, plan
from lstm_jax.probing.study import Group, Line, Study, check_group, line_of, load, run_group
from lstm_jax.record.archive import write_whole
from lstm_jax.record.refusal import differences, refuse
from lstm_jax.record.since import completed
from lstm_jax.rows import INTERRUPTED, count_weights, say, stop_signals
from lstm_jax.shares import FLAG, Share, share_given
from lstm_jax.tables import format_duration

RECORDS = "groups.jsonl"
GROUPS = GroupKind[Group](
    name=lambda group: f"{group.name:36}",
    file=lambda workdir, group: workdir / RECORDS,
    load=load,
    find=line_of,
    run=run_group,
    trials="trials",
)


def main(study: Study, argv: Sequence[str] | None = None) -> int:
    """Runs a study for a command line; returns the exit status.

    0: done. 2: one line on stderr said what was wrong, with nothing computed. 130: stopped; every
    finished group is on file and the same command goes on.
    """
    command_line = parse_command_line(
        sys.argv[1:] if argv is None else argv,
        fields=study.fields,
        default_config_path=study.config_path,
        arg_names=study.args,
        usage=study.usage,
        extra_flags={
            "share": FLAG,
            "report": Field(False, "page and pictures anew, from the records"),
        },
        check=lambda config: None if study.groups(config) else None,
    )
    runtime.configure()
    config = command_line.config
    workdir = Path(command_line.workdir or default_workdir(study, command_line))
    report, share = command_line.extra["report"], share_given(command_line.extra["share"])
    with refusals():
        if report and not command_line.overrides:
            config = config_on_file(study.fields, workdir) or config
        groups = study.groups(config)
        for group in groups:  # what one of them refuses must not come after an hour
            check_group(group)
        own = share.of(groups)
        if command_line.dry_run:
            return _describe(own, share.workdir(workdir))
        if not report and not _run(own, config, workdir, share):
            return INTERRUPTED
        if not report and not share.is_whole:
            say_share(share, workdir, len(own), "groups")
            return 0
        return _report(study, groups, config, command_of(study, command_line, config), workdir)


def _describe(groups: Sequence[Group], workdir: Path) -> int:
    total = 0.0
    for group, line in zip(groups, GROUPS.on_file(groups, workdir), strict=True):
        built = build_trial(group.config)
        layout = plan(built, group.config, len(jax.devices()))
        seconds = layout.seconds(built.trial.task.mean_length * group.config.max_sequences)
        total += 0.0 if line else seconds
        print(
            f"{group.name:36} {count_weights(built):5} weights {group.config.num_trials:4} trials  "
            + ("done" if line else f"about {format_duration(seconds)} to the cap")
        )
    print(f"{len(groups)} groups, about {format_duration(total)} to the caps, {NOMINAL}")
    return 0


def _run(groups: Sequence[Group], config: Config, workdir: Path, share: Share) -> bool:
    """Whether all groups of the share came to their ends."""
    settings = json.loads(config.to_json())
    with held_groups(workdir, share, settings, "study") as held, stop_signals() as stopped:
        return GROUPS.run_all(groups, held, stopped)


def _line_to_report(group: Group, on_file: Sequence[Line]) -> Line | None:
    """The group's line; else the last of its name, as the settings of that time made it."""
    line = line_of(group, on_file)
    if line is not None:
        return line
    own = group.identity()
    named = [
        line
        for line in on_file
        if (line["group"], line["measured"]) == (own["group"], own["measured"])
    ]
    if named:
        there = completed(named[-1]["settings"], own["settings"])
        say(f"{group.name}: made with other settings; {differences(there, own['settings'])}")
    return named[-1] if named else None


def _report(
    study: Study, groups: Sequence[Group], config: Config, command: str, workdir: Path
) -> int:
    on_file = load(workdir / RECORDS)
    lines = [line for group in groups if (line := _line_to_report(group, on_file)) is not None]
    if not lines:
        refuse(workdir, "has no finished group to report on")
    page, pictures = study.page(lines, command, config)
    files = {f"{study.name}.md": page.encode(), **pictures}
    for name, content in files.items():
        write_whole(workdir / name, content)
    print(f"\n{page}")
    for name in files:
        print(f"written:  {workdir / name}")
    return 0
