"""ONNX's recurrent nodes, LSTM, GRU and RNN, from and to cells. onnx itself is not imported."""

from lstm_jax.interop.onnx_read import from_node
from lstm_jax.interop.onnx_run import node_state, run_node
from lstm_jax.interop.onnx_write import Node, to_node

__all__ = ["Node", "from_node", "node_state", "run_node", "to_node"]
