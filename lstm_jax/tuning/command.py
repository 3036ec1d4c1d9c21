"""The command of a search: one worker on a study that any number of workers share."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from lstm_jax import runtime
from lstm_jax.ablation.axes import Axis, parse_axis
from lstm_jax.config import (
    CommandLine,
    Config,
    ConfigError,
    Field,
    Fields,
    exit_with,
    make_config,
    parse_command_line,
    refusals,
    show,
)
from lstm_jax.config.fields import no_such
from lstm_jax.experiment import Experiment, this_command
from lstm_jax.record.archive import write_whole
from lstm_jax.record.refusal import refuse, writing
from lstm_jax.rows import INTERRUPTED, say, stop_signals
from lstm_jax.tuning.objective import Pruned, evaluate, numbers_of
from lstm_jax.tuning.page import markdown
from lstm_jax.tuning.study import JOURNAL, complete, finished, open_study, optuna_module

PAGE = "search.md"
FLAGS: Fields = {
    "axes": Field(
        ("learning_rate=log:0.001:1",),
        "what is searched, each NAME=A|B|C or NAME=uniform|log:LOW:HIGH, any field of the config",
    ),
    "trials": Field(30, "settings to try, by all workers together", low=1, high=10**6),
    "sampler": Field("tpe", "how settings are chosen", choices=("tpe", "random")),
    "pruner": Field(
        "median",
        "median: a setting whose error is above the median of the others is given up",
        choices=("median", "none"),
    ),
    "report": Field(False, "the page anew, from the journal"),
}


def main(
    experiments: Mapping[str, Experiment], usage: str, argv: Sequence[str] | None = None
) -> int:
    """Runs a worker for a command line; returns the exit status.

    0: the study has its trials. 2: one line on stderr said what was wrong, with nothing computed.
    130: stopped; the setting that was running is lost, nothing else.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        name, rest = _experiment_flag(given, experiments)
    except ConfigError as error:
        exit_with(error)
    experiment = experiments[name]
    command_line = parse_command_line(
        rest,
        fields=experiment.fields,
        default_config_path=experiment.config_path,
        arg_names=experiment.args,
        usage=usage,
        extra_flags=FLAGS,
        check=experiment.check,
    )
    runtime.configure()
    with refusals():
        axes = _axes(command_line, experiment)
        return _work(experiment, command_line, axes)


def _experiment_flag(
    argv: Sequence[str], experiments: Mapping[str, Experiment]
) -> tuple[str, list[str]]:
    """The value of --experiment, adding unless given, and the other arguments."""
    name, rest = next(iter(experiments)), []
    for argument in argv:
        if argument.startswith("--experiment="):
            name = argument.partition("=")[2]
        else:
            rest.append(argument)
    if name not in experiments:
        raise ConfigError(
            f"--experiment={name}: {no_such('experiment', name, experiments, show_all=True)}"
        )
    return name, rest


def _axes(command_line: CommandLine, experiment: Experiment) -> list[Axis]:
    texts = command_line.extra["axes"]
    try:
        axes = [parse_axis(text, experiment.fields) for text in texts]
    except ConfigError as error:
        raise ConfigError(str(error).replace("config.axes", "--axes", 1)) from None
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--axes: names {name} twice")
        if name in ("seed", "num_trials", "num_lanes", "chunk", "rows", "max_sequences"):
            raise ConfigError(f"--axes: {name} does not decide how well a network learns")
    if not axes:
        raise ConfigError("--axes=(): must name one or more settings")
    rows = command_line.config.rows
    if len(rows) != 1:
        raise ConfigError(f"config.rows={show(rows)}: a search is over one row")
    return axes


def _work(experiment: Experiment, command_line: CommandLine, axes: Sequence[Axis]) -> int:
    extra, workdir = command_line.extra, _workdir(experiment, command_line)
    if command_line.dry_run:
        for axis in axes:
            values = show(axis.values) if axis.values else f"{axis.low:g} to {axis.high:g}"
            print(f"{axis.name:20} {values}{', log' if axis.log else ''}")
        print(f"{extra['trials']} settings, {command_line.config.num_trials} networks each")
        return 0
    if extra["report"] and not (workdir / JOURNAL).is_file():
        refuse(workdir, "has no finished setting to report on")
    study = open_study(workdir, command_line, axes)
    if extra["report"]:
        return _report(study, experiment, command_line, axes, workdir)
    with stop_signals() as stopped:
        # One at a time: what other workers finish counts, what a killed one left does not.
        while (done := len(finished(study))) < extra["trials"]:
            with writing(workdir / JOURNAL):
                goes_on = _try_one(study, command_line, experiment, axes, stopped)
            if not goes_on:
                say(f"stopped after {done} of {extra['trials']} settings, all of them in {workdir}")
                say(f"the same command goes on:  {this_command()}")
                return INTERRUPTED
            jax.clear_caches()  # the programs of all settings would add up
    return _report(study, experiment, command_line, axes, workdir)


def _workdir(experiment: Experiment, command_line: CommandLine) -> Path:
    if command_line.workdir:
        return Path(command_line.workdir)
    text = json.dumps([command_line.config.to_json(), list(command_line.extra["axes"])])
    short = hashlib.sha256(text.encode()).hexdigest()[:8]
    return Path("runs") / "search" / f"{experiment.name}-{command_line.config_arg}-{short}"


def _try_one(
    study: Any,
    command_line: CommandLine,
    experiment: Experiment,
    axes: Sequence[Axis],
    stopped: Callable[[], bool],
) -> bool:
    """One setting; False where the worker was stopped in it."""
    optuna = optuna_module()
    trial = study.ask()
    values = {axis.name: _suggest(trial, axis) for axis in axes}
    shown = ", ".join(f"{name} {show(value)}" for name, value in values.items())

    def report(error: float, step: int) -> bool:
        trial.report(error, step)
        return trial.should_prune()

    try:
        found = evaluate(_config(command_line.config, experiment, values), report, stopped)
    except Pruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        print(f"{trial.number:4}  given up       {shown}", flush=True)
        return True
    except ValueError as error:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise ValueError(f"{shown}: {error}") from None
    except KeyboardInterrupt:
        found = None
    if found is None:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return False
    value, records = found
    for name, number in numbers_of(records).items():
        trial.set_user_attr(name, number)
    study.tell(trial, value)
    solved = f"{numbers_of(records)['solved']}/{len(records)}"
    print(f"{trial.number:4}  solved {solved:>6}  {shown}", flush=True)
    return True


def _suggest(trial: Any, axis: Axis) -> Any:
    if axis.values:
        # Categories of the journal are texts or numbers; a tuple is kept by its place.
        return axis.values[trial.suggest_categorical(axis.name, list(range(len(axis.values))))]
    if axis.whole:
        return trial.suggest_int(axis.name, round(axis.low), round(axis.high), log=axis.log)
    return trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log)


def _config(config: Config, experiment: Experiment, values: Mapping[str, Any]) -> Config:
    made = make_config(experiment.fields, **{**dict(config.items()), **values})
    experiment.check(made)
    return made


def _report(
    study: Any,
    experiment: Experiment,
    command_line: CommandLine,
    axes: Sequence[Axis],
    workdir: Path,
) -> int:
    done = complete(study)
    if not done:
        refuse(workdir, "has no finished setting to report on")
    text = markdown(experiment, command_line, axes, done, len(finished(study)) - len(done))
    write_whole(workdir / PAGE, text.encode())
    print("\n" + text)
    print(f"page: {workdir / PAGE}")
    return 0
