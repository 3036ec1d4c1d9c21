"""Lanes and the queue: what a trial does depends on the key and its number, on nothing else."""

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import jax
import numpy as np
import pytest

from lstm_jax.curves import Curves
from lstm_jax.lanes import Lanes, lane_mesh
from lstm_jax.runner import run_trials
from lstm_jax.trial import Evaluation
from tests.engine import make_small_trial

NUM_TRIALS, CHUNK = 20, 25
CAP = 160  # no multiple of the chunk


def usual(number):
    del number
    return 0.3, 1.0


def one_device():
    return lane_mesh(jax.devices()[:1])


def run(trial=None, num_lanes=8, chunk=CHUNK, hyper=usual, num_trials=NUM_TRIALS, **options):
    """(records, final states by trial, curves by trial) of a run on one device."""
    trial = make_small_trial(CAP, 6, 0.15) if trial is None else trial
    finals, curves = {}, Curves(10)

    def on_finish(record, state):
        assert record.trial not in finals, "a trial finished twice"
        finals[record.trial] = jax.tree.map(np.asarray, state._replace(stop=None))

    records = run_trials(
        trial,
        jax.random.key(1997),
        num_trials=num_trials,
        num_lanes=num_lanes,
        chunk=chunk,
        hyper=hyper,
        num_test=32,
        curves=curves,
        on_finish=on_finish,
        mesh=options.pop("mesh", one_device()),
        **options,
    )
    return records, finals, curves.as_dict()


@lru_cache
def reference():
    return run()


def assert_same_run(actual, expected, trials=range(NUM_TRIALS)):
    """Bitwise: records, final weights, learning curves."""
    records, finals, curves = actual
    by_trial = {record.trial: record for record in records}
    for n in trials:
        assert by_trial[n] == expected[0][n]
        if n in finals:
            assert jax.tree.all(jax.tree.map(np.array_equal, finals[n], expected[1][n])), n
        np.testing.assert_array_equal(curves[n], expected[2][n])


def test_every_trial_ends_once_and_in_order():
    records, finals, curves = reference()
    assert [record.trial for record in records] == list(range(NUM_TRIALS))
    assert {record.status for record in records} == {"SOLVED", "EXHAUSTED"}
    assert sorted(finals) == sorted(curves) == list(range(NUM_TRIALS))
    for record in records:
        assert record.num_test == 32 and 0 <= record.num_wrong <= 32
        assert 0 < record.mean_test_error <= record.max_test_error
        assert finals[record.trial].sequences == record.num_sequences
        assert len(curves[record.trial]) == record.num_sequences // 10
        assert (record.num_sequences == CAP) >= (record.status == "EXHAUSTED")
        assert record.num_sequences <= CAP
    assert any(record.num_sequences % CHUNK for record in records if record.status == "SOLVED")


def test_a_second_run_is_the_same():
    assert_same_run(run(), reference())


@pytest.mark.parametrize("chunk", [1, 40, 1000])
def test_chunk_length_changes_nothing(chunk):
    num_trials = 4 if chunk == 1 else NUM_TRIALS  # one call for each sequence takes its time
    assert_same_run(run(chunk=chunk, num_trials=num_trials), reference(), range(num_trials))


def widths_of_programs(monkeypatch, compile_seconds):
    """A list that fills with the lanes of each program made, said to have taken so long."""
    made, compile_lanes = [], Lanes.compile

    def compile_and_tell(self, chunk):
        compile_lanes(self, chunk)
        made.append(len(self.numbers))
        self.compile_seconds = compile_seconds

    monkeypatch.setattr(Lanes, "compile", compile_and_tell)
    return made


@pytest.mark.parametrize(
    ("num_lanes", "narrower"), [(32, [32, 16]), (64, [64, 32, 16]), (16, [16]), (24, [24])]
)
def test_the_last_trials_go_on_in_fewer_lanes(monkeypatch, num_lanes, narrower):
    """In whole blocks of sixteen, and with the bits of a run that stays as it began."""
    widths = widths_of_programs(monkeypatch, 0.0)
    trial, num_trials = make_small_trial(CAP, 6, 0.15), 2 * num_lanes
    narrow = run(trial, num_lanes, num_trials=num_trials)
    assert widths == narrower
    monkeypatch.setattr(Lanes, "narrowed", lambda self: self)
    assert_same_run(run(trial, num_lanes, num_trials=num_trials), narrow, range(num_trials))
    assert widths == [*narrower, num_lanes]
    assert_same_run(narrow, reference())


