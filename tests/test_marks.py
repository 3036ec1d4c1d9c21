"""What each task points at in a sequence, and what its inputs and outputs are called."""

import jax
import numpy as np
import pytest

from lstm_jax.tasks import TASKS
from tests.oracles import long_lag, reber


def letters(task, example):
    return [task.inputs[symbol] for symbol in example.inputs[: example.length].tolist()]


def by_hand(task, example):
    """The steps that a reader of the paper would point at."""
    length = int(example.length)
    if task.name in ("adding", "multiplication"):
        return [t for t in range(length) if example.inputs[t, 1] == 1]
    if task.name == "temporal_order":
        return [t for t, letter in enumerate(letters(task, example)) if letter in "XY"]
    if task.name == "two_sequence":
        return [0, 1, 2]
    shown = letters(task, example)
    if task.name == "embedded_reber":  # the letter before last is the second one again
        assert task.outputs[int(example.targets[length - 2].argmax())] == shown[1]
        return [1, length - 2]
    first = next(t for t, letter in enumerate(shown) if letter in ("x", "y"))
    if task.name == "long_lag_2c":
        assert shown[0] == "b" and shown[-1] == "e"
        assert task.outputs[int(example.targets.argmax())] == shown[first]
    else:
        assert task.outputs[int(example.targets[-1].argmax())] == shown[first]
    return [first, length - 1]


@pytest.mark.parametrize("name", TASKS)
def test_marks_and_names(name):
    task = TASKS[name]()
    assert len(task.inputs) == task.input_size
    assert len(task.outputs) == task.target_size
    sample, marks = jax.jit(task.sample), jax.jit(task.marks)
    for seed in range(3):
        example = sample(jax.random.key(seed))
        marked = np.asarray(marks(example))
        assert marked.shape == (task.length,) and marked.dtype == bool
        assert np.flatnonzero(marked).tolist() == by_hand(task, example)


def by_name(task, example):
    """Whether the names alone make the paper's sequence of this example, and its answer."""
    if task.name in ("adding", "multiplication"):
        columns = dict(zip(task.inputs, example.inputs[: example.length].T, strict=True))
        marks = columns["marker"].tolist()
        return set(marks) <= {-1, 0, 1} and marks[0] == marks[-1] == -1
    if task.name == "two_sequence":
        return (task.inputs, task.outputs) == (("value",), ("class",))
    shown = letters(task, example)
    answer = task.outputs[int(example.targets.argmax(axis=-1).ravel()[-1])]  # to the last step
    if task.name == "temporal_order":  # classes are called by their symbols, in their order
        return answer == "".join(letter for letter in shown if letter in "XY")
    if task.name == "long_lag_2c":
        return task.inputs == tuple(long_lag.names_2c(50)) and task.outputs == ("x", "y")
    if task.name.startswith("long_lag"):
        return task.inputs == task.outputs == tuple(long_lag.names_2ab(100)) and answer == shown[0]
    return reber.accepts("".join([*shown, "E"])) and task.outputs == tuple(reber.SYMBOLS)


@pytest.mark.parametrize("name", TASKS)
def test_names_are_those_of_the_paper(name):
    """A picture of a sequence says by them what is shown, and what was answered."""
    task = TASKS[name]()
    sample = jax.jit(task.sample)
    for seed in range(8):
        assert by_name(task, sample(jax.random.key(seed)))


def test_the_first_test_sequence_of_2a_is_that_of_x():
    task = TASKS["long_lag_2a"](p=4)
    for number, name in enumerate("xyxy"):
        example = task.test(jax.random.key(0), number)
        assert letters(task, example) == [name, "a1", "a2", "a3"]
