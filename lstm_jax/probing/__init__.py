"""Studies of what is inside networks while they learn: trained by the engine, measured on the way.

`engine` trains the trials of one setting and measures each at given numbers of sequences; `study`
and `command` make an experiment of several settings; `flow` and `drift` are what is measured.
"""

from lstm_jax.probing.command import main
from lstm_jax.probing.study import Group, Study

__all__ = ["Group", "Study", "main"]
