"""Open points as factors of an experiment's design, and what a reading makes of a row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from lstm_jax.build import build_task
from lstm_jax.config import Config, ConfigError, make_config
from lstm_jax.paper.selection import Item, Paper, config_of

DESIGNS = ("single", "pairs", "full")
TEXT = "text"
"""The name of the reading that changes nothing."""

Values: TypeAlias = dict[str, Any]


class Factor(NamedTuple):
    """One open point, and one answer to it that is not the text's.

    A point with more such answers stands in a list of factors once for each, under the same name;
    no reading has two of them.

    Attributes:
      name: what `--factors` calls it.
      text: what the text has, in words.
      level: the other level; as readings are named: ``name=level``.
      meaning: what it is, in words.
      change: ``values of the config -> those that change``.
      applies: whether it means anything for a row, given the values and the task's timing.
      per_lane: whether lanes of one program can differ in it.
    """

    name: str
    text: str
    level: str
    meaning: str
    change: Callable[[Mapping[str, Any]], Values]
    applies: Callable[[Mapping[str, Any], str], bool] = lambda values, timing: True
    per_lane: bool = False


def _option(values: Mapping[str, Any], option: str) -> Values:
    return {"cell_options": (*values["cell_options"], option)}


FACTORS = (
    Factor(
        "output_unit",
        "logistic",
        "identity",
        "squashing function of the output units",
        lambda values: {"output_unit": "identity"},
        lambda values, timing: values["output_unit"] == "logistic",
    ),
    Factor(
        "init_scale",
        "1",
        "5",
        "initial weights, as a multiple of the stated range",
        lambda values: {"init_range": 5 * values["init_range"]},
        per_lane=True,
    ),
    Factor(
        "factor",
        "1",
        "2",
        "factor of the output's error signal; with plain SGD a doubled learning rate",
        lambda values: {"learning_rate": 2 * values["learning_rate"]},
        per_lane=True,
    ),
    Factor(
        "output_delta",
        "exact",
        "no_derivative",
        "whether the output's error signal has f'(net); logistic units only",
        lambda values: {"output_delta": "no_derivative"},
        lambda values, timing: values["output_unit"] == "logistic",
    ),
    Factor(
        "error_tolerance",
        "0",
        "0.25",
        "outputs within this of their targets, as Experiment 2a asks, send no error back",
        lambda values: {"error_tolerance": 0.25},
    ),
    Factor(
        "direct",
        "hidden units only",
        "inputs",
        "what the output units see; inputs: those of the step as well, with weights of their own",
        lambda values: {"direct": True},
        lambda values, timing: not values["direct"],
    ),
    Factor(
        "ranges",
        "g in [-2, 2], h in [-1, 1]",
        "swapped",
        "ranges of g and h; swapped: as the legend of Table 10 has them",
        lambda values: {"g": "h1", "h": "g2"},
        lambda values, timing: (values["g"], values["h"]) == ("g2", "h1"),
    ),
    Factor(
        "sees",
        "all",
        "cells",
        "what hidden units see of the step before: cells and gates, or cells",
        lambda values: {"sees": "cells"},
        lambda values, timing: values["sees"] == "all",
    ),
    Factor(
        "sees",
        "all",
        "zeros",
        "the same; zeros: the weights are there and carry nothing",
        lambda values: {"sees": "zeros"},
        lambda values, timing: values["sees"] == "all",
    ),
    Factor(
        "update_every",
        "sequence",
        "step",
        "when weights change; rows with errors at every step only",
        lambda values: {"update_every": "step"},
        lambda values, timing: values.get("update_every") == "sequence" and timing == "every_step",
    ),
    Factor(
        "input_gate_bias",
        "as stated",
        "drawn",
        "initial input-gate biases; drawn: like the weights; rows with stated ones only",
        lambda values: {"input_gate_bias": ()},
        lambda values, timing: bool(values["input_gate_bias"]),
    ),
    Factor(
        "gate_bias",
        "stated",
        "added",
        "whether stated gate biases are the initial ones, or are added to drawn ones",
        lambda values: _option(values, "gate_bias=added"),
        lambda values, timing: bool(values["input_gate_bias"] or values["output_gate_bias"]),
    ),
    Factor(
        "initial_gate",
        "0",
        "0.5",
        "what the first step of a sequence sees of the gates; 0.5: a gate without net input",
        lambda values: _option(values, "initial_gate=0.5"),
        lambda values, timing: values["sees"] == "all",
    ),
    Factor(
        "gradient_rule",
        "truncated",
        "full",
        "whether errors flow back through all connections; with updates once a sequence only",
        lambda values: {"gradient_rule": "bptt", "kernel": "lanes"},
        lambda values, timing: values.get("update_every") != "step",
    ),
    Factor(
        "exam_set",
        "fixed",
        "fresh",
        "whether exams draw their test sequences anew; rows that are tested on one set only",
        lambda values: {"exam_set": "fresh"},
        lambda values, timing: values.get("exam_set") == "fixed",
    ),
)


class Search(NamedTuple):
    """A search as data.

    Attributes:
      name: of the module and of the folder of records.
      paper: whose rows these are.
      usage: what the command does; the head of its help.
      rows: names of the rows unless others are asked for.
      known: a paragraph of the page: what was measured before.
      factors: the open points.
    """

    name: str
    paper: Paper
    usage: str
    rows: Sequence[str]
    known: str = ""
    factors: Sequence[Factor] = FACTORS


class Variant(NamedTuple):
    """What a reading makes of a row."""

    reading: str  # its name, of the changes that mean something for the row
    group: str  # the same of the changes that need a program of their own
    values: Values  # of the config, but for what lanes can differ in
    learning_rate: float
    init_range: float


def readings_of(factors: Sequence[Factor], design: str) -> list[tuple[Factor, ...]]:
    """The readings of a design, each as the factors that are not as the text has them.

    single: the text and each single change. pairs: two changes as well. full: all combinations.
    What an identity output unit makes meaningless is left out, and two answers to one point.

    Example:
      >>> [reading_name(reading) for reading in readings_of(FACTORS[:2], "pairs")]
      ['text', 'output_unit=identity', 'init_scale=5', 'output_unit=identity init_scale=5']
    """
    most = {"single": 1, "pairs": 2, "full": len(factors)}[design]
    found = []
    for num in range(min(most, len(factors)) + 1):
        for reading in itertools.combinations(factors, num):
            names = {factor.name for factor in reading}
            one_each = len(names) == len(reading)
            if one_each and not {"output_unit", "output_delta"} <= names:
                found.append(reading)
    return found


def reading_name(reading: Sequence[Factor]) -> str:
    """What a reading is called in records and tables.

    Example:
      >>> reading_name(()), reading_name(FACTORS[:1])
      ('text', 'output_unit=identity')
    """
    return " ".join(f"{factor.name}={factor.level}" for factor in reading) or TEXT


def text_of(item: Item) -> Values:
    """The settings of a row as the paper's text has them, where it says anything."""
    config = config_of(item)
    if config.cell != "lstm97":
        raise ConfigError(f"--rows={item.paper.name}: a rival; readings are of the LSTM rows")
    if not item.paper.num_sequences > 0:
        raise ConfigError(f"--rows={item.paper.name}: the paper gives no number to compare with")
    values: Values = dict(config.items())
    for reading in item.experiment.readings:
        if reading.text is not None:
            values[reading.field] = reading.text
    return values


