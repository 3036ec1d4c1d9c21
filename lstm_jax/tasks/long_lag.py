"""Long time lags with local codes: Experiments 2a, 2b, 2c of Hochreiter & Schmidhuber 1997."""

import math

import jax
import jax.numpy as jnp

from lstm_jax import draws
from lstm_jax.tasks.arguments import require_whole
from lstm_jax.tasks.task import (
    Example,
    Task,
    all_within,
    at_steps,
    below,
    fresh_tests,
    steps,
)
from lstm_jax.types import Array

CORRECT_WITHIN = 0.25
"""Of 2a and 2b: the absolute error of every output must be below this."""
CORRECT_WITHIN_2C = 0.2
"""The same of 2c."""
GO_ON = 0.9
"""The probability of one more distractor in 2c."""
MOST_EXTRA = 197
"""Of 2c: more distractors than q + 197 have a probability below 1e-9, and are cut off."""


def long_lag_2a(p: int = 100) -> Task:
    """Predicts each next symbol of one of two sequences that differ at both ends only.

    The sequences are ``x a_1 .. a_{p-1} x`` and ``y a_1 .. a_{p-1} y``, with probability 1/2 each.
    Of the p + 1 symbols the first p are the inputs (symbols ``[p]``: ``a_i`` is i - 1, x is p - 1,
    y is p), and the target at each step is the symbol that follows (``[p, p + 1]``). An answer is
    right when every output at every step is off by less than 0.25.

    Test sequence 0, and every even one, is that of x; the odd ones are that of y.

    Args:
      p: the delay in steps, at least 2.

    Raises:
      ValueError: for another p.

    Example:
      >>> import jax
      >>> task = long_lag_2a(p=4)
      >>> example = task.test(jax.random.key(0), 1)  # y a_1 a_2 a_3 y
      >>> example.inputs.tolist(), example.targets.argmax(axis=1).tolist()
      ([4, 0, 1, 2], [0, 1, 2, 4])
    """
    require_whole("p", p, 2)

    def sample(key: Array, trial: Array | int = 0) -> Example:
        (u,) = draws.uniform(key, 1)
        return test(key, below(u, 2), trial)

    def test(key: Array, number: Array | int, trial: Array | int = 0) -> Example:
        del key, trial  # there are only two sequences
        between = jnp.arange(p - 1, dtype=jnp.int32)
        return _same_at_both_ends(p, jnp.asarray(number % 2, jnp.int32), between)

    return Task(
        name="long_lag_2a",
        input_size=p + 1,
        target_size=p + 1,
        length=p,
        mean_length=float(p),
        timing="every_step",
        sample=sample,
        correct=all_within(CORRECT_WITHIN),
        test=test,
        marks=lambda example: at_steps(example, 0, p - 1),
        inputs=_names(p),
        outputs=_names(p),
    )


def long_lag_2b(p: int = 100) -> Task:
    """Experiment 2a with random symbols in between: nothing local helps to learn the lag.

    As ``long_lag_2a``, but the p - 1 symbols between the equal ends are each one of ``a_1 ..
    a_{p-1}``, all equally likely. All have to be predicted, though only the last can be; an answer
    is right when every output at the last step is off by less than 0.25.

    Args:
      p: the delay in steps, at least 2.

    Raises:
      ValueError: for another p.

    Example:
      >>> import jax
      >>> task = long_lag_2b(p=4)
      >>> example = task.sample(jax.random.key(0))
      >>> example.inputs.tolist(), example.targets.argmax(axis=1).tolist()
      ([4, 2, 0, 1], [2, 0, 1, 4])
    """
    require_whole("p", p, 2)

    def sample(key: Array, trial: Array | int = 0) -> Example:
        del trial  # all trials draw from the same source
        u = draws.uniform(key, p)
        return _same_at_both_ends(p, below(u[0], 2), below(u[1:], p - 1))

    def correct(outputs: Array, example: Example) -> Array:
        return jnp.all(jnp.abs(outputs[-1] - example.targets[-1]) < CORRECT_WITHIN)

    return Task(
        name="long_lag_2b",
        input_size=p + 1,
        target_size=p + 1,
        length=p,
        mean_length=float(p),
        timing="every_step",
        sample=sample,
        correct=correct,
        test=fresh_tests(sample),
        marks=lambda example: at_steps(example, 0, p - 1),
        inputs=_names(p),
        outputs=_names(p),
    )


