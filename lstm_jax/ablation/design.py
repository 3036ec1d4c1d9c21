"""The design of a sweep: which networks are trained on what, and which share a program."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lstm_jax.ablation.axes import Axis, grid, parse_axis, sample
from lstm_jax.config import Config, ConfigError, Field, Fields, check_standard, make_config, show
from lstm_jax.config.standard import CELL_NAMES, SWITCHES, is_own_cell
from lstm_jax.plugins import source_hash

PER_LANE = ("learning_rate", "init_range")
"""Settings that may differ from lane to lane within one program."""
VANILLA = "V"
"""The LSTM with peepholes and no switch (Greff et al. 2017)."""


class Task(NamedTuple):
    """A task of a sweep: the fields of its experiment, and the values that it has here."""

    fields: Fields
    values: Mapping[str, Any]


class Ablation(NamedTuple):
    """A sweep as data.

    Attributes:
      name: of the module and of the default run folder.
      usage: what the command does; the head of its help.
      config_path: the config file it starts from, relative to the checkout.
      fields: the table of its own fields.
      args: ``{ARG: meaning}`` of ``--config=FILE:ARG``.
      tasks: what `config.tasks` can name.
      recipes: what `config.recipes` can name: how networks are trained, as settings.
    """

    name: str
    usage: str
    config_path: str
    fields: Fields
    args: Mapping[str, str]
    tasks: Mapping[str, Task]
    recipes: Mapping[str, Mapping[str, Any]]


class Point(NamedTuple):
    """One setting of the sweep; its seeds are its trials."""

    task: str
    cell: str  # as config.cells names it: V, NIG, CIFG+NP, gru, FILE.py:NAME
    recipe: str
    values: dict[str, Any]  # the swept settings

    @property
    def name(self) -> str:
        """Its name in tables and folders."""
        swept = [f"{name}={show(value)}" for name, value in self.values.items()]
        return " ".join([self.task, self.cell, self.recipe, *swept])


def cell_values(name: str, hidden_size: int) -> dict[str, Any]:
    """The settings that a cell's name in a sweep stands for.

    Raises ConfigError for another name.

    Example:
      >>> cell_values("CIFG+NP", 8)
      {'cell': 'lstm', 'switches': ('CIFG', 'NP')}
      >>> cell_values("V", 8), cell_values("gru", 8)
      ({'cell': 'lstm', 'switches': ()}, {'cell': 'gru'})
    """
    parts = tuple(name.split("+"))
    if name == VANILLA:
        return {"cell": "lstm", "switches": ()}
    if all(part in SWITCHES for part in parts):
        return {"cell": "lstm", "switches": parts}
    if name == "lstm97":  # pairs of cells under common gates, as in Table 7
        size = 2 if hidden_size % 2 == 0 else 1
        return {"cell": name, "num_blocks": hidden_size // size, "block_size": size}
    if name in CELL_NAMES or is_own_cell(name):
        return {"cell": name}
    raise ConfigError(
        f"config.cells={name}: must be {VANILLA}, some of {', '.join(SWITCHES)} joined by +, "
        f"one of {', '.join(CELL_NAMES)}, or FILE.py:NAME"
    )


def points_of(ablation: Ablation, config: Config) -> list[Point]:
    """Every setting of a sweep, in the order of running; ConfigError for what cannot be.

    The axes are those of `config.axes`, and the learning rate, from `config.learning_rates`,
    where no axis names it.
    """
    points = []
    for name in config.tasks:
        axes = [parse_axis(text, ablation.tasks[name].fields) for text in config.axes]
        names = [axis.name for axis in axes]
        if len(set(names)) < len(names):
            raise ConfigError(f"config.axes={show(config.axes)}: names a setting twice")
        if "learning_rate" not in names:
            axes.insert(0, Axis("learning_rate", tuple(config.learning_rates)))
        found = sample(axes, config.num_samples, config.seed) if config.num_samples else grid(axes)
        points += [
            Point(name, cell, recipe, values)
            for recipe in config.recipes
            for cell in config.cells
            for values in found
        ]
    return points


def config_of(ablation: Ablation, config: Config, point: Point, num_trials: int) -> Config:
    """The experiment's settings of a point; ConfigError where they contradict each other."""
    task = ablation.tasks[point.task]
    hidden_size = point.values.get("hidden_size", config.hidden_size)
    values = {
        **task.values,
        "hidden_size": hidden_size,
        "max_sequences": config.max_sequences,
        **ablation.recipes[point.recipe],
        **cell_values(point.cell, hidden_size),
        **point.values,
        "seed": config.seed,
        "num_trials": num_trials,
    }
    made = make_config(task.fields, **values)
    check_standard(made)
    return made


