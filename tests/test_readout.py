"""Output units and their error signal, against the paper's eqs. 16 to 19."""

import jax
import numpy as np
import pytest
from scipy import stats

from lstm_jax.readout import readout, units_readout
from tests.oracles import lstm97 as paper
from tests.tolerances import FALSE_ALARM_RATE, FINITE_DIFFERENCES, assert_close

OPTIONS = [
    (activation, delta, factor)
    for activation in ("logistic", "identity")
    for delta in ("exact", "no_derivative")
    for factor in (1.0, 2.0)
]


def case(seed=0, V=4, K=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=V), rng.normal(size=(K, V)), rng.normal(size=K), rng.normal(size=K)


@pytest.mark.parametrize(("activation", "delta", "factor"), OPTIONS)
def test_output_and_delta(activation, delta, factor):
    seen, v, b, target = case()
    with jax.enable_x64(True):
        units = readout(4, 3, activation=activation, delta=delta, factor=factor)
        params = jax.eval_shape(units.init, jax.random.key(0))._replace(v=v, b=b)
        net = units.net(params, seen)
        y, e = units.output(net), units.delta(net, target)
        no_bias = units.net(params._replace(b=None), seen)
    f, f_prime = paper.SQUASHERS[activation]
    assert_close(net, v @ seen + b)
    assert_close(no_bias, v @ seen)
    assert_close(y, f(v @ seen + b))
    slope = f_prime(v @ seen + b) if delta == "exact" else 1.0
    assert_close(e, factor * slope * (target - f(v @ seen + b)))


@pytest.mark.parametrize("make", [readout, units_readout])
def test_errors_within_the_tolerance_send_nothing_back(make):
    targets = np.array([0.0, 0.0, 1.0, 1.0])
    outputs = np.array([0.29, 0.31, 0.71, 0.69])
    net = outputs if make is units_readout else np.log(outputs / (1 - outputs))
    every, tolerant = (make(4, 4, tolerance=tolerance) for tolerance in (0.0, 0.3))
    with jax.enable_x64(True):
        error, sent = (np.asarray(units.delta(net, targets)) for units in (every, tolerant))
    assert (error != 0).all()
    assert sent.tolist() == [0.0, error[1], 0.0, error[3]]


def test_the_factor_is_of_what_is_sent_and_the_tolerance_of_what_is_off():
    """0.2 off is within 0.3 of the target, whatever it is multiplied by."""
    targets, outputs = np.array([0.0, 0.0, 1.0]), np.array([0.2, 0.4, 0.5])
    for make, net in ((readout, np.log(outputs / (1 - outputs))), (units_readout, outputs)):
        with jax.enable_x64(True):
            one, two = (
                np.asarray(make(3, 3, tolerance=0.3, factor=factor).delta(net, targets))
                for factor in (1.0, 2.0)
            )
        assert_close(two, 2 * one)
        assert (one != 0).tolist() == [False, True, True]


def test_output_units_that_are_recurrent_are_the_last_ones():
    units = units_readout(5, 2)
    params = units.init(jax.random.key(0))
    seen = np.array([1.0, 2.0, 3.0, 4.0, 5.0], np.float32)
    assert units.net(params, seen).tolist() == [4.0, 5.0]
    assert units.output(units.net(params, seen)).tolist() == [4.0, 5.0]


def test_units_without_bias_have_none():
    for bias in (True, False):
        params = readout(4, 3, bias=bias).init(jax.random.key(0))
        assert params.v.shape == (3, 4) and (params.b is not None) == bias


def test_fresh_weights_fill_the_range_that_is_asked_for():
    units = readout(60, 40, init_range=0.3)
    for given, expected in (((), 0.3), ((0.05,), 0.05)):
        v = np.asarray(units.init(jax.random.key(0), *given).v)
        assert 0.998 * expected < v.max() <= expected and -expected <= v.min() < -0.998 * expected
        assert (
            stats.kstest(v.ravel() / expected, stats.uniform(-1, 2).cdf).pvalue > FALSE_ALARM_RATE
        )


def squared(activation, factor):
    return lambda net, t: factor * 0.5 * np.sum((t - paper.SQUASHERS[activation][0](net)) ** 2)


def cross_entropy(net, t):
    y = paper.f(net)
    return -np.sum(t * np.log(y) + (1 - t) * np.log(1 - y))


@pytest.mark.parametrize(
    ("options", "loss"),
    [
        ({"activation": "logistic"}, squared("logistic", 1.0)),
        ({"activation": "identity"}, squared("identity", 1.0)),
        ({"activation": "logistic", "factor": 2.0}, squared("logistic", 2.0)),
        ({"activation": "logistic", "delta": "no_derivative"}, cross_entropy),
    ],
)
def test_delta_is_the_negative_slope_of_its_loss(options, loss):
    _, _, net, target = case(seed=1)
    h = FINITE_DIFFERENCES["step"]
    slopes = [
        (loss(net + h * row, target) - loss(net - h * row, target)) / (2 * h) for row in np.eye(3)
    ]
    with jax.enable_x64(True):
        e = readout(4, 3, **options).delta(jax.numpy.asarray(net), jax.numpy.asarray(target))
    np.testing.assert_allclose(
        e, -np.array(slopes), rtol=FINITE_DIFFERENCES["rtol"], atol=FINITE_DIFFERENCES["atol"]
    )


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: readout(0, 1), "input_size"),
        (lambda: readout(1, 0), "output_size"),
        (lambda: readout(1, 1, activation="softmax"), "activation.*logistic.*identity"),
        (lambda: readout(1, 1, delta="none"), "delta.*exact.*no_derivative"),
        (lambda: readout(1, 1, tolerance=-0.1), "tolerance: -0.1"),
        (lambda: units_readout(1, 1, tolerance=float("nan")), "tolerance: nan"),
    ],
)
def test_bad_arguments_name_the_field(make, field):
    with pytest.raises(ValueError, match=field):
        make()
