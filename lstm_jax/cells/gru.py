"""The gated recurrent unit (Cho et al. 2014), with the reset before or after the product."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.activations import Activation, activation, clipping
from lstm_jax.cells.cell import Cell, Parts, draw, from_parts, products, require_positive
from lstm_jax.types import Array

RESETS = ("after", "before")


class GruParams(NamedTuple):
    """Weights by unit: r reset gate, z update gate, n candidate; b_rn None where there is none."""

    w_r: Array  # [H, D]
    w_z: Array
    w_n: Array
    r_r: Array  # [H, H]
    r_z: Array
    r_n: Array
    b_r: Array  # [H]
    b_z: Array
    b_n: Array
    b_rn: Array | None = None  # inside the reset


class GruState(NamedTuple):
    """The output of the step before, which is all the memory there is."""

    h: Array  # [H]


class GruSpec(NamedTuple):
    """The options a GRU was made with; recurrent_bias is False with the reset before."""

    reset: str
    recurrent_bias: bool
    clip: float | None
    gate_activation: Activation
    g: Activation


def gru(
    input_size: int,
    hidden_size: int,
    *,
    reset: str = "after",
    recurrent_bias: bool = True,
    clip: float | None = None,
    gate_activation: Activation = "logistic",
    g: Activation = "tanh",
) -> Cell:
    """The gated recurrent unit (Cho et al. 2014), as libraries have it.

    With s the logistic function, ``*`` elementwise::

        r_t = s(w_r x_t + r_r h_tm1 + b_r)
        z_t = s(w_z x_t + r_z h_tm1 + b_z)
        n_t = g(w_n x_t + r_t * (r_n h_tm1 + b_rn) + b_n)        reset "after" (torch, cuDNN)
        n_t = g(w_n x_t + r_n (r_t * h_tm1) + b_n)               reset "before" (the paper)
        h_t = (1 - z_t) * n_t + z_t * h_tm1                      z = 1 keeps

    Args:
      input_size: D.
      hidden_size: H.
      reset: "after" the recurrent product (one product for all three) or "before" it.
      recurrent_bias: whether there is a b_rn; with the reset before there is none in any case.
      clip: net inputs are clipped to ``[-clip, clip]`` (as in ONNX).
      gate_activation: s; a name in `lstm_jax.cells.activations.ACTIVATIONS` or a function.
      g: squasher of the candidate, likewise.

    Weights start uniform in ``[-1/sqrt(H), 1/sqrt(H)]``, biases at zero. The carried h is a leaky
    carousel, but the same h enters the gates: the truncation acts on the state as a whole and
    stops it, so nothing flows back in time.

    Raises:
      ValueError: for a size below 1, an unknown reset or squasher, a clip that is not positive,
        or an input of the wrong shape.

    Example:
      >>> cell = gru(input_size=2, hidden_size=3)
      >>> params = cell.init(jax.random.key(0))
      >>> state, y = cell.step(params, cell.initial_state(), jnp.ones(2))
      >>> y.shape, gru(2, 3, reset="before").init(jax.random.key(0)).b_rn is None
      ((3,), True)
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    if reset not in RESETS:
        raise ValueError(f"reset: {reset!r} is not one of {', '.join(RESETS)}")
    squash_gate, squash_g = activation("gate_activation", gate_activation), activation("g", g)
    clipped = clipping(clip)
    recurrent_bias = recurrent_bias and reset == "after"

    def init(key: Array, init_range: float | Array = hidden_size**-0.5) -> GruParams:
        shapes: dict[str, tuple[int, ...]] = {f"w_{a}": (hidden_size, input_size) for a in "rzn"}
        shapes |= {f"r_{a}": (hidden_size, hidden_size) for a in "rzn"}
        biases: dict[str, Any] = {f"b_{a}": jnp.zeros(hidden_size) for a in "rzn"}
        biases["b_rn"] = jnp.zeros(hidden_size) if recurrent_bias else None
        return GruParams(**draw(key, init_range, shapes) | biases)

    def initial_state() -> GruState:
        return GruState(h=jnp.zeros(hidden_size))

    def project(params: GruParams, x: Array) -> dict[str, Array]:
        return products({"r": params.w_r, "z": params.w_z, "n": params.w_n}, x)

    def recur(params: GruParams, state: GruState) -> dict[str, Array]:
        from_h = {"r": params.r_r, "z": params.r_z}
        return products(from_h | ({"n": params.r_n} if reset == "after" else {}), state.h)

    def combine(
        params: GruParams, state: GruState, from_x: dict[str, Array], from_h: dict[str, Array]
    ) -> dict[str, Array]:
        net_r = clipped(from_x["r"] + from_h["r"] + params.b_r)
        net_z = clipped(from_x["z"] + from_h["z"] + params.b_z)
        r, z = squash_gate(net_r), squash_gate(net_z)
        if reset == "before":
            kept = params.r_n @ (r * state.h)
        else:
            kept = r * (from_h["n"] if params.b_rn is None else from_h["n"] + params.b_rn)
        net_n = clipped(from_x["n"] + kept + params.b_n)
        n = squash_g(net_n)
        nets = {"net_r": net_r, "net_z": net_z, "net_n": net_n}
        return {"r": r, "z": z, "n": n, "h": (1 - z) * n + z * state.h} | nets

    def truncate(state: GruState) -> GruState:
        return GruState(h=jax.lax.stop_gradient(state.h))

    return from_parts(
        Parts(project, recur, combine),
        name="gru",
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        initial_state=initial_state,
        truncate=truncate,
        spec=GruSpec(reset, recurrent_bias, clip, gate_activation, g),
    )
