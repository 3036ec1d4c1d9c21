"""The settings that published experiments share: one table each for run, network and learning.

An experiment's own table is these, with its own defaults laid over them, and what it adds.
"""

import re
from importlib.metadata import entry_points
from typing import Any

from lstm_jax.config.fields import Config, ConfigError, Field, Fields, show

MOST_STEPS = 2**31 - 1  # updates are counted in an int32

CELL_NAMES = (
    *("lstm97", "lstm", "gru", "elman", "irnn", "mgu", "mut1", "mut2", "mut3"),
    *("min_gru", "min_lstm", "slstm"),
)
"""The names in `lstm_jax.cells.CELLS`, which cannot be asked before jax is imported."""
CELL_GROUP = "lstm_jax.cells"
"""The group of entry points under which other packages offer cells."""
SWITCHES = ("NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR")


def is_own_cell(name: str) -> bool:
    """Whether a cell's name is ``path/to/file.py:name``, or that of an installed entry point.

    Example:
      >>> is_own_cell("cells/mine.py:janet"), is_own_cell("lstm79")
      (True, False)
    """
    if re.fullmatch(r".+\.py:[A-Za-z_]\w*", name):
        return True
    return any(entry.name == name for entry in entry_points(group=CELL_GROUP))


RUN: Fields = {
    "seed": Field(0, "root of all randomness", low=0, high=2**32 - 1),
    "num_trials": Field(10, "networks trained, each from weights of its own", low=1, high=10**6),
    "num_lanes": Field(
        None,
        "trials trained side by side; auto: as many as there are trials, rounded up to what the "
        "devices take; changes no result",
        low=1,
        high=10**6,
        of=int,
    ),
    "chunk": Field(
        None,
        "updates per call of the compiled program; auto: chosen so that progress shows about "
        "every second; changes no result",
        low=1,
        high=10**6,
        of=int,
    ),
    "max_sequences": Field(
        500_000, "training sequences after which a trial is given up", low=1, high=MOST_STEPS
    ),
    "num_test": Field(2560, "fresh test sequences for each finished trial", low=1, high=10**7),
    "curve_every": Field(
        1000, "training sequences per point of the learning curves", low=1, high=MOST_STEPS
    ),
    "rows": Field(("smoke",), "rows of the table, each run with its own settings"),
}

NETWORK: Fields = {
    "cell": Field(
        "lstm97",
        "architecture of the hidden layer",
        choices=CELL_NAMES,
        also=is_own_cell,
        also_words="FILE.py:NAME",
    ),
    "num_blocks": Field(
        2, "lstm97: memory-cell blocks, each with its own gates", low=1, high=10_000
    ),
    "block_size": Field(2, "lstm97: cells that share the gates of a block", low=1, high=10_000),
    "hidden_size": Field(8, "all cells but lstm97: hidden units", low=1, high=10_000),
    "forget_bias": Field(1.0, "lstm: initial bias of the forget gates"),
    "switches": Field(
        ("NP",),
        "lstm: what differs from the vanilla LSTM with peepholes, (), as Greff et al. 2017 name it",
        choices=SWITCHES,
        of=str,
    ),
    "cell_options": Field(
        (), "further options of the cell, each as name=value, such as reset=before", of=str
    ),
    "activation": Field(
        "tanh",
        "elman: squashing function of the hidden units",
        choices=("tanh", "logistic", "relu"),
    ),
    "bias": Field(
        "hidden",
        "which hidden units have a bias: all, gates only (lstm97), or none",
        choices=("hidden", "gates", "none"),
    ),
    "input_gate_bias": Field(
        (), "lstm97: initial input-gate bias of each block; (): drawn like the weights", of=float
    ),
    "output_gate_bias": Field(
        (), "lstm97: initial output-gate bias of each block; (): drawn like the weights", of=float
    ),
    "sees": Field(
        "all",
        "lstm97: what the hidden units see of the step before: all (cells and gates), cells, "
        "zeros (weights for all are there and counted, but carry nothing), or nothing",
        choices=("all", "cells", "zeros", "nothing"),
    ),
    "output_gate": Field(True, "lstm97: whether blocks have an output gate"),
    "g": Field("g2", "lstm97: squasher of the cell input", choices=("g2", "g1", "h1")),
    "h": Field("h1", "lstm97: squasher of the cell output", choices=("h1", "id", "g2")),
    "init_range": Field(0.1, "initial weights are uniform in [-init_range, init_range]", above=0.0),
    "output_unit": Field(
        "logistic",
        "squashing function of the output units; units: the last hidden units are the outputs",
        choices=("logistic", "identity", "units"),
    ),
    "output_bias": Field(True, "whether output units have a bias"),
    "direct": Field(False, "whether output units see the inputs of the step as well"),
}

