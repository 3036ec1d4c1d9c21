"""Sequential construction: when the memory cells join, and that they are not there before."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax import growth
from lstm_jax.cells import lstm97
from lstm_jax.gradients import traces
from lstm_jax.growth import Growth
from lstm_jax.kernels import lanes_last
from lstm_jax.network import NetworkParams, network
from lstm_jax.readout import ReadoutParams, readout
from lstm_jax.stopping import consecutive_correct
from lstm_jax.tasks import long_lag_2a
from lstm_jax.trial import Hyper, make_trial
from tests.oracles.growth import grown_at

# ---- when

PARAMS = NetworkParams(None, ReadoutParams(v=jnp.arange(1.0, 11.0).reshape(2, 5), b=None))
GRID = 2.0**-10  # errors are multiples of this: sums are exact in any order
STREAMS = {
    "falling, then a plateau": np.r_[np.geomspace(1, 0.1, 40), np.full(20, 0.1)],
    "falling all the time": np.geomspace(1, 1e-3, 60),
    "constant": np.full(60, 0.5),
    "just below the bound": np.repeat([1.0, 0.75 - GRID, 1.0], 10),
    "at the bound": np.repeat([1.0, 0.75, 0.0], 10),
    "rising, then falling": np.r_[np.linspace(0.2, 0.9, 30), np.zeros(30)],
    "too short to tell": np.full(9, 0.5),
    "one window in all": np.full(15, 0.5),
    "without an error": np.zeros(60),
    "noise": np.random.default_rng(3).uniform(0, 1, 60) * np.geomspace(1, 0.2, 60),
}


@lru_cache
def compiled(window):
    """grown_at and the output weights after each of a stream's errors."""
    rule = growth.growth(window, 0.25)

    def step(carry, inputs):
        params, state = growth.grow(rule, *carry, *inputs)
        return (params, state), (state.grown_at, params.readout.v)

    @jax.jit
    def run(errors):
        counts = jnp.arange(1, errors.size + 1, dtype=jnp.int32)
        return jax.lax.scan(step, growth.begin(PARAMS, num_cells=2), (errors, counts))[1]

    return run


@pytest.mark.parametrize("window", [1, 10])
@pytest.mark.parametrize("name", STREAMS)
def test_the_cells_join_when_the_error_has_stopped_decreasing(name, window):
    errors = np.round(STREAMS[name] / GRID) * GRID
    at, v = compiled(window)(errors.astype(np.float32))
    expected = grown_at(errors.tolist(), window, 0.25)
    before = len(errors) if expected is None else expected - 1
    assert (np.asarray(at)[:before] == -1).all()
    assert (np.asarray(at)[before:] == expected).all()
    whole = np.asarray(PARAMS.readout.v)
    without = np.concatenate([np.zeros((2, 2)), whole[:, 2:]], axis=1)
    assert (np.asarray(v)[:before] == without).all()
    assert (np.asarray(v)[before:] == whole).all()


def test_the_streams_show_both():
    found = {grown_at(STREAMS[name].tolist(), 10, 0.25) for name in STREAMS}
    assert None in found and len(found) > 3


def test_gradients_of_waiting_output_weights_are_held():
    _, state = growth.begin(PARAMS, num_cells=2)
    held = growth.hold(PARAMS, state).readout.v
    np.testing.assert_array_equal(held[:, :2], 0)
    np.testing.assert_array_equal(held[:, 2:], PARAMS.readout.v[:, 2:])
    grown = state._replace(grown_at=jnp.int32(0))
    np.testing.assert_array_equal(growth.hold(PARAMS, grown).readout.v, PARAMS.readout.v)


@pytest.mark.parametrize(
    ("window", "decrease", "field"), [(0, 0.1, "window"), (1, 1.0, "decrease"), (1, -0.1, "decr")]
)
def test_bad_values_name_the_field(window, decrease, field):
    with pytest.raises(ValueError, match=field):
        growth.growth(window, decrease)


# ---- what it does to a trial: Experiment 2a with delay 4

ROOT, RATE, RANGE = 1997, 1.0, 0.2
NUM_UPDATES, WINDOW, DECREASE = 400, 40, 0.05
TRIALS = (0, 1, 2)


def make(grows, update_every):
    task = long_lag_2a(p=4)
    cell = lstm97(5, 1, 1, bias="none", recurrent=False, output_gate=False, g="g1", h="id")
    net = network(cell, readout(1 + 5, 5, bias=False), direct=True)
    return make_trial(
        net, task, traces(net, task.timing), consecutive_correct(10**6), optax.sgd,
        max_sequences=NUM_UPDATES, update_every=update_every, grows=grows, kernel=lanes_last,
    )  # fmt: skip


def start_of(grows):
    trial = make(grows, "sequence")
    hyper = Hyper(jnp.full(len(TRIALS), RATE), jnp.full(len(TRIALS), RANGE))
    key = jax.random.key(ROOT, impl="threefry2x32")
    return jax.jit(jax.vmap(trial.init, in_axes=(None, 0, 0)))(
        key, np.array(TRIALS, np.int32), hyper
    )


