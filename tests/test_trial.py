"""One trial: what an update does, when it ends, and that its randomness is addressed."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.cells import lstm97
from lstm_jax.gradients import bptt, traces
from lstm_jax.network import network
from lstm_jax.readout import readout
from lstm_jax.stopping import Outcome, consecutive_correct, mean_error_below
from lstm_jax.trial import (
    DIVERGED,
    EXHAUSTED,
    RUNNING,
    SOLVED,
    Hyper,
    _fold_outcomes,
    make_trial,
)
from lstm_jax.unroll import unroll
from tests.engine import LIMIT, make_network, make_small_trial, make_task
from tests.oracles import stopping as oracle
from tests.tolerances import assert_close

ROOT = 1997
RATE, RANGE = 0.3, 1.0
CAP, NUM, MEAN = 170, 6, 0.15  # the cap is no multiple of the batch of 4
TRIALS = (0, 1, 5, 6, 7, 8)


@lru_cache
def small(batch_size=1):
    """(trial, compiled init by trial number, compiled update)."""
    trial = make_small_trial(CAP, NUM, MEAN, batch_size)

    @jax.jit
    def init(number, rate):
        return trial.init(jax.random.key(ROOT), number, Hyper(rate, jnp.float32(RANGE)))

    return (
        trial,
        lambda number, rate=RATE: init(np.int32(number), np.float32(rate)),
        jax.jit(trial.update),
    )


@lru_cache
def compiled_sample():
    """Sequence s of the training stream of trial n, from the address alone."""
    task = make_task()

    @jax.jit
    def sample(n, s):
        key = jax.random.key(ROOT)
        for number in (n, 1, s):  # trial, the training stream, the sequence
            key = jax.random.fold_in(key, number)
        return task.sample(key)

    return sample


def run(number, num_updates, rate=RATE, batch_size=1, clock=0):
    """States before, between and after the updates, and all their errors."""
    _, init, update = small(batch_size)
    states, errors = [init(number, rate)], []
    for tick in range(num_updates):
        state, error = update(states[-1], np.int32(clock + tick))
        states.append(state)
        errors.append(np.asarray(error))
    return jax.tree.map(np.asarray, states), np.array(errors)


def same(one, other):
    """Bitwise, but for the stop rule's state, which nobody reads once a trial has ended."""
    return jax.tree.all(
        jax.tree.map(
            lambda a, b: np.array_equal(a, b, equal_nan=True),
            one._replace(stop=None),
            other._replace(stop=None),
        )
    )


def end_of(states):
    """How many updates ran until the status left RUNNING."""
    return next(n for n, state in enumerate(states) if state.status != RUNNING)


def test_fresh_state():
    (state,), _ = run(5, 0)
    assert (state.trial, state.step, state.sequences, state.status) == (5, 0, 0, RUNNING)
    assert state.key.shape == (2,) and state.key.dtype == np.uint32
    weights = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(state.params)])
    assert np.ptp(weights) > RANGE and np.abs(weights).max() <= RANGE


def test_updates_are_gradient_descent_on_the_addressed_sequences():
    """Recomputed from the trial's key, the address of each sequence, and the rule given."""
    net = make_network()
    rule = jax.jit(traces(net, "end"))
    states, errors = run(3, 8)
    params = states[0].params
    for s in range(8):
        example = compiled_sample()(np.int32(3), np.int32(s))
        outputs, grads = rule(params, example)
        np.testing.assert_allclose(errors[s], np.abs(outputs - example.targets), rtol=1e-4)
        params = jax.tree.map(lambda w, g: np.asarray(w) - RATE * np.asarray(g), params, grads)
        assert states[s + 1].sequences == states[s + 1].step == s + 1
        np.testing.assert_allclose(
            *(np.concatenate([np.ravel(x) for x in jax.tree.leaves(p)])
              for p in (states[s + 1].params, params)),
            rtol=1e-4, atol=1e-5,
        )  # fmt: skip


def test_trials_differ_and_repeat():
    first, _ = run(0, 3)
    again, _ = run(0, 3)
    other, _ = run(1, 3)
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not same(first[0]._replace(trial=0), other[0]._replace(trial=0))


