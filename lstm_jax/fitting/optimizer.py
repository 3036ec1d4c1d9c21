"""Optimizers of experiments on data sets: optax, put together from a configuration."""

import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from lstm_jax.config import Config
from lstm_jax.types import Array


def build_optimizer(config: Config, steps_per_epoch: int) -> optax.GradientTransformation:
    """Clipping, the rule, decoupled weight decay, the learning rate over time.

    Args:
      config: with the fields of `lstm_jax.config.FITTING`.
      steps_per_epoch: updates in an epoch; schedules are told in epochs.

    Example:
      >>> from lstm_jax.config import FITTING, make_config
      >>> config = make_config(FITTING, optimizer="rmsprop", clip_norm=5.0)
      >>> state = build_optimizer(config, 100).init({"w": 1.0})
    """
    parts = []
    if config.clip_norm is not None:
        parts.append(optax.clip_by_global_norm(config.clip_norm))
    if config.optimizer == "adam":
        parts.append(optax.scale_by_adam())
    elif config.optimizer == "rmsprop":
        parts.append(optax.scale_by_rms(decay=config.decay, eps=1e-8))
    elif config.momentum:
        parts.append(optax.trace(config.momentum, nesterov=config.optimizer == "nesterov"))
    if config.weight_decay:
        parts.append(optax.add_decayed_weights(config.weight_decay))
    parts.append(optax.scale_by_learning_rate(build_schedule(config, steps_per_epoch)))
    return optax.chain(*parts)


def build_schedule(config: Config, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate as a function of the number of updates done.

    exponential: ``rate * factor^k`` in the k-th epoch after the first `after` ones, or after the
    first one where `after` is 0 (Karpathy et al. 2015: 0.95 after 10); step: ``rate * factor^k``
    after ``k * after`` epochs; cosine: ``rate * (1 + cos(pi * n / N)) / 2`` after n of N updates.

    Example:
      >>> from lstm_jax.config import FITTING, make_config
      >>> how = {"schedule": "exponential", "schedule_factor": 0.5, "schedule_after": 1}
      >>> rate = build_schedule(make_config(FITTING, learning_rate=0.8, **how), 100)
      >>> [round(float(rate(step)), 6) for step in (0, 99, 100, 199, 200)]
      [0.8, 0.8, 0.4, 0.4, 0.2]
    """
    rate, factor, after = config.learning_rate, config.schedule_factor, config.schedule_after
    if config.schedule == "constant":
        return optax.constant_schedule(rate)

    def cosine(count: ArrayLike) -> Array:
        num_steps = max(config.num_epochs * steps_per_epoch, 1)
        done = jnp.asarray(count).astype(jnp.float32) / num_steps
        return 0.5 * rate * (1 + jnp.cos(jnp.pi * done))

    def falling(count: ArrayLike) -> Array:
        epoch = jnp.asarray(count, jnp.int32) // max(steps_per_epoch, 1)
        if config.schedule == "step":
            falls = epoch // after
        else:
            falls = jnp.maximum(epoch + 1 - max(after, 1), 0)
        return rate * jnp.power(jnp.float32(factor), falls.astype(jnp.float32))

    return cosine if config.schedule == "cosine" else falling
