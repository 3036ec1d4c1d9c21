"""Recurrent cells, one architecture per file. `CELLS` names their factories."""

from collections.abc import Callable

from lstm_jax.cells.activations import ACTIVATIONS
from lstm_jax.cells.cell import Cell, Parts, from_parts
from lstm_jax.cells.elman import ElmanParams, ElmanSpec, ElmanState, elman
from lstm_jax.cells.gru import GruParams, GruSpec, GruState, gru
from lstm_jax.cells.irnn import irnn
from lstm_jax.cells.lstm import SWITCHES, LstmParams, LstmSpec, LstmState, lstm
from lstm_jax.cells.lstm97 import Lstm97Params, Lstm97Spec, Lstm97State, lstm97
from lstm_jax.cells.mgu import MguParams, MguState, mgu
from lstm_jax.cells.min_gru import MinGruParams, MinGruState, min_gru
from lstm_jax.cells.min_lstm import MinLstmParams, MinLstmState, min_lstm
from lstm_jax.cells.mut import MutParams, MutState, mut1, mut2, mut3
from lstm_jax.cells.slstm import SlstmParams, SlstmSpec, SlstmState, slstm

CELLS: dict[str, Callable[..., Cell]] = {
    "lstm97": lstm97,
    "lstm": lstm,
    "elman": elman,
    "gru": gru,
    "mut1": mut1,
    "mut2": mut2,
    "mut3": mut3,
    "mgu": mgu,
    "irnn": irnn,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "slstm": slstm,
}

__all__ = [
    "ACTIVATIONS",
    "CELLS",
    "SWITCHES",
    "Cell",
    "ElmanParams",
    "ElmanSpec",
    "ElmanState",
    "GruParams",
    "GruSpec",
    "GruState",
    "Lstm97Params",
    "Lstm97Spec",
    "Lstm97State",
    "LstmParams",
    "LstmSpec",
    "LstmState",
    "MguParams",
    "MguState",
    "MinGruParams",
    "MinGruState",
    "MinLstmParams",
    "MinLstmState",
    "MutParams",
    "MutState",
    "Parts",
    "SlstmParams",
    "SlstmSpec",
    "SlstmState",
    "elman",
    "from_parts",
    "gru",
    "irnn",
    "lstm",
    "lstm97",
    "mgu",
    "min_gru",
    "min_lstm",
    "mut1",
    "mut2",
    "mut3",
    "slstm",
]