def test_the_clock_changes_nothing():
    first, _ = run(0, 60)
    later, _ = run(0, 60, clock=1_000_003)
    assert all(same(a, b) for a, b in zip(first, later, strict=True))


@pytest.mark.parametrize("number", TRIALS)
def test_stops_at_the_exact_update_and_freezes(number):
    """The criterion recomputed from the errors by plain Python; after it nothing moves."""
    states, errors = run(number, CAP + 5)
    history = [(float(e), None, bool(e < LIMIT)) for e in errors[:CAP, 0]]
    found = oracle.first_stop_of_experiment_4(history, NUM, MEAN)
    end = end_of(states)
    assert end == (CAP if found is None else found)
    assert states[end].status == (EXHAUSTED if found is None else SOLVED)
    assert states[end].sequences == end
    assert all(same(state, states[end]) for state in states[end:])
    weights = [np.concatenate([np.ravel(x) for x in jax.tree.leaves(s.params)]) for s in states]
    assert (weights[end] != weights[end - 1]).any()  # the last update still learns


def test_both_ends_occur():
    ends = {int(run(number, CAP)[0][-1].status) for number in TRIALS}
    assert ends == {SOLVED, EXHAUSTED}, "choose trials that exercise both ends"


@pytest.mark.parametrize("rate", [np.inf, np.nan, 1e30])
def test_divergence_freezes_with_finite_weights(rate):
    states, _ = run(1, 40, rate=rate)
    end = end_of(states)
    assert states[end].status == DIVERGED and states[end].sequences == end
    for leaf in jax.tree.leaves(states[end].params):
        assert np.isfinite(leaf).all()  # those before the divergence: they can be looked at
    assert all(same(state, states[end]) for state in states[end:])


def test_lanes_leave_each_other_alone():
    """Eight lanes, one of which diverges at once: the others as if it were not there, bitwise."""
    trial, _, _ = small()
    numbers = np.arange(8, dtype=np.int32)
    init = jax.jit(jax.vmap(trial.init, in_axes=(None, 0, 0)))
    advance = jax.jit(lambda states: jax.lax.scan(trial.update_lanes, states, jnp.arange(30)))

    def lanes(numbers, rates):
        hyper = Hyper(np.float32(rates), np.full(8, RANGE, np.float32))
        states, errors = advance(init(jax.random.key(ROOT), numbers, hyper))
        return jax.tree.map(np.asarray, states), np.asarray(errors)

    states, errors = lanes(numbers, [RATE] * 8)
    rates = [RATE] * 8
    rates[2] = np.nan
    broken, broken_errors = lanes(numbers, rates)
    assert broken.status[2] == DIVERGED and broken.sequences[2] == 1
    order = np.array([5, 2, 7, 0, 1, 3, 6, 4])
    shuffled, _ = lanes(numbers[order], [RATE] * 8)
    for lane in range(8):
        one = jax.tree.map(lambda leaf, lane=lane: leaf[lane], states)
        if lane != 2:
            assert same(jax.tree.map(lambda leaf, lane=lane: leaf[lane], broken), one)
            np.testing.assert_array_equal(broken_errors[:, lane], errors[:, lane])
        place = int(np.flatnonzero(order == lane)[0])
        assert same(jax.tree.map(lambda leaf, place=place: leaf[place], shuffled), one)
        alone, _ = run(lane, 30)  # the update of one trial, without lanes
        assert (one.step, one.status) == (alone[-1].step, alone[-1].status)
        np.testing.assert_allclose(one.params.cell.w_z, alone[-1].params.cell.w_z, rtol=1e-4)


def test_learning_rate_and_range_are_traced():
    """A sweep over both is one program."""
    _, init, update = small()
    traced = []
    counting = jax.jit(lambda *args: traced.append(1) or small()[0].update(*args))
    for rate in (0.1, 0.2, 0.4):
        counting(init(0, rate), np.int32(0))
    assert len(traced) == 1
    slow, fast = (update(init(0, rate), np.int32(0))[0] for rate in (0.1, 0.4))
    start = init(0)
    moved = [np.asarray(s.params.readout.b) - start.params.readout.b for s in (slow, fast)]
    np.testing.assert_allclose(moved[1], 4 * moved[0], rtol=1e-4)


