"""Recurrent cells, one architecture per file. `CELLS` names their factories."""

from collections.abc import Callable

from lstm_jax.cells.cell import Cell
from lstm_jax.cells.elman import ElmanParams, ElmanState, elman
from lstm_jax.cells.lstm import LstmParams, LstmState, lstm
from lstm_jax.cells.lstm97 import Lstm97Params, Lstm97Spec, Lstm97State, lstm97

CELLS: dict[str, Callable[..., Cell]] = {"lstm97": lstm97, "lstm": lstm, "elman": elman}

__all__ = [
    "CELLS",
    "Cell",
    "ElmanParams",
    "ElmanState",
    "Lstm97Params",
    "Lstm97Spec",
    "Lstm97State",
    "LstmParams",
    "LstmState",
    "elman",
    "lstm",
    "lstm97",
]
