"""Benchmarks, one per file. `TASKS` names their factories."""

from collections.abc import Callable

from lstm_jax.tasks.adding import adding
from lstm_jax.tasks.task import Example, Task

TASKS: dict[str, Callable[..., Task]] = {"adding": adding}

__all__ = ["TASKS", "Example", "Task", "adding"]
