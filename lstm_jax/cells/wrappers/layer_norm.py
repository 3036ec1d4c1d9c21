"""Layer normalisation of what enters the gates."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell, Parts, from_parts
from lstm_jax.cells.wrappers.dropout import require_parts
from lstm_jax.types import Array, Params, State


class LayerNormParams(NamedTuple):
    """The weights of the cell, and the gains by gate: of what x and of what h contribute."""

    cell: Params
    gain_x: dict[str, Array]  # [H]
    gain_h: dict[str, Array]  # [H]


def layer_norm(cell: Cell, *, epsilon: float = 1e-5) -> Cell:
    """Normalises what the input and what the recurrent outputs give to each gate, each apart.

    For gate a, after Ba, Kiros & Hinton 2016 (eq. 20; its biases are the cell's own)::

        net_a = LN(w_a x_t; gain_x_a) + LN(r_a h_tm1; gain_h_a) + b_a
        LN(v; gain) = gain * (v - mean(v)) / sqrt(var(v) + epsilon)

    Mean and variance are over the units of one gate; the paper writes the gates as one vector.
    Its normalisation of c (eq. 22) is left out. So are products that have to wait for a gate of
    the same step (the candidates of mgu, mut1 to mut3, and of a gru that resets before).

    Args:
      cell: a cell with `Parts`.
      epsilon: what keeps the root away from zero; above 0.

    Returns:
      A `Cell` with `LayerNormParams`, whose gains start at 1, and the state of the cell given.

    Raises:
      ValueError: for a cell without parts, a gate of a single unit (which is its own mean, so
        that nothing would be left of it), or an epsilon that is not above 0.

    Example:
      >>> from lstm_jax import lstm
      >>> cell = layer_norm(lstm(2, 3))
      >>> params = cell.init(jax.random.key(0))
      >>> state, y = cell.step(params, cell.initial_state(), jnp.ones(2))
      >>> y.shape, params.gain_x["f"].tolist()
      ((3,), [1.0, 1.0, 1.0])
    """
    parts = require_parts("layer_norm", cell)
    if not epsilon > 0:
        raise ValueError(f"epsilon: {epsilon!r} is not valid; it must be above 0")
    sizes_x, sizes_h = _sizes(cell, parts)
    for gate, size in (sizes_x | sizes_h).items():
        if size < 2:
            raise ValueError(f"layer_norm: gate {gate} of the {cell.name} cell is a single unit")

    def init(key: Array, init_range: float | Array | None = None) -> LayerNormParams:
        return LayerNormParams(
            cell=cell.init(key) if init_range is None else cell.init(key, init_range),
            gain_x={gate: jnp.ones(size) for gate, size in sizes_x.items()},
            gain_h={gate: jnp.ones(size) for gate, size in sizes_h.items()},
        )

    def scaled(nets: dict[str, Array], gains: dict[str, Array]) -> dict[str, Array]:
        return {gate: gains[gate] * normalised(net, epsilon) for gate, net in nets.items()}

    def project(params: LayerNormParams, x: Array) -> dict[str, Array]:
        return scaled(parts.project(params.cell, x), params.gain_x)

    def recur(params: LayerNormParams, state: State) -> dict[str, Array]:
        return scaled(parts.recur(params.cell, state), params.gain_h)

    def combine(
        params: LayerNormParams, state: State, from_x: dict[str, Array], from_h: dict[str, Array]
    ) -> dict[str, Array]:
        return parts.combine(params.cell, state, from_x, from_h)

    return from_parts(
        Parts(project, recur, combine),
        name=f"layer_norm({cell.name})",
        input_size=cell.input_size,
        output_size=cell.output_size,
        init=init,
        initial_state=cell.initial_state,
        truncate=cell.truncate,
    )


def normalised(v: Array, epsilon: float) -> Array:
    """`v` with mean 0 and variance 1, but for `epsilon`.

    Example:
      >>> normalised(jnp.array([1.0, 3.0]), 1e-5).tolist()
      [-0.999..., 0.999...]
    """
    centred = v - jnp.mean(v)
    return centred / jnp.sqrt(jnp.mean(centred**2) + epsilon)


def _sizes(cell: Cell, parts: Parts) -> tuple[dict[str, int], dict[str, int]]:
    """How many units each gate has, of those that see x and of those that see h."""

    def nets(key: Array) -> tuple[dict[str, Array], dict[str, Array]]:
        params = cell.init(key)
        x = jnp.zeros(cell.input_size)
        return parts.project(params, x), parts.recur(params, cell.initial_state())

    shapes = jax.eval_shape(nets, jax.random.key(0))
    by_x, by_h = ({gate: net.shape[0] for gate, net in part.items()} for part in shapes)
    return by_x, by_h
