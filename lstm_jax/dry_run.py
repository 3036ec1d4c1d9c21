"""What a row would cost, said before anything compiles."""

import math

import jax
import jax.numpy as jnp

from lstm_jax.build import Built
from lstm_jax.config import Config
from lstm_jax.network import num_weights
from lstm_jax.plan import plan
from lstm_jax.tables import PaperRow, format_duration
from lstm_jax.trial import Hyper


def describe_row(
    row: str, config: Config, built: Built, paper: PaperRow | None, num_trials: int | None = None
) -> str:
    """Sizes, weight count against the paper's, lanes, memory and an estimate of the time.

    num_trials: how many of its trials are to be run; all unless given.

    Example:
      >>> from configs.adding import FIELDS
      >>> from lstm_jax.build import build_trial
      >>> from lstm_jax.config import make_config
      >>> config = make_config(FIELDS)
      >>> text = describe_row("t100", config, build_trial(config), None)
      >>> "93 weights" in text
      True
    """
    trial = built.trial
    task = trial.task
    if num_trials is None:
        num_trials = int(config.num_trials)
    layout = plan(built, config, len(jax.devices()), num_trials)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(trial.network.init, key)
    weights = num_weights(params)
    published = None if paper is None else paper.num_weights
    against = "" if published is None else f" (paper: {published})"

    turns = -(-num_trials // layout.num_lanes)  # how often the lanes are filled
    seconds_each = turns * layout.seconds(task.mean_length)
    time = f"about {format_duration(seconds_each * config.max_sequences)} to the cap of "
    time += f"{config.max_sequences:,} sequences"
    if paper is not None and math.isfinite(paper.num_sequences):
        expected = format_duration(seconds_each * paper.num_sequences)
        time = f"about {expected} at the paper's {paper.num_sequences:,.0f} sequences, {time}"

    state = jax.eval_shape(
        lambda key, n: trial.init(key, n, _rates(config)), key, jax.ShapeDtypeStruct((), "int32")
    )
    example = jax.eval_shape(task.sample, key)
    per_lane = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves((state, example)))
    lines = [
        f"{row}:",
        f"  network   {config.cell}, {weights} weights{against}, {config.gradient_rule} gradient, "
        f"{config.optimizer} at {config.learning_rate:g}",
        f"  task      {task.name}, {task.input_size} inputs, {task.target_size} targets, "
        f"{task.mean_length:g} steps in the mean, {task.length} at most",
        f"  run       {num_trials} trials in {layout.num_lanes} lanes on "
        f"{layout.num_devices} devices, {layout.chunk} updates a call, kernel {built.kernel}",
        f"  memory    {per_lane * layout.num_lanes / 1e6:.1f} MB of lane state and sequences",
        f"  time      {time}; at a nominal {layout.ns_per_trial_step:g} ns a trial-step",
    ]
    return "\n".join(lines)


def _rates(config: Config) -> Hyper:
    return Hyper(jnp.float32(config.learning_rate), jnp.float32(config.init_range))
