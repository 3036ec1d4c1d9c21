"""Exams between training sequences: who passes, when they are held, and how trials end by them."""

import math
from functools import lru_cache
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax import exams
from lstm_jax.exams import BLOCK, Stage, exam
from lstm_jax.gradients import traces
from lstm_jax.kernels import lanes_last
from lstm_jax.lanes import lane_mesh
from lstm_jax.runner import run_trials
from lstm_jax.stopping import consecutive_correct
from lstm_jax.tasks import Example
from lstm_jax.trial import RUNNING, SOLVED, Hyper, make_trial
from tests.engine import LIMIT, make_network, make_task
from tests.oracles import adapters
from tests.oracles import lstm97 as paper

# ---- who passes: networks whose answers stand in a table

STAGES = (Stage("ST1", 4), Stage("ST2", 4, 0.25), Stage("ST3", 1, 0.125))
NUM_LANES = 60
GRID = 2.0**-10  # errors are multiples of this: sums are exact in any order
TABLE_TASK = SimpleNamespace(
    # the number-th test sequence of a trial; the key is not needed
    test=lambda key, number, trial: Example(jnp.stack([trial, number]), trial, number),
    correct=lambda outputs, example: outputs[0] == 1,
    error=lambda outputs, example: outputs[1],
)


def read_table(table, examples):
    """What the networks "answer": right or wrong, and an error. Weights are the table itself."""
    lanes = jnp.arange(table.shape[0], dtype=jnp.int32)[:, None]
    return table[lanes, examples.inputs[:, :, 1]]


def tables(seed, num):
    """Lanes from flawless to hopeless, some just below and some just above each bound."""
    rng = np.random.default_rng(seed)
    correct = np.ones((NUM_LANES, num), np.float32)
    error = np.round(rng.uniform(0, 0.25, (NUM_LANES, 1)) / GRID) * GRID * np.ones((1, num))
    for lane in range(NUM_LANES):
        wrong = rng.choice(num, size=rng.choice([0, 1, 2, 3, 4, 5, num // 2]), replace=False)
        correct[lane, wrong] = 0
        if lane % 5 == 0:  # a mean at a bound, and a grid step from it
            error[lane] = [0.25, 0.125][lane % 2]
            error[lane, -1] += [-GRID, 0, GRID][lane % 3]
        if lane % 7 == 0:
            error[lane, rng.integers(num)] = [math.nan, math.inf, 1e3][lane % 3]
    return np.stack([correct, error], axis=-1).astype(np.float32)


def by_definition(table, stages=STAGES):
    """All sequences counted, for one lane."""
    wrong = sum(right != 1 for right, _ in table)
    total = math.fsum(map(float, table[:, 1])) if np.isfinite(table).all() else math.nan
    mean = total / len(table)
    return [wrong < s.wrong_below and bool(mean < s.error_below) for s in stages]


def take(table, needed, num, stages=STAGES):
    trials = jnp.arange(len(table), dtype=jnp.int32)
    return exams.take(
        exam(100, num, stages), TABLE_TASK, read_table, table, trials, trials, needed
    )  # fmt: skip


# fewer than a block, whole blocks, and a part of one
@pytest.mark.parametrize("num", [BLOCK - 3, 4 * BLOCK, 2 * BLOCK + 5])
def test_passed_with_few_wrong_and_a_small_mean_error(num):
    table = tables(num, num)
    rng = np.random.default_rng(num)
    expected = np.array([by_definition(row) for row in table])
    assert all(0 < column.sum() < NUM_LANES for column in expected.T), "the tables show nothing"
    compiled = jax.jit(lambda table, needed: take(table, needed, num))
    everything = np.ones((NUM_LANES, len(STAGES)), bool)
    np.testing.assert_array_equal(compiled(table, everything), expected)
    # stages that are not needed are not passed, and their lanes wait for nobody
    needed = rng.uniform(size=everything.shape) < 0.5
    np.testing.assert_array_equal(compiled(table, needed), expected & needed)
    # a lane's result is its own, whatever stands in the others
    order = rng.permutation(NUM_LANES)
    np.testing.assert_array_equal(compiled(table[order], everything), expected[order])
    alone = everything.copy()
    alone[1:] = False
    for lane in range(0, NUM_LANES, 4):
        table[0] = tables(num, num)[lane]
        assert (np.asarray(compiled(table, alone))[0] == expected[lane]).all()


@pytest.mark.parametrize(
    ("wrong_at", "blocks"),
    [((), 4), ((0,), 4), ((0, 1, 2, 3), 1), ((0, 1, 2, BLOCK), 2), ((3 * BLOCK,), 4)],
)
def test_a_lost_exam_ends_after_the_block_it_is_lost_in(wrong_at, blocks):
    table = np.zeros((1, 4 * BLOCK, 2), np.float32)
    table[:, :, 0] = 1
    table[:, list(wrong_at), 0] = 0
    asked = []

    def counted(table, examples):
        asked.append(examples.inputs.shape)
        return read_table(table, examples)

    lane = jnp.zeros(1, jnp.int32)
    with jax.disable_jit():
        now = exams.take(
            exam(100, 4 * BLOCK, STAGES[:1]), TABLE_TASK, counted, table, lane, lane,
            np.ones((1, 1), bool),
        )  # fmt: skip
    assert len(asked) == blocks
    assert bool(now[0, 0]) == (len(wrong_at) < 4)


def test_who_needs_nothing_is_asked_nothing():
    table = np.ones((2, BLOCK, 2), np.float32)
    with jax.disable_jit():
        now = exams.take(
            exam(100, BLOCK, STAGES), TABLE_TASK, None, table, jnp.zeros(2), jnp.zeros(2),
            np.zeros((2, 3), bool),
        )  # fmt: skip
    assert not np.asarray(now).any()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: exam(0, 10, STAGES), "every: 0"),
        (lambda: exam(10, 0, STAGES), "num: 0"),
        (lambda: exam(10, 10, ()), "stages"),
        (lambda: exam(10, 10, (Stage("ST1", 0),)), "ST1: wrong_below=0"),
        (lambda: exam(10, 10, (Stage("ST1", 11),)), "ST1: wrong_below=11.*num=10"),
        (lambda: exam(10, 10, (Stage("ST1", 1, 0.0),)), "ST1: error_below=0.0"),
        (lambda: exam(10, 10, (Stage("ST1", 1, math.nan),)), "ST1: error_below=nan"),
    ],
)
def test_bad_exams_name_the_field(make, field):
    with pytest.raises(ValueError, match=field) as raised:
        make()
    assert "\n" not in str(raised.value)


