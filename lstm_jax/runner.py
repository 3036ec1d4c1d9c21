"""Many trials in one compiled program: lanes, a queue, and the one host loop."""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lstm_jax.curves import Curves
from lstm_jax.trial import EXHAUSTED, RUNNING, STATUS_NAMES, Hyper, TestResult, Trial, TrialState
from lstm_jax.types import Array

EMPTY = -1
"""The trial number of a lane without a trial."""
VECTOR = 8
"""Lanes per device come in multiples of this: the float32s of one AVX register."""


class TrialRecord(NamedTuple):
    """What one finished trial gave. Without wall times: it is the same in every run."""

    trial: int
    status: str
    num_sequences: int
    num_wrong: int
    num_test: int
    mean_test_error: float
    max_test_error: float


class Progress(NamedTuple):
    """Where a run stands after a chunk."""

    step: int  # training sequences each lane has gone through, all sessions
    num_trials: int
    finished: list[TrialRecord]
    running: dict[int, int]  # trial: training sequences so far
    errors: dict[int, float]  # trial: mean error over its last chunk
    trained_sequences: int  # this session, over all trials
    trained_seconds: float  # this session, spent in the compiled program
    lane_rate: float  # sequences per second of one lane, idle or not


class Snapshot(NamedTuple):
    """Everything needed to go on after a chunk, as plain arrays."""

    arrays: dict[str, np.ndarray]
    clock: int