class Group(NamedTuple):
    """Points of one static structure: trial n has the point ``n // seeds``."""

    stage: str  # "sweep", or "confirm" for the best points with fresh seeds
    points: tuple[Point, ...]
    seeds: int
    config: Config  # of the first point, with all trials

    @property
    def num_trials(self) -> int:
        """Trials of all points."""
        return self.seeds * len(self.points)

    def hyper(self, trial: int) -> tuple[float, float]:
        """Learning rate and range of the initial weights of a trial."""
        values = self.points[trial // self.seeds].values
        return tuple(values.get(name, self.config[name]) for name in PER_LANE)  # pyright: ignore

    def identity(self) -> dict[str, Any]:
        """What a line on file must agree in to be this group's."""
        settings = json.loads(self.config.to_json())
        for name in ("num_lanes", "chunk", "rows"):  # which change no result
            settings.pop(name)
        own = source_hash(self.config.cell)
        if own:  # another text of the file is another cell
            settings["cell_sha256"] = own
        return {
            "stage": self.stage,
            "points": [json.loads(json.dumps(point._asdict())) for point in self.points],
            "seeds": self.seeds,
            "settings": settings,
        }


def groups_of(
    ablation: Ablation, config: Config, points: Sequence[Point], stage: str, seeds: int
) -> list[Group]:
    """Groups of the points that share a static signature, in the order of their first points."""
    found: dict[str, list[Point]] = {}
    for point in points:
        own = json.loads(config_of(ablation, config, point, seeds).to_json())
        signature = {name: value for name, value in own.items() if name not in PER_LANE}
        key = json.dumps([point.task, point.cell, point.recipe, signature], sort_keys=True)
        found.setdefault(key, []).append(point)
    return [
        Group(
            stage,
            tuple(members),
            seeds,
            config_of(ablation, config, members[0], seeds * len(members)),
        )
        for members in found.values()
    ]


def sweep_fields(ablation_tasks: Sequence[str], recipes: Sequence[str]) -> dict[str, Field]:
    """The fields of a sweep's own config."""
    rates = (0.0003, 0.0006, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.1)
    return {
        "seed": Field(0, "root of all randomness", low=0, high=2**32 - 1),
        "tasks": Field(tuple(ablation_tasks), "what is learnt", choices=tuple(ablation_tasks)),
        "cells": Field(
            (VANILLA,),
            "networks compared, the first with each other one: V, switches of Greff et al. joined "
            "by +, any cell, or FILE.py:NAME",
        ),
        "recipes": Field(
            tuple(recipes[:1]), "gradient rules and optimizers", choices=tuple(recipes)
        ),
        "learning_rates": Field(rates, "steps of the optimizer", above=0.0),
        "hidden_size": Field(8, "hidden units of every cell", low=1, high=10_000),
        "num_seeds": Field(5, "trials of each point", low=1, high=10_000),
        "confirm_seeds": Field(
            20,
            "fresh trials of each cell at its best point, which alone are tested; 0: none",
            low=0,
            high=10_000,
        ),
        "max_sequences": Field(
            20_000, "training sequences after which a trial is given up", low=100, high=10**8
        ),
        "axes": Field(
            (), "further settings, each NAME=A|B|C or NAME=uniform|log:LOW:HIGH[:COUNT]", of=str
        ),
        "num_samples": Field(
            0, "points drawn at random from the axes; 0: their grid", low=0, high=10**5
        ),
        "rows": Field(("odyssey",), "name of the sweep"),
    }
