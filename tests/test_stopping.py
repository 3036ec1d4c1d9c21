"""Stop rules against their definition over the whole history, tests/oracles/stopping.py."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.stopping import (
    Outcome,
    all_of,
    consecutive_correct,
    few_wrong,
    mean_error_below,
)
from tests.oracles import stopping as oracle

# All errors below are whole multiples of this, so that sums are exact in any order and number
# format, and "just below" means the same to everybody.
GRID = 2.0**-16


def random_streams(seed, num_streams, num_outcomes):
    """Outcomes that are mostly right and mostly small, with spells of the opposite."""
    rng = np.random.default_rng(seed)
    level = rng.choice([0.005, 0.02, 0.1, 1.0], size=(num_streams, num_outcomes // 10 + 1))
    scale = np.repeat(level, 10, axis=1)[:, :num_outcomes]
    error = np.round(rng.uniform(size=scale.shape) * scale / GRID) * GRID
    squared = np.round(error**2 / GRID) * GRID
    correct = rng.uniform(size=scale.shape) < np.where(scale < 0.05, 0.97, 0.5)
    return Outcome(error.astype(np.float32), squared.astype(np.float32), correct)


def run(rule, outcomes, clock=None):
    """done after each outcome of one stream."""

    def step(state, outcome_and_clock):
        outcome, tick = outcome_and_clock
        args = () if tick is None else (tick,)
        return rule.update(state, outcome, *args)

    return jax.lax.scan(step, rule.init(), (outcomes, clock))[1]


def history(outcomes):
    return list(
        zip(
            outcomes.error.tolist(),
            outcomes.squared_error.tolist(),
            outcomes.correct.tolist(),
            strict=True,
        )
    )


RULES = {
    "consecutive_1": (consecutive_correct(1), partial(oracle.consecutive_correct, num=1)),
    "consecutive_7": (consecutive_correct(7), partial(oracle.consecutive_correct, num=7)),
    "few_wrong_of_1": (few_wrong(1, window=1), partial(oracle.few_wrong, limit=1, window=1)),
    "few_wrong_of_15": (few_wrong(3, window=15), partial(oracle.few_wrong, limit=3, window=15)),
    "none_wrong_of_8": (few_wrong(1, window=8), partial(oracle.consecutive_correct, num=8)),
    "mean_window_1": (
        mean_error_below(0.01, window=1),
        partial(oracle.mean_error_below, limit=0.01, window=1),
    ),
    "mean_window_13": (
        mean_error_below(0.01, window=13),
        partial(oracle.mean_error_below, limit=0.01, window=13),
    ),
    "mean_squared": (
        mean_error_below(0.002, window=5, measure="squared"),
        partial(oracle.mean_error_below, limit=0.002, window=5, measure="squared"),
    ),
    "paper_in_small": (
        all_of(consecutive_correct(9), mean_error_below(0.008, window=11)),
        lambda seen: oracle.all_of(
            seen,
            partial(oracle.consecutive_correct, num=9),
            partial(oracle.mean_error_below, limit=0.008, window=11),
        ),
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_done_at_every_outcome_of_random_streams(name):
    """60 streams of 120 outcomes, vmapped and compiled; the oracle looks at each prefix."""
    rule, definition = RULES[name]
    outcomes = random_streams(seed=0, num_streams=60, num_outcomes=120)
    done = np.asarray(jax.jit(jax.vmap(partial(run, rule)))(outcomes))
    expected = np.zeros_like(done)
    for n in range(len(done)):
        seen = history(jax.tree.map(lambda leaf, n=n: leaf[n], outcomes))
        expected[n] = [definition(seen[: t + 1]) for t in range(len(seen))]
    assert expected.any() and not expected.all(), "the streams do not exercise the rule"
    np.testing.assert_array_equal(done, expected)


def test_eager_updates_one_by_one_agree():
    rule, definition = RULES["paper_in_small"]
    outcomes = random_streams(seed=3, num_streams=1, num_outcomes=40)
    outcomes = jax.tree.map(lambda leaf: leaf[0], outcomes)
    seen, state = [], rule.init()
    for row in history(outcomes):
        seen.append(row)
        outcome = Outcome(jnp.float32(row[0]), jnp.float32(row[1]), jnp.bool_(row[2]))
        state, done = rule.update(state, outcome)
        assert bool(done) == definition(seen)


@pytest.mark.parametrize(
    ("name", "start"),
    [("mean_window_13", start) for start in (0, 1, 5, 12, 10_000_019)]
    + [("few_wrong_of_15", start) for start in (1, 10_000_019)],
)
def test_a_shared_clock_changes_nothing(name, start):
    rule, _ = RULES[name]
    outcomes = random_streams(seed=1, num_streams=20, num_outcomes=120)
    clock = jnp.broadcast_to(start + jnp.arange(120, dtype=jnp.int32), (20, 120))
    with_clock = jax.jit(jax.vmap(lambda o, c: run(rule, o, c)))(outcomes, clock)
    without = jax.jit(jax.vmap(partial(run, rule)))(outcomes)
    np.testing.assert_array_equal(with_clock, without)


PAPER = all_of(consecutive_correct(2000), mean_error_below(0.01))


@jax.jit
def paper_stop(outcomes):
    done = run(PAPER, outcomes)
    return jnp.where(done.any(), jnp.argmax(done) + 1, -1)


def stream(errors, correct):
    errors = np.asarray(errors, np.float32)
    return Outcome(errors, errors**2, np.asarray(correct, bool))


def first_stop(outcomes):
    """Where the criterion is first met; the compiled rule must say the same as the definition."""
    found = oracle.first_stop_of_experiment_4(history(outcomes))
    assert int(paper_stop(outcomes)) == (-1 if found is None else found)
    return found


@pytest.mark.parametrize(
    ("units", "stops"),
    # 0.01 is 655.36 grid units: windows whose mean is that, less or plus a part of a unit
    [(655 * 2000, True), (655 * 2000 + 719, True), (655 * 2000 + 721, False), (656 * 2000, False)],
)
def test_2000_in_a_row_at_the_edge_of_the_limit(units, stops):
    """The mean of exactly 2000 errors just below and just above 0.01 (2000 * 655.36 = 1310720)."""
    errors = np.full(2000, units // 2000)
    errors[: units % 2000] += 1
    rng = np.random.default_rng(0)
    found = first_stop(stream(rng.permutation(errors) * GRID, np.ones(2000)))
    assert found == (2000 if stops else None)


@pytest.mark.parametrize("wrong_at", [None, 0, 1, 999, 1998, 1999, 2000])
def test_one_wrong_answer_restarts_the_count(wrong_at):
    correct = np.ones(4100, bool)
    if wrong_at is not None:
        correct[wrong_at] = False
    found = first_stop(stream(np.full(4100, 0.0078125), correct))
    assert found == (2000 if wrong_at in (None, 2000) else wrong_at + 2001)


def test_one_outcome_fewer_is_not_enough():
    assert first_stop(stream(np.zeros(1999), np.ones(1999))) is None


def test_large_errors_leave_the_window_exactly():
    """2500 errors of the plateau, then small ones: a sum that drifts would stop early or late."""
    errors = np.concatenate([np.full(2500, 0.1875), np.full(2100, 0.0078125)])
    found = first_stop(stream(errors, np.ones(4600)))
    # k of 2000 at the plateau: (k * 0.1875 + (2000 - k) * 0.0078125) / 2000 < 0.01 needs k <= 24
    assert found == 2500 + 2000 - 24


def test_below_means_strictly_below():
    rule = mean_error_below(0.25, window=4)
    done = run(rule, stream([0.25, 0.25, 0.25, 0.25, 0.25 - GRID, 0.25 + GRID], np.ones(6)))
    assert np.asarray(done).tolist() == [False] * 4 + [True, False]


def test_all_rules_must_hold_at_the_same_update():
    """The mean is low early and the run of right answers comes late, when the mean is high."""
    rule = all_of(consecutive_correct(3), mean_error_below(0.01, window=2))
    errors = [0, 0, 0, 1, 1, 1, 1, 0, 0]
    correct = [0, 0, 0, 1, 1, 1, 1, 1, 1]
    done = run(rule, stream(errors, correct))
    assert np.asarray(done).tolist() == [False] * 8 + [True]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 50.0])
def test_no_error_is_too_large_to_count(bad):
    """One error of 50 in a window of 100 puts the mean at 0.5 or more; a NaN is below nothing."""
    errors = np.zeros(150)
    errors[20] = bad
    done = np.asarray(run(mean_error_below(0.05, window=100), stream(errors, np.ones(150))))
    assert done.tolist() == [False] * 120 + [True] * 30


def test_errors_count_to_a_millionth():
    """In whole 2^-20: a mean one of them below the limit is below it, and at the limit is not."""
    unit, limit = 2.0**-20, 2.0**-17
    rule = mean_error_below(limit, window=4)
    done = run(rule, stream([limit, limit, limit, limit, limit - unit, limit + unit], np.ones(6)))
    assert np.asarray(done).tolist() == [False] * 4 + [True, False]


def test_rounding_to_units_leans_to_no_side():
    """Of 1024 errors it moves the mean by a hundredth of a unit, where cutting takes a half."""
    unit = 2.0**-20
    errors = np.random.default_rng(0).uniform(0, 1000 * unit, 1024).astype(np.float32)
    mean = math.fsum(errors.tolist()) / 1024
    for off, below in [(-0.1, False), (0.1, True)]:
        rule = mean_error_below(mean + off * unit, window=1024)
        assert bool(run(rule, stream(errors, np.ones(1024)))[-1]) is below
    between = run(mean_error_below(10.5 * unit, window=1), stream([10 * unit, 11 * unit], [1, 1]))
    assert np.asarray(between).tolist() == [True, False]


def test_the_largest_limit_and_window_hold_the_largest_sum():
    """Every error as large as may be: the sum does not wrap, and one of them still holds it."""
    with pytest.raises(ValueError, match=r"limit.*2048.*2\^21"):
        mean_error_below(0.5, window=2048)
    errors = np.zeros(5000)
    errors[:2500] = np.inf
    done = np.asarray(run(mean_error_below(0.4999, window=2048), stream(errors, np.ones(5000))))
    assert np.flatnonzero(done)[0] == 2500 + 2048 - 1 and done[4547:].all()


def test_a_limit_above_the_largest_error_counted_is_refused_or_works():
    try:
        rule = mean_error_below(5.0, window=4)
    except ValueError as error:
        assert "limit" in str(error)
    else:
        done = run(rule, stream([8.0, 8.0, 8.0, 8.0, 0.0, 0.0, 0.0], np.ones(7)))
        assert np.asarray(done).tolist() == [False] * 5 + [True] * 2


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: consecutive_correct(0), "num"),
        (lambda: few_wrong(0), "limit"),
        (lambda: few_wrong(1, window=0), "window"),
        (lambda: mean_error_below(0.0), "limit"),
        (lambda: mean_error_below(-1.0), "limit"),
        (lambda: mean_error_below(float("nan")), "limit"),
        (lambda: mean_error_below(0.1, window=0), "window"),
        (lambda: mean_error_below(0.1, measure="median"), "measure.*absolute.*squared"),
    ],
)
def test_bad_arguments_name_the_field(make, field):
    with pytest.raises(ValueError, match=field):
        make()
