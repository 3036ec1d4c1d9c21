"""The LSTM with a forget gate (Gers, Schmidhuber & Cummins 2000), as libraries have it today."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell, require_input, require_positive
from lstm_jax.initial import uniform
from lstm_jax.types import Array


class LstmParams(NamedTuple):
    """Weights by gate: z block input, i input, f forget, o output."""

    w_z: Array  # [H, D]
    w_i: Array
    w_f: Array
    w_o: Array
    r_z: Array  # [H, H]
    r_i: Array
    r_f: Array
    r_o: Array
    b_z: Array  # [H]
    b_i: Array
    b_f: Array
    b_o: Array


class LstmState(NamedTuple):
    """Cell state c and output h."""

    c: Array  # [H]
    h: Array  # [H]


def lstm(input_size: int, hidden_size: int, *, forget_bias: float = 1.0) -> Cell:
    """The forget-gate LSTM without peepholes (Gers et al. 2000; Greff et al. 2017, "NP").

    With f the logistic function::

        z_t = tanh(w_z x_t + r_z h_tm1 + b_z)
        i_t = f(w_i x_t + r_i h_tm1 + b_i)
        f_t = f(w_f x_t + r_f h_tm1 + b_f)
        o_t = f(w_o x_t + r_o h_tm1 + b_o)
        c_t = i_t z_t + f_t c_tm1
        h_t = o_t tanh(c_t)

    Args:
      input_size: D.
      hidden_size: H.
      forget_bias: initial value of b_f; 1.0 keeps the memory at the start (Gers et al. 2000;
        Jozefowicz et al. 2015). The other biases start at zero, the weights uniform in
        ``[-1/sqrt(H), 1/sqrt(H)]``.

    Raises:
      ValueError: for a size below 1 or an input of the wrong shape.

    Example:
      >>> cell = lstm(input_size=2, hidden_size=3)
      >>> params = cell.init(jax.random.key(0))
      >>> state, y = cell.step(params, cell.initial_state(), jnp.ones(2))
      >>> y.shape, params.b_f.tolist()
      ((3,), [1.0, 1.0, 1.0])
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key: Array, init_range: float | Array = hidden_size**-0.5) -> LstmParams:
        shapes = [(hidden_size, input_size)] * 4 + [(hidden_size, hidden_size)] * 4
        zero = jnp.zeros(hidden_size)
        weights = uniform(key, init_range, shapes)
        return LstmParams(*weights, b_z=zero, b_i=zero, b_f=zero + forget_bias, b_o=zero)

    def initial_state() -> LstmState:
        return LstmState(c=jnp.zeros(hidden_size), h=jnp.zeros(hidden_size))

    def gates(params: LstmParams, state: LstmState, x: Array) -> dict[str, Array]:
        require_input("lstm", x, input_size)
        # One fused product for the four gates; split by name right after.
        w, r, b = (jnp.concatenate(params[k : k + 4]) for k in (0, 4, 8))
        net_z, net_i, net_f, net_o = jnp.split(w @ x + r @ state.h + b, 4)
        z, i = jnp.tanh(net_z), jax.nn.sigmoid(net_i)
        f, o = jax.nn.sigmoid(net_f), jax.nn.sigmoid(net_o)
        c = i * z + f * state.c
        return {"z": z, "i": i, "f": f, "o": o, "c": c, "h": o * jnp.tanh(c)}

    def step(params: LstmParams, state: LstmState, x: Array) -> tuple[LstmState, Array]:
        now = gates(params, state, x)
        return LstmState(c=now["c"], h=now["h"]), now["h"]

    def truncate(state: LstmState) -> LstmState:
        return LstmState(c=state.c, h=jax.lax.stop_gradient(state.h))

    return Cell("lstm", input_size, hidden_size, init, initial_state, step, gates, truncate)
