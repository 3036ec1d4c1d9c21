"""The command of forecasting: runs, resumes, and says what was won and lost."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_jax import runtime
from lstm_jax.config import (
    Config,
    Fields,
    parse_command_line,
    refusals,
    row_configs,
    show,
)
from lstm_jax.experiment import default_workdir, this_command
from lstm_jax.forecasting.pictures import forecast_picture
from lstm_jax.forecasting.problem import (
    Forecasting,
    build_forecasting,
    check_forecasting,
    past_at,
)
from lstm_jax.forecasting.running import NETWORK, run_origins
from lstm_jax.forecasting.scores import attainable_share, compare, coverage, score
from lstm_jax.plugins import settings_with_cell
from lstm_jax.record import RunFolder
from lstm_jax.record.counted import counted_by
from lstm_jax.report.pictures import png_of
from lstm_jax.rows import INTERRUPTED, say, stop_signals
from lstm_jax.tables import markdown_table

FREE_FIELDS = ("rows",)
"""Config fields that change no result: a resumed run may differ in them."""


class Experiment(NamedTuple):
    """The experiment as a command: what its help says, and its settings."""

    name: str
    usage: str
    config_path: str
    fields: Fields
    args: Mapping[str, str]
    extra_flags: Fields


def main(experiment: Experiment, argv: Sequence[str] | None = None) -> int:
    """Runs the forecasts of a command line; returns the exit status.

    0: done. 2: one line on stderr said what was wrong. 130: stopped; every forecast so far is on
    file and the same command goes on.
    """
    command_line = parse_command_line(
        sys.argv[1:] if argv is None else argv,
        fields=experiment.fields,
        default_config_path=experiment.config_path,
        arg_names=experiment.args,
        usage=experiment.usage,
        extra_flags=experiment.extra_flags,
        check=check_forecasting,
    )
    runtime.configure()
    with refusals():
        rows = [
            (config, build_forecasting(name, config, command_line.extra["data_dir"]))
            for name, config in row_configs(command_line)
        ]
        for config, _ in rows:
            _require_statsmodels(config)
        if command_line.dry_run:
            for config, problem in rows:
                print("\n".join([describe(config, problem), *reservations(config, problem)]))
            return 0
        return _run_rows(
            rows, Path(command_line.workdir or default_workdir(experiment, command_line))
        )


def describe(config: Config, problem: Forecasting) -> str:
    """What a row would run, in words; nothing is computed."""
    series, steps = problem.series, problem.walk
    return (
        f"{problem.name}: {len(series.values):,} values of {series.column}, {series.labels[0]} to "
        f"{series.labels[-1]}; {len(steps.origins)} origins from {series.labels[steps.origins[0]]} "
        f"on, {steps.horizon} steps ahead; {len(steps.origins) * config.members} networks"
    )


def reservations(config: Config, problem: Forecasting) -> list[str]:
    """What a row's page cannot promise with these settings, a line each; nothing is computed."""
    steps, found = problem.walk, []
    residuals = int(past_at(problem, config, steps.origins[0]).valid.sum(axis=0).min())
    if attainable_share(residuals) < config.coverage - 1e-9:
        needed = math.ceil(2 / (1 - config.coverage) - 1 - 1e-9)
        found.append(
            f"Intervals: the first origin's validation part has {residuals} errors for each step "
            f"ahead, which hold {attainable_share(residuals):.1%} at most, not config.coverage="
            f"{show(config.coverage)}; {needed} are needed: a larger config.valid_share or fewer "
            "origins."
        )
    if steps.overlap:
        found.append(
            f"Forecasts share values with those of {steps.overlap} following origins: won and lost "
            f"come up more often than q says; with config.step={steps.horizon} none are shared."
        )
    return found


def _require_statsmodels(config: Config) -> None:
    if "autoreg" in config.baselines:
        try:
            import statsmodels  # noqa: F401
        except ImportError:
            others = ",".join(name for name in config.baselines if name != "autoreg")
            raise ValueError(
                "config.baselines: autoreg needs statsmodels, pip install 'lstm-jax[data]'; "
                f"without it --config.baselines={others}"
            ) from None


