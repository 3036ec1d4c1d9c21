"""All experiments of a paper as one run, one set of records and one report."""

from lstm_jax.paper.command import main
from lstm_jax.paper.selection import Item, Paper, PublishedTable

__all__ = ["Item", "Paper", "PublishedTable", "main"]
