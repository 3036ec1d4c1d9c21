"""From a configuration to a trial: the only reader of ConfigDicts."""

import ast
import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import optax

from lstm_jax.cells import CELLS, Cell
from lstm_jax.classifier import Classifier, classifier
from lstm_jax.config import Config, ConfigError
from lstm_jax.config.fields import no_such
from lstm_jax.exams import Exam, Stage, exam
from lstm_jax.gradients import GRADIENT_RULES, GradientRule, rtrl, traces, trailing_bptt
from lstm_jax.growth import Growth, growth
from lstm_jax.kernels import lanes_last
from lstm_jax.network import Network, network
from lstm_jax.plugins import find_cell, make_cell
from lstm_jax.pooling import Pooling, pooling
from lstm_jax.readout import Readout, readout, units_readout
from lstm_jax.stopping import StopRule, all_of, consecutive_correct, few_wrong, mean_error_below
from lstm_jax.structures import Structure, bidirectional, layer, stack
from lstm_jax.tasks import TASKS, Task
from lstm_jax.trial import Trial, make_trial
from lstm_jax.types import Array

RAGGED = 1.2
"""A static bound this many times the mean length makes it worth to look for the longest."""


class Built(NamedTuple):
    """What a configuration stands for."""

    trial: Trial
    kernel: str  # the kernel that runs: "lanes" or "vmap"


def build_trial(config: Config) -> Built:
    """The trial a configuration describes, with the kernel chosen.

    Args:
      config: checked by its own `check` already.

    Raises:
      ValueError: what cells, tasks and rules refuse; one line.

    Example:
      >>> from lstm_jax.config import make_config
      >>> from configs.adding import FIELDS
      >>> built = build_trial(make_config(FIELDS))
      >>> built.kernel, built.trial.task.length
      ('lanes', 110)
    """
    task = build_task(config)
    _check_tests(config, task)
    net = build_network(config, task)
    can_lanes = config.gradient_rule == "traces" and config.batch_size == 1
    auto = "lanes" if can_lanes else "vmap"
    kernel = auto if config.kernel == "auto" else config.kernel
    trial = make_trial(
        net,
        task,
        _build_rule(config, net, task, kernel),
        _build_criterion(config),
        build_optimizer(config),
        max_sequences=config.max_sequences,
        batch_size=config.batch_size,
        update_every=config.update_every if "update_every" in config else "sequence",
        grows=_build_growth(config),
        kernel=lanes_last if kernel == "lanes" else None,
    )
    return Built(trial, kernel)


def build_task(config: Config) -> Task:
    """The task of a configuration: its factory's arguments are the fields of the same names."""
    return TASKS[config.task](**{name: config[name] for name in task_fields(config.task)})


def _check_tests(config: Config, task: Task) -> None:
    """ConfigError where a test or an exam is not of the sequences that there are.

    Past its end an array gives its last element: the last sequence would be asked again and again.
    An exam is of all there are, as the paper's: of fewer the last ones, those of the training set,
    would be left out without a word.
    """
    there = task.num_tests
    if there is None:
        return
    if config.num_test > there:
        raise ConfigError(
            f"config.num_test={config.num_test}: must be at most {there:,}, the test sequences of "
            f"{task.name} with these settings"
        )
    if "exam_size" in config and config.exam_size != there:
        raise ConfigError(
            f"config.exam_size={config.exam_size}: must be {there}, all test sequences of "
            f"{task.name} with these settings"
        )


def task_fields(task: str) -> list[str]:
    """The config fields that a task is made with: what is learnt, apart from how.

    Example:
      >>> task_fields("adding")
      ['T']
    """
    return list(inspect.signature(TASKS[task]).parameters)


def build_network(config: Config, task: Task) -> Network:
    """Cell and output units of a configuration, sized for `task`."""
    cell = build_cell(config, task.input_size)
    seen = cell.output_size + (cell.input_size if config.direct else 0)
    return network(cell, _build_readout(config, seen, task), direct=config.direct)


