"""Runs the trials of the odyssey's search that are not on file yet, one line a trial."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from lstm_jax.config import Config
from lstm_jax.lanes import lane_mesh
from lstm_jax.music.frames import likelihood_of
from lstm_jax.music.online import (
    RUNNING,
    STATUS_NAMES,
    Hyper,
    Learner,
    compile_lanes,
    hidden_axes,
    learner,
    make_epoch,
    net_inputs,
    pad,
    pieces,
)
from lstm_jax.music.protocol import Group, Setting, cell_hash, initial_weights, maker
from lstm_jax.network import num_weights
from lstm_jax.record.lines import append_line, load_lines

TRIALS, COSTS = "trials.jsonl", "costs.jsonl"
_NEEDED = {"variant", "trial", "values", "status", "epochs", "valid_nll", "test_nll"}


class Data(NamedTuple):
    """Notes ``[N, T, K]`` and lengths ``[N]`` of each part."""

    train: tuple[np.ndarray, np.ndarray]
    valid: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def load_trials(workdir: Path) -> list[dict[str, Any]]:
    """The finished trials on file; RunFolderError, in one line, where it is damaged."""
    return load_lines(workdir / TRIALS, lambda line: line.keys() >= _NEEDED)


def load_costs(workdir: Path) -> list[dict[str, Any]]:
    """What the sessions took: one line a group of trials."""
    return load_lines(workdir / COSTS, lambda line: line.keys() >= {"wall_s", "cpu_s"})


def run_group(
    group: Group,
    config: Config,
    data: Data,
    workdir: Path,
    should_stop: Callable[[], bool],
    say: Callable[[str], None],
) -> bool:
    """Runs the trials of a group and puts each on file as it ends; whether all came to their end.

    A trial depends on its variant, its number and the config alone: not on its lane, on the size
    of its program, or on what ran before. One that is cut short starts again from its first epoch.
    """
    began, cpu = time.perf_counter(), time.process_time()
    make, of_cell = maker(group.variant), cell_hash(group.variant)
    net = make(group.size)
    train, valid = pieces(*data.train), pieces(*data.valid)
    epoch = make_epoch(
        net,
        train,
        valid,
        hidden_axes(make, group.size),
        num_epochs=config.num_epochs,
        patience=config.patience,
        rescale=config.rate_scaling == "one_minus_momentum",
    )
    mesh = lane_mesh(jax.devices()[: len(group.settings)])
    queue = list(group.settings)
    held: list[Setting | None] = [queue.pop(0) for _ in range(mesh.devices.size)]
    lanes = [_start(setting, make, net, config.seed) for setting in held if setting]
    states = _on(mesh, _stack(lanes))
    program = compile_lanes(epoch, mesh, states, train, valid)
    compiled = time.perf_counter() - began
    measure, done, epochs = likelihood_of(net_inputs(net)), 0, 0
    while any(held):
        if should_stop():
            break
        states = program(states)
        epochs += sum(setting is not None for setting in held)
        status = np.asarray(states.status)
        if all(status[k] == RUNNING for k, setting in enumerate(held) if setting):
            continue
        rows = [
            jax.tree.map(lambda leaf, k=k: leaf[k], jax.device_get(states))
            for k in range(len(held))
        ]
        for lane, setting in enumerate(held):
            if setting is None or status[lane] == RUNNING:
                continue
            record = _record(setting, make, rows[lane], measure, data) | of_cell
            append_line(workdir / TRIALS, record)
            done += 1
            say(_line(record))
            following = queue.pop(0) if queue else None
            held[lane] = following
            if following is not None:
                rows[lane] = _start(following, make, net, config.seed)
        states = _on(mesh, _stack(rows))
    cost = {"variant": group.variant, "size": group.size, "trials": done, "epochs": epochs}
    cost["compile_s"] = round(compiled, 1)
    cost["wall_s"] = round(time.perf_counter() - began, 1)
    cost["cpu_s"] = round(time.process_time() - cpu, 1)
    append_line(workdir / COSTS, cost)
    jax.clear_caches()  # the programs of all groups would add up
    gc.collect()
    return not any(held)


def _start(setting: Setting, make: Callable[[int], Any], net: Any, seed: int) -> Learner:
    values = setting.values
    own = make(values["hidden_size"])
    params = pad(initial_weights(own, (seed, *setting.seed)), net)
    hyper = Hyper(
        learning_rate=jnp.float32(values["learning_rate"]),
        momentum=jnp.float32(values["momentum"]),
        noise=jnp.float32(values["noise"]),
        hidden_size=jnp.int32(values["hidden_size"]),
    )
    key = jax.random.key(seed, impl="threefry2x32")
    for number in setting.seed:
        key = jax.random.fold_in(key, np.uint32(number))
    return jax.device_get(learner(key, hyper, params))


def _record(
    setting: Setting, make: Callable[[int], Any], state: Learner, measure: Any, data: Data
) -> dict[str, Any]:
    """The line of a finished trial: likelihoods are of the weights of the best epoch."""
    parts = {name: measure(state.best, *getattr(data, name)) for name in Data._fields}
    fresh = jax.eval_shape(make(setting.values["hidden_size"]).init, jax.random.key(0))
    return {
        "variant": setting.variant,
        "trial": setting.trial,
        "values": setting.values,
        "num_weights": num_weights(fresh),
        "status": STATUS_NAMES[int(state.status)],
        "epochs": int(state.epoch),
        "best_epoch": int(state.best_epoch),
        **{f"{name}_nll": _finite(found.per_frame) for name, found in parts.items()},
        "test_nll_per_piece": _finite(parts["test"].per_piece),
    }


def _finite(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None


def _line(record: dict[str, Any]) -> str:
    values = record["values"]
    shown = "  ".join(f"{name} {value:.3g}" for name, value in values.items())
    nll = "diverged" if record["status"] == "DIVERGED" else f"test NLL {record['test_nll']:.3f}"
    return f"{record['variant']:5} {record['trial']:4}  {shown}  epochs {record['epochs']:3}  {nll}"


def _stack(rows: Sequence[Learner]) -> Learner:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *rows)


def _on(mesh: Mesh, states: Learner) -> Learner:
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("lanes"))
    return jax.device_put(states, sharding)
