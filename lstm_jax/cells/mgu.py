"""The minimal gated unit (Zhou et al. 2016): one gate that both forgets and resets."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell, Parts, draw, from_parts, products, require_positive
from lstm_jax.types import Array


class MguParams(NamedTuple):
    """Weights by unit: f forget gate, n candidate."""

    w_f: Array  # [H, D]
    w_n: Array
    r_f: Array  # [H, H]
    r_n: Array
    b_f: Array  # [H]
    b_n: Array


class MguState(NamedTuple):
    """The output of the step before, which is all the memory there is."""

    h: Array  # [H]


def mgu(input_size: int, hidden_size: int) -> Cell:
    """The minimal gated unit (Zhou, Wu, Zhang & Zhou 2016).

    With s the logistic function, ``*`` elementwise::

        f_t = s(w_f x_t + r_f h_tm1 + b_f)
        n_t = tanh(w_n x_t + r_n (f_t * h_tm1) + b_n)
        h_t = (1 - f_t) * h_tm1 + f_t * n_t

    Args:
      input_size: D.
      hidden_size: H.

    Weights start uniform in ``[-1/sqrt(H), 1/sqrt(H)]``, biases at zero. As in the GRU the
    truncation stops h entirely: the memory is also what enters the gate.

    Raises:
      ValueError: for a size below 1 or an input of the wrong shape.

    Example:
      >>> cell = mgu(input_size=2, hidden_size=3)
      >>> params = cell.init(jax.random.key(0))
      >>> list(cell.gates(params, cell.initial_state(), jnp.ones(2)))
      ['f', 'n', 'h']
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key: Array, init_range: float | Array = hidden_size**-0.5) -> MguParams:
        shapes: dict[str, tuple[int, ...]] = {f"w_{a}": (hidden_size, input_size) for a in "fn"}
        shapes |= {f"r_{a}": (hidden_size, hidden_size) for a in "fn"}
        biases = {f"b_{a}": jnp.zeros(hidden_size) for a in "fn"}
        return MguParams(**draw(key, init_range, shapes) | biases)

    def initial_state() -> MguState:
        return MguState(h=jnp.zeros(hidden_size))

    def project(params: MguParams, x: Array) -> dict[str, Array]:
        return products({"f": params.w_f, "n": params.w_n}, x)

    def recur(params: MguParams, state: MguState) -> dict[str, Array]:
        return {"f": params.r_f @ state.h}

    def combine(
        params: MguParams, state: MguState, from_x: dict[str, Array], from_h: dict[str, Array]
    ) -> dict[str, Array]:
        net_f = from_x["f"] + from_h["f"] + params.b_f
        f = jax.nn.sigmoid(net_f)
        net_n = from_x["n"] + params.r_n @ (f * state.h) + params.b_n
        n = jnp.tanh(net_n)
        h = (1 - f) * state.h + f * n
        return {"f": f, "n": n, "h": h, "net_f": net_f, "net_n": net_n}

    def truncate(state: MguState) -> MguState:
        return MguState(h=jax.lax.stop_gradient(state.h))

    return from_parts(
        Parts(project, recur, combine),
        name="mgu",
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        initial_state=initial_state,
        truncate=truncate,
    )
