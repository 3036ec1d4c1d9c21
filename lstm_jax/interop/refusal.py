"""What another library has no place for: refused by name, before any array is touched."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax

from lstm_jax.cells.activations import ACTIVATIONS
from lstm_jax.cells.cell import Cell
from lstm_jax.cells.elman import ElmanSpec
from lstm_jax.cells.gru import GruSpec
from lstm_jax.cells.lstm import LstmSpec
from lstm_jax.types import Params

KINDS: dict[type, str] = {LstmSpec: "lstm", GruSpec: "gru", ElmanSpec: "rnn"}

PLAIN_LSTM = {
    "switches": [("NP",)],
    "projection_size": [None],
    "clip": [None],
    "gate_activation": ["logistic"],
    "g": ["tanh"],
    "h": ["tanh"],
}
"""Values of the options that the LSTM of most libraries has."""

PLAIN_GRU = {"clip": [None], "gate_activation": ["logistic"], "g": ["tanh"]}


def kind_of(cell: Cell, library: str) -> str:
    """ "lstm", "gru" or "rnn"; ``ValueError`` for a cell that is none of them, as it stands.

    Example:
      >>> from lstm_jax.cells import elman, lstm97
      >>> kind_of(elman(2, 3), "torch")
      'rnn'
      >>> kind_of(lstm97(2, 1, 2), "torch")
      Traceback (most recent call last):
      ValueError: torch has no counterpart of the 'lstm97' cell; it has those of lstm, gru, elman
    """
    kind = KINDS.get(type(cell.spec)) if isinstance(cell, Cell) else None
    if kind is None:
        raise ValueError(
            f"{library} has no counterpart of the {cell.name!r} cell; it has those of "
            "lstm, gru, elman"
        )
    return kind


def require_options(
    cell: Cell, library: str, allowed: Mapping[str, Mapping[str, Collection[Any]]]
) -> str:
    """The cell's kind; ``ValueError`` for an option with a value that the library does not have.

    Args:
      cell: any cell.
      library: its name, for the complaint.
      allowed: by kind, the values of each option that it has; an option not named is free.

    Example:
      >>> from lstm_jax.cells import lstm
      >>> require_options(lstm(2, 3, switches=()), "torch", {"lstm": PLAIN_LSTM})
      Traceback (most recent call last):
      ValueError: torch has no lstm with switches=(); it has switches=('NP',)
    """
    kind = kind_of(cell, library)
    for option, values in allowed[kind].items():
        value = name_of(getattr(cell.spec, option))
        if value not in values:
            has = " or ".join(f"{option}={there!r}" for there in values)
            raise ValueError(f"{library} has no {cell.name} with {option}={value!r}; it has {has}")
    return kind


def require_alike(what: str, made: Sequence[tuple[Cell, Params, str]]) -> None:
    """Raises ``ValueError`` unless all cells have one kind, size and set of options.

    Args:
      what: must be alike, for the complaint.
      made: cells with their params, and what else must agree, in words.

    Example:
      >>> import jax
      >>> from lstm_jax.cells import elman
      >>> made = [(cell, cell.init(jax.random.key(0)), "") for cell in (elman(2, 3), elman(2, 4))]
      >>> require_alike("both directions", made)
      Traceback (most recent call last):
      ValueError: both directions must be alike; here are: elman of 3 units (activation='tanh',
      bias=True); elman of 4 units (activation='tanh', bias=True)
    """
    said = []
    for cell, params, more in made:
        num_units = len(jax.tree.leaves(params)[0])  # the first weights are of the inputs, by unit
        options = ", ".join(f"{name}={value!r}" for name, value in cell.spec._asdict().items())
        said.append(f"{cell.name} of {num_units} units{more} ({options})")
    other = [one for one in said if one != said[0]]
    if other:
        raise ValueError(f"{what} must be alike; here are: {said[0]}; {other[0]}")


def name_of(activation: Any) -> Any:
    """The name of a function that `ACTIVATIONS` has; anything else as it is.

    Example:
      >>> import jax.numpy as jnp
      >>> name_of(jnp.tanh), name_of("relu"), name_of(None)
      ('tanh', 'relu', None)
    """
    named = [name for name, function in ACTIVATIONS.items() if function is activation]
    return named[0] if named else activation
