"""The nets that the 1997 paper's Tables 1 and 2 compare LSTM with: their sizes, and how they learn.

Counts pin who sees whom, as for LSTM's own nets in test_weight_counts.py.
"""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.cells import elman
from lstm_jax.gradients import bptt, rtrl
from lstm_jax.network import network, num_weights
from lstm_jax.readout import readout, units_readout
from lstm_jax.stopping import consecutive_correct
from lstm_jax.tasks import Example, long_lag_2a
from lstm_jax.trial import EXHAUSTED, Hyper, make_trial
from tests.tolerances import assert_close
from tests.variants import randomised

ERG = 7  # symbols of the embedded Reber grammar


def fully_recurrent(num_hidden, symbols=ERG):
    """Hidden and output units alike see all units and all inputs."""
    units = num_hidden + symbols
    cell = elman(symbols, units, activation="logistic", bias=False)
    return network(cell, units_readout(units, symbols))


def layered(num_hidden, symbols=ERG):
    """Elman's net: recurrent hidden units, outputs over them."""
    cell = elman(symbols, num_hidden, activation="logistic", bias=False)
    return network(cell, readout(num_hidden, symbols, bias=False))


def one_unit(p):
    """One self-recurrent hidden unit; the outputs see it and the inputs (Experiment 2a)."""
    cell = elman(p + 1, 1, activation="logistic", bias=False)
    return network(cell, readout(1 + p + 1, p + 1, bias=False), direct=True)


NETS = {
    "Table 1, RTRL, 3 hidden units": (lambda: fully_recurrent(3), 170),
    "Table 1, RTRL, 12 hidden units": (lambda: fully_recurrent(12), 494),
    "Table 1, Elman, 15 hidden units": (lambda: layered(15), 435),
    "Table 2, p=4": (lambda: one_unit(4), 36),
    "Table 2, p=10": (lambda: one_unit(10), 144),
    "Table 2, p=100": (lambda: one_unit(100), 10404),
}


@pytest.mark.parametrize("name", NETS)
def test_counts_of_the_paper(name):
    make, expected = NETS[name]
    assert num_weights(jax.eval_shape(make().init, jax.random.key(0))) == expected


def test_initial_weights_of_the_fully_recurrent_net():
    """All are drawn in the range given, on both sides of zero; there is nothing else."""
    net = fully_recurrent(12)
    params = jax.jit(net.init)(jax.random.key(0), 0.2)
    drawn = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])
    assert drawn.size == 494 and len(np.unique(drawn)) > 490
    assert 0.19 < drawn.max() <= 0.2 and -0.2 <= drawn.min() < -0.19


def test_biases_take_nothing_from_the_other_weights():
    with_bias, without = (
        jax.jit(elman(3, 5, bias=bias).init)(jax.random.key(1)) for bias in (True, False)
    )
    np.testing.assert_array_equal(with_bias.w, without.w)
    np.testing.assert_array_equal(with_bias.r, without.r)
    assert without.b is None and not with_bias.b.any()


T, D, K, H = 6, 3, 2, 5


@lru_cache
def problem():
    net = network(elman(D, H, activation="logistic", bias=False), units_readout(H, K))
    rng = np.random.default_rng(3)
    with jax.enable_x64(True):
        params = randomised(jax.eval_shape(net.init, jax.random.key(0)), rng, 1.5)
        state = randomised(jax.eval_shape(net.cell.initial_state), rng)
    mask = np.array([True, False, True, True, False, False])
    example = Example(rng.normal(size=(T, D)), rng.uniform(size=(T, K)), np.int32(4), mask)
    return net, params, example, state


def plain_loss(params, example, state, timing):
    """1/2 sum (t - y)^2 over the last K units, a Python loop without any readout."""
    h, total = state.h, 0.0
    for t in range(int(example.length)):
        h = jax.nn.sigmoid(params.cell.w @ example.inputs[t] + params.cell.r @ h)
        if timing == "every_step" and example.mask[t]:
            total = total + jnp.sum((example.targets[t] - h[-K:]) ** 2) / 2
    if timing == "end":
        total = jnp.sum((example.targets - h[-K:]) ** 2) / 2
    return total


@pytest.mark.parametrize("timing", ["end", "every_step"])
@pytest.mark.parametrize("rule", [bptt, rtrl])
def test_units_as_outputs_descend_the_squared_error(rule, timing):
    net, params, example, state = problem()
    if timing == "end":
        example = example._replace(targets=example.targets[0], mask=None)
    with jax.enable_x64(True):
        _, grads = jax.jit(rule(net, timing))(params, example, state)
        expected = jax.grad(plain_loss)(params, example, state, timing)
    assert np.abs(expected.cell.r).max() > 0.01
    assert_close(grads, expected)
    assert grads.readout.v is None and grads.readout.b is None


def test_factor_of_the_units_error_signal():
    one, two = (units_readout(4, 2, factor=factor) for factor in (1.0, 2.0))
    net, target = jnp.array([0.25, 0.5]), jnp.array([1.0, 0.0])
    np.testing.assert_array_equal(one.delta(net, target), [0.75, -0.5])
    np.testing.assert_array_equal(two.delta(net, target), [1.5, -1.0])
    np.testing.assert_array_equal(one.output(net), net)
    np.testing.assert_array_equal(one.net(one.init(None), jnp.arange(4.0)), [2.0, 3.0])


def test_a_net_without_readout_weights_trains():
    """From its first update to its evaluation, lanes included."""
    net = fully_recurrent(2, symbols=5)
    trial = make_trial(
        net, long_lag_2a(p=4), rtrl(net, "every_step"), consecutive_correct(10**6), optax.sgd,
        max_sequences=400,
    )  # fmt: skip
    hyper = Hyper(jnp.full(2, 0.5), jnp.full(2, 0.2))
    numbers = np.arange(2, dtype=np.int32)
    key = jax.random.key(0, impl="threefry2x32")
    states = jax.jit(jax.vmap(trial.init, in_axes=(None, 0, 0)))(key, numbers, hyper)
    ticks = jnp.arange(400, dtype=jnp.int32)
    states, errors = jax.jit(lambda s: jax.lax.scan(trial.update_lanes, s, ticks))(states)
    assert (states.status == EXHAUSTED).all()
    assert errors[-100:].mean() < 0.5 * errors[:5].mean()
    one = jax.tree.map(lambda leaf: leaf[0], states)
    result = jax.jit(trial.evaluate, static_argnums=2)(one.params, trial.test_key(one), 64)
    assert 0 < result.mean_error < 0.25


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: units_readout(0, 1), "input_size"),
        (lambda: units_readout(3, 0), "output_size"),
        (lambda: units_readout(3, 4), "output_size: 4"),
    ],
)
def test_bad_sizes_name_the_field(make, field):
    with pytest.raises(ValueError, match=field):
        make()
