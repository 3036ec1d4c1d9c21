"""Weights that change after every time step: `traces` with a rate, against a plain NumPy loop."""

from functools import lru_cache

import jax
import numpy as np
import pytest

from lstm_jax.gradients import traces
from lstm_jax.kernels import lanes_last
from lstm_jax.network import NetworkParams
from tests.compiling import quick
from tests.networks import CASES, D, T, as_vectors, make_network, random_problem, row, stack
from tests.oracles import adapters
from tests.oracles import lstm97 as paper
from tests.oracles.training import unit_vectors
from tests.tolerances import assert_close

EVERY_STEP = [name for name, case in CASES.items() if case.timing == "every_step"]
# Compiling is what takes time; test_numpy_engine.py has the program that experiments run.
RATES = np.array([0.5, 0.0, 2.0])
LENGTHS = (T, 3, 4)


@lru_cache
def problems_of(name, symbols):
    with jax.enable_x64(True):
        rng = np.random.default_rng(5)
        problems = []
        for seed, length in enumerate(LENGTHS):
            params, example, state = random_problem(name, seed)
            xs = rng.integers(0, D, size=T).astype(np.int32) if symbols else example.inputs
            # one step without a target, and what would be one after the end
            mask = np.arange(T) != 1
            targets = rng.uniform(size=example.targets.shape)
            example = example._replace(
                inputs=xs, targets=targets, length=np.int32(length), mask=mask
            )
            problems.append((params, example, state))
        return stack(problems)


def by_numpy(name, params, example, state, rate):
    """Outputs, and the weights after the sequence."""
    case, length = CASES[name], int(example.length)
    xs = example.inputs if example.inputs.ndim == 2 else unit_vectors(example.inputs, D)
    options = dict(case.readout)
    activation, _ = options.pop("activation", "logistic"), options.pop("bias", None)
    net = adapters.paper_net(params.cell, case.cell, params.readout, activation, case.direct)
    targets = {t: example.targets[t] for t in range(length) if example.mask[t]}
    start = adapters.paper_state(state)
    return paper.updates_in_steps(net, xs[:length], targets, rate, start, **options)


def assert_as_by_numpy(name, results, problems):
    outputs, grads = results
    for n, length in enumerate(LENGTHS):
        params, example, state = row(problems, n)
        ys, net = by_numpy(name, params, example, state, RATES[n])
        assert_close(np.asarray(outputs)[n, :length], ys, "oracle")
        after = jax.tree.map(lambda w, grad, n=n: w - RATES[n] * grad, params, row(grads, n))
        assert_close(as_vectors(after), paper.weights(net), "oracle")


@pytest.mark.parametrize(
    ("name", "symbols"), [*((name, False) for name in EVERY_STEP), ("Experiment 2a", True)]
)
def test_updates_after_every_step(name, symbols):
    """Each lane with a rate of its own; a rate of zero is the gradient with fixed weights."""
    problems = problems_of(name, symbols)
    with jax.enable_x64(True):
        rule = lanes_last(traces(make_network(name), "every_step"))
        results = quick(rule)(*problems, RATES)
    assert_as_by_numpy(name, results, problems)
    ys, _ = by_numpy(name, *row(problems, 2), RATES[2])
    fixed, _ = by_numpy(name, *row(problems, 2), 0.0)
    assert np.abs(ys - fixed).max() > 1e-3  # the rate is high enough to tell


def test_a_rate_for_each_weight():
    """A tree of rates; weights of rate zero stay, and the others see that."""
    name = "Experiment 2a"
    problems = problems_of(name, False)
    with jax.enable_x64(True):
        rule = traces(make_network(name), "every_step")

        def same(params):
            return jax.tree.map(lambda w: np.full(w.shape, 2.0), params)

        params, example, state = row(problems, 2)
        outputs, grads = quick(rule)(params, example, state, same(params))
        one, _ = by_numpy(name, params, example, state, 2.0)
        assert_close(np.asarray(outputs)[: LENGTHS[2]], one, "oracle")
        zero = jax.tree.map(np.zeros_like, params)
        rates = NetworkParams(same(params).cell, zero.readout)
        outputs, _ = quick(rule)(params, example, state, rates)
    net = adapters.paper_net(params.cell, CASES[name].cell, params.readout, direct=True)
    before, D_now, ys = adapters.paper_state(state), paper.no_derivatives(net), []
    for t in range(LENGTHS[2]):
        now = paper.step(net, before, example.inputs[t])
        before, D_now = now.state, paper.carried(net, now, D_now)
        ys.append(now.y_k)
        if example.mask[t]:
            e_k = paper.output_error(net, now.net_k, now.y_k, example.targets[t])
            *cell, _ = paper.changes(net, now, D_now, e_k)
            net = paper.moved(net, 2.0, (*cell, np.zeros_like(net.W_k)))
    assert_close(np.asarray(outputs)[: LENGTHS[2]], np.array(ys), "oracle")


def test_a_rate_for_each_weight_of_a_net_whose_recurrent_weights_carry_nothing():
    """One rate in every place is that rate; the weights that nothing is sent through stay."""
    name = "silent, every step"
    with jax.enable_x64(True):
        params, example, state = row(problems_of(name, False), 0)
        rates = jax.tree.map(lambda w: np.full(w.shape, 2.0), params)
        rule = traces(make_network(name), "every_step")
        outputs, grads = quick(rule)(params, example, state, rates)
    ys, net = by_numpy(name, params, example, state, 2.0)
    assert_close(np.asarray(outputs)[: LENGTHS[0]], ys, "oracle")
    after = jax.tree.map(lambda w, grad: w - 2.0 * np.asarray(grad), params, grads)
    assert_close(as_vectors(after), paper.weights(net), "oracle")
    assert not any(np.any(r) for r in (grads.cell.r_i, grads.cell.r_o, grads.cell.r_z))


def test_a_rate_needs_targets_at_every_step():
    name = "hidden biases, end, logistic"
    params, example, state = random_problem(name, 0)
    with pytest.raises(ValueError, match="rate.*every_step"):
        traces(make_network(name), "end")(params, example, state, 0.1)