def long_lag_2c(p: int = 50, q: int = 50) -> Task:
    """Remembers x or y over at least q distractors, of p kinds; due at the end.

    A sequence is b, then x or y (probability 1/2 each), then q + k distractors, each one of
    ``a_1 .. a_p``, all equally likely, then e. The number k is geometric: after each further
    distractor another follows with probability 9/10, else e. What must follow is the x or y of the
    second step: targets are ``[2]``, for x and for y. An answer is right when both outputs are off
    by less than 0.2.

    Inputs are symbols ``[T]``: ``a_i`` is i - 1, e is p, b is p + 1, x is p + 2, y is p + 3. The
    length is q + k + 3, in the mean q + 12. A k above ``MOST_EXTRA`` counts as that many.

    Args:
      p: kinds of distractors, at least 1.
      q: the fewest distractors, at least 1.

    Raises:
      ValueError: for other arguments.

    Example:
      >>> import jax
      >>> task = long_lag_2c(p=5, q=4)
      >>> example = task.sample(jax.random.key(0))
      >>> example.inputs[: example.length].tolist(), example.targets.tolist()
      ([6, 8, 0, 1, 3, 3, 5], [0.0, 1.0])
    """
    require_whole("p", p, 1)
    require_whole("q", q, 1)
    end, begin, x = p, p + 1, p + 2
    bound = q + MOST_EXTRA + 3

    def sample(key: Array, trial: Array | int = 0) -> Example:
        del trial  # all trials draw from the same source
        u = draws.uniform(key, 3 + bound)
        which = below(u[0], 2)
        length = q + _geometric(u[1], u[2]) + 3

        t = steps(bound, length)
        symbols = below(u[3:], p)
        symbols = jnp.where(t == 0, begin, symbols)
        symbols = jnp.where(t == 1, x + which[None], symbols)
        symbols = jnp.where(t == length[None] - 1, end, symbols)
        return Example(
            inputs=jnp.where(t < length[None], symbols, 0),
            targets=jax.nn.one_hot(which, 2, dtype=u.dtype, axis=0),
            length=length,
        )

    return Task(
        name="long_lag_2c",
        input_size=p + 4,
        target_size=2,
        length=bound,
        mean_length=q + 12.0,  # E[k] = 9
        timing="end",
        sample=sample,
        correct=all_within(CORRECT_WITHIN_2C),
        test=fresh_tests(sample),
        marks=lambda example: at_steps(example, 1, example.length - 1),
        inputs=(*(f"a{i + 1}" for i in range(p)), "e", "b", "x", "y"),
        outputs=("x", "y"),
        lanes=True,
    )


def _names(p: int) -> tuple[str, ...]:
    """The symbols of 2a and 2b."""
    return (*(f"a{i + 1}" for i in range(p - 1)), "x", "y")


def _same_at_both_ends(p: int, which: Array, between: Array) -> Example:
    """The sequence of x (which = 0) or of y (1) around the symbols `between` ``[p - 1]``."""
    end = p - 1 + which[None]
    symbols = jnp.concatenate([end, between, end])
    return Example(
        inputs=symbols[:-1],
        targets=jax.nn.one_hot(symbols[1:], p + 1, dtype=jnp.float32),
        length=jnp.int32(p),
        mask=jnp.ones(p, bool),
    )


def _geometric(u: Array, finer: Array) -> Array:
    """k with ``P(k >= n) = GO_ON**n``, at most MOST_EXTRA, from two numbers uniform in [0, 1).

    The 23 bits of the first would end the tail at 157: the second fills in the bits below them.
    """
    u = u + (finer + 2.0**-24) * 2.0**-23
    k = jnp.floor(jnp.log(u) / math.log(GO_ON)).astype(jnp.int32)
    return jnp.clip(k, 0, MOST_EXTRA)
