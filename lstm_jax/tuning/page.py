"""The page of a search: the best settings, and how to run the best one again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from lstm_jax.ablation.axes import Axis
from lstm_jax.config import CommandLine, show
from lstm_jax.experiment import Experiment
from lstm_jax.tables import format_count, markdown_table

MOST_SHOWN = 10


def markdown(
    experiment: Experiment,
    command_line: CommandLine,
    axes: Sequence[Axis],
    complete: Sequence[Any],
    num_pruned: int,
) -> str:
    """The page; `complete` are Optuna's trials, the best first, one or more."""
    by_name = {axis.name: axis for axis in axes}
    heads = ("setting", "solved", "score", "sequences")
    rows = [
        (
            ", ".join(f"{n} {v}" for n, v in _values(trial, by_name).items()),
            f"{trial.user_attrs['solved']}/{len(trial.user_attrs['status'])}",
            f"{trial.value:.3f}",
            _range(trial.user_attrs),
        )
        for trial in complete[:MOST_SHOWN]
    ]
    best = _values(complete[0], by_name)
    again = " ".join(shlex.quote(f"--config.{name}={value}") for name, value in best.items())
    config = f"{command_line.config_path}:{command_line.config_arg}"
    blocks = [
        f"# Search: {experiment.name}, {command_line.config.rows[0]}",
        f"{len(complete)} settings run to their ends, {num_pruned} given up on the way; the best:",
        markdown_table(heads, rows),
        "Score: the mean over networks of log10 of the sequences needed; one not solved counts "
        "with log10 of the cap and its error, up to 1, on top.",
        f"Again: `python -m experiments.{experiment.name} --config={config} {again}` (with other "
        "seeds, for what was chosen by these flatters it: `--config.seed=1`).",
    ]
    return "\n\n".join(blocks) + "\n"


def _values(trial: Any, axes: Mapping[str, Axis]) -> dict[str, str]:
    return {
        name: show(axes[name].values[value])
        if axes[name].values
        else (f"{value:.4g}" if isinstance(value, float) else str(value))
        for name, value in trial.params.items()
    }


def _range(found: Mapping[str, Any]) -> str:
    counts = [
        count
        for count, status in zip(found["num_sequences"], found["status"], strict=True)
        if status == "SOLVED"
    ]
    return f"{format_count(min(counts))} to {format_count(max(counts))}" if counts else "-"