def _build_readout(config: Config, seen: int, task: Task) -> Readout:
    if config.output_unit == "units":
        return units_readout(
            seen,
            task.target_size,
            factor=config.delta_factor,
            tolerance=config.error_tolerance,
        )
    return readout(
        seen,
        task.target_size,
        activation=config.output_unit,
        bias=config.output_bias,
        delta=config.output_delta,
        factor=config.delta_factor,
        tolerance=config.error_tolerance,
        init_range=config.init_range,
    )


def _build_rule(config: Config, net: Network, task: Task, kernel: str) -> GradientRule:
    ragged = task.length > RAGGED * task.mean_length
    if kernel == "lanes" and config.gradient_rule == "bptt":
        return trailing_bptt(net, task.timing, ragged=ragged)
    if kernel == "lanes":
        return traces(net, task.timing, ragged=ragged)
    if config.gradient_rule == "rtrl":
        return rtrl(net, task.timing, ragged=ragged)
    return GRADIENT_RULES[config.gradient_rule](net, task.timing)


def _build_criterion(config: Config) -> StopRule | Exam:
    if "exam_every" in config:
        stages = [Stage("ST1", config.exam_wrong_below)]
        if config.exam_error_below is not None:
            stages.append(Stage("ST2", config.exam_wrong_below, config.exam_error_below))
        fixed = config.exam_set == "fixed"
        return exam(config.exam_every, config.exam_size, tuple(stages), fixed=fixed)
    if config.wrong_below == 1:
        rules = [consecutive_correct(config.num_correct)]
    else:
        rules = [few_wrong(config.wrong_below, config.num_correct)]
    if "error_limit" in config:
        limit = mean_error_below(config.error_limit, config.num_correct, config.error_measure)
        rules.append(limit)
    return all_of(*rules)


def _build_growth(config: Config) -> Growth | None:
    if "growth_window" not in config or not config.growth_window:
        return None
    return growth(config.growth_window, config.growth_decrease)


def build_optimizer(config: Config) -> Callable[..., optax.GradientTransformation]:
    """``learning_rate -> transformation``: clipping, then the penalty's gradient, then the rule.

    Example:
      >>> from lstm_jax.config import make_config
      >>> from configs.adding import FIELDS
      >>> state = build_optimizer(make_config(FIELDS))(0.5).init({"w": 1.0})
    """

    rule = {"sgd": optax.sgd, "adam": optax.adam}[config.optimizer]
    if not config.momentum and not config.l2 and config.clip_norm is None:
        return rule

    def make(learning_rate: Array | float) -> optax.GradientTransformation:
        parts = []
        if config.clip_norm is not None:
            parts.append(optax.clip_by_global_norm(config.clip_norm))
        if config.l2:
            parts.append(optax.add_decayed_weights(config.l2))
        parts.append(rule(learning_rate, **_momentum(config)))
        return optax.chain(*parts)

    return make


def _momentum(config: Config) -> dict[str, float]:
    return {"momentum": config.momentum} if config.momentum else {}


def build_cell(config: Config, input_size: int) -> Cell:
    """The cell of a configuration.

    Example:
      >>> from lstm_jax.config import LAYERS, make_config
      >>> build_cell(make_config(LAYERS, cell="gru", hidden_size=7), 3).output_size
      7
    """
    make = _with_options(config, find_cell(config.cell))
    if config.cell not in CELLS:
        return make_cell(config.cell, make, input_size, config.hidden_size)
    if config.cell != "lstm97":
        return make(input_size, config.hidden_size)
    if "num_blocks" not in config:
        return _blocks(make, input_size, config.hidden_size)
    return make(
        input_size,
        config.num_blocks,
        config.block_size,
        bias=config.bias,
        input_gate_bias=tuple(config.input_gate_bias) or None,
        output_gate_bias=tuple(config.output_gate_bias) or None,
        init_range=config.init_range,
        recurrent=config.sees != "nothing",
        silent=config.sees == "zeros",
        see_gates=config.sees != "cells",
        output_gate=config.output_gate,
        g=config.g,
        h=config.h,
    )