# ---- when they are held, and how trials end: the small trial of tests/engine.py

ROOT, NUM_TRIALS, EVERY, NUM = 1997, 10, 10, 20
RATE, RANGE = 0.3, 1.0
CAP = 170
EXAM_STREAM = 3
SMALL = exam(EVERY, NUM, (Stage("ST1", 6), Stage("ST2", 6, 0.17)))
SETS = {"fresh": SMALL, "fixed": SMALL._replace(fixed=True)}


def make(max_sequences=CAP, held=SMALL, **options):
    net = make_network()
    return make_trial(
        net, make_task(), traces(net, "end"), held, optax.sgd,
        max_sequences=max_sequences, **{"kernel": lanes_last} | options,
    )  # fmt: skip


def run(chunk, num_lanes=8, set_="fresh"):
    finals = {}
    records = run_trials(
        make(held=SETS[set_]),
        jax.random.key(ROOT, impl="threefry2x32"),
        num_trials=NUM_TRIALS,
        num_lanes=num_lanes,
        chunk=chunk,
        hyper=lambda n: (RATE, RANGE),
        num_test=8,
        on_finish=lambda record, state: finals.update({record.trial: state}),
        mesh=lane_mesh(jax.devices()[:1]),
    )
    return records, finals


@lru_cache
def reference(set_="fresh"):
    return run(chunk=50, set_=set_)


@lru_cache
def weights_at_exams():
    """Of each trial after 10, 20, ... sequences, by an engine that knows no exams."""
    trial = make(held=consecutive_correct(10**6))

    @jax.jit
    @jax.vmap
    def train(n):
        hyper = Hyper(jnp.float32(RATE), jnp.float32(RANGE))
        state = trial.init(jax.random.key(ROOT, impl="threefry2x32"), n, hyper)

        def term(state, ticks):
            state, _ = jax.lax.scan(trial.update, state, ticks)
            return state, state.params

        return jax.lax.scan(term, state, jnp.arange(CAP, dtype=jnp.int32).reshape(-1, EVERY))[1]

    return jax.tree.map(np.asarray, train(jnp.arange(NUM_TRIALS, dtype=jnp.int32)))


@lru_cache
def exam_sequences(set_):
    """By their addresses: of each trial and exam, ``NUM`` of them; a fixed set's are at 0."""
    task = make_task()

    @jax.jit
    @jax.vmap
    def draw(n):
        key = jax.random.key(ROOT, impl="threefry2x32")
        stream = jax.random.fold_in(jax.random.fold_in(key, n), EXAM_STREAM)

        def of_exam(s):
            key = jax.random.fold_in(stream, s if set_ == "fresh" else 0)
            return jax.vmap(lambda number: task.sample(jax.random.fold_in(key, number)))(
                jnp.arange(NUM, dtype=jnp.int32)
            )

        return jax.vmap(of_exam)(jnp.arange(EVERY, CAP + 1, EVERY, dtype=jnp.int32))

    return jax.tree.map(np.asarray, draw(jnp.arange(NUM_TRIALS, dtype=jnp.int32)))


