"""Lanes: the states of many trials side by side on their devices, and one program for all."""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lstm_jax import runtime
from lstm_jax.curves import Curves
from lstm_jax.plan import BLOCK
from lstm_jax.trial import EXHAUSTED, RUNNING, Hyper, Trial, TrialState, move_lanes
from lstm_jax.types import Array

EMPTY = -1
"""The trial number of a lane without a trial."""


class Snapshot(NamedTuple):
    """Everything needed to go on after a chunk, as plain arrays."""

    arrays: dict[str, np.ndarray]
    clock: int


def lane_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh with one axis, "lanes", over the devices given, or all there are."""
    return Mesh(np.array(devices if devices is not None else jax.devices()), ("lanes",))


def in_blocks(trial: Trial, mesh: Mesh, lanes_each: int) -> bool:
    """Whether the lanes of a device are taken `BLOCK` at a time, each block like any other."""
    on_cpu = mesh.devices.flat[0].platform == "cpu"
    return on_cpu and bool(trial.lane_axis) and lanes_each % BLOCK == 0


def compile_advance(trial: Trial, mesh: Mesh, chunk: int) -> jax.stages.Wrapped:
    """``(states, clock) -> (states, errors[chunk, L, batch_size])``: `chunk` updates of all lanes.

    Trials enter their lanes between chunks; with an exam a chunk is a multiple of the sequences
    between two, so that every lane is examined in its own time.

    One program for all lanes of a device, lanes sharded over the mesh; the states given are
    donated. `Lanes.compile` compiles it once, ahead of the first call.
    """
    lanes, whole = PartitionSpec("lanes"), PartitionSpec()

    def updates(states: TrialState, ticks: Array) -> tuple[TrialState, Array]:
        # Turned once for all updates of a call.
        states = move_lanes(states, 0, trial.lane_axis)
        states, errors = jax.lax.scan(
            lambda states, tick: trial.update_lanes(states, tick, trial.lane_axis), states, ticks
        )
        states = move_lanes(states, trial.lane_axis, 0)
        return states, move_lanes(errors, -1, 1) if trial.lane_axis else errors

    def advance(states: TrialState, clock: Array) -> tuple[TrialState, Array]:
        ticks = clock + jnp.arange(chunk, dtype=jnp.int32)
        if trial.exam is None or trial.examine_lanes is None:
            return updates(states, ticks)
        examine = trial.examine_lanes

        def term(states: TrialState, ticks: Array) -> tuple[TrialState, Array]:
            states, errors = updates(states, ticks)
            return examine(states), errors

        states, errors = jax.lax.scan(term, states, ticks.reshape(-1, trial.exam.every))
        return states, errors.reshape(chunk, *errors.shape[2:])

    platform = mesh.devices.flat[0].platform

    def local(states: TrialState, clock: Array) -> tuple[TrialState, Array]:
        num_lanes = states.status.shape[0]
        if num_lanes <= BLOCK or not in_blocks(trial, mesh, num_lanes):
            return advance(states, clock)
        blocks = jax.tree.map(lambda leaf: leaf.reshape(-1, BLOCK, *leaf.shape[1:]), states)
        blocks, errors = jax.lax.map(lambda block: advance(block, clock), blocks)
        states = jax.tree.map(lambda leaf: leaf.reshape(num_lanes, *leaf.shape[2:]), blocks)
        errors = jnp.moveaxis(errors, 0, 1)
        return states, errors.reshape(chunk, num_lanes, *errors.shape[3:])

    sharded = jax.shard_map(
        local,
        mesh=mesh,
        in_specs=(lanes, whole),
        out_specs=(lanes, PartitionSpec(None, "lanes")),
        check_vma=False,
    )
    options = runtime.lane_options(platform) if trial.lane_axis else {}
    return jax.jit(sharded, donate_argnums=0, compiler_options=options)


class Lanes:
    """The states of L lanes on their devices, and which trial each holds.

    Args:
      trial: what the lanes run.
      key: the run's key.
      num_lanes: L, a multiple of the number of devices.
      hyper: ``trial number -> (learning_rate, init_range)``.
      mesh: the devices.

    Raises:
      ValueError: for lanes that do not divide over the devices.
    """

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
        self.compile_seconds = 0.0
        self._init = jax.jit(trial.init)
        rates = Hyper(jnp.float32(0), jnp.float32(0))
        self._template = jax.eval_shape(trial.init, key, np.int32(0), rates)
        idle = jax.tree.map(
            lambda leaf: np.zeros((num_lanes, *leaf.shape), leaf.dtype), self._template
        )
        self._put(idle._replace(status=np.full(num_lanes, EXHAUSTED, np.int32)))

    def compile(self, chunk: int) -> None:
        """Compiles the program for `chunk` updates, apart from the time spent training."""
        if self.trial.exam is not None and chunk % self.trial.exam.every:
            raise ValueError(
                f"chunk: {chunk} is not valid; with an exam every {self.trial.exam.every} "
                "sequences it must be a multiple of that"
            )
        self._chunk = chunk
        began = time.perf_counter()
        program = compile_advance(self.trial, self.mesh, chunk)
        self._advance = program.lower(self.states, jnp.int32(0)).compile()
        self.compile_seconds = time.perf_counter() - began

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

    def narrowed(self) -> "Lanes":
        """The same trials in no more blocks than they fill, where that is half of those there are.

        To be compiled; these lanes themselves where there is nothing to gain. No bit changes: a
        block does not depend on how many there are beside it.
        """
        num_lanes, unit = len(self.numbers), BLOCK * self.mesh.devices.size
        needed = unit * -(-len(self._held()) // unit)
        blocks = in_blocks(self.trial, self.mesh, num_lanes // self.mesh.devices.size)
        if not blocks or not 0 < 2 * needed <= num_lanes:
            return self
        fewer = Lanes(self.trial, self.key, needed, self.hyper, self.mesh)
        fewer.restore(self.snapshot(), skip=())
        return fewer

    def advance(self) -> dict[int, np.ndarray]:
        """One chunk of updates; the errors of the sequences each trial went through in it."""
        before = self._sequences
        # begins anew where every window of round size does: stop rules take it modulo theirs
        self.states, errors = self._advance(self.states, jnp.int32(self.clock % 10**9))
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

    def snapshot(self, curves: Curves | None = None) -> Snapshot:
        """Everything needed to go on from here, the curves so far with it."""
        arrays = {f"lanes/{name}": np.asarray(leaf) for name, leaf in named_leaves(self.states)}
        arrays["numbers"] = self.numbers.copy()
        stored = {} if curves is None else curves.to_arrays()
        arrays |= {f"curves/{name}": array for name, array in stored.items()}
        return Snapshot(arrays, self.clock)

    def restore(self, snapshot: Snapshot, skip: Collection[int]) -> None:
        """Takes a snapshot's unfinished trials back, whatever its number of lanes was.

        Trials beyond the lanes there are now start again from their first sequence, and so end
        as they would have: a trial depends on its number alone.
        """
        stored, numbers = part(snapshot.arrays, "lanes/"), snapshot.arrays["numbers"]
        num_lanes = len(self.numbers)
        alive = [k for k, n in enumerate(numbers.tolist()) if n != EMPTY and n not in skip]
        alive = alive[:num_lanes]
        rows = jax.tree.map(np.array, self.states)
        for (name, row), leaf in zip(
            named_leaves(rows), jax.tree.leaves(self._template), strict=True
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


def part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `prefix`, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """("cell.w_z", leaf) and so on, in the tree's order.

    Example:
      >>> named_leaves({"cell": {"w": 1, "b": None}, "v": 2})
      [('cell.w', 1), ('v', 2)]
    """
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves]
