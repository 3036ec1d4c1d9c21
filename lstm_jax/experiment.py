"""From a command line to the table: runs the rows of one published experiment, and resumes them."""

import hashlib
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lstm_jax import runtime
from lstm_jax.build import build_trial, task_fields
from lstm_jax.config import (
    CommandLine,
    Config,
    Fields,
    check_standard,
    make_config,
    parse_command_line,
    refusals,
    row_configs,
    show,
)
from lstm_jax.dry_run import describe_row
from lstm_jax.readings import Reading, describe_reading
from lstm_jax.record.archive import plain, write_whole
from lstm_jax.record.opening import CONFIG, SHARES, require_settings
from lstm_jax.record.refusal import refuse
from lstm_jax.record.since import HASHES
from lstm_jax.row_shares import deal, opened_rows
from lstm_jax.rows import FREE_FIELDS, INTERRUPTED, Row, say, stop_signals
from lstm_jax.shares import FLAG, Share, share_given
from lstm_jax.side_by_side import run_rows
from lstm_jax.tables import Entry, PaperRow, comparison_markdown, comparison_table

__all__ = ["FREE_FIELDS", "INTERRUPTED", "Experiment", "default_workdir", "main"]


class Experiment(NamedTuple):
    """A published experiment: its settings and its published rows, as data.

    Attributes:
      name: of the module and of the default run folder.
      usage: what the command does; the head of its help.
      config_path: the config file it starts from, relative to the checkout.
      fields: the table of config fields.
      args: ``{ARG: meaning}`` of ``--config=FILE:ARG``.
      paper: the published rows by the names of ours.
      readings: the paper's open points, each a config field.
      check: raises ``ConfigError`` for fields that contradict each other.
    """

    name: str
    usage: str
    config_path: str
    fields: Fields
    args: Mapping[str, str]
    paper: Mapping[str, PaperRow]
    readings: Sequence[Reading] = ()
    check: Callable[[Config], None] = check_standard


def main(experiment: Experiment, argv: Sequence[str] | None = None) -> int:
    """Runs the experiment for a command line; returns the exit status.

    0: every row ran to its end (solved or not). 2: one line on stderr said what was wrong, with
    nothing computed. 130: stopped; everything is saved and the same command goes on.
    """
    command_line = parse_command_line(
        sys.argv[1:] if argv is None else argv,
        fields=experiment.fields,
        default_config_path=experiment.config_path,
        arg_names=experiment.args,
        usage=experiment.usage,
        extra_flags={"share": FLAG},
        check=experiment.check,
    )
    made = runtime.configure()
    share = share_given(command_line.extra["share"])
    with refusals():
        rows = [
            Row(
                name,
                config,
                build_trial(config),
                published(experiment, name, config),
                describe_reading(config, experiment.readings),
            )
            for name, config in row_configs(command_line)
        ]
        dealt = deal(rows, share)
        if command_line.dry_run:
            for row in dealt:
                print(describe_row(row.name, row.config, row.built, row.paper, len(row.numbers)))
                print(f"  reading   {row.reading}")
            print("\n".join(f"set {s.name}={s.value}: {s.why}" for s in made))
            return 0
        workdir = Path(command_line.workdir or default_workdir(experiment, command_line))
        return _run_rows(dealt, workdir, share, apart=len(rows) > 1)


def published(experiment: Experiment, name: str, config: Config) -> PaperRow | None:
    """The published row beside a run, with a note where the run's task is not the published one.

    Args:
      name: of our row.
      config: of the run. Learning and network may differ from the row's, for those are what is
        studied; what is learnt may not.

    Example:
      >>> from experiments.adding import EXPERIMENT
      >>> from configs.adding import get_config
      >>> published(EXPERIMENT, "t100", get_config("t100")).note
      ''
      >>> published(EXPERIMENT, "t100", {**get_config("t100"), "T": 50}).note
      'not the published task: T=50 here, T=100 there'
    """
    row = experiment.paper.get(name)
    if row is None:
        return None
    own = parse_command_line(
        [f"--config={experiment.config_path}:{name}"],
        fields=experiment.fields,
        default_config_path=experiment.config_path,
        arg_names=experiment.args,
        usage=experiment.usage,
    ).config
    known = [field for field in task_fields(own.task) if field in config]
    other = [field for field in known if config[field] != own[field]]
    if not other:
        return row
    here, there = (", ".join(f"{f}={show(c[f])}" for f in other) for c in (config, own))
    note = f"not the published task: {here} here, {there} there"
    return row._replace(note="; ".join([note, row.note] if row.note else [note]))