@lru_cache
def passed_by_numpy(n, set_="fresh"):
    """Sequences until each stage is first passed, for a trial that is trained on to the cap."""
    passed = {}
    for k in range(CAP // EVERY):
        params = jax.tree.map(lambda leaf, k=k: leaf[n, k], weights_at_exams())
        shown = jax.tree.map(lambda leaf, k=k: leaf[n, k], exam_sequences(set_))
        arguments = {"block_size": 1}
        net = adapters.paper_net(params.cell, arguments, params.readout, "identity")
        errors = []
        for xs, target, length in zip(shown.inputs, shown.targets, shown.length, strict=True):
            errors.append(abs(paper.forward(net, xs[:length])[-1].y_k[0] - target[0]))
        wrong = sum(error >= LIMIT for error in errors)
        for stage in SMALL.stages:
            if wrong < stage.wrong_below and sum(errors) / NUM < stage.error_below:
                passed.setdefault(stage.name, (k + 1) * EVERY)
    return passed


@pytest.mark.parametrize("set_", SETS)
@pytest.mark.parametrize("n", range(NUM_TRIALS))
def test_records_of_a_run_with_exams(n, set_):
    """Each stage in the exam in which it was first passed; with the last one the trial ends."""
    records, finals = reference(set_)
    expected = passed_by_numpy(n, set_)
    record, final = records[n], finals[n]
    solved = "ST2" in expected
    assert record.trial == n
    assert record.status == ("SOLVED" if solved else "EXHAUSTED")
    assert record.num_sequences == (expected["ST2"] if solved else CAP)
    assert record.stages == expected
    at_end = record.num_sequences // EVERY - 1
    for leaf, others in zip(
        jax.tree.leaves(final.params), jax.tree.leaves(weights_at_exams()), strict=True
    ):
        np.testing.assert_allclose(leaf, others[n, at_end], rtol=1e-4, atol=1e-5)


def test_a_fixed_set_makes_other_records():
    assert reference("fixed")[0] != reference("fresh")[0]


def test_the_trials_end_in_every_way():
    """Both stages at once, one after the other, at the cap itself, the first only."""
    found = [passed_by_numpy(n) for n in range(NUM_TRIALS)]
    assert any(0 < p.get("ST1", 0) < p.get("ST2", 0) < CAP for p in found), found
    assert any("ST2" in p and p["ST1"] == p["ST2"] for p in found), found
    assert any(p.get("ST2") == CAP for p in found), "the exam at the cap decides"
    assert any("ST2" not in p for p in found), found


def test_records_do_not_depend_on_chunks_and_lanes():
    assert run(chunk=10, num_lanes=3)[0] == reference()[0]


@pytest.mark.parametrize("chunk", [5, 15])
def test_a_chunk_must_hold_whole_terms(chunk):
    with pytest.raises(ValueError, match=f"chunk: {chunk} .*exam every 10 .*multiple"):
        run(chunk)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"max_sequences": 175}, "max_sequences: 175 .*exam every 10 .*multiple"),
        ({"batch_size": 2}, "batch_size 1"),
        ({"update_every": "epoch"}, "update_every: 'epoch'.*sequence, step"),
        ({"update_every": "step"}, "update_every: 'step'.*every step"),
    ],
)
def test_trials_that_cannot_be_are_refused(options, field):
    with pytest.raises(ValueError, match=field):
        make(**options)


def test_a_trial_is_examined_on_the_sequences_of_its_number():
    """A net of zeros answers 0; the target is the trial's number, so that only trial 0 is right."""
    net, task = make_network(), make_task()

    def test(key, number, trial=0):
        return task.sample(key)._replace(targets=jnp.full(1, trial, jnp.float32))

    trial = make_trial(
        net, task._replace(test=test), traces(net, "end"), exam(2, 4, (Stage("all", 1),)),
        optax.sgd, max_sequences=4,
    )  # fmt: skip
    numbers, hyper = jnp.arange(3, dtype=jnp.int32), Hyper(jnp.zeros(3), jnp.zeros(3))
    states = jax.jit(jax.vmap(trial.init, (None, 0, 0)))(jax.random.key(0), numbers, hyper)
    states = states._replace(sequences=jnp.full(3, 2, jnp.int32))
    after = jax.jit(trial.examine_lanes)(states)
    assert after.passed[:, 0].tolist() == [2, -1, -1]
    assert [int(status) for status in after.status] == [SOLVED, RUNNING, RUNNING]
