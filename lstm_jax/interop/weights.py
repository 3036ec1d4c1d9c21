"""Weights by gate against the stacked matrices of other libraries: shared by every converter.

Here each gate has its own array, ``[H, D]``, ``[H, H]`` or ``[H]``, and one bias; the others stack
the gates in an order of their own, along rows or columns, and some have two biases.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from lstm_jax.cells.cell import Cell
from lstm_jax.cells.elman import ElmanParams, elman
from lstm_jax.cells.gru import GruParams, gru
from lstm_jax.cells.lstm import LstmParams, lstm
from lstm_jax.types import Array, Params

FACTORIES: dict[str, Callable[..., Cell]] = {"lstm": lstm, "gru": gru, "rnn": elman}
"""Ours by the kind of cell, as libraries name them."""

_PARAMS: dict[str, Any] = {"lstm": LstmParams, "gru": GruParams, "rnn": ElmanParams}


def require_kind(kind: str) -> None:
    """Raises ``ValueError`` for a kind of cell that is not converted.

    Example:
      >>> require_kind("LSTM")
      Traceback (most recent call last):
      ValueError: kind: 'LSTM' is not one of lstm, gru, rnn
    """
    if kind not in FACTORIES:
        raise ValueError(f"kind: {kind!r} is not one of {', '.join(FACTORIES)}")


def to_numpy(value: Any) -> np.ndarray:
    """An array of any library as a NumPy array; a torch tensor is detached and fetched first.

    Example:
      >>> to_numpy(jnp.ones(2)).tolist()
      [1.0, 1.0]
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # which NumPy has by way of JAX, but not of torch
            return value.float().numpy().astype(jnp.bfloat16)
        value = value.numpy()
    return np.asarray(value)


def require_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raises ``ValueError`` unless the array has this shape.

    Example:
      >>> require_shape("weight_hh_l0", np.ones((8, 3)), (12, 3))
      Traceback (most recent call last):
      ValueError: weight_hh_l0: an array of shape (8, 3) where (12, 3) is needed
    """
    if array.shape != shape:
        raise ValueError(f"{name}: an array of shape {array.shape} where {shape} is needed")


def fields(letter: str, gates: str) -> list[str]:
    """Names of the fields that a stacked array is cut into; no gates: the one array itself.

    Example:
      >>> fields("w", "zr"), fields("w", "")
      (['w_z', 'w_r'], ['w'])
    """
    return [f"{letter}_{gate}" for gate in gates] or [letter]


def split(letter: str, gates: str, rows: np.ndarray) -> dict[str, Array]:
    """Rows of all gates, in the order of `gates`, as one array a gate.

    Copies: JAX may otherwise share memory that the other library goes on changing.

    Example:
      >>> {name: part.tolist() for name, part in split("b", "rz", np.arange(4.0)).items()}
      {'b_r': [0.0, 1.0], 'b_z': [2.0, 3.0]}
    """
    names = fields(letter, gates)
    parts = np.split(rows, len(names))
    return {name: jnp.array(part) for name, part in zip(names, parts, strict=True)}


def join(params: Params, letter: str, gates: str) -> np.ndarray:
    """The inverse of `split`, a fresh array; zeros for a bias that the cell does not have.

    Example:
      >>> join(ElmanParams(w=jnp.ones((2, 3)), r=jnp.ones((2, 2)), b=None), "b", "").tolist()
      [0.0, 0.0]
    """
    parts = [getattr(params, name) for name in fields(letter, gates)]
    if letter == "b":
        like = getattr(params, fields("w", gates)[0])
        parts = [np.zeros(like.shape[:1], like.dtype) if b is None else b for b in parts]
    return np.concatenate([np.asarray(part) for part in parts])


def assemble(
    kind: str,
    gates: str,
    w: np.ndarray,  # [G*H, D]
    r: np.ndarray,  # [G*H, P]
    b: np.ndarray | None,  # [G*H]
    more: Mapping[str, np.ndarray | None] | None = None,
    **options: Any,
) -> tuple[Cell, Params]:
    """(cell, params) from stacked rows.

    Args:
      kind: "lstm", "gru" or "rnn".
      gates: our names of the gates, in the order of the rows.
      w, r, b: weights of the inputs, of the outputs before, and biases; no biases are zeros, or
        None for an "rnn".
      more: the other fields of the params, by name.
      options: of the cell.

    Example:
      >>> cell, params = assemble("rnn", "", np.ones((3, 2)), np.ones((3, 3)), None)
      >>> cell.input_size, cell.output_size, params.b
      (2, 3, None)
    """
    hidden_size = w.shape[0] // len(fields("w", gates))
    if kind == "rnn":
        options |= {"bias": b is not None}
    elif b is None:
        b = np.zeros(w.shape[:1], w.dtype)
    found: dict[str, Any] = split("w", gates, w) | split("r", gates, r)
    found |= {"b": None} if b is None else split("b", gates, b)
    for name, value in (more or {}).items():
        found[name] = None if value is None else jnp.array(value)
    absent = dict.fromkeys(_PARAMS[kind]._fields)
    return FACTORIES[kind](w.shape[1], hidden_size, **options), _PARAMS[kind](**absent | found)
