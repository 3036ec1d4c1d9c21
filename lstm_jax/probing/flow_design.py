"""The networks of the error-flow study, as settings of the adding problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lstm_jax.ablation.design import cell_values
from lstm_jax.config import Config, ConfigError, Field, Fields, check_standard, make_config, show
from lstm_jax.probing.flow import PARTS, flow_measure
from lstm_jax.probing.study import Group

MODERN: dict[str, Any] = {
    "gradient_rule": "bptt",
    "optimizer": "adam",
    "learning_rate": 0.01,
    "batch_size": 16,
}
"""How all nets but that of 1997 are trained: in full back-propagation, by Adam, in batches."""

FIELDS: Fields = {
    "seed": Field(0, "root of all randomness", low=0, high=2**32 - 1),
    "cells": Field(
        ("elman", "lstm97", "lstm", "gru"),
        "networks to look into: any cell, V or switches of Greff et al. joined by +, or "
        "FILE.py:NAME; lstm97 is the net of Table 7, trained by its own rule",
    ),
    "part": Field(
        "memory",
        "part of the state whose error is measured: memory (the cells, or h where there are "
        "none), state (all of it), hidden, cell",
        choices=tuple(PARTS),
    ),
    "T": Field(100, "shortest sequence of the adding problem in steps", low=11, high=10_000),
    "hidden_size": Field(8, "hidden units of all nets but lstm97", low=1, high=1000),
    "forget_bias": Field(1.0, "lstm: initial bias of the forget gates"),
    "activation": Field("tanh", "elman: squashing function", choices=("tanh", "logistic", "relu")),
    "init_range": Field(0.2, "initial weights are uniform in [-init_range, init_range]", above=0.0),
    "num_trials": Field(20, "networks of each kind", low=1, high=10_000),
    "max_sequences": Field(
        100_000, "training sequences after which a trial is given up", low=1, high=10**9
    ),
    "num_sequences": Field(
        16, "test sequences over which a net's error flow is averaged", low=1, high=10_000
    ),
    "rows": Field(("four",), "name of the study"),
}


def groups_of(config: Config, adding: Fields) -> list[Group]:
    """One group for each net; ConfigError for what cannot be.

    Args:
      config: of `FIELDS`.
      adding: the fields of the adding problem.
    """
    cells: tuple[str, ...] = config.cells
    if not cells or len(set(cells)) < len(cells):
        raise ConfigError(f"config.cells={show(cells)}: must be one or more different names")
    return [_group(config, adding, name) for name in cells]


def _group(config: Config, adding: Fields, name: str) -> Group:
    values = {
        "T": config.T,
        "seed": config.seed,
        "num_trials": config.num_trials,
        "max_sequences": config.max_sequences,
        "init_range": config.init_range,
        "num_test": 256,
    } | _net(config, name)
    made = make_config(adding, **values)
    check_standard(made)
    measured: Mapping[str, Any] = {"part": config.part, "num_sequences": config.num_sequences}
    return Group(
        name,
        f"adding T={config.T}",
        name.rpartition("/")[2],
        made,
        measured,
        lambda network, task: flow_measure(network, task, **measured),
    )


def _net(config: Config, name: str) -> dict[str, Any]:
    if name == "lstm97":
        return {"cell": name}  # the adding problem's own defaults: two blocks of two
    values = MODERN | cell_values(name, config.hidden_size) | {"hidden_size": config.hidden_size}
    if values["cell"] == "lstm":
        values["forget_bias"] = config.forget_bias
    if values["cell"] == "elman":
        values["activation"] = config.activation
    return values
