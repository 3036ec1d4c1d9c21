"""The minimal LSTM (Feng et al. 2024), whose gates see the input alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import (
    Cell,
    Parts,
    draw,
    from_parts,
    products,
    require_input,
    require_positive,
)
from lstm_jax.cells.min_gru import leaky_sums, no_recurrence
from lstm_jax.types import Array


class MinLstmParams(NamedTuple):
    """Weights by unit: f forget gate, i input gate, n candidate."""

    w_f: Array  # [H, D]
    w_i: Array
    w_n: Array
    b_f: Array  # [H]
    b_i: Array
    b_n: Array


class MinLstmState(NamedTuple):
    """The output of the step before, which is all the memory there is."""

    h: Array  # [H]


def min_lstm(input_size: int, hidden_size: int) -> Cell:
    """The minLSTM of "Were RNNs all we needed?" (Feng et al. 2024, section 3.2).

    With s the logistic function, ``*`` elementwise::

        f_t = s(w_f x_t + b_f)
        i_t = s(w_i x_t + b_i)
        n_t = w_n x_t + b_n
        h_t = f_t / (f_t + i_t) * h_tm1 + i_t / (f_t + i_t) * n_t

    Args:
      input_size: D.
      hidden_size: H.

    The gates named f and i in ``gates`` are the normalised ones; they come from the difference of
    the logarithms, which is exact where both f_t and i_t vanish. No gate sees h, so that
    ``Cell.associative`` can run a sequence as an associative scan, equal to the steps to
    rounding. Weights start uniform in ``[-1/sqrt(H), 1/sqrt(H)]``, biases at zero. h is a
    carousel and nothing else: the truncation leaves it alone.

    Raises:
      ValueError: for a size below 1 or an input of the wrong shape.

    Example:
      >>> cell = min_lstm(input_size=2, hidden_size=3)
      >>> params, start = cell.init(jax.random.key(0)), cell.initial_state()
      >>> now = cell.gates(params, start, jnp.ones(2))
      >>> bool(jnp.allclose(now["f"] + now["i"], 1.0))
      True
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key: Array, init_range: float | Array = hidden_size**-0.5) -> MinLstmParams:
        weights = draw(key, init_range, {f"w_{a}": (hidden_size, input_size) for a in "fin"})
        biases = {f"b_{a}": jnp.zeros(hidden_size) for a in "fin"}
        return MinLstmParams(**weights | biases)

    def initial_state() -> MinLstmState:
        return MinLstmState(h=jnp.zeros(hidden_size))

    def project(params: MinLstmParams, x: Array) -> dict[str, Array]:
        return products({"f": params.w_f, "i": params.w_i, "n": params.w_n}, x)

    def combine(
        params: MinLstmParams, state: MinLstmState, from_x: dict[str, Array], _: dict[str, Array]
    ) -> dict[str, Array]:
        nets = {"net_f": from_x["f"] + params.b_f, "net_i": from_x["i"] + params.b_i}
        log_f, log_i = jax.nn.log_sigmoid(nets["net_f"]), jax.nn.log_sigmoid(nets["net_i"])
        f, i = jax.nn.sigmoid(log_f - log_i), jax.nn.sigmoid(log_i - log_f)  # f / (f + i), ...
        n = from_x["n"] + params.b_n
        return {"f": f, "i": i, "n": n, "h": f * state.h + i * n} | nets

    def associative(
        params: MinLstmParams, xs: Array, state: MinLstmState
    ) -> tuple[MinLstmState, Array]:
        def gates(x: Array) -> dict[str, Array]:
            require_input("min_lstm", x, input_size)
            return combine(params, state, project(params, x), {})

        now = jax.vmap(gates)(xs)
        hs = leaky_sums(now["f"], now["i"] * now["n"], state.h)
        return MinLstmState(h=hs[-1]), hs[1:]

    return from_parts(
        Parts(project, no_recurrence, combine),
        name="min_lstm",
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        initial_state=initial_state,
        truncate=lambda state: state,
        associative=associative,
    )
