"""Many trials in one compiled program: lanes, a queue, and the one host loop."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lstm_jax.curves import Curves
from lstm_jax.trial import EXHAUSTED, RUNNING, STATUS_NAMES, Hyper, Trial, TrialState
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


class Snapshot(NamedTuple):
    """Everything needed to go on after a chunk, as plain arrays."""

    arrays: dict[str, np.ndarray]
    clock: int


def choose_lanes(num_trials: int, num_devices: int, num_lanes: int = 0) -> int:
    """How many lanes to run: as asked, or as many as there are trials, filled to whole vectors.

    Example:
      >>> choose_lanes(num_trials=10, num_devices=2)
      16
      >>> choose_lanes(num_trials=1000, num_devices=2)
      128
      >>> choose_lanes(num_trials=10, num_devices=2, num_lanes=24)
      32
    """
    unit = VECTOR * num_devices
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


def compile_advance(
    trial: Trial, mesh: Mesh, chunk: int
) -> Callable[[TrialState, Array], tuple[TrialState, Array]]:
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
    mesh = lane_mesh() if mesh is None else mesh
    num_devices = mesh.devices.size
    for name, value in (("num_trials", num_trials), ("num_lanes", num_lanes), ("chunk", chunk)):
        if value < 1:
            raise ValueError(f"{name}: {value!r} is not valid; it must be a whole number >= 1")
    if num_lanes % num_devices:
        raise ValueError(f"num_lanes: {num_lanes} does not divide over {num_devices} devices")
    curves = Curves(1000) if curves is None else curves
    sharding = NamedSharding(mesh, PartitionSpec("lanes"))
    advance = None  # compiled below, once the lanes are filled, and outside the training time
    evaluate = jax.jit(trial.evaluate, static_argnums=2)

    def fresh(numbers: Array, rates: Hyper) -> TrialState:
        states = jax.vmap(trial.init, in_axes=(None, 0, 0))(key, numbers, rates)
        idle = jnp.where(numbers < 0, EXHAUSTED, states.status)
        return states._replace(status=idle)

    def refill(states: TrialState, numbers: Array, rates: Hyper, where: Array) -> TrialState:
        def choose(new: Array, old: Array) -> Array:
            return jnp.where(where.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return jax.tree.map(choose, fresh(numbers, rates), states)

    start = jax.jit(fresh, out_shardings=sharding)
    refill = jax.jit(refill, donate_argnums=0, out_shardings=sharding)

    def rates_of(numbers: np.ndarray) -> Hyper:
        pairs = np.array([hyper(max(int(n), 0)) for n in numbers], np.float32)
        return Hyper(*(jax.device_put(column, sharding) for column in pairs.T))

    def put(values: np.ndarray) -> Array:
        return jax.device_put(values, sharding)

    finished = {record.trial: record for record in done}
    queue = [n for n in range(num_trials) if n not in finished]
    numbers = np.full(num_lanes, EMPTY, np.int32)
    if snapshot is not None:
        template = jax.eval_shape(start, put(numbers), rates_of(numbers))
        states, numbers = _restore(template, snapshot, num_lanes, finished)
        states = jax.device_put(states, sharding)
        curves.restore(_part(snapshot.arrays, "curves/"))
        for n in set(curves.trials()) - set(numbers.tolist()):
            curves.drop(n)
        queue = [n for n in queue if n not in set(numbers.tolist())]
        clock = snapshot.clock
    else:
        states = start(put(numbers), rates_of(numbers))
        clock = 0
    vacant = np.flatnonzero(numbers == EMPTY)
    trained_sequences = 0
    trained_seconds = 0.0

    while True:
        take = vacant[: len(queue)]
        if len(take):
            numbers[take], queue = queue[: len(take)], queue[len(take) :]
            where = np.isin(np.arange(num_lanes), take)
            states = refill(states, put(numbers), rates_of(numbers), put(where))
        if (numbers == EMPTY).all():
            break
        if advance is None:
            lowered = compile_advance(trial, mesh, chunk).lower(states, jnp.int32(0))
            advance = lowered.compile()
        before = np.asarray(states.sequences)
        began = time.perf_counter()
        states, errors = advance(states, jnp.int32(clock % 2**30))
        errors = np.asarray(errors)
        trained_seconds += time.perf_counter() - began
        clock += chunk
        status, sequences = np.asarray(states.status), np.asarray(states.sequences)
        latest = {}
        for lane in np.flatnonzero(numbers != EMPTY):
            used = int(sequences[lane] - before[lane])
            lane_errors = errors[:, lane].reshape(-1)[:used]
            curves.add(int(numbers[lane]), lane_errors)
            latest[int(numbers[lane])] = float(lane_errors.mean()) if used else float("nan")
            trained_sequences += used
        vacant = np.flatnonzero((numbers == EMPTY) | (status != RUNNING))
        for lane in vacant[numbers[vacant] != EMPTY]:
            final = jax.tree.map(lambda leaf, lane=int(lane): np.asarray(leaf)[lane], states)
            result = evaluate(final.params, trial.test_key(final), num_test)
            record = TrialRecord(
                trial=int(numbers[lane]),
                status=STATUS_NAMES[status[lane]],
                num_sequences=int(sequences[lane]),
                num_wrong=int(result.num_wrong),
                num_test=num_test,
                mean_test_error=float(result.mean_error),
                max_test_error=float(result.max_error),
            )
            finished[record.trial] = record
            numbers[lane] = EMPTY
            if on_finish is not None:
                on_finish(record, final)
        if on_chunk is not None:
            running = {int(numbers[k]): int(sequences[k]) for k in np.flatnonzero(numbers != EMPTY)}
            ordered = [finished[n] for n in sorted(finished)]
            step = clock * trial.batch_size
            progress = Progress(
                step, num_trials, ordered, running, latest, trained_sequences, trained_seconds
            )
            now = (states, numbers, clock)
            on_chunk(progress, lambda now=now: _snapshot(*now, curves))
        if should_stop():
            break
    return [finished[n] for n in sorted(finished)]


def _snapshot(states: TrialState, numbers: np.ndarray, clock: int, curves: Curves) -> Snapshot:
    arrays = {f"lanes/{name}": np.asarray(leaf) for name, leaf in _named_leaves(states)}
    arrays["numbers"] = numbers.copy()
    arrays |= {f"curves/{name}": array for name, array in curves.to_arrays().items()}
    return Snapshot(arrays, clock)


def _restore(
    template: TrialState, snapshot: Snapshot, num_lanes: int, finished: dict[int, TrialRecord]
) -> tuple[TrialState, np.ndarray]:
    """The lanes of a snapshot laid over `num_lanes` lanes; their number may have changed."""
    numbers = snapshot.arrays["numbers"]
    alive = np.array([n >= 0 and int(n) not in finished for n in numbers], bool)
    rows = np.flatnonzero(alive)[:num_lanes]
    # Trials beyond the lanes there are now start again from their first sequence, and so end
    # as they would have: a trial depends on its number alone.
    rows = np.concatenate([rows, np.zeros(num_lanes - len(rows), np.int64)])
    valid = np.arange(num_lanes) < min(int(alive.sum()), num_lanes)
    stored = _part(snapshot.arrays, "lanes/")
    leaves = []
    for name, leaf in _named_leaves(template):
        if name not in stored or stored[name].shape[1:] != leaf.shape[1:]:
            raise ValueError(f"snapshot: {name} is missing or of another shape; a different run")
        leaves.append(stored[name][rows].astype(leaf.dtype))
    states = jax.tree.unflatten(jax.tree.structure(template), leaves)
    states = states._replace(status=np.where(valid, states.status, EXHAUSTED).astype(np.int32))
    return states, np.where(valid, numbers[rows], EMPTY).astype(np.int32)


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves]


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