LEARNING: Fields = {
    "gradient_rule": Field(
        "traces",
        "traces: the paper's forward algorithm; truncated: the same gradient by automatic "
        "differentiation; bptt: the full gradient; rtrl: the full gradient, forward in time",
        choices=("traces", "truncated", "bptt", "rtrl"),
    ),
    "output_delta": Field(
        "exact",
        "error signal of the output unit: with f'(net), or without it",
        choices=("exact", "no_derivative"),
    ),
    "delta_factor": Field(
        1.0,
        "factor of that signal: 1 for half the squared error, 2 for the squared error",
        above=0.0,
    ),
    "error_tolerance": Field(
        0.0,
        "an output within this of its target sends no error back; 0: every error counts",
        low=0.0,
        high=1.0,
    ),
    "optimizer": Field("sgd", "update rule", choices=("sgd", "adam")),
    "learning_rate": Field(0.5, "step of the optimizer", above=0.0),
    "momentum": Field(0.0, "sgd: share of the last step that is taken again", low=0.0, high=0.9999),
    "l2": Field(0.0, "weight of the penalty 1/2 sum w^2 on all weights", low=0.0),
    "clip_norm": Field(
        None, "bound of a gradient's norm over all weights; auto: none", above=0.0, of=float
    ),
    "batch_size": Field(1, "sequences per update; 1: online, as in the paper", low=1, high=10**6),
    "kernel": Field(
        "auto",
        "form of the gradient computation: lanes: written for many networks at once (lstm97: "
        "traces, bptt); vmap: the definition; auto: lanes for traces, else vmap",
        choices=("auto", "lanes", "vmap"),
    ),
}

EVERY_STEP: Fields = {
    "update_every": Field(
        "sequence",
        "whether weights change once a sequence, or after every time step with a target",
        choices=("sequence", "step"),
    ),
}

GROWTH: Fields = {
    "growth_window": Field(
        0,
        "the memory cells join once the mean error of this many training sequences has stopped "
        "decreasing; 0: they are there from the start",
        low=0,
        high=MOST_STEPS,
    ),
    "growth_decrease": Field(
        0.05,
        "share of the error by which the mean must fall from one window to the next to count as "
        "decreasing",
        low=0.0,
        high=0.99,
    ),
}

WINDOW: Fields = {
    "num_correct": Field(
        2000, "last training sequences that the criterion looks at", low=1, high=2047
    ),
    "wrong_below": Field(
        1, "fewer than this many of them may be wrong; 1: all must be right", low=1, high=2047
    ),
}

MEAN_ERROR: Fields = {
    "error_measure": Field(
        "absolute", "error that is averaged over them", choices=("absolute", "squared")
    ),
    "error_limit": Field(0.01, "bound that this average must fall below", above=0.0),
}

EXAM: Fields = {
    "exam_every": Field(
        100, "training sequences from one exam (with frozen weights) to the next", low=1, high=10**6
    ),
    "exam_size": Field(256, "test sequences of an exam", low=1, high=10**6),
    "exam_set": Field(
        "fresh",
        "whether an exam draws its sequences, or a trial has one set for all its exams",
        choices=("fresh", "fixed"),
    ),
    "exam_wrong_below": Field(
        1, "fewer than this many of them may be wrong (ST1)", low=1, high=10**6
    ),
    "exam_error_below": Field(
        None, "bound of their mean absolute error as well (ST2); auto: none", above=0.0, of=float
    ),
}


def standard_fields(*groups: Fields, **defaults: Any) -> dict[str, Field]:
    """The fields of `groups` in their order, with other defaults for some.

    Raises ``ConfigError`` for a default of a field that none of them has.

    Example:
      >>> standard_fields(RUN, NETWORK, num_trials=20)["num_trials"].default
      20
    """
    fields = {name: field for group in groups for name, field in group.items()}
    for name, default in defaults.items():
        if name not in fields:
            raise ConfigError(f"{name}: no such standard field")
        fields[name] = fields[name]._replace(default=default)
    return fields