def test_a_program_for_fewer_lanes_is_made_once_the_one_there_is_has_paid(monkeypatch):
    widths = widths_of_programs(monkeypatch, 1e6)
    run(num_lanes=32, num_trials=32)
    assert widths == [32]


def test_no_program_is_made_for_no_trials(monkeypatch):
    widths = widths_of_programs(monkeypatch, 0.0)
    run(make_small_trial(CHUNK, CAP), num_lanes=32, num_trials=32)  # all end at the cap
    assert widths == [32]


def test_a_resumed_run_begins_as_wide_as_what_is_left(monkeypatch):
    widths = widths_of_programs(monkeypatch, 1e6)
    whole = run(num_lanes=32, num_trials=40)
    rest = run(num_lanes=32, num_trials=40, done=whole[0][:30])
    assert widths == [32, 16]
    assert_same_run(rest, whole, range(30, 40))
    assert run(num_lanes=32, num_trials=40, done=whole[0])[0] == whole[0]
    assert widths == [32, 16]  # none for none


def test_lane_and_order_change_nothing():
    """Trials finished before are skipped, so all others come into other lanes, at other times."""
    records, finals, curves = reference()
    skipped = [records[n] for n in (0, 1, 2, 5, 11)]
    again = run(done=skipped)
    assert set(again[1]) == set(range(NUM_TRIALS)) - {0, 1, 2, 5, 11}
    assert_same_run(again, (records, finals, curves), sorted(again[1]))
    assert again[0] == records  # those done are reported along with the others


def test_number_of_lanes_keeps_stop_updates():
    wide = run(num_lanes=16)
    for one, other in zip(wide[0], reference()[0], strict=True):
        assert (one.status, one.num_sequences) == (other.status, other.num_sequences)
        np.testing.assert_allclose(one.mean_test_error, other.mean_test_error, rtol=1e-5)


@pytest.mark.parametrize("rate", [float("nan"), 1e30])
def test_divergence_stays_in_its_lane(rate):
    """Trials 3 and 9 diverge; each is recorded, its lane refilled, its neighbours untouched."""
    broken = run(hyper=lambda n: (rate, 1.0) if n in (3, 9) else usual(n))
    for n in (3, 9):
        record = broken[0][n]
        assert record.status == "DIVERGED" and 1 <= record.num_sequences < CAP
    assert_same_run(broken, reference(), [n for n in range(NUM_TRIALS) if n not in (3, 9)])


def test_fewer_trials_than_lanes():
    few = run(num_trials=3)
    assert len(few[0]) == 3
    assert_same_run(few, reference(), range(3))


def resumed_run(snapshot_at, stop_at, lanes=(8, 8)):
    """A run stopped after some chunks and a second one from a snapshot, that may be an older one.

    The curves of trials that finished in the first session are that session's.
    """
    snapshots = []
    records, finals, curves = run(
        num_lanes=lanes[0],
        on_chunk=lambda progress, take: snapshots.append(take()),
        should_stop=lambda: len(snapshots) == stop_at,
    )
    assert len(records) < NUM_TRIALS
    rest = run(done=records, snapshot=snapshots[snapshot_at - 1], num_lanes=lanes[1])
    assert not set(finals) & set(rest[1]), "a trial was run again"
    curves = {record.trial: curves[record.trial] for record in records}
    return rest[0], finals | rest[1], rest[2] | curves


@pytest.mark.parametrize(("snapshot_at", "stop_at"), [(1, 1), (5, 5), (9, 9), (4, 9), (1, 12)])
def test_resuming_from_a_snapshot_equals_the_unbroken_run(snapshot_at, stop_at):
    """Killed right after a snapshot, or long after it with more trials on record."""
    assert_same_run(resumed_run(snapshot_at, stop_at), reference())


@pytest.mark.parametrize(("snapshot_at", "lanes"), [(1, (32, 32)), (3, (32, 32)), (3, (32, 16))])
def test_a_run_that_is_narrowed_resumes_to_the_same_bits(monkeypatch, snapshot_at, lanes):
    """From a snapshot before its lanes were narrowed, or after."""
    widths = widths_of_programs(monkeypatch, 0.0)
    assert_same_run(resumed_run(snapshot_at, 3, lanes), reference())
    assert widths[:2] == [32, 16] and widths[2:] == [16]


@pytest.mark.parametrize("lanes", [(8, 16), (16, 8)])
def test_resuming_with_another_number_of_lanes_keeps_stop_updates(lanes):
    records, _, curves = resumed_run(3, 5, lanes)
    for one, other in zip(records, reference()[0], strict=True):
        assert (one.status, one.num_sequences) == (other.status, other.num_sequences)
        np.testing.assert_allclose(curves[one.trial], reference()[2][one.trial], rtol=1e-5)


