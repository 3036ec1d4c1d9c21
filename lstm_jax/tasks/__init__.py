"""Benchmarks, one per file. `TASKS` names their factories."""

from collections.abc import Callable

from lstm_jax.tasks.adding import adding
from lstm_jax.tasks.long_lag import long_lag_2a, long_lag_2b, long_lag_2c
from lstm_jax.tasks.multiplication import multiplication
from lstm_jax.tasks.reber import embedded_reber
from lstm_jax.tasks.task import Example, Task
from lstm_jax.tasks.temporal_order import temporal_order
from lstm_jax.tasks.two_sequence import two_sequence

TASKS: dict[str, Callable[..., Task]] = {
    "embedded_reber": embedded_reber,
    "long_lag_2a": long_lag_2a,
    "long_lag_2b": long_lag_2b,
    "long_lag_2c": long_lag_2c,
    "two_sequence": two_sequence,
    "adding": adding,
    "multiplication": multiplication,
    "temporal_order": temporal_order,
}

__all__ = [
    "TASKS",
    "Example",
    "Task",
    "adding",
    "embedded_reber",
    "long_lag_2a",
    "long_lag_2b",
    "long_lag_2c",
    "multiplication",
    "temporal_order",
    "two_sequence",
]