def _run_rows(rows: Sequence[tuple[Config, Forecasting]], workdir: Path) -> int:
    with ExitStack() as opened, stop_signals() as stopped:
        # All folders are opened first: a refusal of the last row must not come after an hour.
        folders = []
        for config, problem in rows:
            path = workdir / problem.name if len(rows) > 1 else workdir
            settings = settings_with_cell(config) | {"sha256_of_values": problem.identity}
            folders.append(
                opened.enter_context(
                    RunFolder.open(
                        path,
                        settings,
                        problem.name,
                        free_fields=FREE_FIELDS,
                        report=say,
                        needs=counted_by(settings).needs,
                    )
                )
            )
        for (config, problem), folder in zip(rows, folders, strict=True):
            for line in reservations(config, problem):
                say(line)
            if not run_origins(problem, config, folder, stopped, say):
                say(f"stopped; every forecast so far is in {folder.path}")
                say(f"the same command goes on:  {this_command()}")
                return INTERRUPTED
            folder.finalise()
            report(config, problem, folder)
    return 0


def report(config: Config, problem: Forecasting, folder: RunFolder) -> None:
    """Prints the table of a row, and keeps it and its picture."""
    records = folder.trials()
    text = page(config, problem, records)
    print(text)
    truth = _of(records, "truth")
    best = min(
        config.baselines, key=lambda n: score(_forecasts(records, n) - truth).mae, default=""
    )
    figure = forecast_picture(problem, records, best, config.coverage, config.cell)
    for name, content in {
        "table.md": text.encode() + b"\n",
        "forecast.png": png_of(figure),
    }.items():
        folder.write_file(name, content)
    print(f"\nforecast against truth:  {folder.path / 'forecast.png'}")


def page(config: Config, problem: Forecasting, records: Sequence[Mapping[str, Any]]) -> str:
    """The table of a row in Markdown, with how to read it."""
    truth = _of(records, "truth")
    errors = {name: _forecasts(records, name) - truth for name in (NETWORK, *config.baselines)}
    others = {n: e for n, e in errors.items() if n != NETWORK}
    against = compare(errors[NETWORK], others, problem.walk.overlap)
    heads = ("method", "MAE [95%]", "RMSE", f"{config.cell} / it [95%]", "q", config.cell)
    heads += (f"in its {config.coverage:.0%} interval [95%]", "mean width")
    rows = []
    for name, error in errors.items():
        found = score(error)
        mine = against.get(name)
        rows.append(
            (
                config.cell if name == NETWORK else name.replace("_", " "),
                f"{found.mae:.4g} [{found.low:.4g}, {found.high:.4g}]",
                f"{found.rmse:.4g}",
                f"{mine.ratio:.2f} [{mine.low:.2f}, {mine.high:.2f}]" if mine else "",
                f"{mine.q:.2g}" if mine else "",
                mine.verdict if mine else "",
                *_coverage(records, name, truth),
            )
        )
    head = f"## {describe(config, problem)}"
    return "\n\n".join([head, markdown_table(heads, rows), LEGEND, *reservations(config, problem)])


LEGEND = (
    "Errors over all origins and steps ahead; intervals: bootstrap over origins. Ratio of mean "
    "absolute errors, below 1 where the network is better; q: Diebold & Mariano's test as Harvey "
    "et al. 1997 correct it, after Benjamini & Hochberg; won or lost below 0.05."
)


def _coverage(
    records: Sequence[Mapping[str, Any]], name: str, truth: np.ndarray
) -> tuple[str, str]:
    if name not in records[0]["intervals"]:
        return "", ""
    intervals = np.array([record["intervals"][name] for record in records])
    share, low, high = coverage(truth, intervals)
    width = float((intervals[:, 1] - intervals[:, 0]).mean())
    return f"{share:.0%} [{low:.0%}, {high:.0%}]", f"{width:.4g}"


def _of(records: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    return np.array([record[name] for record in records])


def _forecasts(records: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    return np.array([record["forecasts"][name] for record in records])
