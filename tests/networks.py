"""The networks every test of gradients runs over, by name, and their gradients by the paper."""

from functools import lru_cache
from typing import NamedTuple

import jax
import numpy as np

from lstm_jax.cells import lstm97
from lstm_jax.network import network
from lstm_jax.readout import readout
from lstm_jax.tasks import Example
from tests.oracles import adapters
from tests.oracles import lstm97 as paper
from tests.variants import randomised

T, D, K = 6, 3, 2


class Case(NamedTuple):
    """A network with a timing; between them the cases take every option at least once."""

    cell: dict
    readout: dict
    timing: str
    direct: bool = False


CASES = {
    "hidden biases, end, logistic": Case({"num_blocks": 2, "block_size": 2}, {}, "end"),
    "hidden biases, every step, identity": Case(
        {"num_blocks": 2, "block_size": 2}, {"activation": "identity"}, "every_step"
    ),
    "gate biases, every step, as Experiment 1": Case(
        {"num_blocks": 3, "block_size": 1, "bias": "gates"}, {"bias": False}, "every_step"
    ),
    "no biases, end, factor 2": Case(
        {"num_blocks": 1, "block_size": 4, "bias": "none"}, {"factor": 2.0}, "end"
    ),
    "gate biases, no output gate, end, no derivative": Case(
        {"num_blocks": 2, "block_size": 3, "bias": "gates", "output_gate": False},
        {"delta": "no_derivative"},
        "end",
    ),
    "not recurrent, every step": Case(
        {"num_blocks": 2, "block_size": 1, "recurrent": False},
        {"activation": "identity", "factor": 0.5},
        "every_step",
    ),
    "silent, end": Case({"num_blocks": 2, "block_size": 2, "silent": True}, {}, "end"),
    "silent, every step": Case(
        {"num_blocks": 2, "block_size": 1, "silent": True, "bias": "none"}, {}, "every_step"
    ),
    "gates unseen, end, identity": Case(
        {"num_blocks": 2, "block_size": 2, "see_gates": False},
        {"activation": "identity"},
        "end",
        direct=True,
    ),
    "ranges swapped, gates unseen, every step": Case(
        {"num_blocks": 1, "block_size": 2, "g": "h1", "h": "g2", "see_gates": False},
        {},
        "every_step",
    ),
    "Experiment 2a": Case(
        {
            "num_blocks": 1,
            "block_size": 1,
            "bias": "none",
            "recurrent": False,
            "output_gate": False,
            "g": "g1",
            "h": "id",
        },
        {"bias": False},
        "every_step",
        direct=True,
    ),
}
LENGTHS = (T, 1, 4)


@lru_cache
def make_network(name):
    case = CASES[name]
    cell = lstm97(D, **case.cell)
    seen = cell.output_size + (D if case.direct else 0)
    return network(cell, readout(seen, K, **case.readout), direct=case.direct)


def random_example(rng, timing, length, num_steps=T):
    """Zeros after the length, as tasks give them; at every step, one step has no target."""
    inputs = rng.normal(size=(num_steps, D)) * 1.5
    inputs[length:] = 0.0
    mask = None
    targets = rng.uniform(size=(num_steps, K) if timing == "every_step" else K)
    if timing == "every_step":
        mask = np.arange(num_steps) < length
        mask[2] = False
        targets[length:] = 0.0
    return Example(inputs, targets, np.int32(length), mask)


def random_problem(name, seed, zero_state=False):
    """Random weights, a random non-zero state, a random sequence."""
    net, case = make_network(name), CASES[name]
    rng = np.random.default_rng(seed)
    params = randomised(jax.eval_shape(net.init, jax.random.key(0)), rng)
    state = randomised(net.cell.initial_state(), rng, 0.0 if zero_state else 0.7)
    return params, random_example(rng, case.timing, LENGTHS[seed % 3]), state


def stack(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def row(tree, n):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[n], tree)


def paper_gradient(name, params, example, state):
    """Outputs and (W_in, W_out, W_c, W_k) gradients of the paper's own rule: minus its updates."""
    case, length = CASES[name], int(example.length)
    options = dict(case.readout)
    activation, _ = options.pop("activation", "logistic"), options.pop("bias", None)
    net = adapters.paper_net(params.cell, case.cell, params.readout, activation, case.direct)
    if case.timing == "end":
        targets = {length - 1: example.targets}
    else:
        targets = {t: example.targets[t] for t in range(length) if example.mask[t]}
    start = adapters.paper_state(state)
    ys, changes = paper.updates(net, example.inputs[:length], targets, start, **options)
    return ys, tuple(None if change is None else -change for change in changes)


def as_vectors(grads):
    return adapters.unit_vectors(grads.cell, grads.readout)
