"""A search over readings of a paper: which of them explains all of its rows together."""

from lstm_jax.search.command import main
from lstm_jax.search.factors import FACTORS, Factor, Search, Variant

__all__ = ["FACTORS", "Factor", "Search", "Variant", "main"]
