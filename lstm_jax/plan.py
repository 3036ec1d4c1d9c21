"""How a run is laid out on the devices: lanes, chunks, and the cost to expect."""

from typing import NamedTuple

from lstm_jax.build import Built
from lstm_jax.config import Config
from lstm_jax.runner import VECTOR, choose_chunk, choose_lanes

NS_PER_TRIAL_STEP = {"lanes": 50.0, "vmap": 250.0}
"""Nominal cost per lane, time step and core; `python -m benchmarks.paper_scale` measures it."""


class Plan(NamedTuple):
    """What decides speed and no result."""

    num_devices: int
    num_lanes: int
    chunk: int  # updates per call of the compiled program
    ns_per_trial_step: float  # nominal


def plan(built: Built, config: Config, num_devices: int) -> Plan:
    """The layout a configuration asks for, or the one that suits its kernel.

    Example:
      >>> from configs.adding import FIELDS
      >>> from lstm_jax.build import build_trial
      >>> from lstm_jax.config import make_config
      >>> config = make_config(FIELDS)
      >>> plan(build_trial(config, "adding"), config, num_devices=2).num_lanes
      16
    """
    vector = VECTOR if built.kernel == "lanes" else 1
    num_lanes = choose_lanes(config.num_trials, num_devices, config.num_lanes or 0, vector)
    nominal = NS_PER_TRIAL_STEP[built.kernel]
    chunk = config.chunk or choose_chunk(built.trial, num_lanes // num_devices, nominal)
    return Plan(num_devices, num_lanes, chunk, nominal)
