"""How a gradient is formed: a choice independent of the cell. `GRADIENT_RULES` names them."""

from collections.abc import Callable

from lstm_jax.gradients.autodiff import bptt, truncated
from lstm_jax.gradients.rtrl import rtrl
from lstm_jax.gradients.rule import GradientRule
from lstm_jax.gradients.traces import traces
from lstm_jax.gradients.trailing_bptt import trailing_bptt

GRADIENT_RULES: dict[str, Callable[..., GradientRule]] = {
    "bptt": bptt,
    "truncated": truncated,
    "traces": traces,
    "rtrl": rtrl,
}

__all__ = [
    "GRADIENT_RULES",
    "GradientRule",
    "bptt",
    "rtrl",
    "traces",
    "trailing_bptt",
    "truncated",
]
