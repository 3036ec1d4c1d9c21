"""Exams as values: tests with frozen weights between training sequences, and what passing takes."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.tasks.task import Example, Task
from lstm_jax.types import Array, Params

BLOCK = 16
"""Test sequences answered side by side; an exam that is lost ends after the block it is lost in."""


class Stage(NamedTuple):
    """One thing to pass: fewer than so many wrong answers, and a mean error below a bound."""

    name: str
    wrong_below: int
    error_below: float = math.inf


class Exam(NamedTuple):
    """A test every so many training sequences, on sequences that are not learnt from.

    Attributes:
      every: training sequences from one exam to the next.
      num: test sequences in an exam.
      stages: what is to be passed, each once, in any exam; with the last one a trial is SOLVED.
      fixed: whether all exams of a trial ask the same sequences; else each draws its own, and a
        trial that takes many of them passes with a lucky draw.
    """

    every: int
    num: int
    stages: tuple[Stage, ...]
    fixed: bool = False


def exam(every: int, num: int, stages: tuple[Stage, ...], *, fixed: bool = False) -> Exam:
    """An `Exam` with its values checked.

    Raises:
      ValueError: for counts below 1, no stage, or a stage that nothing or everything passes.

    Example:
      >>> exam(100, 256, (Stage("ST1", wrong_below=1), Stage("ST2", 1, error_below=0.01))).num
      256
    """
    for name, value in (("every", every), ("num", num)):
        if value < 1:
            raise ValueError(f"{name}: {value!r} is not valid; it must be a whole number >= 1")
    if not stages:
        raise ValueError("stages: none given; an exam needs one at least")
    for stage in stages:
        if not 1 <= stage.wrong_below <= num:
            raise ValueError(
                f"{stage.name}: wrong_below={stage.wrong_below} is not valid; it must be a whole "
                f"number from 1 to num={num}"
            )
        if not stage.error_below > 0:
            raise ValueError(
                f"{stage.name}: error_below={stage.error_below} is not valid; it must be positive"
            )
    return Exam(every, num, stages, fixed)


def take(
    exam: Exam,
    task: Task,
    many_answers: Callable[[Params, Example], Array],
    params: Params,
    keys: Array,
    trials: Array,
    needed: Array,
) -> Array:
    """Which stages the networks of L lanes pass in one exam.

    The test sequences are answered in blocks, until every lane has either answered all of them or
    can no longer pass what it needs: errors and wrong answers only add up. So a lane's result
    does not depend on the others.

    Args:
      exam, task: what is asked.
      many_answers: of `kernels.answers`.
      params: the weights, with a leading axis L.
      keys: a key for each lane's test sequences.
      trials: the numbers of the trials, ``[L]``.
      needed: the stages not passed yet, ``[L, S]``; a lane that needs none is not examined.

    Returns:
      ``[L, S]`` bool: passed now and needed.
    """
    side = min(BLOCK, exam.num)  # of test sequences side by side
    num_blocks = -(-exam.num // side)
    wrong_below = jnp.array([stage.wrong_below for stage in exam.stages], jnp.int32)
    error_below = jnp.array([stage.error_below for stage in exam.stages], jnp.float32) * exam.num

    def passing(wrong: Array, error: Array) -> Array:  # [L, S]
        few = wrong[:, None] < wrong_below[None]
        return needed & few & (error[:, None] < error_below[None])

    def block(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        k, wrong, error = state
        numbers = k * side + jnp.arange(side, dtype=jnp.int32)
        inside = jnp.minimum(numbers, exam.num - 1)

        def draw(key: Array, trial: Array) -> Example:
            return jax.vmap(lambda number: task.test(key, number, trial))(inside)

        examples = jax.vmap(draw)(keys, trials)
        outputs = many_answers(params, examples)
        judge = jax.vmap(jax.vmap(lambda y, ex: (task.correct(y, ex), task.error(y, ex))))
        correct, errors = judge(outputs, examples)
        counted = (numbers < exam.num)[None]
        # A NaN is neither right nor small: it counts as wrong, and makes the sum fail.
        wrong = wrong + jnp.sum(~correct & counted, axis=1, dtype=jnp.int32)
        error = error + jnp.sum(jnp.where(counted, errors, 0.0), axis=1)
        return k + 1, wrong, error

    def going(state: tuple[Array, Array, Array]) -> Array:
        k, wrong, error = state
        return (k < num_blocks) & jnp.any(passing(wrong, error))

    num_lanes = trials.shape[0]
    begin = (jnp.int32(0), jnp.zeros(num_lanes, jnp.int32), jnp.zeros(num_lanes, jnp.float32))
    _, wrong, error = jax.lax.while_loop(going, block, begin)
    return passing(wrong, error)
