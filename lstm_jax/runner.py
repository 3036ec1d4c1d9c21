"""The one host loop: fills the lanes from the queue, advances them, retires what has ended."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
from jax.sharding import Mesh

from lstm_jax.curves import Curves
from lstm_jax.lanes import Lanes, Snapshot, lane_mesh, part
from lstm_jax.trial import STATUS_NAMES, Evaluation, Trial, TrialState
from lstm_jax.types import Array


class TrialRecord(NamedTuple):
    """What one finished trial gave. Without wall times: it is the same in every run."""

    trial: int
    status: str
    num_sequences: int
    num_wrong: int
    num_test: int
    mean_test_error: float
    max_test_error: float
    stages: dict[str, int] = {}  # name of a passed stage of the exam: sequences until then


class Progress(NamedTuple):
    """Where a run stands after a chunk."""

    step: int  # training sequences each lane has gone through, all sessions
    num_trials: int  # to be run here
    finished: list[TrialRecord]
    running: dict[int, int]  # trial: training sequences so far
    errors: dict[int, float]  # trial: mean error over its last chunk
    trained_sequences: int  # this session, over all trials
    trained_seconds: float  # this session, spent in the compiled program
    lane_rate: float  # sequences per second of one lane, idle or not, in the program there is
    # As trained_seconds, over all cores: beside other work the same. None where the run has not
    # all devices of the process, for then others may be at work in it.
    processor_seconds: float | None = None


def run_trials(
    trial: Trial,
    key: Array,
    *,
    num_trials: int,
    num_lanes: int,
    chunk: int,
    hyper: Callable[[int], tuple[float, float]],
    num_test: int = 2560,
    curves: Curves | None = None,
    done: Sequence[TrialRecord] = (),
    snapshot: Snapshot | None = None,
    on_finish: Callable[[TrialRecord, TrialState], None] | None = None,
    on_chunk: Callable[[Progress, Callable[[], Snapshot]], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    mesh: Mesh | None = None,
    numbers: Sequence[int] | None = None,
) -> list[TrialRecord]:
    """Runs trials 0 .. num_trials-1 to their ends, `num_lanes` at a time.

    A lane whose trial has finished is frozen until the chunk ends; then the trial is tested on
    fresh sequences, reported, and the lane takes the next trial of the queue. When the queue is
    empty and half of the lanes would do, the trials left go on in a program of so many. What a
    trial does depends on `key` and its number only, not on lanes, chunks or neighbours.

    Args:
      trial: what to run.
      key: the run's key.
      num_trials: N.
      num_lanes: L, a multiple of the number of devices.
      chunk: updates per compiled call.
      hyper: ``trial number -> (learning_rate, init_range)``.
      num_test: fresh test sequences for each finished trial.
      curves: collects the training errors.
      done: records of trials finished in an earlier session; they are not run again.
      snapshot: where an earlier session stood.
      on_finish: called with each record and the trial's final state.
      on_chunk: called after each chunk with the progress and a function that takes a snapshot.
      should_stop: asked after each chunk; True ends the run early, after a snapshot is possible.
      mesh: the devices; all there are by default.
      numbers: which of the N trials; all by default.

    Returns:
      The records of all finished trials, in order of their numbers.

    Raises:
      ValueError: for counts below 1, lanes that do not divide over the devices, or a snapshot
        of another kind of run.

    Example:
      >>> import optax
      >>> from lstm_jax import GRADIENT_RULES, adding, consecutive_correct, lstm97, readout
      >>> from lstm_jax import make_trial, network
      >>> net = network(lstm97(2, 2, 2), readout(4, 1))
      >>> trial = make_trial(net, adding(T=11), GRADIENT_RULES["traces"](net, "end"),
      ...                    consecutive_correct(10), optax.sgd, max_sequences=100)
      >>> records = run_trials(trial, jax.random.key(0), num_trials=1, num_lanes=8, chunk=50,
      ...                      hyper=lambda n: (0.5, 0.1), num_test=16)
      >>> records[0].status, records[0].num_sequences
      ('EXHAUSTED', 100)
    """
    for name, value in (("num_trials", num_trials), ("num_lanes", num_lanes), ("chunk", chunk)):
        if value < 1:
            raise ValueError(f"{name}: {value!r} is not valid; it must be a whole number >= 1")
    mesh = lane_mesh() if mesh is None else mesh
    alone = mesh.devices.size == jax.device_count()
    curves = Curves(1000) if curves is None else curves
    finished = {record.trial: record for record in done}
    lanes = Lanes(trial, key, num_lanes, hyper, mesh)
    if snapshot is not None:
        lanes.restore(snapshot, skip=finished.keys())
        curves.restore(part(snapshot.arrays, "curves/"))
        for n in set(curves.trials()) - set(lanes.numbers.tolist()):
            curves.drop(n)
    taken = finished.keys() | set(lanes.numbers.tolist())
    numbers = range(num_trials) if numbers is None else numbers
    queue = deque(n for n in numbers if n not in taken)
    evaluate = jax.jit(
        lambda state: trial.evaluate(state.params, trial.test_key(state), num_test, state.trial)
    )
    lanes.refill(queue)
    if done or snapshot is not None:
        lanes = lanes.narrowed()  # of an earlier session few may be left
    if lanes.busy():
        lanes.compile(chunk)
    trained_sequences, trained_seconds, processor_seconds = 0, 0.0, 0.0
    made_clock, made_seconds = lanes.clock, 0.0  # where these stood as the program was made

    while lanes.busy():
        began, busy = time.perf_counter(), time.process_time()
        errors = lanes.advance()
        trained_seconds += time.perf_counter() - began
        processor_seconds += time.process_time() - busy
        trained_sequences += sum(len(sequence) for sequence in errors.values())
        for n, sequence in errors.items():
            curves.add(n, sequence)
        for final in lanes.retire():
            record = _record(trial, final, evaluate(final), num_test)
            finished[record.trial] = record
            if on_finish is not None:
                on_finish(record, final)
        if on_chunk is not None:
            progress = Progress(
                step=lanes.clock * trial.batch_size,
                num_trials=len(numbers),
                finished=[finished[n] for n in sorted(finished)],
                running=lanes.running(),
                errors={n: float(e.mean()) for n, e in errors.items() if len(e)},
                trained_sequences=trained_sequences,
                trained_seconds=trained_seconds,
                lane_rate=(lanes.clock - made_clock)
                * trial.batch_size
                / (trained_seconds - made_seconds),
                processor_seconds=round(processor_seconds, 3) if alone else None,
            )
            on_chunk(progress, partial(lanes.snapshot, curves))
        if should_stop():
            break
        lanes.refill(queue)
        # Nobody knows how long the last trials take: a program for them alone is made once the
        # one there is has run for as long as it took to make.
        paid = trained_seconds - made_seconds >= lanes.compile_seconds
        if paid and (fewer := lanes.narrowed()) is not lanes:
            lanes = fewer
            lanes.compile(chunk)
            made_clock, made_seconds = lanes.clock, trained_seconds
    return [finished[n] for n in sorted(finished)]


def _record(trial: Trial, final: TrialState, result: Evaluation, num_test: int) -> TrialRecord:
    passed = {}
    if trial.exam is not None:
        counts = zip(trial.exam.stages, final.passed.tolist(), strict=True)
        passed = {stage.name: count for stage, count in counts if count >= 0}
    return TrialRecord(
        trial=int(final.trial),
        status=STATUS_NAMES[int(final.status)],
        num_sequences=int(final.sequences),
        num_wrong=int(result.num_wrong),
        num_test=num_test,
        mean_test_error=float(result.mean_error),
        max_test_error=float(result.max_error),
        stages=passed,
    )
