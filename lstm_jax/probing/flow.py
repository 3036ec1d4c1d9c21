"""What the error-flow study measures: the error at each lag, its bounds, its rate of decay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells.elman import ElmanSpec
from lstm_jax.config import ConfigError
from lstm_jax.error_flow import (
    MEMORY,
    NORMS,
    WHOLE,
    error_flow,
    flow_norm,
    log_flow_norm,
    log_product_bound,
    step_jacobians,
    weight_bound,
)
from lstm_jax.network import Network, NetworkParams
from lstm_jax.probing.engine import Measure
from lstm_jax.summary import median_interval
from lstm_jax.tasks import Task
from lstm_jax.types import Array

PARTS = {"memory": MEMORY, "state": WHOLE, "hidden": "h", "cell": "c"}
"""What `config.part` can name."""
_PROBE_KEY = 1997  # the sequences that are looked at: the same for every net of every study


def measured_lags(num_steps: int) -> tuple[int, ...]:
    """The lags on file: each of the first 20, then every fifth, every 25th from 200 on.

    Example:
      >>> measured_lags(30)[-3:]
      (20, 25, 30)
    """
    lags = [q for q in range(1, num_steps + 1) if q <= 20 or q % (5 if q <= 200 else 25) == 0]
    return tuple(lags)


def flow_measure(network: Network, task: Task, *, part: str, num_sequences: int) -> Measure:
    """Error flow of a network on sequences of its task, in float64.

    The error is the slope of the output units' net input, summed; with one output unit it is the
    error that training sends back, but for a factor. Norms are relative to lag 1, geometric means
    over the sequences: 0 where the error of one of them is exactly zero.

    Returns:
      A measure with `full` and `truncated` (all nan for a net that the truncation leaves without
      flow), each at `measured_lags`; `full_bound` and `truncated_bound` likewise; the logarithms
      of all four, `full_log` and so on, which reach further than float64; and `weight_bounds`, the
      factor per step by each norm, for a net without gates.

    Raises:
      ConfigError: for a part that the cell's state does not have.
    """
    cell, lags = network.cell, measured_lags(_shortest(task))
    field = PARTS[part]

    def of_sequence(params: NetworkParams, xs: Array, length: Array) -> dict[str, Array]:
        weights: Any = params.readout.v
        error, found = jnp.sum(weights, axis=0)[: cell.output_size], {}
        for name, truncated in (("full", False), ("truncated", True)):
            flow = error_flow(cell, params.cell, xs, error, length=length, truncated=truncated)
            jacobians = step_jacobians(cell, params.cell, xs, truncated=truncated)
            # Lags count from the sequence's end, which is moved to the end of the array.
            at_end = jnp.roll(jacobians, task.length - length, axis=0)
            logs = log_flow_norm(flow, at_end, field)
            # Under the truncation a bound is of the part that it leaves; else of the whole state.
            whole = jnp.log(flow_norm(flow, field if truncated else WHOLE)[0])
            nothing = jnp.nan if truncated else -jnp.inf  # of a net without any flow at lag 1
            flows = logs[0] > -jnp.inf
            bounds = log_product_bound(at_end) + whole - logs[0]
            found[name] = jnp.where(flows, logs - logs[0], nothing)
            found[f"{name}_bound"] = jnp.where(flows, bounds, nothing)
        return found

    @jax.jit
    def of_network(params: NetworkParams, inputs: Array, lengths: Array) -> dict[str, Array]:
        found = jax.vmap(of_sequence, in_axes=(None, 0, 0))(params, inputs, lengths)
        rows = jnp.array(lags, jnp.int32) - 1
        means = {name: jnp.mean(logs, axis=0)[rows] for name, logs in found.items()}
        curves = {name: jnp.exp(logs) for name, logs in means.items()}
        curves |= {f"{name}_log": logs for name, logs in means.items()}
        if isinstance(cell.spec, ElmanSpec) and cell.spec.activation in ("tanh", "logistic"):
            each = [weight_bound(params.cell.r, cell.spec.activation, norm) for norm in NORMS]
            curves["weight_bounds"] = jnp.stack(each)
        return curves

    state = jax.eval_shape(cell.initial_state)
    try:
        flow_norm(jax.tree.map(lambda leaf: np.zeros((1, *leaf.shape)), state), field)
    except ValueError:
        raise ConfigError(
            f"config.part={part}: the state of {cell.name} has no {field}, "
            f"only {', '.join(state._fields)}; memory and state fit every cell"
        ) from None
    examples = probe_examples(task, num_sequences)

    def measure(params: NetworkParams) -> Mapping[str, Any]:
        with jax.enable_x64():
            wide = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), params)
            inputs = jnp.asarray(examples.inputs, jnp.float64)
            return jax.device_get(of_network(wide, inputs, jnp.asarray(examples.length)))

    return measure


def probe_examples(task: Task, num_sequences: int) -> Any:
    """Test sequences of a task, stacked, on the host; the same ones for every net."""
    key = jax.random.key(_PROBE_KEY, impl="threefry2x32")
    numbers = jnp.arange(num_sequences, dtype=jnp.int32)
    return jax.device_get(jax.jit(jax.vmap(lambda n: task.test(key, n)))(numbers))


def _shortest(task: Task) -> int:
    """The least length of the marked-pairs tasks, whose longest has a tenth more."""
    return int(round(2 * task.mean_length)) - task.length


class Decay(NamedTuple):
    """How fast the error falls from lag to lag, over the trials of one net.

    Attributes:
      rate: median factor per step; 1 keeps, below 1 vanishes, above 1 explodes, 0 is a flow that
        is exactly zero.
      low, high: 95% interval of that median.
      half_life: steps in which the median rate halves the error; inf where it does not.
      trials: how many there were.
    """

    rate: float
    low: float
    high: float
    half_life: float
    trials: int


def decay(lags: Sequence[int], logs: Sequence[Sequence[float]] | np.ndarray) -> Decay:
    """Least squares of the logarithm of the norm over the lag, for each trial; their median.

    Args:
      lags: in steps.
      logs: of each trial, logarithms of the norm at those lags: -inf for a flow that is exactly
        zero there, nan where nothing is known of it, which is left out of the fit.

    Example:
      >>> halves = [[q * math.log(0.5) for q in (1, 2, 3)]] * 6
      >>> decay((1, 2, 3), halves)[:4]
      (0.5, 0.5, 0.5, 1.0)
    """
    steps = np.asarray(lags, float)
    rates = [_rate(steps, np.asarray(own, float)) for own in logs]
    rate, (low, high) = float(np.median(rates)), median_interval(rates)
    rate, low, high = (_round_one(value) for value in (rate, low, high))
    half = math.log(0.5) / math.log(rate) if 0 < rate < 1 else math.inf if rate else 0.0
    return Decay(rate, low, high, half, len(rates))


def _rate(steps: np.ndarray, logs: np.ndarray) -> float:
    if np.isneginf(logs).any():
        return 0.0
    known = ~np.isnan(logs)
    return float(np.exp(np.polyfit(steps[known], logs[known], 1)[0]))


def _round_one(rate: float) -> float:
    """A rate that is 1 but for the rounding of the sums behind it."""
    return 1.0 if abs(rate - 1) < 1e-12 else rate
