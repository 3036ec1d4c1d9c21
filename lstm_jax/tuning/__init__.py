"""Search for good settings of an experiment with Optuna, by as many workers as one likes."""

from lstm_jax.tuning.command import main

__all__ = ["main"]
