"""How a run is laid out on the devices: lanes, chunks, and the cost to expect."""

from typing import NamedTuple

from lstm_jax.build import Built
from lstm_jax.config import Config
from lstm_jax.trial import Trial

BLOCK = 16
"""Lanes that one core of a CPU takes through a chunk at a time, where a kernel has lanes last: a
register of AVX-512. More at once leave the first cache (docs/decisions, 0011)."""
VECTOR = BLOCK // 2
"""Lanes per device come in multiples of this, and above it of a block: the float32s of one AVX
and of one AVX-512 register. (24 lanes, one and a half of the latter, cost twice what 32 do.)"""
NS_PER_TRIAL_STEP = {"lanes": 20.0, "vmap": 250.0}
"""Nominal cost per lane, time step and core; `python -m benchmarks.paper_scale` measures it."""
NOMINAL = "by a nominal cost a step, without compiling; larger networks take several times that"
"""What a time that rests on it is said with: it is of a network of 93 weights."""


def choose_lanes(
    num_trials: int, num_devices: int, num_lanes: int = 0, vector: int = VECTOR
) -> int:
    """How many lanes to run: as asked, or as many as there are trials, filled to whole vectors.

    `vector` is 1 where the kernel does not put lanes into vectors, and idle lanes would cost.

    Example:
      >>> choose_lanes(num_trials=10, num_devices=2)
      16
      >>> choose_lanes(num_trials=1000, num_devices=2)
      128
      >>> choose_lanes(num_trials=10, num_devices=2, num_lanes=40)
      64
    """
    wanted = -(-(num_lanes or min(num_trials, 64 * num_devices)) // num_devices)
    unit = 2 * vector if wanted > vector > 1 else vector
    return num_devices * unit * -(-wanted // unit)


def choose_chunk(trial: Trial, lanes_per_device: int, ns_per_trial_step: float = 50.0) -> int:
    """Updates per compiled call: about half a second's worth, and no more than a trial can use.

    Example:
      >>> import optax
      >>> from lstm_jax import GRADIENT_RULES, adding, consecutive_correct, lstm97, make_trial
      >>> from lstm_jax import network, readout
      >>> net = network(lstm97(2, 2, 2), readout(4, 1))
      >>> trial = make_trial(net, adding(T=100), GRADIENT_RULES["traces"](net, "end"),
      ...                    consecutive_correct(10), optax.sgd, max_sequences=10**6)
      >>> choose_chunk(trial, lanes_per_device=8)
      11363
    """
    ns_per_update = ns_per_trial_step * trial.task.length * lanes_per_device * trial.batch_size
    most = -(-trial.max_sequences // trial.batch_size)
    chunk = min(max(20, int(0.5e9 / ns_per_update)), most)
    term = trial.exam.every if trial.exam is not None else 1
    return max(1, chunk // term) * term


class Plan(NamedTuple):
    """What decides speed and no result."""

    num_devices: int
    num_lanes: int
    chunk: int  # updates per call of the compiled program
    ns_per_trial_step: float  # nominal

    def seconds(self, num_steps: float) -> float:
        """What so many time steps of every lane take at the nominal cost, of idle ones too.

        Example:
          >>> Plan(num_devices=2, num_lanes=32, chunk=1, ns_per_trial_step=20.0).seconds(1e6)
          0.32
        """
        return 1e-9 * self.ns_per_trial_step * self.num_lanes * num_steps / self.num_devices


def vector_of(built: Built) -> int:
    """Lanes that cost no more than one: a vector of them, where the kernel has them last."""
    return VECTOR if built.kernel == "lanes" else 1


def plan(built: Built, config: Config, num_devices: int, num_trials: int | None = None) -> Plan:
    """The layout a configuration asks for, or the one that suits its kernel.

    num_trials: how many of its trials are to be run; all unless given.

    Example:
      >>> from configs.adding import FIELDS
      >>> from lstm_jax.build import build_trial
      >>> from lstm_jax.config import make_config
      >>> config = make_config(FIELDS)
      >>> plan(build_trial(config), config, num_devices=2).num_lanes
      16
    """
    if num_trials is None:
        num_trials = int(config.num_trials)
    num_lanes = choose_lanes(num_trials, num_devices, config.num_lanes or 0, vector_of(built))
    nominal = NS_PER_TRIAL_STEP[built.kernel]
    chunk = config.chunk or choose_chunk(built.trial, num_lanes // num_devices, nominal)
    return Plan(num_devices, num_lanes, chunk, nominal)
