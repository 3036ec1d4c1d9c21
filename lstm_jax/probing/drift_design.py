"""The settings of the drift study: published experiments with and without their gate biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lstm_jax.config import Config, ConfigError, Field, Fields, check_standard, make_config, show
from lstm_jax.probing.drift import drift_measure
from lstm_jax.probing.study import Group


class Experiment(NamedTuple):
    """A published experiment: its fields, and the values of the row that is run."""

    fields: Fields
    values: Mapping[str, Any]


CONDITIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "published": ("as published", {}),
    "no_input_bias": ("no input-gate bias", {"input_gate_bias": ()}),
    "no_output_bias": ("no output-gate bias", {"output_gate_bias": ()}),
    "neither": ("neither", {"input_gate_bias": (), "output_gate_bias": ()}),
}
"""What `config.conditions` can name: words, and what is changed. A bias that is not set is drawn
like the weights."""


def drift_fields(tasks: tuple[str, ...]) -> dict[str, Field]:
    """The fields of the study's own config, for the tasks it knows."""
    return {
        "seed": Field(0, "root of all randomness", low=0, high=2**32 - 1),
        "tasks": Field(tasks, "published experiments", choices=tasks),
        "conditions": Field(
            tuple(CONDITIONS),
            "which gate biases are left out; a condition that changes nothing of an experiment, or "
            "the same as one before it, is left out",
            choices=tuple(CONDITIONS),
        ),
        "num_trials": Field(16, "networks of each condition", low=1, high=10_000),
        "max_sequences": Field(
            200_000, "training sequences after which a trial is given up", low=1, high=10**9
        ),
        "init_range": Field(
            None,
            "initial weights are uniform in [-init_range, init_range]; auto: as the experiment has "
            "it (adding 0.5, the others 0.1)",
            above=0.0,
            of=float,
        ),
        "probe_at": Field(
            (1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000),
            "training sequences after which nets are looked into, besides their begin and end",
            low=1,
            high=10**9,
        ),
        "num_sequences": Field(
            64, "test sequences over which a net's states are averaged", low=2, high=10_000
        ),
        "rows": Field(("paper",), "name of the study"),
    }


def groups_of(config: Config, experiments: Mapping[str, Experiment]) -> list[Group]:
    """One group for each task and condition; ConfigError for what cannot be.

    Args:
      config: of `drift_fields`.
      experiments: by task.
    """
    for name in ("tasks", "conditions", "probe_at"):
        values: tuple[Any, ...] = getattr(config, name)
        if not values or len(set(values)) < len(values):
            raise ConfigError(f"config.{name}={show(values)}: must be one or more different values")
    groups = []
    for task in config.tasks:
        seen: list[str] = []
        for condition in config.conditions:
            group = _group(config, task, condition, experiments[task])
            settings = group.config.to_json()
            if settings not in seen:
                groups.append(group)
                seen.append(settings)
    return groups


def _group(config: Config, task: str, condition: str, experiment: Experiment) -> Group:
    words, changes = CONDITIONS[condition]
    values = {
        **experiment.values,
        **changes,
        "seed": config.seed,
        "num_trials": config.num_trials,
        "max_sequences": config.max_sequences,
        "num_test": 256,
    }
    if config.init_range is not None:
        values["init_range"] = config.init_range
    made = make_config(experiment.fields, **values)
    check_standard(made)
    measured: Mapping[str, Any] = {"num_sequences": config.num_sequences}
    return Group(
        f"{task} {condition}",
        task,
        words,
        made,
        measured,
        lambda network, task: drift_measure(network, task, **measured),
        tuple(count for count in config.probe_at if count < config.max_sequences),
    )