def timing_of(item: Item) -> str:
    """Whether the errors of a row come at the end or at every step."""
    return build_task(config_of(item)).timing


def variant_of(
    values: Mapping[str, Any], timing: str, reading: Sequence[Factor], factors: Sequence[Factor]
) -> Variant:
    """What a reading makes of a row, given the row's settings by the text.

    Example:
      >>> values = {"output_unit": "logistic", "init_range": 0.1, "learning_rate": 0.5}
      >>> variant = variant_of(values, "end", FACTORS[:3], FACTORS)
      >>> variant.group, variant.learning_rate, variant.init_range
      ('output_unit=identity', 1.0, 0.5)
    """
    changed: Values = dict(values)
    used = []
    for factor in factors:
        if factor in reading and factor.applies(changed, timing):
            changed |= factor.change(changed)
            used.append(factor)
    return Variant(
        reading_name(used),
        reading_name([factor for factor in used if not factor.per_lane]),
        changed | {name: values[name] for name in ("learning_rate", "init_range")},
        changed["learning_rate"],
        changed["init_range"],
    )


def configured(item: Item, values: Mapping[str, Any]) -> Config:
    """A config of these values, checked as the row's experiment checks its own."""
    config = make_config(item.experiment.fields, **values)
    item.experiment.check(config)
    return config
