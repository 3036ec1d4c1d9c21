"""The memory-cell blocks of Hochreiter & Schmidhuber 1997: no forget gate, gates see gates."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell, Parts, draw, from_parts, products, require_positive
from lstm_jax.types import Array

BIASES = ("hidden", "gates", "none")
GATE_BIASES = ("stated", "added")


class Lstm97Params(NamedTuple):
    """Weights of the hidden layer; a field is None where the net has no such weight.

    Rows are units, columns sources. The R recurrent sources are the input gates, the output
    gates and the cell outputs of the step before, in this order; the cell outputs alone where
    gates are not seen.
    """

    w_i: Array  # [B, D]
    w_o: Array | None  # [B, D]
    w_z: Array  # [C, D]
    r_i: Array | None  # [B, R]
    r_o: Array | None  # [B, R]
    r_z: Array | None  # [C, R]
    b_i: Array | None  # [B]
    b_o: Array | None  # [B]
    b_z: Array | None  # [C]


class Lstm97State(NamedTuple):
    """What a step leaves behind: internal states c, and the activations the next step sees."""

    c: Array  # [C]
    i: Array  # [B]
    o: Array | None  # [B]
    h: Array  # [C]


class Lstm97Spec(NamedTuple):
    """The architecture behind `Lstm97Params`, for kernels written for it."""

    num_blocks: int
    block_size: int
    output_gate: bool
    g: str
    h: str
    silent: bool = False
    initial_gate: float = 0.0


G_RANGES = {"g2": 2.0, "h1": 1.0}
H_RANGES = {"h1": 1.0, "g2": 2.0}
"""Squashers that are a centred logistic, ``range * (2 / (1 + e^-x) - 1)``."""


def squash_g(g: str, logistic: Array) -> Array:
    """The cell input's squasher, from the logistic of its net input (A.1, eq. 5).

    "g2" is ``g(x) = 4 / (1 + e^-x) - 2`` in [-2, 2]; "h1" half of that; "g1" the logistic itself,
    in [0, 1].
    """
    return logistic if g == "g1" else 2 * G_RANGES[g] * logistic - G_RANGES[g]


def slope_g(g: str, logistic: Array) -> Array:
    """Its derivative, from the same."""
    slope = logistic * (1 - logistic)
    return slope if g == "g1" else slope * (2 * G_RANGES[g])


def squash_h(h: str, c: Array) -> Array:
    """The cell output's squasher (A.1, eq. 4).

    "h1" is ``h(x) = 2 / (1 + e^-x) - 1`` in [-1, 1]; "g2" twice that; "id" the identity.
    """
    return c if h == "id" else 2 * H_RANGES[h] * jax.nn.sigmoid(c) - H_RANGES[h]


def slope_h(h: str, squashed: Array) -> Array:
    """Its derivative, from its value."""
    if h == "id":
        return jnp.ones_like(squashed)
    return (H_RANGES[h] + squashed) * (H_RANGES[h] - squashed) / (2 * H_RANGES[h])


def lstm97(
    input_size: int,
    num_blocks: int,
    block_size: int,
    *,
    bias: str = "hidden",
    input_gate_bias: tuple[float, ...] | None = None,
    output_gate_bias: tuple[float, ...] | None = None,
    gate_bias: str = "stated",
    init_range: float = 0.1,
    recurrent: bool = True,
    silent: bool = False,
    see_gates: bool = True,
    output_gate: bool = True,
    g: str = "g2",
    h: str = "h1",
    initial_gate: float = 0.0,
) -> Cell:
    """The hidden layer of the 1997 experiments: B blocks of S memory cells each.

    With ``s = [i, o, h]`` of the step before (every unit sees all gates and all cell outputs),
    f the logistic function, and block b owning cells ``b*S .. b*S+S-1``::

        i_t = f(w_i x_t + r_i s_tm1 + b_i)          input gates   (A.1, eq. 7)
        o_t = f(w_o x_t + r_o s_tm1 + b_o)          output gates  (eq. 8)
        z_t = g(w_z x_t + r_z s_tm1 + b_z)          cell inputs   (eq. 6)
        c_t = c_tm1 + i_t z_t                       internal states: a carousel of weight 1.0
        h_t = o_t h(c_t)                            cell outputs  (eq. 9)

    The gate of a block is shared by its S cells. There is no forget gate.

    Args:
      input_size: D.
      num_blocks: B.
      block_size: S, cells per block.
      bias: which units have a bias: "hidden" (gates and cells), "gates", or "none".
      input_gate_bias: the initial biases of the B input gates; None draws them like the rest.
      output_gate_bias: the same for the output gates.
      gate_bias: "stated" starts gates with these values; "added" adds them to drawn ones.
      init_range: weights start uniform in ``[-init_range, init_range]``; may be a traced scalar.
      recurrent: False lets hidden units see the inputs only (Experiments 2a and 2b).
      silent: the recurrent weights are there, and counted, but s is always zero: the units of the
        step before are not heard.
      see_gates: False leaves the gates out of s, as most later LSTMs do. The paper's weight
        counts need them in (Greff et al. call it full gate recurrence).
      output_gate: False leaves the output gate out (o_t = 1).
      g: squasher of the cell input: "g2" (range [-2, 2]), "g1" (logistic, [0, 1]) or "h1".
      h: squasher of the cell output: "h1" (range [-1, 1]), "id" or "g2". The legend of the
        paper's Table 10 swaps the ranges that its text and equations give to g and h.
      initial_gate: what the first step sees of the gates: 0, as the text has it, or another
        activation, such as the 0.5 of a gate without net input.

    Returns:
      A `Cell` with ``output_size = B * S``, `Lstm97Params` and `Lstm97State`.

    Raises:
      ValueError: for sizes below 1, an unknown option, or gate biases that do not number B.

    Example:
      >>> cell = lstm97(2, num_blocks=2, block_size=2, input_gate_bias=(-3.0, -6.0))
      >>> params = cell.init(jax.random.key(0))
      >>> sum(leaf.size for leaf in jax.tree.leaves(params))  # 93 with the readout's 5
      88
      >>> cell.gates(params, cell.initial_state(), jnp.ones(2))["i"].shape
      (2,)
    """
    require_positive(input_size=input_size, num_blocks=num_blocks, block_size=block_size)
    for name, value, choices in (
        ("bias", bias, BIASES),
        ("g", g, (*G_RANGES, "g1")),
        ("h", h, (*H_RANGES, "id")),
        ("gate_bias", gate_bias, GATE_BIASES),
    ):
        if value not in choices:
            raise ValueError(f"{name}: {value!r} is not one of {', '.join(choices)}")
    given = {"input_gate_bias": input_gate_bias, "output_gate_bias": output_gate_bias}
    for name, values in given.items():
        if values is not None and bias == "none":
            raise ValueError(
                f"{name}: {values} given, but bias='none' leaves the gates without one"
            )
        if values is not None and len(values) != num_blocks:
            raise ValueError(f"{name}: {len(values)} values for {num_blocks} blocks; one per block")
    if output_gate_bias is not None and not output_gate:
        raise ValueError("output_gate_bias: given, but output_gate=False")

    hears = recurrent and not silent
    num_cells = num_blocks * block_size
    num_gates = num_blocks * (2 if output_gate else 1)
    num_sources = (num_gates if see_gates else 0) + num_cells if recurrent else 0

    def init(key: Array, init_range: float | Array = init_range) -> Lstm97Params:
        has = {"i": True, "o": output_gate, "z": True}
        units = {"i": num_blocks, "o": num_blocks, "z": num_cells}
        shapes = {f"w_{k}": (n, input_size) for k, n in units.items() if has[k]}
        if recurrent:
            shapes |= {f"r_{k}": (n, num_sources) for k, n in units.items() if has[k]}
        biased = {"hidden": "ioz", "gates": "io", "none": ""}[bias]
        shapes |= {f"b_{k}": (units[k],) for k in biased if has[k]}
        drawn: dict[str, Any] = draw(key, init_range, shapes)
        for name, values in (("b_i", input_gate_bias), ("b_o", output_gate_bias)):
            if values is not None:
                stated = jnp.array(values, drawn[name].dtype)  # a copy: params may be donated
                drawn[name] = drawn[name] + stated if gate_bias == "added" else stated
        absent: dict[str, Any] = dict.fromkeys(Lstm97Params._fields)
        return Lstm97Params(**absent | drawn)

    def initial_state() -> Lstm97State:
        # An array each: a buffer that is in a state twice cannot be donated.
        i, o = (jnp.zeros(num_blocks) + initial_gate for _ in "io")
        c, h = (jnp.zeros(num_cells) for _ in "ch")
        return Lstm97State(c=c, i=i, o=o if output_gate else None, h=h)

    def project(params: Lstm97Params, x: Array) -> dict[str, Array]:
        return products({"i": params.w_i, "o": params.w_o, "z": params.w_z}, x)

    def recur(params: Lstm97Params, state: Lstm97State) -> dict[str, Array]:
        r = {"i": params.r_i, "o": params.r_o, "z": params.r_z}
        return products(r, _sources(state)[-num_sources:]) if hears else {}

    def combine(
        params: Lstm97Params, state: Lstm97State, from_x: dict[str, Array], from_h: dict[str, Array]
    ) -> dict[str, Array]:
        # Joined again: every squasher is an affine form of the logistic, and one of that is fast.
        net = _joined(from_x)
        if hears:
            net = net + _joined(from_h)
        b = stack_all(params)[2]
        net = net if b is None else net + b
        a = jax.nn.sigmoid(net)
        i = a[:num_blocks]
        z = squash_g(g, a[-num_cells:])
        c = state.c + jnp.repeat(i, block_size) * z
        squashed = squash_h(h, c)
        nets = {"net_i": net[:num_blocks], "net_z": net[-num_cells:]}
        if not output_gate:
            return {"i": i, "z": z, "c": c, "h": squashed} | nets
        o = a[num_blocks:-num_cells]
        nets["net_o"] = net[num_blocks:-num_cells]
        return {"i": i, "z": z, "c": c, "h": jnp.repeat(o, block_size) * squashed, "o": o} | nets

    def truncate(state: Lstm97State) -> Lstm97State:
        stop = partial(jax.tree.map, jax.lax.stop_gradient)
        return Lstm97State(c=state.c, i=stop(state.i), o=stop(state.o), h=stop(state.h))

    return from_parts(
        Parts(project, recur, combine),
        name="lstm97",
        input_size=input_size,
        output_size=num_cells,
        init=init,
        initial_state=initial_state,
        truncate=truncate,
        spec=Lstm97Spec(num_blocks, block_size, output_gate, g, h, silent, initial_gate),
    )


def _joined(nets: dict[str, Array]) -> Array:  # [U]
    return jnp.concatenate([nets[a] for a in "ioz" if a in nets])


def _sources(state: Lstm97State) -> Array:  # [R]
    return jnp.concatenate([part for part in (state.i, state.o, state.h) if part is not None])


def stack_all(params: Lstm97Params) -> tuple[Array, Array | None, Array | None]:
    """w ``[U, D]``, r ``[U, R]`` and b ``[U]`` over all hidden units: input gates, output gates,
    cells. Trailing axes of the weights are kept."""
    w = [params.w_i, params.w_o, params.w_z]
    r = [params.r_i, params.r_o, params.r_z]
    b = [params.b_i, params.b_o, params.b_z]
    if params.b_i is not None and params.b_z is None:
        b[2] = jnp.zeros_like(params.w_z[:, 0])  # biases on the gates only

    def join(parts: list[Array | None]) -> Array | None:
        there = [part for part in parts if part is not None]
        return jnp.concatenate(there) if there else None

    return jnp.concatenate([part for part in w if part is not None]), join(r), join(b)
