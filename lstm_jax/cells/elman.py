"""The simple recurrent net of Elman 1990."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.activations import Activation, activation
from lstm_jax.cells.cell import Cell, Parts, draw, from_parts, require_positive
from lstm_jax.types import Array


class ElmanParams(NamedTuple):
    """Input weights, recurrent weights, biases; b is None where the units have none."""

    w: Array  # [H, D]
    r: Array  # [H, H]
    b: Array | None  # [H]


class ElmanState(NamedTuple):
    """The hidden activations of the step before."""

    h: Array  # [H]


class ElmanSpec(NamedTuple):
    """The options a simple recurrent net was made with."""

    activation: Activation
    bias: bool


def elman(
    input_size: int, hidden_size: int, *, activation: Activation = "tanh", bias: bool = True
) -> Cell:
    """The simple recurrent net (Elman 1990): ``h_t = f(w x_t + r h_tm1 + b)``.

    Args:
      input_size: D.
      hidden_size: H.
      activation: f: a name in `lstm_jax.cells.activations.ACTIVATIONS`, or a function.
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

    def init(key: Array, init_range: float | Array = hidden_size**-0.5) -> ElmanParams:
        shapes = {"w": (hidden_size, input_size), "r": (hidden_size, hidden_size)}
        b = jnp.zeros(hidden_size) if bias else None
        return ElmanParams(**draw(key, init_range, shapes), b=b)

    return simple("elman", input_size, hidden_size, init, ElmanSpec(activation, bias))


def simple(
    name: str,
    input_size: int,
    hidden_size: int,
    init: Callable[..., ElmanParams],
    spec: ElmanSpec,
) -> Cell:
    """The equation of Elman's net under a name and with a start of its own (see `irnn`)."""
    squash = activation("activation", spec.activation)

    def initial_state() -> ElmanState:
        return ElmanState(h=jnp.zeros(hidden_size))

    def project(params: ElmanParams, x: Array) -> dict[str, Array]:
        return {"h": params.w @ x}

    def recur(params: ElmanParams, state: ElmanState) -> dict[str, Array]:
        return {"h": params.r @ state.h}

    def combine(
        params: ElmanParams, state: ElmanState, from_x: dict[str, Array], from_h: dict[str, Array]
    ) -> dict[str, Array]:
        net = from_x["h"] + from_h["h"]
        net = net if params.b is None else net + params.b
        return {"h": squash(net), "net_h": net}

    def truncate(state: ElmanState) -> ElmanState:
        return ElmanState(h=jax.lax.stop_gradient(state.h))

    return from_parts(
        Parts(project, recur, combine),
        name=name,
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        initial_state=initial_state,
        truncate=truncate,
        spec=spec,
    )
