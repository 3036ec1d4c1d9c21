"""The command of a sweep: runs what is not on file yet, and writes its page, picture and board."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from lstm_jax import runtime
from lstm_jax.ablation.analysis import best
from lstm_jax.ablation.design import Ablation, Group, Point, groups_of, points_of
from lstm_jax.ablation.page import PICTURE, markdown, records_by_cell, results_of
from lstm_jax.ablation.pictures import heat_map
from lstm_jax.ablation.running import line_of, load, run_group
from lstm_jax.build import build_trial
from lstm_jax.config import (
    Config,
    ConfigError,
    Field,
    parse_command_line,
    refusals,
)
from lstm_jax.experiment import command_of, config_of_page, default_workdir, say_share
from lstm_jax.group_runs import GroupKind, held_groups
from lstm_jax.inspect.sessions import write_session
from lstm_jax.plan import NOMINAL, plan
from lstm_jax.record.archive import write_whole
from lstm_jax.record.opening import SHARES
from lstm_jax.record.refusal import refuse
from lstm_jax.report.pictures import png_of
from lstm_jax.rows import INTERRUPTED, say, stop_signals
from lstm_jax.shares import FLAG, Share, share_given
from lstm_jax.tables import format_duration

RECORDS = "groups.jsonl"
PAGE = "ablation.md"
GROUPS = GroupKind[Group](
    name=lambda group: f"{_name(group):44}",
    file=lambda workdir, group: workdir / RECORDS,
    load=load,
    find=line_of,
    run=run_group,
)


def main(ablation: Ablation, argv: Sequence[str] | None = None) -> int:
    """Runs a sweep for a command line; returns the exit status.

    0: done. 2: one line on stderr said what was wrong, with nothing computed. 130: stopped; every
    finished group is on file and the same command goes on.
    """
    command_line = parse_command_line(
        sys.argv[1:] if argv is None else argv,
        fields=ablation.fields,
        default_config_path=ablation.config_path,
        arg_names=ablation.args,
        usage=ablation.usage,
        extra_flags={"share": FLAG, "report": Field(False, "the page anew, from the records")},
        check=lambda config: _check(ablation, config),
    )
    runtime.configure()
    config, page_only = command_line.config, command_line.extra["report"]
    share = share_given(command_line.extra["share"])
    workdir = Path(command_line.workdir or default_workdir(ablation, command_line))
    with refusals():
        if page_only:
            config = config_of_page(ablation.fields, command_line, workdir, "sweep")
        points = points_of(ablation, config)
        groups = groups_of(ablation, config, points, "sweep", config.num_seeds)
        for group in groups:  # what one of them refuses must not come after an hour
            build_trial(group.config)
        if command_line.dry_run:
            return _describe(share.of(groups), config, share.workdir(workdir))
        if not page_only and not _run(ablation, config, groups, points, workdir, share):
            return INTERRUPTED
        if not page_only and not share.is_whole:
            say_share(share, workdir, len(load(share.workdir(workdir) / RECORDS)), "groups")
            return 0
        return _report(config, command_of(ablation, command_line, config), workdir)


def _check(ablation: Ablation, config: Config) -> None:
    for name in ("tasks", "cells", "recipes", "learning_rates"):
        values: tuple[Any, ...] = getattr(config, name)
        if not values or len(set(values)) < len(values):
            raise ConfigError(f"config.{name}: must be one or more different values")
    points = points_of(ablation, config)
    groups_of(ablation, config, points, "sweep", config.num_seeds)


def _describe(groups: Sequence[Group], config: Config, workdir: Path) -> int:
    total, trials = 0.0, 0
    for group, line in zip(groups, GROUPS.on_file(groups, workdir), strict=True):
        seconds = _most_seconds(group)
        total += 0.0 if line else seconds
        trials += group.num_trials
        print(
            f"{_name(group):44} {len(group.points):4} points {group.num_trials:5} trials  "
            + ("done" if line else f"about {format_duration(seconds)} to the cap")
        )
    cells = len({(p.task, p.recipe, p.cell) for group in groups for p in group.points})
    confirm = f", then {cells * config.confirm_seeds:,} fresh ones" if config.confirm_seeds else ""
    print(
        f"{len(groups)} programs, {trials:,} trials, about {format_duration(total)} to the caps"
        f"{confirm}; {NOMINAL}"
    )
    return 0


def _most_seconds(group: Group) -> float:
    """What a group takes at the nominal cost if no trial is solved."""
    built = build_trial(group.config)
    layout = plan(built, group.config, len(jax.devices()))
    return layout.seconds(built.trial.task.mean_length * group.config.max_sequences)


def _name(group: Group) -> str:
    point = group.points[0]
    return f"{group.stage:8} {point.task} {point.cell} {point.recipe}"


def _run(
    ablation: Ablation,
    config: Config,
    groups: Sequence[Group],
    points: Sequence[Point],
    workdir: Path,
    share: Share,
) -> bool:
    """Both stages, of a share of the groups each; whether they came to their ends."""
    settings = json.loads(config.to_json())
    with held_groups(workdir, share, settings, "sweep") as held, stop_signals() as stopped:
        if not GROUPS.run_all(share.of(groups), held, stopped):
            return False
        if not config.confirm_seeds:
            return True
        on_file = [line for line in GROUPS.on_file(groups, *held.known) if line]
        missing = len(groups) - len(on_file)
        if missing:
            say(
                f"{missing} of {len(groups)} groups of the sweep are other shares' and not in "
                f"{workdir / SHARES} yet; the same command goes on from there with fresh seeds"
            )
            return True
        chosen = _best_points(points, on_file)
        fresh = groups_of(ablation, config, chosen, "confirm", config.confirm_seeds)
        return GROUPS.run_all(share.of(fresh), held, stopped)


def _best_points(points: Sequence[Point], lines: Sequence[Mapping[str, Any]]) -> list[Point]:
    """The best point of each cell on each task by each recipe."""
    chosen = []
    for family, cells in results_of(lines, _cap(lines)).items():
        for cell, results in cells.items():
            values = best(results).values
            chosen += [
                point
                for point in points
                if (point.task, point.recipe, point.cell) == (*family, cell)
                and json.loads(json.dumps(point.values)) == values
            ][:1]
    return chosen


def _cap(lines: Sequence[Mapping[str, Any]]) -> int:
    return max(line["settings"]["max_sequences"] for line in lines)


def _report(config: Config, command: str, workdir: Path) -> int:
    lines = load(workdir / RECORDS)
    if not any(line["stage"] == "sweep" for line in lines):
        refuse(workdir, "has no finished group to report on")
    cap = _cap(lines)
    page = markdown(
        f"Ablation: {config.rows[0]}",
        lines,
        baseline=config.cells[0],
        cap=cap,
        command=command,
    )
    contents = {PICTURE: png_of(heat_map(results_of(lines, cap), _axis(lines)))}
    for name, content in {PAGE: page.encode(), **contents}.items():
        write_whole(workdir / name, content)
    _write_board(lines, workdir / "tb")
    print(f"\ntable, tests:  {workdir / PAGE}\nheat map:      {workdir / PICTURE}")
    print(f"TensorBoard:   tensorboard --logdir={shlex.quote(str(workdir / 'tb'))}")
    return 0


def _axis(lines: Sequence[Mapping[str, Any]]) -> str:
    """The first swept setting."""
    return next(iter(lines[0]["points"][0]["values"]))


def _write_board(lines: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """One session of the HParams page for each point, its seeds averaged."""
    for stage in ("sweep", "confirm"):
        for (task, recipe, cell), records in records_by_cell(lines, stage).items():
            points: dict[str, list[dict[str, Any]]] = {}
            for record in records:
                points.setdefault(json.dumps(record["values"]), []).append(record)
            for number, (values, members) in enumerate(points.items()):
                hparams = {"task": task, "cell": cell, "recipe": recipe, "stage": stage}
                name = f"{task}-{recipe}-{cell}".replace("/", "_").replace(":", "_")
                numbered = [record | {"trial": record["seed"]} for record in members]
                write_session(
                    folder / stage / f"{name}-{number:03d}",
                    f"{stage} {task} {recipe} {cell} {values}",
                    hparams | json.loads(values),
                    numbered,
                )
