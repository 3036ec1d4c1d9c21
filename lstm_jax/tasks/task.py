"""What a task is: where examples come from, and when an answer counts as right."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from lstm_jax import draws
from lstm_jax.types import Array


class Example(NamedTuple):
    """One sequence. Inputs after `length` are zero.

    `inputs` are numbers, or whole numbers ``[T]`` where each step shows one of D symbols: symbol
    s stands for the s-th unit vector, and costs no product. `targets` is ``[K]`` where the target
    comes at the end, ``[T, K]`` where it comes at every step; then `mask` says which steps have
    one. `legal` says which outputs may be the most active ones where the task asks that.
    """

    inputs: Array  # [T, D], or symbols [T] int32
    targets: Array  # [K] or [T, K]
    length: Array  # [] int32
    mask: Array | None = None  # [T] bool
    legal: Array | None = None  # [T, K] bool


def mean_error(outputs: Array, example: Example) -> Array:
    """The mean absolute error over outputs and, where there is a mask, over its steps.

    Example:
      >>> example = Example(jnp.zeros((3, 1)), jnp.array([1.0]), jnp.int32(3))
      >>> float(mean_error(jnp.array([0.75]), example))
      0.25
    """
    return _mean(jnp.abs(outputs - example.targets), example)


def mean_squared_error(outputs: Array, example: Example) -> Array:
    """The same of the squared error.

    Example:
      >>> example = Example(jnp.zeros((3, 1)), jnp.array([1.0]), jnp.int32(3))
      >>> float(mean_squared_error(jnp.array([0.75]), example))
      0.0625
    """
    return _mean((outputs - example.targets) ** 2, example)


def no_marks(example: Example) -> Array:
    """No step of a sequence stands out, ``[T]`` truth values.

    Example:
      >>> no_marks(Example(jnp.zeros((3, 1)), jnp.zeros(1), jnp.int32(3))).tolist()
      [False, False, False]
    """
    return jnp.zeros(example.inputs.shape[0], bool)


class Task(NamedTuple):
    """A source of sequences with the published rule for a right answer.

    Attributes:
      name: the key under which ``TASKS`` knows it.
      input_size: D.
      target_size: K.
      length: T, the static bound of a sequence.
      mean_length: the mean number of time steps of a sequence.
      timing: "end" (targets ``[K]`` at the last step) or "every_step" (``[T, K]``).
      sample: ``(key, trial=0) -> Example``; a training sequence of a trial of this number, which
        matters where trials have training sets of their own.
      correct: ``(outputs, example) -> [] bool``; the paper's own criterion.
      test: ``(key, number, trial=0) -> Example``; the number-th test sequence.
      error: ``(outputs, example) -> []``; the mean absolute error.
      squared_error: ``(outputs, example) -> []``; the mean squared error.
      marks: ``example -> [T] bool``; the steps on which the answer depends, or at which the
        lag ends: what a picture of the sequence points at.
      inputs: the D names of the inputs, or of the symbols; () leaves them to their numbers.
      outputs: the K names of the outputs, likewise.
      lanes: whether `sample` also takes L keys, and gives the examples with the lanes last.
      num_tests: how many test sequences there are; None: as many as are asked for.

    Example:
      A task of one's own: is the first of five numbers above one half?

      >>> import jax
      >>> def sample(key, trial=0):
      ...     xs = jax.random.uniform(key, (5, 1))
      ...     return Example(xs, jnp.where(xs[0] > 0.5, 1.0, 0.0), jnp.int32(5))
      >>> first = Task("first", input_size=1, target_size=1, length=5, mean_length=5.0,
      ...              timing="end", sample=sample, correct=all_within(0.3),
      ...              test=fresh_tests(sample))
      >>> example = first.sample(jax.random.key(0))
      >>> bool(first.correct(example.targets + 0.2, example)), first.inputs
      (True, ())
      >>> round(float(first.error(example.targets + 0.2, example)), 3)
      0.2
    """

    name: str
    input_size: int
    target_size: int
    length: int
    mean_length: float
    timing: str
    sample: Callable[..., Example]
    correct: Callable[[Array, Example], Array]
    test: Callable[..., Example]
    error: Callable[[Array, Example], Array] = mean_error
    squared_error: Callable[[Array, Example], Array] = mean_squared_error
    marks: Callable[[Example], Array] = no_marks
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    lanes: bool = False
    num_tests: int | None = None


def fresh_tests(sample: Callable[..., Example]) -> Callable[..., Example]:
    """``(key, number, trial=0) -> Example``: test sequences drawn like those for training.

    Example:
      >>> import jax
      >>> from lstm_jax import adding
      >>> key = jax.random.key(0, impl="threefry2x32")
      >>> a, b = (fresh_tests(adding(T=11).sample)(key, number) for number in (0, 1))
      >>> bool((a.inputs == b.inputs).all())
      False
    """

    def test(key: Array, number: Array | int, trial: Array | int = 0) -> Example:
        return sample(draws.wrap(draws.fold_in(key, number)), trial)

    return test


def all_within(limit: float) -> Callable[[Array, Example], Array]:
    """``(outputs, example) -> [] bool``: every output with a target is off by less than `limit`.

    Example:
      >>> example = Example(jnp.zeros((3, 1)), jnp.array([1.0]), jnp.int32(3))
      >>> bool(all_within(0.3)(jnp.array([0.75]), example))
      True
    """

    def correct(outputs: Array, example: Example) -> Array:
        near = jnp.abs(outputs - example.targets) < limit
        if example.mask is None:
            return jnp.all(near)
        return jnp.all(near | ~_steps(example.mask, near))

    return correct


def steps(num_steps: int, like: Array) -> Array:
    """The numbers of the steps, ``[T]``, with an axis of 1 for each axis that `like` has.

    Example:
      >>> steps(3, jnp.int32(2)).shape, steps(3, jnp.array([2, 1], jnp.int32)).shape
      ((3,), (3, 1))
    """
    return jnp.arange(num_steps, dtype=jnp.int32).reshape(num_steps, *[1] * like.ndim)


def below(u: Array, n: int | Array) -> Array:
    """A whole number in ``0 .. n - 1`` from u uniform in [0, 1).

    Example:
      >>> int(below(jnp.float32(0.5), 10))
      5
    """
    return jnp.floor(u * jnp.asarray(n, u.dtype)).astype(jnp.int32)


def at_steps(example: Example, *steps: Array | int) -> Array:
    """``[T]`` truth values, true at the steps given.

    Example:
      >>> example = Example(jnp.zeros((4, 1)), jnp.zeros(1), jnp.int32(4))
      >>> at_steps(example, 1, example.length - 1).tolist()
      [False, True, False, True]
    """
    t = jnp.arange(example.inputs.shape[0], dtype=jnp.int32)
    return jnp.any(jnp.stack([t == step for step in steps]), axis=0)


def _mean(errors: Array, example: Example) -> Array:
    if example.mask is None:
        return jnp.mean(errors)
    counted = _steps(example.mask, errors)
    return jnp.sum(jnp.where(counted, errors, 0.0)) / jnp.sum(counted, dtype=errors.dtype)


def _steps(mask: Array, per_output: Array) -> Array:
    return jnp.broadcast_to(mask[:, None], per_output.shape)
