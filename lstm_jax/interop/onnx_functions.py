"""The activation functions of ONNX's recurrent nodes, with their alpha and beta."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.interop.refusal import name_of
from lstm_jax.types import Array

# name: (function of x, alpha, beta; the defaults of those it takes). None has to be given: ONNX
# has no default for Affine and ScaledTanh any more, and for ThresholdedRelu it says 1 where
# onnxruntime takes 0.
_FUNCTIONS: dict[str, tuple[Callable[..., Array], tuple[float | None, ...]]] = {
    "Relu": (lambda x: jax.nn.relu(x), ()),
    "Tanh": (lambda x: jnp.tanh(x), ()),
    "Sigmoid": (lambda x: jax.nn.sigmoid(x), ()),
    "Softsign": (lambda x: jax.nn.soft_sign(x), ()),
    "Softplus": (lambda x: jax.nn.softplus(x), ()),
    "LeakyRelu": (lambda x, alpha: jax.nn.leaky_relu(x, alpha), (0.01,)),
    "ThresholdedRelu": (lambda x, alpha: jnp.where(x > alpha, x, jnp.zeros_like(x)), (None,)),
    "Elu": (lambda x, alpha: jax.nn.elu(x, alpha), (1.0,)),
    "Affine": (lambda x, alpha, beta: alpha * x + beta, (None, None)),
    "ScaledTanh": (lambda x, alpha, beta: alpha * jnp.tanh(beta * x), (None, None)),
    "HardSigmoid": (lambda x, alpha, beta: jnp.clip(alpha * x + beta, 0.0, 1.0), (0.2, 0.5)),
}
_LETTERS = ("alpha", "beta")

_OURS: dict[tuple[str, tuple[float, ...]], str] = {
    ("Tanh", ()): "tanh",
    ("Sigmoid", ()): "logistic",
    ("Relu", ()): "relu",
    ("Softsign", ()): "softsign",
    ("Softplus", ()): "softplus",
    ("Elu", (1.0,)): "elu",
    ("LeakyRelu", (0.01,)): "leaky_relu",
    ("Affine", (1.0, 0.0)): "identity",
    ("HardSigmoid", (0.2, 0.5)): "hard_logistic",
}


@dataclass(frozen=True)
class NodeFunction:
    """An activation function as a node has it; a function for our cells, too.

    Attributes:
      name: ONNX's.
      numbers: its alpha and beta, as many as it takes.
      clip: bounds its argument to ``[-clip, clip]`` first; for cells without that option.

    Example:
      >>> NodeFunction("ScaledTanh", (2.0, 0.5))(jnp.zeros(1)).tolist()
      [0.0]
    """

    name: str
    numbers: tuple[float, ...] = ()
    clip: float | None = None

    def __call__(self, x: Array) -> Array:
        """The function's value, elementwise."""
        if self.clip is not None:
            x = jnp.clip(x, -self.clip, self.clip)
        return _FUNCTIONS[self.name][0](x, *self.numbers)


def read_functions(
    names: Sequence[str], alphas: Iterable[float], betas: Iterable[float]
) -> list[NodeFunction]:
    """The functions of a node, alpha and beta handed out as onnxruntime does it.

    The values go, in order, to those functions that take one; where they have run out, a function
    has ONNX's default. Names may be written in any case.

    Raises:
      ValueError: for an unknown name, a value that nothing takes, or a function without a default
        that is left without one.

    Example:
      >>> read_functions(["Sigmoid", "ScaledTanh", "HardSigmoid"], [2.0], [0.5])
      ... # doctest: +NORMALIZE_WHITESPACE
      [NodeFunction(name='Sigmoid', numbers=(), clip=None),
       NodeFunction(name='ScaledTanh', numbers=(2.0, 0.5), clip=None),
       NodeFunction(name='HardSigmoid', numbers=(0.2, 0.5), clip=None)]
    """
    left = {"alpha": list(alphas), "beta": list(betas)}
    given = {letter: len(values) for letter, values in left.items()}
    spelled = {name.lower(): name for name in _FUNCTIONS}
    found = []
    for name in names:
        if name.lower() not in spelled:
            raise ValueError(f"activations: {name!r} is not one of {', '.join(_FUNCTIONS)}")
        name = spelled[name.lower()]
        numbers = []
        for letter, default in zip(_LETTERS, _FUNCTIONS[name][1], strict=False):
            value = shortest(left[letter].pop(0)) if left[letter] else default
            if value is None:
                raise ValueError(
                    f"activation_{letter}: {name} needs one; ONNX and its runtimes have no common "
                    "default for it"
                )
            numbers.append(value)
        found.append(NodeFunction(name, tuple(numbers)))
    for letter, values in left.items():
        if values:
            raise ValueError(
                f"activation_{letter}: {given[letter]} values, but {', '.join(names)} take "
                f"{given[letter] - len(values)}; only functions that take one have one"
            )
    return found


def shortest(value: float) -> float:
    """A node's float32 by its shortest name: 0.2, not 0.20000000298.

    Example:
      >>> shortest(0.20000000298023224)
      0.2
    """
    return float(str(np.float32(value)))


def ours(function: NodeFunction) -> Any:
    """The name in `ACTIVATIONS` of the same function; else the function itself.

    Example:
      >>> ours(NodeFunction("Affine", (1.0, 0.0)))
      'identity'
    """
    return _OURS.get((function.name, function.numbers), function)


def theirs(activation: Any) -> NodeFunction:
    """The node's function for an activation of ours; ``ValueError`` where ONNX has none.

    Example:
      >>> theirs("hard_logistic").numbers
      (0.2, 0.5)
      >>> theirs("hard_tanh")
      Traceback (most recent call last):
      ValueError: onnx has no function for the activation 'hard_tanh'
    """
    if isinstance(activation, NodeFunction):
        return activation
    named = {name: NodeFunction(*key) for key, name in _OURS.items()}
    name = name_of(activation)
    if not isinstance(name, str) or name not in named:
        raise ValueError(f"onnx has no function for the activation {name!r}")
    return named[name]


def write_functions(functions: Sequence[NodeFunction]) -> dict[str, list]:
    """The attributes that say these functions; alpha and beta for those that take one.

    Example:
      >>> write_functions([theirs("logistic"), theirs("identity"), theirs("leaky_relu")])
      ... # doctest: +NORMALIZE_WHITESPACE
      {'activations': ['Sigmoid', 'Affine', 'LeakyRelu'],
       'activation_alpha': [1.0, 0.01], 'activation_beta': [0.0]}
    """
    attributes: dict[str, list] = {"activations": [function.name for function in functions]}
    for place, letter in enumerate(_LETTERS):
        values = [f.numbers[place] for f in functions if len(f.numbers) > place]
        if values:
            attributes[f"activation_{letter}"] = values
    return attributes
