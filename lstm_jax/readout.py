"""Output units, and the error signal they send back."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import require_positive
from lstm_jax.initial import uniform
from lstm_jax.types import Array

ACTIVATIONS = ("logistic", "identity")
DELTAS = ("exact", "no_derivative")


class ReadoutParams(NamedTuple):
    """Output weights and biases; a field is None where there are none."""

    v: Any  # [K, V] Array; None for units that are recurrent themselves
    b: Array | None  # [K]


class Readout(NamedTuple):
    """Output units over what they see, V numbers.

    Attributes:
      input_size: V.
      output_size: K.
      init: ``(key, init_range) -> params``.
      net: ``(params, seen[V]) -> net[K]``.
      output: ``net[K] -> y[K]``.
      delta: ``(net[K], target[K]) -> e[K]``, the error signal that travels back.

    Example:
      For a logistic unit ``e = (target - y) y (1 - y)`` (1997, appendix A.1):

      >>> units = readout(4, 1)
      >>> params = units.init(jax.random.key(0), 0.1)
      >>> net = units.net(params, jnp.zeros(4)) * 0
      >>> units.output(net).tolist(), units.delta(net, jnp.ones(1)).tolist()
      ([0.5], [0.125])
    """

    input_size: int
    output_size: int
    init: Callable[..., ReadoutParams]
    net: Callable[[ReadoutParams, Array], Array]
    output: Callable[[Array], Array]
    delta: Callable[[Array, Array], Array]


def readout(
    input_size: int,
    output_size: int,
    *,
    activation: str = "logistic",
    bias: bool = True,
    delta: str = "exact",
    factor: float = 1.0,
    tolerance: float = 0.0,
    init_range: float = 0.1,
) -> Readout:
    """Output units ``y_k = f(net_k)``, ``net_k = v_k h + b_k``, with the paper's error signal.

    The 1997 paper descends the sum of squared errors and drops the factor 2 in its update
    formulas (eqs 16 to 19): ``e_k = f'(net_k) (t_k - y_k)``. What it leaves open is a choice here.

    Args:
      input_size: V, what each output unit sees.
      output_size: K.
      activation: f: "logistic", as the paper's text says, or "identity".
      bias: whether output units have biases.
      delta: "exact" is ``f'(net) (t - y)``; "no_derivative" leaves f' out, ``t - y``.
      factor: multiplies the error signal; 2.0 is the exact gradient of a plain sum of squares.
      tolerance: an output within this of its target is right enough, and sends no error back.
      init_range: weights and biases start uniform in ``[-init_range, init_range]``.

    Raises:
      ValueError: for sizes below 1, a negative tolerance, or an unknown option.

    Example:
      >>> import jax.numpy as jnp
      >>> units = readout(4, 1, activation="identity")
      >>> params = units.init(jax.random.key(0))
      >>> net = units.net(params, jnp.zeros(4))
      >>> bool(units.delta(net, net + 0.5)[0] == 0.5)
      True
    """
    require_positive(input_size=input_size, output_size=output_size)
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: {activation!r} is not one of {', '.join(ACTIVATIONS)}")
    if delta not in DELTAS:
        raise ValueError(f"delta: {delta!r} is not one of {', '.join(DELTAS)}")
    _require_tolerance(tolerance)

    def init(key: Array, init_range: float | Array = init_range) -> ReadoutParams:
        v, b = uniform(key, init_range, [(output_size, input_size), (output_size,)])
        return ReadoutParams(v=v, b=b if bias else None)

    def net(params: ReadoutParams, seen: Array) -> Array:
        net = params.v @ seen
        return net if params.b is None else net + params.b

    def output(net: Array) -> Array:
        return jax.nn.sigmoid(net) if activation == "logistic" else net

    def error_signal(net: Array, target: Array) -> Array:
        y = output(net)
        error = factor * _outside(tolerance, target - y)
        return error * (y * (1 - y)) if (activation, delta) == ("logistic", "exact") else error

    return Readout(input_size, output_size, init, net, output, error_signal)


def units_readout(
    input_size: int, output_size: int, *, factor: float = 1.0, tolerance: float = 0.0
) -> Readout:
    """The last `output_size` recurrent units are the output units: a readout without weights.

    So are the outputs of the fully recurrent net of Williams & Zipser 1989 (and of Smith & Zipser
    1989, in Table 1 of the 1997 paper): targets are set for units that are recurrent themselves.
    Here ``net_k = y_k``, the activation of a unit that is squashed already, and the error signal
    is with respect to it, ``e_k = t_k - y_k``; the unit's own f' comes in as the gradient rule
    goes on through the cell. It descends ``1/2 sum_k (t_k - y_k)^2``.

    Args:
      input_size: V, the outputs of the cell. Not for a network with `direct` set, where the last
        numbers seen are inputs.
      output_size: K, at most V.
      factor: multiplies the error signal.
      tolerance: an output within this of its target sends no error back.

    Raises:
      ValueError: for sizes below 1, a negative tolerance, or more output units than units.

    Example:
      >>> import jax.numpy as jnp
      >>> units = units_readout(10, 7)
      >>> params = units.init(jax.random.key(0))
      >>> units.net(params, jnp.arange(10.0)).shape, jax.tree.leaves(params)
      ((7,), [])
    """
    require_positive(input_size=input_size, output_size=output_size)
    if output_size > input_size:
        raise ValueError(
            f"output_size: {output_size} output units, where there are {input_size} units"
        )
    _require_tolerance(tolerance)

    def init(key: Array, init_range: float | Array = 0.0) -> ReadoutParams:
        del key, init_range
        return ReadoutParams(v=None, b=None)

    def net(params: ReadoutParams, seen: Array) -> Array:
        del params
        return seen[-output_size:]

    def output(net: Array) -> Array:
        return net

    def error_signal(net: Array, target: Array) -> Array:
        return factor * _outside(tolerance, target - net)

    return Readout(input_size, output_size, init, net, output, error_signal)


def _require_tolerance(tolerance: float) -> None:
    if not tolerance >= 0:
        raise ValueError(f"tolerance: {tolerance!r} is not valid; it must be a number >= 0")


def _outside(tolerance: float, error: Array) -> Array:
    return jnp.where(jnp.abs(error) < tolerance, 0.0, error) if tolerance else error
