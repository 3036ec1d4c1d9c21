"""The 1997 memory blocks as an `lstm` with one set of gates a cell, which other formats have."""

import jax.numpy as jnp

from lstm_jax.cells.cell import Cell
from lstm_jax.cells.lstm import LstmParams, lstm
from lstm_jax.cells.lstm97 import Lstm97Params, Lstm97Spec
from lstm_jax.cells.trailing import heard
from lstm_jax.interop.onnx_functions import NodeFunction
from lstm_jax.types import Array

# 4 / (1 + e^-x) - 2 = 2 tanh(x / 2), and half of it: A.1, eqs. 5 and 4
_SQUASHERS = {
    "g2": NodeFunction("ScaledTanh", (2.0, 0.5)),
    "h1": NodeFunction("ScaledTanh", (1.0, 0.5)),
    "g1": "logistic",
    "id": "identity",
}


def as_lstm(cell: Cell, params: Lstm97Params) -> tuple[Cell, LstmParams]:
    """An `lstm` without forget gate that does what this `lstm97` does, and its weights.

    A block's gate is copied for each of its cells, biases that the net has not are zero, and so
    are recurrent weights that carry nothing (``silent=True``). The outputs are the same; training
    is not, as the copies of a gate would part.

    Raises:
      ValueError: for a net whose gates are heard by its units (``see_gates=True``, the default,
        and not silent): an LSTM of today has no such weights.

    Example:
      >>> import jax
      >>> from lstm_jax.cells import lstm97
      >>> cell = lstm97(2, 1, 2, see_gates=False)
      >>> made, weights = as_lstm(cell, cell.init(jax.random.key(0)))
      >>> made.spec.switches, weights.w_i.shape
      (('NFG', 'NP'), (2, 2))
    """
    spec: Lstm97Spec = cell.spec
    size = spec.num_blocks * spec.block_size
    params = heard(spec, params)
    if params.r_z is not None and params.r_z.shape[1] != size:
        raise ValueError(
            "an lstm97 with see_gates=True has weights from gates to units, which an lstm does "
            "not; see_gates=False has a counterpart"
        )

    def each(gate: Array | None, *shape: int) -> Array:
        """Block rows as cell rows; zeros for what is not there."""
        if gate is None:
            return jnp.zeros((size, *shape), params.w_z.dtype)
        return gate if len(gate) == size else jnp.repeat(gate, spec.block_size, axis=0)

    made = lstm(
        cell.input_size,
        size,
        switches=("NP", "NFG") if spec.output_gate else ("NP", "NFG", "NOG"),
        g=_SQUASHERS[spec.g],
        h=_SQUASHERS[spec.h],
    )
    return made, LstmParams(
        w_z=params.w_z,
        w_i=each(params.w_i),
        w_f=None,
        w_o=each(params.w_o) if spec.output_gate else None,
        r_z=each(params.r_z, size),
        r_i=each(params.r_i, size),
        r_f=None,
        r_o=each(params.r_o, size) if spec.output_gate else None,
        b_z=each(params.b_z),
        b_i=each(params.b_i),
        b_f=None,
        b_o=each(params.b_o) if spec.output_gate else None,
    )
