"""Sweeps over cells, tasks, recipes and any setting; what differs, tested and with intervals."""

from lstm_jax.ablation.command import main
from lstm_jax.ablation.design import Ablation, Task

__all__ = ["Ablation", "Task", "main"]