@lru_cache
def run(update_every):
    """Weights before the first and after each update, errors ``[updates, lanes]``, grown_at."""
    rule = Growth(WINDOW, DECREASE)
    trial, states = make(rule, update_every), start_of(rule)

    def update(states, clock):
        states, errors = trial.update_lanes(states, clock)
        return states, (states.params, errors[:, 0])

    ticks = jnp.arange(NUM_UPDATES, dtype=jnp.int32)
    # Compiling is what takes time; test_numpy_engine.py has the program that experiments run.
    options = {"xla_backend_optimization_level": 0}
    program = jax.jit(lambda s: jax.lax.scan(update, s, ticks), compiler_options=options)
    final, (params, errors) = program(states)
    joined = jax.tree.map(lambda a, b: np.concatenate([a[None], b]), states.params, params)
    return joined, np.asarray(errors), np.asarray(final.growth.grown_at)


@lru_cache
def sampled():
    """The training sequences of the first window, by their addresses: ``[lanes, WINDOW]``."""
    task = long_lag_2a(p=4)

    def draw(n, s):
        key = jax.random.key(ROOT, impl="threefry2x32")
        for number in (n, 1, s):  # trial, the training stream, the sequence
            key = jax.random.fold_in(key, number)
        return task.sample(key)

    grid = jnp.meshgrid(jnp.array(TRIALS, jnp.int32), jnp.arange(WINDOW, dtype=jnp.int32))
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(jax.vmap(draw)))(*(g.T for g in grid)))


@pytest.mark.parametrize("update_every", ["sequence", "step"])
@pytest.mark.parametrize("lane", range(len(TRIALS)))
def test_before_the_cells_join_nothing_of_theirs_moves(lane, update_every):
    params, errors, found = run(update_every)
    expected = grown_at(errors[:, lane].tolist(), WINDOW, DECREASE)
    assert expected is not None and expected < NUM_UPDATES, "choose a window that joins them"
    assert found[lane] == expected
    untouched = jax.tree.map(lambda leaf: np.asarray(leaf)[lane], start_of(None).params)
    # after update number `expected` they have joined: as drawn, and not trained yet
    cell, v = (
        jax.tree.map(lambda leaf: leaf[: expected + 1, lane], part)
        for part in (params.cell, params.readout.v)
    )
    for ours, drawn in zip(jax.tree.leaves(cell), jax.tree.leaves(untouched.cell), strict=True):
        assert (ours == drawn).all()
    np.testing.assert_array_equal(v[:expected, :, 0], 0)
    np.testing.assert_array_equal(v[expected, :, 0], untouched.readout.v[:, 0])
    np.testing.assert_array_equal(v[0, :, 1:], untouched.readout.v[:, 1:])
    assert (v[1, :, 1:] != v[0, :, 1:]).any()  # the rest of the net learns from the start
    after = jax.tree.map(lambda leaf: leaf[expected + 1, lane], params)
    assert (after.readout.v[:, 0] != untouched.readout.v[:, 0]).any()
    for ours, drawn in zip(
        jax.tree.leaves(after.cell), jax.tree.leaves(untouched.cell), strict=True
    ):
        assert (ours != drawn).any()


@pytest.mark.parametrize("update_every", ["sequence", "step"])
def test_without_cells_the_net_is_the_one_of_inputs_and_outputs(update_every):
    """In NumPy: outputs see the inputs alone, ``y = f(v x)``; the first weights and errors."""
    params, errors, _ = run(update_every)
    sample = sampled()
    for lane in range(len(TRIALS)):
        v = np.asarray(params.readout.v[0, lane], np.float64)
        for s in range(WINDOW):
            example = jax.tree.map(lambda leaf, lane=lane, s=s: leaf[lane, s], sample)
            total, off = np.zeros_like(v), []
            for symbol, target in zip(example.inputs, example.targets, strict=True):
                used = v + total if update_every == "step" else v
                y = 1 / (1 + np.exp(-used[:, 1 + symbol]))
                e = target - y
                off += list(np.abs(e))
                total[:, 1 + symbol] += RATE * y * (1 - y) * e
            v = v + total
            np.testing.assert_allclose(errors[s, lane], np.mean(off), rtol=1e-4)
            np.testing.assert_allclose(params.readout.v[s + 1, lane], v, atol=1e-4)


def test_a_net_that_grows_is_trained_one_sequence_at_a_time():
    net = network(lstm97(5, 1, 1, recurrent=False), readout(6, 5), direct=True)
    with pytest.raises(ValueError, match="batch_size: 2 is not valid; it must be 1"):
        make_trial(
            net,
            long_lag_2a(p=4),
            traces(net, "every_step"),
            consecutive_correct(1),
            optax.sgd,
            max_sequences=10,
            batch_size=2,
            grows=Growth(10, 0.05),
        )
