"""The LSTM with a forget gate, and the variants of the search space odyssey as switches of it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.activations import Activation, activation, clipping
from lstm_jax.cells.cell import Cell, Parts, draw, from_parts, products, require_positive
from lstm_jax.types import Array

SWITCHES: dict[str, str] = {
    "NIG": "no input gate: i = 1",
    "NFG": "no forget gate: f = 1",
    "NOG": "no output gate: o = 1",
    "NIAF": "no input activation function: g(x) = x",
    "NOAF": "no output activation function: h(x) = x",
    "CIFG": "coupled input and forget gate: f = 1 - i",
    "NP": "no peepholes",
    "FGR": "full gate recurrence: gates see all gates of the step before",
}
"""The eight variants of Greff et al. 2017. None of them is the vanilla LSTM, "V"."""


class LstmParams(NamedTuple):
    """Weights by unit: z block input, i input, f forget, o output gate; None where there is none.

    ``r_ab`` leads from gate b of the step before to gate a. P is H unless the output is projected.
    """

    w_z: Array  # [H, D]
    w_i: Array | None
    w_f: Array | None
    w_o: Array | None
    r_z: Array  # [H, P]
    r_i: Array | None
    r_f: Array | None
    r_o: Array | None
    b_z: Array  # [H]
    b_i: Array | None
    b_f: Array | None
    b_o: Array | None
    p_i: Array | None = None  # [H] peepholes
    p_f: Array | None = None
    p_o: Array | None = None
    r_ii: Array | None = None  # [H, H] full gate recurrence
    r_if: Array | None = None
    r_io: Array | None = None
    r_fi: Array | None = None
    r_ff: Array | None = None
    r_fo: Array | None = None
    r_oi: Array | None = None
    r_of: Array | None = None
    r_oo: Array | None = None
    w_h: Array | None = None  # [P, H] projection of the output


class LstmState(NamedTuple):
    """Cell state c and output h; under full gate recurrence the gates as well."""

    c: Array  # [H]
    h: Array  # [P]
    i: Array | None = None  # [H]
    f: Array | None = None
    o: Array | None = None


class LstmSpec(NamedTuple):
    """The options an LSTM was made with; g and h are those in force (NIAF, NOAF)."""

    switches: tuple[str, ...]
    projection_size: int | None
    clip: float | None
    gate_activation: Activation
    g: Activation
    h: Activation


def lstm(
    input_size: int,
    hidden_size: int,
    *,
    switches: tuple[str, ...] = ("NP",),
    forget_bias: float = 1.0,
    projection_size: int | None = None,
    clip: float | None = None,
    gate_activation: Activation = "logistic",
    g: Activation = "tanh",
    h: Activation = "tanh",
) -> Cell:
    """The LSTM of libraries (Gers et al. 2000), and with ``switches=()`` the vanilla one with
    peepholes (Gers et al. 2002; Greff et al. 2017, "V").

    With s the logistic function, ``*`` elementwise::

        z_t = g(w_z x_t + r_z h_tm1 + b_z)                      NIAF  g(x) = x
        i_t = s(w_i x_t + r_i h_tm1 + p_i * c_tm1 + b_i)        NIG   i_t = 1
        f_t = s(w_f x_t + r_f h_tm1 + p_f * c_tm1 + b_f)        NFG   f_t = 1    CIFG  f_t = 1 - i_t
        c_t = i_t * z_t + f_t * c_tm1
        o_t = s(w_o x_t + r_o h_tm1 + p_o * c_t   + b_o)        NOG   o_t = 1
        h_t = o_t * h(c_t)                                      NOAF  h(x) = x

    NP leaves the p out (the default). FGR adds ``sum_b r_ab b_tm1`` to the net input of each
    gate a, b running over the gates that have weights. Switches combine freely, but CIFG leaves
    no gate for NIG or NFG to remove.

    Args:
      input_size: D.
      hidden_size: H, the number of memory cells.
      switches: any of `SWITCHES`.
      forget_bias: initial value of b_f; 1.0 keeps the memory at the start (Gers et al. 2000;
        Jozefowicz et al. 2015). The other biases start at zero, the weights uniform in
        ``[-1/sqrt(H), 1/sqrt(H)]``. Nothing where there is no b_f.
      projection_size: P; the output, and what is fed back, is ``w_h (o_t * h(c_t))`` (Sak et al.
        2014; proj_size in torch). None: no projection, P = H.
      clip: net inputs are clipped to ``[-clip, clip]``, peepholes included (as in ONNX).
      gate_activation: s; a name in `lstm_jax.cells.activations.ACTIVATIONS` or a function.
      g: squasher of the block input, likewise.
      h: squasher of the cell state, likewise.

    The truncation stops h, and the gates that are fed back; c is the carousel.

    Returns:
      A `Cell` with ``output_size = P``, `LstmParams`, `LstmState` and `LstmSpec`. A gate that a
      switch removes is all ones in ``gates``.

    Raises:
      ValueError: for a size below 1, an unknown or repeated switch, CIFG with NIG or NFG, a clip
        that is not positive, an unknown squasher or one that NIAF or NOAF takes away, or an input
        of the wrong shape.

    Example:
      >>> cell = lstm(input_size=2, hidden_size=3)
      >>> params = cell.init(jax.random.key(0))
      >>> state, y = cell.step(params, cell.initial_state(), jnp.ones(2))
      >>> y.shape, params.b_f.tolist()
      ((3,), [1.0, 1.0, 1.0])
      >>> lstm(2, 3, switches=("NP", "CIFG")).init(jax.random.key(0)).w_f is None
      True
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)
    if projection_size is not None:
        require_positive(projection_size=projection_size)
    on = _require_switches(switches)
    if "NIAF" in on:
        g = _identity_for("NIAF", "g", g)
    if "NOAF" in on:
        h = _identity_for("NOAF", "h", h)
    squash_gate = activation("gate_activation", gate_activation)
    squash_g, squash_h = activation("g", g), activation("h", h)
    clipped = clipping(clip)

    # The gates that have weights, and the pairs of them that full gate recurrence connects.
    removed = {"NIG": "i", "NFG": "f", "CIFG": "f", "NOG": "o"}
    present = [a for a in "ifo" if a not in {removed.get(switch) for switch in on}]
    connected = [f"{a}{b}" for a in present for b in present] if "FGR" in on else []
    output_size = hidden_size if projection_size is None else projection_size

    def init(key: Array, init_range: float | Array = hidden_size**-0.5) -> LstmParams:
        units = ["z", *present]
        shapes: dict[str, tuple[int, ...]] = {f"w_{a}": (hidden_size, input_size) for a in units}
        shapes |= {f"r_{a}": (hidden_size, output_size) for a in units}
        if "NP" not in on:
            shapes |= {f"p_{a}": (hidden_size,) for a in present}
        shapes |= {f"r_{ab}": (hidden_size, hidden_size) for ab in connected}
        if projection_size is not None:
            shapes["w_h"] = (projection_size, hidden_size)
        biases = {f"b_{a}": jnp.zeros(hidden_size) for a in units}
        if "f" in present:
            biases["b_f"] = jnp.full(hidden_size, forget_bias, biases["b_f"].dtype)
        absent: dict[str, Any] = dict.fromkeys(LstmParams._fields)
        return LstmParams(**absent | draw(key, init_range, shapes) | biases)

    def initial_state() -> LstmState:
        fed_back = {a: jnp.zeros(hidden_size) for a in present} if "FGR" in on else {}
        return LstmState(c=jnp.zeros(hidden_size), h=jnp.zeros(output_size), **fed_back)

    def project(params: LstmParams, x: Array) -> dict[str, Array]:
        return products({"z": params.w_z, "i": params.w_i, "f": params.w_f, "o": params.w_o}, x)

    def recur(params: LstmParams, state: LstmState) -> dict[str, Array]:
        r = {"z": params.r_z, "i": params.r_i, "f": params.r_f, "o": params.r_o}
        from_h = products(r, state.h)
        if connected:
            seen = jnp.concatenate([getattr(state, b) for b in present])
            rows = {a: [getattr(params, f"r_{a}{b}") for b in present] for a in present}
            joined = {a: jnp.concatenate(row, axis=1) for a, row in rows.items()}
            from_h |= {a: from_h[a] + net for a, net in products(joined, seen).items()}
        return from_h

    def combine(
        params: LstmParams, state: LstmState, from_x: dict[str, Array], from_h: dict[str, Array]
    ) -> dict[str, Array]:
        nets = {}

        def net(a: str, c: Array | None = None) -> Array:
            total = from_x[a] + from_h[a] + getattr(params, f"b_{a}")
            peephole = getattr(params, f"p_{a}", None)
            nets[f"net_{a}"] = clipped(total if peephole is None else total + peephole * c)
            return nets[f"net_{a}"]

        one = jnp.ones_like(state.c)
        z = squash_g(net("z"))
        i = one if "NIG" in on else squash_gate(net("i", state.c))
        f = 1 - i if "CIFG" in on else one if "NFG" in on else squash_gate(net("f", state.c))
        c = i * z + f * state.c
        o = one if "NOG" in on else squash_gate(net("o", c))
        h = o * squash_h(c)
        if params.w_h is not None:
            h = params.w_h @ h
        return {"z": z, "i": i, "f": f, "o": o, "c": c, "h": h} | nets

    def truncate(state: LstmState) -> LstmState:
        return jax.tree.map(jax.lax.stop_gradient, state)._replace(c=state.c)

    return from_parts(
        Parts(project, recur, combine),
        name="lstm",
        input_size=input_size,
        output_size=output_size,
        init=init,
        initial_state=initial_state,
        truncate=truncate,
        spec=LstmSpec(on, projection_size, clip, gate_activation, g, h),
    )


def _require_switches(switches: tuple[str, ...]) -> tuple[str, ...]:
    """The switches in the order of `SWITCHES`."""
    if isinstance(switches, str):
        raise ValueError(f"switches: {switches!r} is a string; a tuple such as ({switches!r},)")
    for switch in switches:
        if switch not in SWITCHES:
            raise ValueError(f"switches: {switch!r} is not one of {', '.join(SWITCHES)}")
    if len(set(switches)) < len(switches):
        raise ValueError(f"switches: {tuple(switches)} names one twice")
    for switch in ("NIG", "NFG"):
        if switch in switches and "CIFG" in switches:
            raise ValueError(
                f"switches: CIFG couples the input and the forget gate, {switch} removes one of "
                "them; only one of the two switches is valid"
            )
    return tuple(switch for switch in SWITCHES if switch in switches)


def _identity_for(switch: str, field: str, given: Activation) -> Activation:
    if given not in ("tanh", "identity"):
        raise ValueError(f"{field}: {given!r} given, but {switch} makes it the identity")
    return "identity"
