"""Weights from and to torch, Keras, Flax, Haiku and ONNX, and in files.

Plain dicts and lists of NumPy arrays go in and out: none of these libraries is imported here. What
one of them does not have is refused by name.
"""

from lstm_jax.interop.files import load_weights, save_weights
from lstm_jax.interop.flax import from_linen, from_nnx, to_linen, to_nnx
from lstm_jax.interop.haiku import from_haiku, to_haiku
from lstm_jax.interop.keras import from_keras, to_keras
from lstm_jax.interop.onnx import Node, from_node, node_state, run_node, to_node
from lstm_jax.interop.torch import from_torch, to_torch

__all__ = [
    "Node",
    "from_haiku",
    "from_keras",
    "from_linen",
    "from_nnx",
    "from_node",
    "from_torch",
    "load_weights",
    "node_state",
    "run_node",
    "save_weights",
    "to_haiku",
    "to_keras",
    "to_linen",
    "to_nnx",
    "to_node",
    "to_torch",
]