def default_workdir(experiment: Any, command_line: CommandLine) -> Path:
    """``runs/NAME/ARG``, with a short hash where the user changed what decides results.

    experiment: with a `name` and a `config_path`.
    """
    changed = {k: v for k, v in command_line.overrides.items() if k not in FREE_FIELDS}
    own = _own_config(experiment, command_line)
    name = command_line.config_arg or "run"
    if own:
        name = f"{Path(command_line.config_path).stem}-{name}"
    if changed:
        text = json.dumps(changed, sort_keys=True)
        name += "-" + hashlib.sha256(text.encode()).hexdigest()[:8]
    return Path("runs") / experiment.name / name


def _own_config(experiment: Any, command_line: CommandLine) -> bool:
    """Whether the user gave a config file of another name."""
    return Path(command_line.config_path).name != Path(experiment.config_path).name


def config_of_page(
    fields: Fields, command_line: CommandLine, workdir: Path, what: str, free: Sequence[str] = ()
) -> Config:
    """The settings of a page that is made anew: those on file, and no others.

    what, free: as of `lstm_jax.record.opening.require_settings`, where the command line sets any.
    """
    given = command_line.config
    if command_line.overrides:
        require_settings(workdir, plain(json.loads(given.to_json())), what, free)
        return given
    return config_on_file(fields, workdir) or given


def config_on_file(fields: Fields, workdir: Path) -> Config | None:
    """The settings that a folder's records are of, for a page anew; None where it has none."""
    path = workdir / CONFIG
    try:
        values = json.loads(path.read_text())
        own = {k: v for k, v in values.items() if k not in HASHES}
        tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in own.items()}
        return make_config(fields, **tuples)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, TypeError):
        refuse(path, "is damaged; restore it, or give the settings on the command line")


def command_of(experiment: Any, command_line: CommandLine, config: Config) -> str:
    """The command that these settings are of, as a page states it.

    experiment: with a `name`, a `config_path` and its `fields`.
    """
    arg = config.rows[0]
    plain = command_line.get_config(arg)
    changed = [name for name in experiment.fields if config[name] != plain[name]]
    settings = [f"--config.{name}={show(config[name])}" for name in changed]
    own = _own_config(experiment, command_line)
    file = command_line.config_path if own else experiment.config_path  # not where it lies here
    start = f"python -m experiments.{experiment.name} --config={file}:{arg}"
    return " ".join([start, *map(shlex.quote, settings)])


def _run_rows(rows: Sequence[Row], workdir: Path, share: Share, *, apart: bool) -> int:
    own = share.workdir(workdir)
    with opened_rows(rows, workdir, share, apart=apart) as folders, stop_signals() as stopped:
        entries = {row.name: entry for row, entry in run_rows(rows, folders, stopped)}
    if len(entries) < len(rows):
        return interrupted(own)
    if rows:
        _show([entries[row.name] for row in rows], own, [folder.path for folder in folders])
    say_share(share, workdir, sum(len(row.numbers) for row in rows), "trials")
    return 0


def say_share(share: Share, workdir: Path, number: int, what: str) -> None:
    """Says of a share that is through where it is, and how all come together; else nothing."""
    if share.is_whole:
        return
    counted = f"{number} {what.removesuffix('s') if number == 1 else what}"
    done = f"{counted} in {share.workdir(workdir)}" if number else f"it has no {what}"
    print(f"\nshare {share} is through: {done}")
    print(f"with all shares in {workdir / SHARES}:  {this_command(without='--share')}")


def _show(entries: Sequence[Entry], workdir: Path, folders: Sequence[Path]) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(comparison_table(entries))
    write_whole(workdir / "table.md", comparison_markdown(entries).encode())
    print()
    for folder in folders:
        print(f"learning curves:  {folder / 'curves.png'}")
    print(f"TensorBoard:      tensorboard --logdir={shlex.quote(str(workdir))}")


def interrupted(workdir: Path) -> int:
    """Says of a run that was stopped how it goes on; the exit status."""
    say(f"stopped; everything so far is saved in {workdir}")
    say(f"the same command goes on:  {this_command()}")
    return INTERRUPTED


def this_command(without: str = "") -> str:
    """What the user typed, or that without a flag, given as ``--name=value`` or in two words."""
    words = ["python", *sys.orig_argv[1:]]
    if without:
        pairs = zip(["", *words], words, strict=False)
        words = [word for last, word in pairs if without not in (last, word.split("=")[0])]
    return shlex.join(words)
