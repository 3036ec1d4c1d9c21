"""The simple recurrent net of Elman 1990."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell, require_input, require_positive
from lstm_jax.initial import uniform
from lstm_jax.types import Array

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "logistic": jax.nn.sigmoid,
    "relu": jax.nn.relu,
}


class ElmanParams(NamedTuple):
    """Input weights, recurrent weights, biases; b is None where the units have none."""

    w: Array  # [H, D]
    r: Array  # [H, H]
    b: Array | None  # [H]


class ElmanState(NamedTuple):
    """The hidden activations of the step before."""

    h: Array  # [H]


def elman(
    input_size: int, hidden_size: int, *, activation: str = "tanh", bias: bool = True
) -> Cell:
    """The simple recurrent net (Elman 1990): ``h_t = f(w x_t + r h_tm1 + b)``.

    Args:
      input_size: D.
      hidden_size: H.
      activation: f: "tanh", "logistic" or "relu".
      bias: whether the units have biases; the nets that the 1997 paper compares itself with in
        Tables 1 and 2 have none.

    Weights start uniform in ``[-1/sqrt(H), 1/sqrt(H)]``, biases at zero. It has no carousel, so
    the 1997 truncation stops the gradient through its whole state.

    Raises:
      ValueError: for a size below 1, an unknown activation, or an input of the wrong shape.

    Example:
      >>> cell = elman(input_size=2, hidden_size=3, activation="logistic")
      >>> params = cell.init(jax.random.key(0))
      >>> cell.gates(params, cell.initial_state(), jnp.ones(2))["h"].shape
      (3,)
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: {activation!r} is not one of {', '.join(ACTIVATIONS)}")
    squash = ACTIVATIONS[activation]

    def init(key: Array, init_range: float | Array = hidden_size**-0.5) -> ElmanParams:
        shapes = [(hidden_size, input_size), (hidden_size, hidden_size)]
        w, r = uniform(key, init_range, shapes)
        return ElmanParams(w=w, r=r, b=jnp.zeros(hidden_size) if bias else None)

    def initial_state() -> ElmanState:
        return ElmanState(h=jnp.zeros(hidden_size))

    def gates(params: ElmanParams, state: ElmanState, x: Array) -> dict[str, Array]:
        require_input("elman", x, input_size)
        net = params.w @ x + params.r @ state.h
        return {"h": squash(net if params.b is None else net + params.b)}

    def step(params: ElmanParams, state: ElmanState, x: Array) -> tuple[ElmanState, Array]:
        h = gates(params, state, x)["h"]
        return ElmanState(h=h), h

    def truncate(state: ElmanState) -> ElmanState:
        return ElmanState(h=jax.lax.stop_gradient(state.h))

    return Cell("elman", input_size, hidden_size, init, initial_state, step, gates, truncate)
