"""The training loop of the 1997 experiments, one network and one sequence at a time, float64.

Sequences are shown one by one; after each, all weights change by the learning rate times the sum
of the paper's updates (tests/oracles/lstm97.py), and the criterion is asked over the whole history
(tests/oracles/stopping.py). Weights are a `Net`; what is right is a function of lists of numbers.
"""

from typing import NamedTuple

import numpy as np

from tests.oracles import lstm97


class Sequence(NamedTuple):
    """What is shown: vectors, and the target vectors by the time (0-based) they are due."""

    xs: np.ndarray  # [length, D]
    targets: dict  # time -> [K]
    legal: dict | None = None  # time -> the outputs that may be the most active ones


class After(NamedTuple):
    """Where a trial stands after a sequence."""

    net: lstm97.Net
    error: float  # mean absolute error of the outputs given before the update
    right: bool
    stops: bool


def unit_vectors(symbols, size):
    xs = np.zeros((len(symbols), size))
    for t, symbol in enumerate(symbols):
        xs[t, symbol] = 1.0
    return xs


def within(limit):
    """Right when every output with a target is off by less than `limit`."""

    def right(ys, sequence):
        return all(
            abs(t_k - y_k) < limit
            for t, target in sequence.targets.items()
            for t_k, y_k in zip(target, ys[t], strict=True)
        )

    return right


def legal_most_active(ys, sequence):
    """Right when at every step the n possible next symbols are the n most active outputs."""
    for t, legal in sequence.legal.items():
        ranked = sorted(range(len(ys[t])), key=lambda k, y=ys[t]: -y[k])
        if set(ranked[: len(legal)]) != set(legal):
            return False
    return True


def mean_errors(ys, sequence):
    """Mean absolute and mean squared error over outputs and the steps with a target."""
    off = [
        t_k - y_k
        for t, target in sequence.targets.items()
        for t_k, y_k in zip(target, ys[t], strict=True)
    ]
    return sum(abs(e) for e in off) / len(off), sum(e * e for e in off) / len(off)


def train(net, sequences, learning_rate, right, stops, in_steps=False):
    """Yields an `After` for each sequence, up to the one with which `stops(history)` holds.

    With `in_steps` the weights change after each time step, not after the sequence.
    """
    history = []
    for sequence in sequences:
        if in_steps:
            ys, net = lstm97.updates_in_steps(net, sequence.xs, sequence.targets, learning_rate)
        else:
            ys, changes = lstm97.updates(net, sequence.xs, sequence.targets)
            net = lstm97.moved(net, learning_rate, changes)
        error, squared = mean_errors(ys, sequence)
        history.append((error, squared, right(ys, sequence)))
        after = After(net, error, history[-1][2], stops(history))
        yield after
        if after.stops:
            return