def _blocks(make: Any, input_size: int, hidden_size: int) -> Cell:
    """The 1997 cell by its number of memory cells, in blocks of one unless an option says more."""
    block_size = make.keywords.get("block_size", 1)
    if not isinstance(block_size, int) or block_size < 1 or hidden_size % block_size:
        raise ValueError(
            f"config.hidden_size={hidden_size}: must be a multiple of block_size={block_size}"
        )
    return make(input_size, hidden_size // block_size, **({"block_size": 1} | make.keywords))


def build_structure(config: Config, input_size: int) -> Structure:
    """The layers of a configuration (the fields of `lstm_jax.config.LAYERS`), over each other.

    Raises ValueError for what cells and structures refuse; one line.

    Example:
      >>> from lstm_jax.config import LAYERS, make_config
      >>> made = make_config(LAYERS, cell="gru", hidden_size=4, num_layers=2, bidirectional=True)
      >>> build_structure(made, 3).output_size
      8
    """
    parts: list[Structure] = []
    for _ in range(config.num_layers):
        size = parts[-1].output_size if parts else input_size
        cell = build_cell(config, size)
        both = config.bidirectional
        parts.append(bidirectional(cell, build_cell(config, size)) if both else layer(cell))
    return stack(*parts, residual=config.residual, dropout=config.dropout)


def build_pooling(config: Config, structure: Structure) -> Pooling:
    """The pooling of a configuration (the fields of `lstm_jax.config.POOLING`) over a structure.

    Example:
      >>> from lstm_jax.config import LAYERS, POOLING, make_config
      >>> made = make_config(LAYERS | POOLING, hidden_size=4, bidirectional=True, pooling="dot")
      >>> build_pooling(made, build_structure(made, 3)).size
      8
    """
    return pooling(
        config.pooling,
        structure.output_size,
        attention_size=config.attention_size,
        backward_size=structure.output_size // 2 if config.bidirectional else 0,
    )


def build_classifier(
    config: Config,
    input_size: int,
    num_classes: int,
    *,
    num_words: int = 0,
    word_dropout: float = 0.0,
) -> Classifier:
    """The classifier of a configuration (the fields of `lstm_jax.config.CLASSIFYING`).

    Args:
      config: the settings.
      input_size: numbers a step, or of a word's vector.
      num_classes: of the answer.
      num_words, word_dropout: for sentences, as `lstm_jax.classifier.classifier` has them.

    Example:
      >>> from lstm_jax.config import CLASSIFYING, make_config
      >>> net = build_classifier(make_config(CLASSIFYING, hidden_size=4), 3, 2)
      >>> net.structure.output_size
      4
    """
    structure = build_structure(config, input_size)
    return classifier(
        structure,
        build_pooling(config, structure),
        num_classes,
        num_words=num_words,
        dropout=config.dropout,
        word_dropout=word_dropout,
    )


def _with_options(config: Config, make: Callable[..., Cell]) -> Callable[..., Cell]:
    """The cell's factory with the options that have fields of their own, and the further ones."""
    options: dict[str, Any] = {}
    if config.cell == "lstm":
        options = {"forget_bias": config.forget_bias, "switches": tuple(config.switches)}
    elif config.cell == "elman" and "activation" in config:
        options = {"activation": config.activation, "bias": config.bias != "none"}
    known = list(inspect.signature(make).parameters)[2:]
    for text in config.cell_options:
        name, _, value = text.partition("=")
        if name not in known:
            raise ValueError(
                f"config.cell_options={text}: {no_such('option', name, known)} (of {config.cell})"
            )
        options[name] = _literal(value)
    return functools.partial(make, **options)


def _literal(text: str) -> Any:
    """A number, truth value or tuple as Python writes it; anything else is a text."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text
