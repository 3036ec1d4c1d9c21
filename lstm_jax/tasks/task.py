"""What a task is: where examples come from, and when an answer counts as right."""

from collections.abc import Callable
from typing import NamedTuple

from lstm_jax.types import Array


class Example(NamedTuple):
    """One sequence. Inputs after `length` are zero.

    `targets` is ``[K]`` where the target comes at the end, ``[T, K]`` where it comes at every
    step; then `mask` says which steps have one.
    """

    inputs: Array  # [T, D]
    targets: Array  # [K] or [T, K]
    length: Array  # [] int32
    mask: Array | None = None  # [T] bool


class Task(NamedTuple):
    """A source of sequences with the published rule for a right answer.

    Attributes:
      name: the key under which ``TASKS`` knows it.
      input_size: D.
      target_size: K.
      length: T, the static bound of a sequence.
      mean_length: the mean number of time steps of a sequence.
      timing: "end" (targets ``[K]`` at the last step) or "every_step" (``[T, K]``).
      sample: ``key -> Example``.
      error: ``(outputs, example) -> []``; the mean absolute error.
      squared_error: ``(outputs, example) -> []``; the mean squared error.
      correct: ``(outputs, example) -> [] bool``; the paper's own criterion.
    """

    name: str
    input_size: int
    target_size: int
    length: int
    mean_length: float
    timing: str
    sample: Callable[[Array], Example]
    error: Callable[[Array, Example], Array]
    squared_error: Callable[[Array, Example], Array]
    correct: Callable[[Array, Example], Array]