def choose_lanes(
    num_trials: int, num_devices: int, num_lanes: int = 0, vector: int = VECTOR
) -> int:
    """How many lanes to run: as asked, or as many as there are trials, filled to whole vectors.

    `vector` is 1 where the kernel does not put lanes into vectors, and idle lanes would cost.

    Example:
      >>> choose_lanes(num_trials=10, num_devices=2)
      16
      >>> choose_lanes(num_trials=1000, num_devices=2)
      128
      >>> choose_lanes(num_trials=10, num_devices=2, num_lanes=24)
      32
    """
    unit = vector * num_devices
    wanted = num_lanes or min(num_trials, 64 * num_devices)
    return unit * -(-wanted // unit)


def choose_chunk(trial: Trial, lanes_per_device: int, ns_per_trial_step: float = 50.0) -> int:
    """Updates per compiled call: about half a second's worth, and no more than a trial can use.

    Example:
      >>> import optax
      >>> from lstm_jax import GRADIENT_RULES, adding, consecutive_correct, lstm97, make_trial
      >>> from lstm_jax import network, readout
      >>> net = network(lstm97(2, 2, 2), readout(4, 1))
      >>> trial = make_trial(net, adding(T=100), GRADIENT_RULES["traces"](net, "end"),
      ...                    consecutive_correct(10), optax.sgd, max_sequences=10**6)
      >>> choose_chunk(trial, lanes_per_device=8)
      11363
    """
    ns_per_update = ns_per_trial_step * trial.task.length * lanes_per_device * trial.batch_size
    most = -(-trial.max_sequences // trial.batch_size)
    return min(max(20, int(0.5e9 / ns_per_update)), most)


def lane_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh with one axis, "lanes", over the devices given, or all there are."""
    return Mesh(np.array(devices if devices is not None else jax.devices()), ("lanes",))


def compile_advance(trial: Trial, mesh: Mesh, chunk: int) -> jax.stages.Wrapped:
    """``(states, clock) -> (states, errors[chunk, L, batch_size])``: `chunk` updates of all lanes.

    One program for all lanes of a device, lanes sharded over the mesh; the states given are
    donated. The runner compiles it once, ahead of the first call.

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
    lanes, whole = PartitionSpec("lanes"), PartitionSpec()

    def local(states: TrialState, clock: Array) -> tuple[TrialState, Array]:
        ticks = clock + jnp.arange(chunk, dtype=jnp.int32)
        return jax.lax.scan(trial.update_lanes, states, ticks)

    sharded = jax.shard_map(
        local,
        mesh=mesh,
        in_specs=(lanes, whole),
        out_specs=(lanes, PartitionSpec(None, "lanes")),
        check_vma=False,
    )
    return jax.jit(sharded, donate_argnums=0)


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
) -> list[TrialRecord]:
    """Runs trials 0 .. num_trials-1 to their ends, `num_lanes` at a time.

    A lane whose trial has finished is frozen until the chunk ends; then the trial is tested on
    fresh sequences, reported, and the lane takes the next trial of the queue. What a trial does
    depends on `key` and its number only, not on lanes, chunks or neighbours.

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

    Returns:
      The records of all finished trials, in order of their numbers.

    Raises:
      ValueError: for counts below 1, lanes that do not divide over the devices, or a snapshot
        of another kind of run.
    """
    for name, value in (("num_trials", num_trials), ("num_lanes", num_lanes), ("chunk", chunk)):
        if value < 1:
            raise ValueError(f"{name}: {value!r} is not valid; it must be a whole number >= 1")
    mesh = lane_mesh() if mesh is None else mesh
    curves = Curves(1000) if curves is None else curves
    finished = {record.trial: record for record in done}
    lanes = _Lanes(trial, key, num_lanes, hyper, mesh)
    if snapshot is not None:
        lanes.restore(snapshot, skip=finished.keys())
        curves.restore(_part(snapshot.arrays, "curves/"))
        for n in set(curves.trials()) - set(lanes.numbers.tolist()):
            curves.drop(n)
    taken = finished.keys() | set(lanes.numbers.tolist())
    queue = deque(n for n in range(num_trials) if n not in taken)
    evaluate = jax.jit(lambda state: trial.evaluate(state.params, trial.test_key(state), num_test))
    lanes.refill(queue)
    lanes.compile(chunk)
    trained_sequences, trained_seconds, first_clock = 0, 0.0, lanes.clock

    while lanes.busy():
        began = time.perf_counter()
        errors = lanes.advance()
        trained_seconds += time.perf_counter() - began
        trained_sequences += sum(len(sequence) for sequence in errors.values())
        for n, sequence in errors.items():
            curves.add(n, sequence)
        for final in lanes.retire():
            record = _record(final, evaluate(final), num_test)
            finished[record.trial] = record
            if on_finish is not None:
                on_finish(record, final)
        if on_chunk is not None:
            progress = Progress(
                step=lanes.clock * trial.batch_size,
                num_trials=num_trials,
                finished=[finished[n] for n in sorted(finished)],
                running=lanes.running(),
                errors={n: float(e.mean()) for n, e in errors.items() if len(e)},
                trained_sequences=trained_sequences,
                trained_seconds=trained_seconds,
                lane_rate=(lanes.clock - first_clock) * trial.batch_size / trained_seconds,
            )
            on_chunk(progress, lambda: lanes.snapshot(curves))
        if should_stop():
            break
        lanes.refill(queue)
    return [finished[n] for n in sorted(finished)]


class _Lanes:
    """The states of L lanes on their devices, and which trial each holds."""

    def __init__(
        self,
        trial: Trial,
        key: Array,
        num_lanes: int,
        hyper: Callable[[int], tuple[float, float]],
        mesh: Mesh,
    ):
        if num_lanes % mesh.devices.size:
            raise ValueError(
                f"num_lanes: {num_lanes} does not divide over {mesh.devices.size} devices"
            )
        self.trial, self.key, self.hyper, self.mesh = trial, key, hyper, mesh
        self.sharding = NamedSharding(mesh, PartitionSpec("lanes"))
        self.numbers = np.full(num_lanes, EMPTY, np.int32)
        self.clock = 0
        self._init = jax.jit(trial.init)
        rates = Hyper(jnp.float32(0), jnp.float32(0))
        self._template = jax.eval_shape(trial.init, key, np.int32(0), rates)
        idle = jax.tree.map(
            lambda leaf: np.zeros((num_lanes, *leaf.shape), leaf.dtype), self._template
        )
        self._put(idle._replace(status=np.full(num_lanes, EXHAUSTED, np.int32)))

    def compile(self, chunk: int) -> None:
        """Compiles the program for `chunk` updates, apart from the time spent training."""
        self._chunk = chunk
        program = compile_advance(self.trial, self.mesh, chunk)
        self._advance = program.lower(self.states, jnp.int32(0)).compile()

    def busy(self) -> bool:
        """Whether any lane holds a trial."""
        return bool((self.numbers != EMPTY).any())

    def running(self) -> dict[int, int]:
        """The trials in the lanes, and their sequences so far."""
        return {int(self.numbers[k]): int(self._sequences[k]) for k in self._held()}

    def refill(self, queue: deque[int]) -> None:
        """Fresh trials from the queue into empty lanes.

        On the host: it is rare, and one small program serves all lanes.
        """
        empty = np.flatnonzero(self.numbers == EMPTY)
        if not queue or not len(empty):
            return
        rows = jax.tree.map(np.array, self.states)
        for lane in empty[: len(queue)]:
            n = queue.popleft()
            self.numbers[lane] = n
            rates = Hyper(*jnp.array(self.hyper(n), jnp.float32))
            fresh = self._init(self.key, np.int32(n), rates)
            for row, leaf in zip(jax.tree.leaves(rows), jax.tree.leaves(fresh), strict=True):
                row[lane] = leaf
        self._put(rows)

    def advance(self) -> dict[int, np.ndarray]:
        """One chunk of updates; the errors of the sequences each trial went through in it."""
        before = self._sequences
        self.states, errors = self._advance(self.states, jnp.int32(self.clock % 2**30))
        errors = np.asarray(errors)
        self.clock += self._chunk
        self._sequences = np.asarray(self.states.sequences)
        used = self._sequences - before
        return {int(self.numbers[k]): errors[:, k].reshape(-1)[: used[k]] for k in self._held()}

    def retire(self) -> Iterator[TrialState]:
        """The final states of the trials that have ended; their lanes are empty afterwards."""
        status = np.asarray(self.states.status)
        ended = [int(k) for k in self._held() if status[k] != RUNNING]
        if ended:
            rows = jax.tree.map(np.asarray, self.states)
            for lane in ended:
                self.numbers[lane] = EMPTY
                yield jax.tree.map(lambda leaf, lane=lane: leaf[lane], rows)

    def snapshot(self, curves: Curves) -> Snapshot:
        """Everything needed to go on from here."""
        arrays = {f"lanes/{name}": np.asarray(leaf) for name, leaf in _named_leaves(self.states)}
        arrays["numbers"] = self.numbers.copy()
        arrays |= {f"curves/{name}": array for name, array in curves.to_arrays().items()}
        return Snapshot(arrays, self.clock)

    def restore(self, snapshot: Snapshot, skip: Collection[int]) -> None:
        """Takes a snapshot's unfinished trials back, whatever its number of lanes was.

        Trials beyond the lanes there are now start again from their first sequence, and so end
        as they would have: a trial depends on its number alone.
        """
        stored, numbers = _part(snapshot.arrays, "lanes/"), snapshot.arrays["numbers"]
        num_lanes = len(self.numbers)
        alive = [k for k, n in enumerate(numbers.tolist()) if n != EMPTY and n not in skip]
        alive = alive[:num_lanes]
        rows = jax.tree.map(np.array, self.states)
        for (name, row), leaf in zip(
            _named_leaves(rows), jax.tree.leaves(self._template), strict=True
        ):
            if name not in stored or stored[name].shape[1:] != leaf.shape:
                raise ValueError(f"snapshot: {name} is missing or of another shape; another run's")
            row[: len(alive)] = stored[name][alive]
        self.numbers[: len(alive)] = numbers[alive]
        self.clock = snapshot.clock
        self._put(rows)

    def _put(self, rows: TrialState) -> None:
        self.states = jax.device_put(rows, self.sharding)
        self._sequences = np.asarray(self.states.sequences)

    def _held(self) -> np.ndarray:
        return np.flatnonzero(self.numbers != EMPTY)


def _record(final: TrialState, result: TestResult, num_test: int) -> TrialRecord:
    return TrialRecord(
        trial=int(final.trial),
        status=STATUS_NAMES[int(final.status)],
        num_sequences=int(final.sequences),
        num_wrong=int(result.num_wrong),
        num_test=num_test,
        mean_test_error=float(result.mean_error),
        max_test_error=float(result.max_error),
    )


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves]


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