def test_a_snapshot_of_another_network_is_refused():
    snapshots = []
    run(
        num_trials=2,
        on_chunk=lambda progress, take: snapshots.append(take()),
        should_stop=lambda: True,
    )
    arrays = snapshots[0].arrays
    name = next(name for name in arrays if "w_z" in name and arrays[name].ndim == 3)
    other = arrays | {name: np.zeros((8, 5, 5), np.float32)}
    with pytest.raises(ValueError, match="snapshot.*w_z"):
        run(num_trials=2, snapshot=snapshots[0]._replace(arrays=other))


def test_progress_adds_up():
    seen = []
    records, _, _ = run(on_chunk=lambda progress, take: seen.append(progress))
    last = seen[-1]
    assert last.num_trials == NUM_TRIALS and last.finished == records and not last.running
    assert last.trained_sequences == sum(record.num_sequences for record in records)
    assert [p.step for p in seen] == [CHUNK * (k + 1) for k in range(len(seen))]
    for progress in seen:
        assert not set(progress.running) & {record.trial for record in progress.finished}
        assert all(0 < n <= CAP for n in progress.running.values())


def test_one_compilation_for_rates_refills_and_chunks():
    """Python sees each function once: whatever happens later runs the program that is there."""
    trial = make_small_trial(CAP, 6, 0.15)
    traced = {"update_lanes": 0, "evaluate": 0}

    def counting(name):
        function = getattr(trial, name)

        def counted(*args):
            traced[name] += 1
            return function(*args)

        return counted

    counted = trial._replace(**{name: counting(name) for name in traced})
    swept = run(counted, hyper=lambda n: (0.2 + 0.01 * n, 1.0))
    assert len(swept[0]) == NUM_TRIALS
    assert traced == {"update_lanes": 1, "evaluate": 1}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"num_trials": 0}, "num_trials"),
        ({"num_lanes": 0}, "num_lanes"),
        ({"chunk": -5}, "chunk"),
    ],
)
def test_bad_counts_name_the_field(options, field):
    with pytest.raises(ValueError, match=field):
        run(**options)


TWO_DEVICES = """
from lstm_jax.runtime import configure
configure(num_devices=2)
import jax
from tests.test_runner import assert_same_run, lane_mesh, run
assert len(jax.devices()) == 2, jax.devices()
one = run()
assert_same_run(run(num_lanes=16, mesh=lane_mesh()), one)
assert_same_run(run(chunk=40), one)
try:
    run(num_lanes=7, mesh=lane_mesh())
except ValueError as error:
    assert "num_lanes" in str(error), error
else:
    raise AssertionError("7 lanes on 2 devices")
print("same")
"""


def test_two_devices_equal_one(tmp_path):
    """As the experiments run: with their runtime settings, and the lanes over two devices."""
    root = Path(__file__).resolve().parents[1]
    unset = ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env |= {
        "PYTHONPATH": str(root),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES],
        env=env,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and done.stdout.strip() == "same", done.stderr[-3000:]


def test_a_record_is_the_evaluation_of_the_trials_own_weights_by_its_own_key_and_number():
    trial = make_small_trial(CAP, 6, 0.15)

    def evaluate(params, key, num_test, number):
        bias = params.readout.b[0]
        return Evaluation(num_test - number, bias + jax.random.uniform(key), bias)

    records, finals, _ = run(trial._replace(evaluate=evaluate), num_trials=3, num_lanes=2)
    for n, record in enumerate(records):
        bias, key = finals[n].params.readout.b[0], trial.test_key(finals[n])
        assert record.num_wrong == 32 - n and record.max_test_error == pytest.approx(bias)
        mean = float(bias + jax.random.uniform(key))
        assert record.mean_test_error == pytest.approx(mean, abs=1e-6)


def test_a_batch_counts_as_its_sequences_and_a_chunks_error_is_their_mean():
    """Chunks of 40 sequences, four points of the curve."""
    seen = []
    trial = make_small_trial(CAP, 6, 0.15, 4)
    _, _, curves = run(
        trial, num_trials=4, chunk=10, on_chunk=lambda progress, _: seen.append(progress)
    )
    assert [progress.step for progress in seen] == [40 * (k + 1) for k in range(len(seen))]
    for n, curve in curves.items():
        whole = np.reshape(curve[: len(curve) // 4 * 4], (-1, 4)).mean(axis=1)
        told = [progress.errors[n] for progress in seen if n in progress.errors]
        np.testing.assert_allclose(told[: len(whole)], whole, rtol=1e-5)
    assert any(len(curve) >= 4 for curve in curves.values())