def test_a_batch_averages_gradients_and_counts_its_sequences():
    net = make_network()
    states, errors = run(3, 2, batch_size=4)
    examples = [compiled_sample()(np.int32(3), np.int32(s)) for s in range(4)]
    rule = jax.jit(traces(net, "end"))
    answers = [rule(states[0].params, example) for example in examples]
    mean = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *(a[1] for a in answers))
    expected = jax.tree.map(lambda w, g: w - np.float32(RATE) * g, states[0].params, mean)
    np.testing.assert_allclose(states[1].params.cell.w_z, expected.cell.w_z, rtol=1e-4)
    np.testing.assert_allclose(
        errors[0],
        [abs(float(a[0][0] - e.targets[0])) for a, e in zip(answers, examples, strict=True)],
        rtol=1e-4,
    )
    assert (states[1].step, states[1].sequences) == (1, 4)


def test_the_criterion_inside_a_batch():
    """Counted to the sequence that met it, not to the end of its batch; the cap likewise."""
    kinds = set()
    for number in range(8):
        states, errors = run(number, CAP // 4 + 1, batch_size=4)
        history = [(float(e), None, bool(e < LIMIT)) for e in errors.ravel()[:CAP]]
        found = oracle.first_stop_of_experiment_4(history, NUM, MEAN)
        end = states[end_of(states)]
        assert end.sequences == (CAP if found is None else found)
        assert end.status == (EXHAUSTED if found is None else SOLVED)
        kinds.add((int(end.status), int(end.sequences) % 4 != 0))
    inside = {(SOLVED, True), (EXHAUSTED, True)}
    assert inside <= kinds, "choose trials that stop inside a batch, in both ways"


def test_evaluation_counts_fresh_sequences():
    trial, init, _ = small()
    state = init(0)
    net, task = trial.network, trial.task
    key = trial.test_key(state)
    result = jax.jit(trial.evaluate, static_argnums=2)(state.params, key, 37)

    @jax.jit
    @jax.vmap
    def one(number):
        example = task.sample(jax.random.fold_in(key, number))
        _, hs = unroll(net.cell, state.params.cell, example.inputs)
        y = hs[example.length - 1] @ state.params.readout.v.T + state.params.readout.b
        return jnp.abs(y - example.targets)[0]

    errors = np.asarray(one(jnp.arange(37, dtype=jnp.int32)))
    assert result.num_wrong == (errors >= LIMIT).sum()
    np.testing.assert_allclose(result.mean_error, errors.mean(), rtol=1e-5)
    np.testing.assert_allclose(result.max_error, errors.max(), rtol=1e-5)
    training = compiled_sample()(np.int32(0), np.int32(0))
    fresh = jax.jit(task.sample)(jax.random.fold_in(key, 0))
    assert (np.asarray(training.inputs) != np.asarray(fresh.inputs)).any()


def test_test_sequences_differ_between_trials():
    trial, init, _ = small()
    keys = [tuple(np.ravel(jax.random.key_data(trial.test_key(init(n))))) for n in range(4)]
    assert len(set(keys)) == 4


def test_any_optax_optimizer_and_any_rule():
    """Momentum through optax; its state is part of the trial and freezes with it."""
    net = network(lstm97(1, 1, 1), readout(1, 1, activation="identity"))
    trial = make_trial(
        net._replace(init=make_network().init),
        make_task(),
        bptt(net, "end"),
        consecutive_correct(3),
        partial(optax.sgd, momentum=0.9),
        max_sequences=4,
    )
    hyper = Hyper(np.float32(0.1), np.float32(1.0))
    state = jax.jit(trial.init)(jax.random.key(ROOT), np.int32(0), hyper)
    update = jax.jit(trial.update)
    velocity, params = 0.0, state.params.readout.b
    rule = jax.jit(bptt(net, "end"))
    for s in range(3):
        grad = rule(state.params, compiled_sample()(np.int32(0), np.int32(s)))[1].readout.b
        velocity = 0.9 * velocity + np.asarray(grad)
        params = params - 0.1 * velocity
        state, _ = update(state, np.int32(s))
        np.testing.assert_allclose(state.params.readout.b, params, rtol=1e-4)


@pytest.mark.parametrize(("field", "value"), [("max_sequences", 0), ("batch_size", 0)])
def test_bad_counts_name_the_field(field, value):
    with pytest.raises(ValueError, match=field):
        make_small_trial(**{field: value})


def test_sizes_that_do_not_fit_are_refused():
    for net in (
        network(lstm97(2, 1, 1), readout(1, 1)),
        network(lstm97(1, 1, 1), readout(1, 2)),
    ):
        with pytest.raises(ValueError, match="mean of two"):
            make_trial(
                net,
                make_task(),
                traces(net, "end"),
                consecutive_correct(1),
                optax.sgd,
                max_sequences=1,
            )


def test_float32_throughout():
    (state,), _ = run(0, 0)
    for leaf in jax.tree.leaves((state.params, state.opt_state)):
        assert leaf.dtype in (np.float32, np.int32)
    assert_close(state.opt_state.hyperparams["learning_rate"], np.float32(RATE))


def test_a_trial_is_tested_on_the_sequences_of_its_number_and_each_counts_once():
    """A net of zeros answers 0; so is the target, but of the last one, where it is the trial's.

    They are more than go side by side, and no multiple of that.
    """
    net, task = make_network(), make_task()

    def test(key, number, trial=0):
        target = jnp.where(number == 149, trial, 0)
        return task.sample(key)._replace(targets=jnp.full(1, target, jnp.float32))

    trial = make_trial(
        net, task._replace(test=test), traces(net, "end"), consecutive_correct(1), optax.sgd,
        max_sequences=1,
    )  # fmt: skip
    zeros = jax.tree.map(jnp.zeros_like, net.init(jax.random.key(0)))
    found = jax.jit(trial.evaluate, static_argnums=2)(zeros, jax.random.key(1), 150, 3)
    assert (found.num_wrong, found.max_error) == (1, 3.0)
    assert found.mean_error == pytest.approx(3 / 150)


def test_a_batch_goes_on_with_the_sequence_after_the_last():
    """Sequences 4 to 7 in the second batch of four: none is seen twice."""
    states, errors = run(3, 2, batch_size=4)
    answer = jax.jit(traces(make_network(), "end"))
    examples = [compiled_sample()(np.int32(3), np.int32(s)) for s in range(4, 8)]
    expected = [abs(answer(states[1].params, e)[0][0] - e.targets[0]) for e in examples]
    np.testing.assert_allclose(errors[1], expected, rtol=1e-4)


def test_the_criterion_may_be_met_by_the_very_last_sequence():
    net, task = make_network(), make_task()
    task = task._replace(correct=lambda outputs, example: jnp.bool_(True))
    trial = make_trial(
        net, task, traces(net, "end"), consecutive_correct(2), optax.sgd, max_sequences=2
    )
    hyper = Hyper(np.float32(0.1), np.float32(1.0))
    state = jax.jit(trial.init)(jax.random.key(ROOT), np.int32(0), hyper)
    update = jax.jit(trial.update)
    for tick in range(3):
        state, _ = update(state, np.int32(tick))
    assert (state.status, state.sequences) == (SOLVED, 2)


def test_a_window_of_errors_goes_through_batches_sequence_by_sequence():
    """Windows longer and shorter than the batch, a clock that does not begin at zero."""
    batch, rng = 4, np.random.default_rng(5)
    ends = set()
    for window in (3, 6):
        rule = mean_error_below(0.25, window)
        fold = jax.jit(lambda stop, errors, clock, rule=rule: _fold_outcomes(
            rule, stop, Outcome(errors, errors**2, errors < 0.25), clock))  # fmt: skip
        for _ in range(12):
            errors = np.float32(rng.uniform(0, 1, 40) * np.geomspace(1, 0.4, 40))
            means = np.convolve(np.float64(errors), np.full(window, 1 / window), "valid")
            expected = window + int(np.flatnonzero(means < 0.25)[0])
            stop, count, clock = rule.init(), 0, int(rng.integers(0, 1000))
            for number, some in enumerate(errors.reshape(-1, batch)):
                stop, done, used = fold(stop, some, np.int32(clock + number))
                count += int(used)
                if done:
                    break
            assert count == expected
            ends.add(count % batch)
    assert len(ends) > 2
