"""What each task points at in a sequence, and what its inputs and outputs are called."""

import jax
import numpy as np
import pytest

from lstm_jax.tasks import TASKS


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
