"""Squashing functions by name."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from lstm_jax.types import Array

Activation = str | Callable[[Array], Array]
"""A name in `ACTIVATIONS`, or an elementwise function."""


def identity(x: Array) -> Array:
    """``f(x) = x``."""
    return x


def hard_logistic(x: Array) -> Array:
    """``f(x) = max(0, min(1, 0.2 x + 0.5))``: the HardSigmoid of ONNX with its default slope.

    Keras 3 and torch have a slope of 1/6.

    Example:
      >>> hard_logistic(jnp.array([-3.0, 0.0, 1.25, 3.0])).tolist()
      [0.0, 0.5, 0.75, 1.0]
    """
    return jnp.clip(0.2 * x + 0.5, 0.0, 1.0)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "logistic": jax.nn.sigmoid,
    "relu": jax.nn.relu,
    "identity": identity,
    "hard_logistic": hard_logistic,
    "hard_tanh": jax.nn.hard_tanh,
    "softsign": jax.nn.soft_sign,
    "softplus": jax.nn.softplus,
    "elu": jax.nn.elu,
    "leaky_relu": jax.nn.leaky_relu,
}


def activation(field: str, value: Activation) -> Callable[[Array], Array]:
    """The function that a setting stands for.

    Args:
      field: the setting's name, for the complaint.
      value: a name in `ACTIVATIONS`, or a function, which is returned as it is.

    Raises:
      ValueError: for an unknown name, or what is neither.

    Example:
      >>> float(activation("g", "relu")(jnp.float32(-1.0)))
      0.0
    """
    if callable(value):
        return value
    if not isinstance(value, str) or value not in ACTIVATIONS:
        raise ValueError(
            f"{field}: {value!r} is not one of {', '.join(ACTIVATIONS)}, nor a function"
        )
    return ACTIVATIONS[value]


def clipping(clip: float | None) -> Callable[[Array], Array]:
    """What keeps net inputs within ``[-clip, clip]``; nothing where `clip` is None.

    Raises:
      ValueError: for a clip that is not a number > 0.

    Example:
      >>> clipping(0.5)(jnp.array([-2.0, 0.25])).tolist()
      [-0.5, 0.25]
    """
    if clip is None:
        return identity
    if isinstance(clip, bool) or not isinstance(clip, int | float) or not clip > 0:
        raise ValueError(f"clip: {clip!r} is not valid; it must be None or a number > 0")
    return lambda net: jnp.clip(net, -clip, clip)
