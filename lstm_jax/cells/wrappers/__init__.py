"""Wrappers: a cell in, a cell out, with its step changed."""

from lstm_jax.cells.wrappers.dropout import variational_dropout
from lstm_jax.cells.wrappers.layer_norm import LayerNormParams, layer_norm
from lstm_jax.cells.wrappers.zoneout import ZoneoutState, zoneout

__all__ = [
    "LayerNormParams",
    "ZoneoutState",
    "layer_norm",
    "variational_dropout",
    "zoneout",
]