def check_standard(config: Config) -> None:
    """Raises ConfigError where standard fields that are valid by themselves contradict."""
    _check_network(config)
    _check_learning(config)
    if "exam_every" in config:
        if config.max_sequences % config.exam_every:
            raise ConfigError(
                f"config.max_sequences={config.max_sequences}: must be a multiple of "
                f"config.exam_every={config.exam_every}"
            )
        if config.exam_wrong_below > config.exam_size:
            raise ConfigError(
                f"config.exam_wrong_below={config.exam_wrong_below}: must be at most "
                f"config.exam_size={config.exam_size}"
            )
        if config.batch_size != 1:
            raise ConfigError(
                f"config.batch_size={config.batch_size}: must be 1 where an exam decides"
            )
        if config.chunk is not None and config.chunk % config.exam_every:
            raise ConfigError(
                f"config.chunk={config.chunk}: must be a multiple of "
                f"config.exam_every={config.exam_every}"
            )
    elif config.wrong_below > config.num_correct:
        raise ConfigError(
            f"config.wrong_below={config.wrong_below}: must be at most "
            f"config.num_correct={config.num_correct}"
        )


def _check_network(config: Config) -> None:
    if config.cell == "lstm97":
        for name in ("input_gate_bias", "output_gate_bias"):
            values: tuple[float, ...] = getattr(config, name)
            if values and config.bias == "none":
                raise ConfigError(
                    f"config.{name}={show(values)}: must be () where config.bias=none"
                )
            if len(values) not in (0, config.num_blocks):
                raise ConfigError(
                    f"config.{name}={show(values)}: must have one value for each of the "
                    f"config.num_blocks={config.num_blocks} blocks, or be ()"
                )
        if config.output_gate_bias and not config.output_gate:
            raise ConfigError(
                f"config.output_gate_bias={show(config.output_gate_bias)}: must be () where "
                "config.output_gate=false"
            )
    elif config.gradient_rule == "traces":
        raise ConfigError(
            f"config.gradient_rule=traces: is defined for config.cell=lstm97 only; "
            f"with {config.cell} it must be one of truncated, bptt, rtrl"
        )
    if config.cell == "elman" and config.bias == "gates":
        raise ConfigError("config.bias=gates: an elman net has no gates; must be hidden or none")
    if config.cell not in ("lstm97", "elman") and config.bias != "hidden":
        raise ConfigError(
            f"config.bias={config.bias}: must be hidden where config.cell={config.cell}"
        )
    if config.cell != "lstm" and config.switches != ("NP",):
        raise ConfigError(
            f"config.switches={show(config.switches)}: is defined for config.cell=lstm only; "
            f"with {config.cell} it must be NP"
        )
    for option in config.cell_options:
        if not re.fullmatch(r"[A-Za-z_]\w*=.+", option):
            raise ConfigError(f"config.cell_options={option}: must be name=value")
    if config.output_unit == "units" and (config.gradient_rule == "traces" or config.direct):
        raise ConfigError(
            "config.output_unit=units: needs config.direct=false and a config.gradient_rule of "
            "truncated, bptt, rtrl"
        )


def _check_learning(config: Config) -> None:
    lanes = config.gradient_rule == "traces" and config.batch_size == 1
    full = (config.gradient_rule, config.cell, config.batch_size) == ("bptt", "lstm97", 1)
    if config.kernel == "lanes" and not (lanes or full):
        raise ConfigError(
            "config.kernel=lanes: needs config.gradient_rule=traces, or bptt with "
            "config.cell=lstm97, and config.batch_size=1; with others it must be one of auto, vmap"
        )
    in_steps = "update_every" in config and config.update_every == "step"
    plain = config.optimizer == "sgd" and not config.momentum and not config.l2
    if in_steps and not (lanes and plain and config.clip_norm is None):
        raise ConfigError(
            "config.update_every=step: needs config.gradient_rule=traces, config.batch_size=1 and "
            "config.optimizer=sgd without momentum, l2 and clip_norm"
        )
    if config.momentum and config.optimizer != "sgd":
        raise ConfigError(
            f"config.momentum={config.momentum}: must be 0 where config.optimizer="
            f"{config.optimizer}"
        )
    if "growth_window" in config and config.growth_window and config.batch_size != 1:
        raise ConfigError(
            f"config.batch_size={config.batch_size}: must be 1 where config.growth_window is set"
        )
