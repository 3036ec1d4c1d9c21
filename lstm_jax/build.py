"""From a configuration to a trial: the only reader of ConfigDicts."""

from typing import NamedTuple

import optax

from lstm_jax.cells import CELLS, Cell
from lstm_jax.config import Config
from lstm_jax.gradients import GRADIENT_RULES
from lstm_jax.kernels import lanes_last
from lstm_jax.network import Network, network
from lstm_jax.readout import readout
from lstm_jax.stopping import all_of, consecutive_correct, mean_error_below
from lstm_jax.tasks import TASKS, Task
from lstm_jax.trial import Trial, make_trial

OPTIMIZERS = {"sgd": optax.sgd, "adam": optax.adam}


class Built(NamedTuple):
    """What a configuration stands for."""

    trial: Trial
    kernel: str  # the kernel that runs: "lanes" or "vmap"


def build_trial(config: Config, task_name: str) -> Built:
    """The trial a configuration describes, with the kernel chosen.

    Args:
      config: checked by its own `check` already.
      task_name: a key of ``TASKS``.

    Raises:
      ValueError: what cells, tasks and rules refuse; one line.

    Example:
      >>> from lstm_jax.config import make_config
      >>> from configs.adding import FIELDS
      >>> built = build_trial(make_config(FIELDS), "adding")
      >>> built.kernel, built.trial.task.length
      ('lanes', 110)
    """
    task = TASKS[task_name](T=config.T)
    net = build_network(config, task)
    rule = GRADIENT_RULES[config.gradient_rule](net, task.timing)
    can_lanes = config.gradient_rule == "traces" and config.batch_size == 1
    kernel = "lanes" if can_lanes and config.kernel != "vmap" else "vmap"
    stop_rule = all_of(
        consecutive_correct(config.num_correct),
        mean_error_below(config.error_limit, config.num_correct, config.error_measure),
    )
    trial = make_trial(
        net,
        task,
        rule,
        stop_rule,
        OPTIMIZERS[config.optimizer],
        max_sequences=config.max_sequences,
        batch_size=config.batch_size,
        kernel=lanes_last if kernel == "lanes" else None,
    )
    return Built(trial, kernel)


def build_network(config: Config, task: Task) -> Network:
    """Cell and output units of a configuration, sized for `task`."""
    cell = _build_cell(config, task)
    units = readout(
        cell.output_size,
        task.target_size,
        activation=config.output_unit,
        delta=config.output_delta,
        factor=config.delta_factor,
        init_range=config.init_range,
    )
    return network(cell, units)


def _build_cell(config: Config, task: Task) -> Cell:
    make = CELLS[config.cell]
    if config.cell == "lstm":
        return make(task.input_size, config.hidden_size, forget_bias=config.forget_bias)
    if config.cell != "lstm97":
        return make(task.input_size, config.hidden_size)
    return make(
        task.input_size,
        config.num_blocks,
        config.block_size,
        bias=config.bias,
        input_gate_bias=tuple(config.input_gate_bias) or None,
        output_gate_bias=tuple(config.output_gate_bias) or None,
        init_range=config.init_range,
    )
