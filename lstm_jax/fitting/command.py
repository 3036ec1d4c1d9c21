"""From a command line to a report: runs the rows of an experiment on data, and resumes them."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import jax

from lstm_jax import runtime
from lstm_jax.config import (
    CommandLine,
    Config,
    Fields,
    check_fitting,
    parse_command_line,
    refusals,
    row_configs,
)
from lstm_jax.experiment import default_workdir, interrupted
from lstm_jax.fitting.loop import fit
from lstm_jax.fitting.problem import Fitted, Problem
from lstm_jax.fitting.start import WeightsError, start_weights
from lstm_jax.network import num_weights
from lstm_jax.plugins import settings_with_cell
from lstm_jax.progress import LiveLine
from lstm_jax.record import RunFolder
from lstm_jax.record.counted import counted_by
from lstm_jax.record.opening import CONFIG
from lstm_jax.rows import say, stop_signals

FREE_FIELDS = ("chunk", "rows")
"""Config fields that change no result: a resumed run may differ in them."""


def describe(name: str, config: Config, problem: Problem) -> str:
    """What a row would run, in words; nothing is computed."""
    params = jax.eval_shape(problem.model.init, jax.random.key(0))
    sizes = [f"train {problem.train.num_examples:,}"]
    parts = {"valid": problem.valid} if problem.valid else {}
    sizes += [f"{k} {v.num_examples:,}" for k, v in {**parts, **problem.test}.items()]
    return "\n".join(
        [
            f"{name}: {num_weights(params):,} weights",
            f"  examples  {', '.join(sizes)}",
            f"  updates   {problem.train.num_steps:,} an epoch, {config.num_epochs} epochs at most",
        ]
    )


class Entry(NamedTuple):
    """A row that was fitted."""

    name: str
    config: Config
    problem: Any  # as the experiment's `build` made it
    fitted: Fitted
    path: Path


class Fitting(NamedTuple):
    """An experiment on a data set: its settings, its data and model, and what it reports.

    Attributes:
      name: of the module and of the default run folder.
      usage: what the command does; the head of its help.
      config_path: the config file it starts from, relative to the checkout.
      fields: the table of config fields; those of `FITTING` among them.
      args: ``{ARG: meaning}`` of ``--config=FILE:ARG``.
      build: ``(config, extra) -> Problem``, extra the values of `extra_flags`, and "folder", where
        the row's records are or will be; reads the data. Raises ValueError, one line, for what
        cannot be used.
      report: ``(entries, workdir) -> None``; prints what the rows came to.
      check: raises ``ConfigError`` for fields that contradict each other.
      extra_flags: flags of its own, {name: Field}.
      run: ``(problem, config, folder, label=, stopped=, line=) -> Fitted``; `fit`, or what makes
        many fits of what `build` gives.
      describe: ``(name, config, problem) -> text`` for --dry_run.
      unit: what the records of a run folder count.
      small: whether the settings of `lstm_jax.runtime` for networks of tens of units are made.
      instead: ``(command_line) -> exit status``, or None to go on; for what a flag asks for in
        place of fitting, such as text from a finished run.
    """

    name: str
    usage: str
    config_path: str
    fields: Fields
    args: Mapping[str, str]
    build: Callable[[Config, Mapping[str, Any]], Any]
    report: Callable[[Sequence[Entry], Path], None]
    check: Callable[[Config], None] = check_fitting
    extra_flags: Fields = {}
    run: Callable[..., Fitted] = fit
    describe: Callable[[str, Config, Any], str] = describe
    unit: str = "epoch"
    small: bool = False
    instead: Callable[[CommandLine], int | None] = lambda command_line: None


def main(fitting: Fitting, argv: Sequence[str] | None = None) -> int:
    """Runs the experiment for a command line; returns the exit status.

    0: every row ran to its end. 2: one line on stderr said what was wrong (settings, data, run
    folder, a loss that is not finite). 130: stopped; everything is saved and the same command
    goes on.
    """
    command_line = parse_command_line(
        sys.argv[1:] if argv is None else argv,
        fields=fitting.fields,
        default_config_path=fitting.config_path,
        arg_names=fitting.args,
        usage=fitting.usage,
        extra_flags=fitting.extra_flags,
        check=fitting.check,
    )
    with refusals():
        runtime.configure(small=fitting.small)
        try:
            return _answer(fitting, command_line)
        except WeightsError as error:
            for line in str(error).splitlines():
                say(f"error: {line}")
            return 2


def _answer(fitting: Fitting, command_line: CommandLine) -> int:
    """What the command line asks for; the exit status."""
    status = fitting.instead(command_line)
    if status is not None:
        return status
    workdir = Path(command_line.workdir or default_workdir(fitting, command_line))
    named: list[tuple[str, Config]] = list(row_configs(command_line))
    paths = _paths([name for name, _ in named], workdir)
    rows = [
        (name, config, fitting.build(config, {**command_line.extra, "folder": path}))
        for (name, config), path in zip(named, paths, strict=True)
    ]
    for (_, config, problem), path in zip(rows, paths, strict=True):
        # Before the folder is made: one that had a wrong `init_from` in it would refuse the right.
        if config.init_from and not (path / CONFIG).exists():
            start_weights(config.init_from, jax.eval_shape(problem.model.init, jax.random.key(0)))
    if command_line.dry_run:
        for name, config, problem in rows:
            print(fitting.describe(name, config, problem))
        return 0
    return _run_rows(fitting, rows, workdir)


def _paths(names: Sequence[str], workdir: Path) -> list[Path]:
    return [workdir / name if len(names) > 1 else workdir for name in names]


def _run_rows(fitting: Fitting, rows: Sequence[tuple[str, Config, Any]], workdir: Path) -> int:
    paths = _paths([name for name, _, _ in rows], workdir)
    entries = []
    line = LiveLine()
    with ExitStack() as opened, stop_signals() as stopped:
        # All folders are opened first: a refusal of the last row must not come after an hour.
        folders = [
            opened.enter_context(open_folder(path, name, config, problem, fitting.unit))
            for (name, config, problem), path in zip(rows, paths, strict=True)
        ]
        for (name, config, problem), folder in zip(rows, folders, strict=True):
            try:
                fitted = fitting.run(
                    problem, config, folder, label=name, stopped=stopped, line=line
                )
            finally:
                line.close()
            if fitted.result is None:
                return interrupted(workdir)
            entries.append(Entry(name, config, problem, fitted, folder.path))
    fitting.report(entries, workdir)
    print(f"\nTensorBoard:  tensorboard --logdir={shlex.quote(str(workdir))}")
    return 0


def open_folder(
    path: Path, name: str, config: Config, problem: Any, unit: str = "epoch"
) -> RunFolder:
    """The run folder of a row, new or resumed; RunFolderError where it cannot be used."""
    settings = settings_with_cell(config) | dict(problem.identity)
    return RunFolder.open(
        path,
        settings,
        name,
        free_fields=FREE_FIELDS,
        report=say,
        unit=unit,
        needs=counted_by(settings).needs,
    )
