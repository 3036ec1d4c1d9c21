"""The sLSTM of the xLSTM (Beck et al. 2024): exponential gates, normalised and stabilised."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.activations import identity
from lstm_jax.cells.cell import Cell, Parts, draw, from_parts, products, require_positive
from lstm_jax.types import Array

FORGETS = ("logistic", "exp")


class SlstmParams(NamedTuple):
    """Weights by unit: z cell input, i input, f forget, o output gate. N heads, N * S = H."""

    w_z: Array  # [H, D]
    w_i: Array
    w_f: Array
    w_o: Array
    r_z: Array  # [N, S, S] the blocks of a block-diagonal matrix
    r_i: Array
    r_f: Array
    r_o: Array
    b_z: Array  # [H]
    b_i: Array
    b_f: Array
    b_o: Array


class SlstmState(NamedTuple):
    """Cell state c and normaliser n, both in units of ``exp(m)``; stabiliser m; output h."""

    c: Array  # [H]
    n: Array
    m: Array
    h: Array


class SlstmSpec(NamedTuple):
    """The options an sLSTM was made with."""

    num_heads: int
    forget: str


def slstm(
    input_size: int, hidden_size: int, *, num_heads: int = 1, forget: str = "logistic"
) -> Cell:
    """The sLSTM (Beck et al. 2024, "xLSTM", eqs 8 to 17).

    With s the logistic function, ``*`` elementwise, ``net_a = w_a x_t + r_a h_tm1 + b_a``::

        z_t = tanh(net_z)                                o_t = s(net_o)
        m_t = max(log f_t + m_tm1, net_i)                log f_t = log s(net_f), or net_f
        i_t = exp(net_i - m_t)                           the input gate, in units of exp(m_t)
        f_t = exp(log f_t + m_tm1 - m_t)                 the forget gate, likewise
        c_t = f_t * c_tm1 + i_t * z_t
        n_t = f_t * n_tm1 + i_t
        h_t = o_t * c_t / n_t

    h does not depend on m, which only keeps the exponentials in range. Where there is no memory
    yet (n_tm1 = 0) ``m_t = net_i``, as in the authors' code: n_t is then at least 1 for good, and
    a closed input gate at the start does not divide zero by zero.

    Args:
      input_size: D.
      hidden_size: H.
      num_heads: units see the outputs of their own head alone (the r_a are block-diagonal).
      forget: "logistic" or "exp", the function of net_f.

    Weights start uniform in ``[-1/sqrt(H), 1/sqrt(H)]``, biases at zero. The truncation stops h;
    c, n and m are the carousel. In ``gates`` i and f are the stabilised ones.

    Raises:
      ValueError: for a size below 1, heads that do not divide H, an unknown forget gate, or an
        input of the wrong shape.

    Example:
      >>> cell = slstm(input_size=2, hidden_size=6, num_heads=3)
      >>> params = cell.init(jax.random.key(0))
      >>> params.r_z.shape, cell.step(params, cell.initial_state(), jnp.ones(2))[0].n.tolist()
      ((3, 2, 2), [1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    """
    require_positive(input_size=input_size, hidden_size=hidden_size, num_heads=num_heads)
    if hidden_size % num_heads:
        raise ValueError(f"num_heads: {num_heads} does not divide hidden_size {hidden_size}")
    if forget not in FORGETS:
        raise ValueError(f"forget: {forget!r} is not one of {', '.join(FORGETS)}")
    log_forget = jax.nn.log_sigmoid if forget == "logistic" else identity
    head_size = hidden_size // num_heads

    def init(key: Array, init_range: float | Array = hidden_size**-0.5) -> SlstmParams:
        shapes: dict[str, tuple[int, ...]] = {f"w_{a}": (hidden_size, input_size) for a in "zifo"}
        shapes |= {f"r_{a}": (num_heads, head_size, head_size) for a in "zifo"}
        biases = {f"b_{a}": jnp.zeros(hidden_size) for a in "zifo"}
        return SlstmParams(**draw(key, init_range, shapes) | biases)

    def initial_state() -> SlstmState:
        return SlstmState(*(jnp.zeros(hidden_size) for _ in SlstmState._fields))

    def project(params: SlstmParams, x: Array) -> dict[str, Array]:
        return products({"z": params.w_z, "i": params.w_i, "f": params.w_f, "o": params.w_o}, x)

    def recur(params: SlstmParams, state: SlstmState) -> dict[str, Array]:
        r = {"z": params.r_z, "i": params.r_i, "f": params.r_f, "o": params.r_o}
        nets = jax.vmap(products)(r, state.h.reshape(num_heads, head_size))
        return {a: net.reshape(hidden_size) for a, net in nets.items()}

    def combine(
        params: SlstmParams, state: SlstmState, from_x: dict[str, Array], from_h: dict[str, Array]
    ) -> dict[str, Array]:
        net = {a: from_x[a] + from_h[a] + getattr(params, f"b_{a}") for a in "zifo"}
        z, o = jnp.tanh(net["z"]), jax.nn.sigmoid(net["o"])
        log_i, log_f = net["i"], log_forget(net["f"])
        log_kept = jnp.where(state.n == 0, log_i, log_f + state.m)  # nothing to keep: any will do
        m = jnp.maximum(log_kept, log_i)
        i, f = jnp.exp(log_i - m), jnp.exp(log_kept - m)
        c = f * state.c + i * z
        n = f * state.n + i
        nets = {f"net_{a}": value for a, value in net.items()}
        return {"z": z, "i": i, "f": f, "o": o, "c": c, "n": n, "m": m, "h": o * c / n} | nets

    def truncate(state: SlstmState) -> SlstmState:
        return state._replace(h=jax.lax.stop_gradient(state.h))

    return from_parts(
        Parts(project, recur, combine),
        name="slstm",
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        initial_state=initial_state,
        truncate=truncate,
        spec=SlstmSpec(num_heads, forget),
    )
