"""A cell of your own in one file: JANET, "just another network".

    python -m lstm_jax.conformance examples/own_cell.py:janet

Copy this file, put your equations into `project`, `recur` and `combine`, and into the oracle once
more, in NumPy and by another route. docs/own-cell.md goes through it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax import Cell
from lstm_jax.cells.cell import Parts, draw, from_parts, products, require_positive
from lstm_jax.types import Array


class JanetParams(NamedTuple):
    """Weights by unit: f forget gate, z candidate."""

    w_f: Array  # [H, D]
    w_z: Array
    r_f: Array  # [H, H]
    r_z: Array
    b_f: Array  # [H]
    b_z: Array


class JanetState(NamedTuple):
    """The memory and the output of the step before: equal, but only h is fed back to the units."""

    c: Array  # [H]
    h: Array  # [H]


def janet(
    input_size: int, hidden_size: int, *, beta: float = 1.0, t_max: int | None = None
) -> Cell:
    """The LSTM with nothing but a forget gate (van der Westhuizen & Lasenby 2018, JANET).

    With s the logistic function, ``*`` elementwise (arXiv:1804.04849)::

        s_t = r_f h_tm1 + w_f x_t + b_f
        z_t = tanh(r_z h_tm1 + w_z x_t + b_z)                   c~_t in the paper
        c_t = s(s_t) * c_tm1 + (1 - s(s_t - beta)) * z_t
        h_t = c_t

    Args:
      input_size: D.
      hidden_size: H.
      beta: how much less is let in than is forgotten; 1 in the paper.
      t_max: the longest lag expected, at least 3: b_f starts as ``log(u)``, u uniform in
        ``[1, t_max - 1]`` (the chrono initialiser of Tallec & Ollivier 2018, as in the paper).
        None: b_f starts at 1.

    Raises:
      ValueError: for a size below 1, a t_max below 3, or an input of the wrong shape.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    if t_max is not None and t_max < 3:
        raise ValueError(f"t_max: {t_max!r} is not valid; it must be None or at least 3")

    def init(key: Array, init_range: float | Array = hidden_size**-0.5) -> JanetParams:
        key_weights, key_bias = jax.random.split(key)
        shapes: dict[str, tuple[int, ...]] = {
            "w_f": (hidden_size, input_size),
            "w_z": (hidden_size, input_size),
            "r_f": (hidden_size, hidden_size),
            "r_z": (hidden_size, hidden_size),
        }
        b_f = jnp.ones(hidden_size)
        if t_max is not None:
            b_f = jnp.log(jax.random.uniform(key_bias, (hidden_size,), minval=1, maxval=t_max - 1))
        weights = draw(key_weights, init_range, shapes)
        return JanetParams(**weights, b_f=b_f, b_z=jnp.zeros(hidden_size))

    def initial_state() -> JanetState:
        return JanetState(c=jnp.zeros(hidden_size), h=jnp.zeros(hidden_size))

    def project(params: JanetParams, x: Array) -> dict[str, Array]:
        return products({"f": params.w_f, "z": params.w_z}, x)

    def recur(params: JanetParams, state: JanetState) -> dict[str, Array]:
        return products({"f": params.r_f, "z": params.r_z}, state.h)

    def combine(
        params: JanetParams, state: JanetState, from_x: dict[str, Array], from_h: dict[str, Array]
    ) -> dict[str, Array]:
        s = from_x["f"] + from_h["f"] + params.b_f
        z = jnp.tanh(from_x["z"] + from_h["z"] + params.b_z)
        f, i = jax.nn.sigmoid(s), 1 - jax.nn.sigmoid(s - beta)
        c = f * state.c + i * z
        return {"f": f, "i": i, "z": z, "c": c, "h": c}

    def truncate(state: JanetState) -> JanetState:
        return JanetState(c=state.c, h=jax.lax.stop_gradient(state.h))

    return from_parts(
        Parts(project, recur, combine),
        name="janet",
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        initial_state=initial_state,
        truncate=truncate,
    )


def janet_oracle(params, state, xs, beta=1.0):
    """The same in NumPy float64, unit by unit: arrays in and out, ``(state, ys)``."""
    p, c, h = params, state.c, state.h
    ys = []
    for x in xs:
        new = np.empty_like(c)
        for unit in range(len(c)):
            s = p.w_f[unit] @ x + p.r_f[unit] @ h + p.b_f[unit]
            z = np.tanh(p.w_z[unit] @ x + p.r_z[unit] @ h + p.b_z[unit])
            kept = 1 / (1 + np.exp(-s))
            let_in = 1 - 1 / (1 + np.exp(-(s - beta)))
            new[unit] = kept * c[unit] + let_in * z
        c = h = new
        ys.append(h)
    return {"c": c, "h": h}, np.array(ys)
