"""What networks answer: many at once, against the paper's forward pass in NumPy, one by one."""

import jax
import numpy as np
import pytest

from lstm_jax.cells import elman
from lstm_jax.kernels import answers, many_answers
from lstm_jax.network import network
from lstm_jax.readout import readout
from lstm_jax.tasks import Example
from tests.networks import CASES, D, K, T, make_network
from tests.oracles import adapters
from tests.oracles import cells as cell_oracles
from tests.oracles import lstm97 as paper
from tests.oracles.training import unit_vectors
from tests.tolerances import assert_close
from tests.variants import randomised

LENGTHS = np.array([[4, 1, 3], [2, 5, 5]], np.int32)  # of L=2 networks' N=3 sequences; T is 6
MANY = [
    ("hidden biases, end, logistic", False),
    ("hidden biases, end, logistic", True),
    ("gates unseen, end, identity", False),  # with inputs to the outputs
    ("gates unseen, end, identity", True),
    ("ranges swapped, gates unseen, every step", False),
    ("gate biases, every step, as Experiment 1", True),
    ("Experiment 2a", False),
    ("Experiment 2a", True),
]


def problem(net, symbols):
    """Weights of two networks, three sequences for each; what stands after the end is no zero."""
    rng = np.random.default_rng(4)
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    params = jax.tree.map(lambda *w: np.stack(w), *(randomised(shapes, rng) for _ in LENGTHS))
    if symbols:
        inputs = rng.integers(0, D, size=(*LENGTHS.shape, T)).astype(np.int32)
    else:
        inputs = rng.normal(size=(*LENGTHS.shape, T, D))
    return params, Example(inputs, np.zeros((*LENGTHS.shape, K)), LENGTHS)


def vectors_of(example, lane, n):
    xs = example.inputs[lane, n, : LENGTHS[lane, n]]
    return unit_vectors(xs, D) if xs.ndim == 1 else xs


def assert_answers(outputs, expected, timing):
    """`expected`: (lane, n) -> all outputs of the sequence."""
    assert outputs.shape == (*LENGTHS.shape, *((K,) if timing == "end" else (T, K)))
    for lane, n in np.ndindex(LENGTHS.shape):
        ys = expected(lane, n)
        length = LENGTHS[lane, n]
        assert_close(
            outputs[lane, n] if timing == "end" else outputs[lane, n, :length],
            ys[-1] if timing == "end" else ys,
            "oracle",
        )


@pytest.mark.parametrize(("name", "symbols"), MANY)
def test_lstm97(name, symbols):
    net, case = make_network(name), CASES[name]
    activation = case.readout.get("activation", "logistic")
    with jax.enable_x64(True):
        params, examples = problem(net, symbols)
        outputs = np.asarray(jax.jit(many_answers(net, case.timing))(params, examples))

    def expected(lane, n):
        one = jax.tree.map(lambda leaf: leaf[lane], params)
        oracle = adapters.paper_net(one.cell, case.cell, one.readout, activation, case.direct)
        return np.array([now.y_k for now in paper.forward(oracle, vectors_of(examples, lane, n))])

    assert_answers(outputs, expected, case.timing)


@pytest.mark.parametrize(("timing", "symbols"), [("end", False), ("every_step", True)])
def test_another_cell_and_the_definition(timing, symbols):
    net = network(elman(D, 2), readout(2 + D, K), direct=True)
    with jax.enable_x64(True):
        params, examples = problem(net, symbols)
        outputs = np.asarray(jax.jit(many_answers(net, timing))(params, examples))
        one = jax.tree.map(lambda leaf: leaf[1], params)
        example = Example(examples.inputs[1, 0], examples.targets[1, 0], LENGTHS[1, 0])
        alone = np.asarray(jax.jit(answers(net, timing))(one, example))

    def expected(lane, n):
        p = jax.tree.map(lambda leaf: np.asarray(leaf)[lane], params)
        xs = vectors_of(examples, lane, n)
        _, hs = cell_oracles.elman(adapters.as_float64(p.cell), xs, np.zeros(2), "tanh")
        return paper.f(np.concatenate([hs, xs], axis=1) @ p.readout.v.T + p.readout.b)

    assert_answers(outputs, expected, timing)
    used = slice(None) if timing == "end" else slice(LENGTHS[1, 0])
    assert_close(alone[used], outputs[1, 0][used])
