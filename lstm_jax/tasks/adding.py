"""The adding problem: Experiment 4 of Hochreiter & Schmidhuber 1997."""

import jax.numpy as jnp

from lstm_jax import draws
from lstm_jax.tasks.task import Example, Task
from lstm_jax.types import Array

FIRST_MARK_WITHIN = 10
"""The first mark falls on one of the first ten pairs, whatever T is."""
CORRECT_BELOW = 0.04
"""An answer is right when its absolute error is below this."""


def adding(T: int = 100) -> Task:
    """Adds two marked numbers of a long sequence; the answer is due at its end.

    Each step is a pair (value, marker). Values are uniform in [-1, 1]; the length is uniform in
    ``T .. T + T // 10``. The first mark (marker 1, value X1) falls on one of the first ten pairs,
    the second (X2) on another one of the first ``T // 2 - 1``. The first and the last pair have
    marker -1; should a mark fall on the first pair, its value counts as 0 and its marker stays
    -1. All other markers are 0. The target at the end is ``0.5 + (X1 + X2) / 4``, in [0, 1].
    An answer is right when its absolute error is below 0.04.

    A constant answer of 0.5 has a mean absolute error of about 1/6 and is right in 15% of cases.

    Args:
      T: the shortest length, at least 11 (below that a mark could fall on the last pair).

    Raises:
      ValueError: for a smaller T.

    Example:
      >>> import jax
      >>> task = adding(T=100)
      >>> example = task.sample(jax.random.key(0))
      >>> example.inputs.shape, example.targets.shape, 100 <= int(example.length) <= 110
      ((110, 2), (1,), True)
    """
    if isinstance(T, bool) or not isinstance(T, int) or T <= FIRST_MARK_WITHIN:
        raise ValueError(f"T: {T!r} is not valid; it must be a whole number >= 11")
    bound = T + T // 10
    num_second = T // 2 - 1

    def sample(key: Array) -> Example:
        # floor(u * n) of a 23-bit uniform: each of n < 10^4 outcomes is off by less than 0.2%
        # of its share, and one draw serves all three where randint would take six.
        u = draws.uniform(key, 3 + bound)
        length = T + _below(u[0], T // 10 + 1)
        first = _below(u[1], FIRST_MARK_WITHIN)
        # The second mark takes one of the first T // 2 - 1 pairs that is still unmarked.
        second = _below(u[2], num_second - (first < num_second).astype(jnp.int32))
        second = second + (second >= first).astype(jnp.int32)

        values = 2 * u[3:] - 1
        t = jnp.arange(bound, dtype=jnp.int32)
        marker = jnp.where((t == first) | (t == second), 1.0, 0.0)
        marker = jnp.where((t == 0) | (t == length - 1), -1.0, marker)
        values = jnp.where(t < length, values, 0.0)
        x1 = jnp.where(first == 0, 0.0, values[first])
        x2 = jnp.where(second == 0, 0.0, values[second])
        return Example(
            inputs=jnp.stack([values, marker.astype(values.dtype)], axis=1),
            targets=(0.5 + (x1 + x2) / 4)[None],
            length=length,
        )

    def error(outputs: Array, example: Example) -> Array:
        return jnp.mean(jnp.abs(outputs - example.targets))

    def squared_error(outputs: Array, example: Example) -> Array:
        return jnp.mean((outputs - example.targets) ** 2)

    def correct(outputs: Array, example: Example) -> Array:
        return jnp.all(jnp.abs(outputs - example.targets) < CORRECT_BELOW)

    mean_length = T + (T // 10) / 2
    return Task("adding", 2, 1, bound, mean_length, "end", sample, error, squared_error, correct)


def _below(u: Array, n: int | Array) -> Array:
    """A whole number in ``0 .. n - 1`` from u uniform in [0, 1)."""
    return jnp.floor(u * jnp.asarray(n, u.dtype)).astype(jnp.int32)
