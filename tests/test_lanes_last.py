"""What serves one trial serves many with lanes on the last axis: numbers, tasks, rules, updates."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax import draws, lanes
from lstm_jax.plan import choose_lanes
from lstm_jax.stopping import Outcome, all_of, consecutive_correct, few_wrong, mean_error_below
from lstm_jax.tasks import TASKS
from lstm_jax.trial import Hyper, move_lanes
from tests.engine import make_small_trial

LANES, WINDOW = 3, 7
TASKS_WITH_LANES = [name for name, make in TASKS.items() if make().lanes]


def keys(num_lanes=LANES):
    return jax.random.split(jax.random.key(5, impl="threefry2x32"), num_lanes)


def test_numbers_of_lanes_are_those_of_jax():
    drawn = draws.uniform(keys(), 6)
    expected = jax.vmap(lambda key: jax.random.uniform(key, (6,)))(keys())
    np.testing.assert_array_equal(drawn, expected.T)
    numbers = jnp.array([4, 0, 9], jnp.int32)
    folded = draws.fold_in(keys(), numbers)
    expected = jax.vmap(jax.random.fold_in)(keys(), numbers)
    np.testing.assert_array_equal(folded, jax.random.key_data(expected).T)
    assert (draws.wrap(folded) == expected).all()
    one = draws.fold_in(keys(), 4)  # one number for all lanes
    np.testing.assert_array_equal(one[:, 0], folded[:, 0])


def test_the_long_sequences_of_the_paper_come_in_lanes():
    assert set(TASKS_WITH_LANES) >= {
        *("adding", "multiplication", "two_sequence", "temporal_order", "long_lag_2c")
    }


@pytest.mark.parametrize("name", TASKS_WITH_LANES)
def test_sequences_of_lanes_are_those_of_each_lane(name):
    options = {"variant": "3c"} if name == "two_sequence" else {}  # noise on starts and targets
    task = TASKS[name](**options)
    sample = task.sample
    together = jax.jit(sample)(keys())
    each = move_lanes(jax.jit(jax.vmap(sample))(keys()), 0, -1)
    if task.mean_length < task.length:
        assert len(set(together.length.tolist())) > 1, "choose keys with different lengths"
    for field, one, other in zip(together._fields, together, each, strict=True):
        if one is not None:
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
            # a compiler may contract the product of a target
            np.testing.assert_allclose(one, other, rtol=2e-7, err_msg=field)
    np.testing.assert_array_equal(together.inputs, each.inputs)


@pytest.mark.parametrize(
    "rule",
    [
        consecutive_correct(3),
        few_wrong(3, WINDOW),
        mean_error_below(0.3, WINDOW),
        all_of(few_wrong(5, WINDOW), mean_error_below(0.4, WINDOW)),
    ],
)
def test_a_stop_rule_of_lanes_is_that_of_each_lane(rule):
    """Each lane against the rule alone, which counts for itself: the clock begins anywhere."""
    rng = np.random.default_rng(3)
    error = rng.uniform(0, 1, (60, LANES)).astype(np.float32) ** 2
    outcomes = Outcome(error, error**2, rng.random((60, LANES)) < 0.7)

    def run(update, state, outcomes):
        return jax.lax.scan(lambda state, x: update(state, *x), state, outcomes)[1]

    def of_lanes(state, outcome, clock):
        return rule.update(state, outcome, clock)

    start = jax.tree.map(lambda x: jnp.stack([x] * LANES, axis=-1), rule.init())
    clock = jnp.arange(60, dtype=jnp.int32) + 11
    together = run(of_lanes, start, (jax.tree.map(jnp.asarray, outcomes), clock))
    assert together.any() and not together.all()
    for lane in range(LANES):
        own = jax.tree.map(lambda x, lane=lane: jnp.asarray(x[:, lane]), outcomes)
        alone = run(lambda state, outcome: rule.update(state, outcome), rule.init(), (own,))
        np.testing.assert_array_equal(together[:, lane], alone)


def states_of(trial, num_lanes, rates):
    hyper = Hyper(jnp.asarray(rates, jnp.float32), jnp.full(num_lanes, 1.0))
    init = jax.vmap(trial.init, in_axes=(None, 0, 0))
    return jax.jit(init)(jax.random.key(1997), jnp.arange(num_lanes, dtype=jnp.int32), hyper)


def test_updates_with_the_lanes_last_are_those_with_the_lanes_first():
    """Of a rule that divergence ends, too."""
    trial = make_small_trial(40, 6, 0.15)
    assert trial.lane_axis == -1
    states = states_of(trial, 8, [0.3] * 7 + [np.nan])
    ticks = jnp.arange(20, dtype=jnp.int32)

    @jax.jit
    def run(states):
        first = jax.lax.scan(trial.update_lanes, states, ticks)
        last = jax.lax.scan(
            lambda s, tick: trial.update_lanes(s, tick, -1), move_lanes(states, 0, -1), ticks
        )
        return first, move_lanes(last[0], -1, 0), jnp.moveaxis(last[1], -1, 1)

    (first, errors), last, errors_last = run(states)
    np.testing.assert_allclose(errors, errors_last, rtol=1e-5, equal_nan=True)
    assert first.status.tolist() == last.status.tolist() and first.status[-1] == 3
    for one, other in zip(jax.tree.leaves(first.params), jax.tree.leaves(last.params), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("num_lanes", [16, 32, 24])
def test_lanes_in_blocks_are_those_of_sixteen_at_a_time(monkeypatch, num_lanes):
    """24 do not divide, and are taken at once."""
    trial = make_small_trial(40, 6, 0.15)
    rates = np.where(np.arange(num_lanes) % 5 == 4, np.nan, 0.3)
    states = states_of(trial, num_lanes, rates)
    mesh = lanes.lane_mesh(jax.devices()[:1])

    def advanced(size):
        monkeypatch.setattr(lanes, "BLOCK", size)
        program = lanes.compile_advance(trial, mesh, 20)
        text = program.lower(states, jnp.int32(5)).as_text()
        return program(jax.tree.map(jnp.copy, states), jnp.int32(5)), text

    (blocks, errors), text = advanced(16)
    (whole, errors_whole), text_whole = advanced(10**6)
    assert (text != text_whole) == (num_lanes == 32)
    assert errors.shape == (20, num_lanes, 1)
    np.testing.assert_allclose(errors, errors_whole, rtol=1e-5, equal_nan=True)
    assert len(set(blocks.status.tolist())) > 1
    for one, other in zip(jax.tree.leaves(blocks), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True)


def test_a_block_has_the_bits_of_sixteen_lanes_alone():
    """What lets the last trials of a row move into fewer lanes."""
    trial = make_small_trial(40, 6, 0.15)
    states = states_of(trial, 32, np.where(np.arange(32) % 5 == 4, np.nan, 0.3))
    program = lanes.compile_advance(trial, lanes.lane_mesh(jax.devices()[:1]), 20)

    def advanced(part):
        return program(jax.tree.map(lambda leaf: jnp.copy(leaf[part]), states), jnp.int32(5))

    both, errors = advanced(slice(None))
    for part in (slice(16), slice(16, None)):
        alone, errors_alone = advanced(part)
        np.testing.assert_array_equal(errors[:, part], errors_alone)
        for one, other in zip(jax.tree.leaves(both), jax.tree.leaves(alone), strict=True):
            np.testing.assert_array_equal(one[part], other)


WINDOW_COPIED = r" = \w+\[2000,8\]\S* copy\("
COPIES = """
from lstm_jax.runtime import configure
configure(num_devices=1)
import re
import jax, optax
from lstm_jax import adding, lstm97, make_trial, network, readout
from lstm_jax.gradients import traces
from lstm_jax.kernels import lanes_last
from lstm_jax.lanes import compile_advance, lane_mesh
from lstm_jax.stopping import all_of, consecutive_correct, mean_error_below
from tests.test_lanes_last import WINDOW_COPIED, states_of
rules = all_of(consecutive_correct(2000), mean_error_below(0.01, 2000))
net = network(lstm97(2, 1, 1), readout(1, 1, activation="identity"))
trial = make_trial(
    net, adding(11), traces(net, "end"), rules, optax.sgd, max_sequences=99, kernel=lanes_last
)
shapes = jax.eval_shape(lambda: states_of(trial, 8, [0.3] * 8))
program = compile_advance(trial, lane_mesh(), 20)
text = program.lower(shapes, jax.ShapeDtypeStruct((), "int32")).compile().as_text()
print("\\n".join(line for line in text.splitlines() if re.search(WINDOW_COPIED, line)))
"""


def test_no_update_copies_the_window(tmp_path):
    """A copy of 2,000 errors of each lane costs as much as ten time steps. As experiments run."""
    unset = ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env |= {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", COPIES],
        env=env,
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    copies = done.stdout.splitlines()
    assert len(copies) == 1, copies  # to turn it as a call begins


@pytest.mark.parametrize("num_devices", [1, 2, 3])
@pytest.mark.parametrize("vector", [1, 8])
def test_lanes_fill_whole_registers(num_devices, vector):
    """Each device has 8 lanes or a multiple of 16, no fewer than asked, and as few as that."""
    allowed = [8, *range(16, 200, 16)] if vector == 8 else range(1, 200)
    for wanted in range(1, 64 * num_devices + 1):
        least = next(size for size in allowed if size * num_devices >= wanted)
        for asked in ({"num_lanes": wanted, "num_trials": 10**6}, {"num_trials": wanted}):
            lanes = choose_lanes(num_devices=num_devices, vector=vector, **asked)
            assert lanes == least * num_devices
