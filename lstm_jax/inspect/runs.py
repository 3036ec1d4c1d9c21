"""A run folder looked into: the network of each trial, whenever its weights are known."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from lstm_jax.build import Built, build_trial
from lstm_jax.config import LEARNING, NETWORK, RUN, Config
from lstm_jax.inspect.looks import Look, look
from lstm_jax.lanes import EMPTY, named_leaves, part
from lstm_jax.network import Network
from lstm_jax.record.folder import CHECKPOINT
from lstm_jax.record.opening import CONFIG
from lstm_jax.record.reading import RunFiles, read_checkpoint, read_run
from lstm_jax.record.refusal import refuse
from lstm_jax.record.weights import read_weights
from lstm_jax.tasks.task import Example, Task
from lstm_jax.trial import Hyper, TrialState
from lstm_jax.types import Array, Params

RETRAINED = "inspect"
"""The folder below a run's own that holds the weights of trials that were trained once more."""


def open_run(path: str | os.PathLike[str]) -> Run:
    """A run folder of trials, finished, stopped or running; nothing in it is locked or changed.

    Raises:
      RunFolderError: in one line, where there is no such run, it is of another kind, or a file
        is damaged.

    >>> open_run("/no/such/run")
    Traceback (most recent call last):
    lstm_jax.record.refusal.RunFolderError: /no/such/run holds no run (no config.json)
    """
    return Run(read_run(path))


class Run:
    """A run of trials, as its folder has it.

    Attributes:
      path: the folder.
      name: of its row.
      config: its settings.
      records: the lines of `trials.jsonl`, by trial.
    """

    def __init__(self, files: RunFiles):
        self.path, self.name = files.path, files.row
        self.config = config_of(files)
        self.records = {record["trial"]: record for record in files.trials}
        self.is_finished = files.is_finished
        self._kept = [read_weights(folder) for folder in (self.path, self.path / RETRAINED)]
        self._flying = _in_flight(self.path)

    # ---- what there is

    def num_sequences(self, trial: int) -> int:
        """As many as one likes: test sequences are drawn."""
        del trial
        return 2**31 - 1

    def trials(self) -> list[int]:
        """The trials that something is known of: finished ones and those in flight."""
        return sorted({*self.records, *self._flying, *self._kept[0].trials()})

    def default_trial(self) -> int:
        """The first that was solved; else the first of all.

        Raises:
          RunFolderError: where no trial has begun.
        """
        solved = [n for n, record in self.records.items() if record["status"] == "SOLVED"]
        found = sorted(solved) or self.trials()
        if not found:
            refuse(self.path, "has no trial to look at yet: its first chunk has not ended")
        return found[0]

    def require_trial(self, trial: int) -> int:
        """The trial; RunFolderError, with the valid ones, where the run has none of this number."""
        valid = self.trials()
        if trial not in valid:
            refuse(self.path, f"has no trial {trial}; valid: {ranges(valid) or 'none yet'}")
        return trial

    def moments(self, trial: int) -> list[int]:
        """Training sequences after which the trial's weights are known; 0 is the start.

        Those that a run went past without keeping them are not there: a run of an earlier version
        kept none, and its finished trials have a start only.
        """
        found = {0, *(moment for kept in self._kept for moment in kept.moments(trial))}
        if trial in self._flying:
            found.add(self._flying[trial][0])
        return sorted(found)

    def last_moment(self, trial: int) -> int:
        """The last of the `moments`; RunFolderError where a finished trial's weights are lost."""
        self.require_trial(trial)
        last = self.moments(trial)[-1]
        record = self.records.get(trial)
        if record is not None and last < record["num_sequences"]:
            refuse(
                self.path,
                f"keeps no weights of trial {trial} (runs of earlier versions kept none); "
                f"--retrain trains it again: {record['num_sequences']:,} sequences, the same ones",
            )
        return last

    def status(self, trial: int, sequences: int | None = None) -> str:
        """How the trial stands, or stood after so many sequences, in words."""
        record, now = self.records.get(trial), self.moments(trial)[-1]
        at = now if sequences is None else sequences
        if record is not None and at == record["num_sequences"]:
            return f"{record['status']} after {at:,} sequences"
        if record is not None:
            end = f"{record['status']} after {record['num_sequences']:,}"
            return f"after {at:,} sequences ({end})"
        if at == now:
            return f"UNFINISHED, {at:,} sequences so far"
        return f"after {at:,} sequences (UNFINISHED, {now:,} so far)"

    def look(self, trial: int, sequence: int = 0, moment: int | None = None) -> Look:
        """A test sequence through the weights of a moment, the last one unless given."""
        return look(self, trial, sequence, moment)

    def weights(self, trial: int, moment: int | None = None) -> dict[str, np.ndarray]:
        """The weights of a moment by their names, the last ones unless given."""
        return dict(named_leaves(jax.device_get(self.params(trial, moment))))

    # ---- what it is made of

    @cached_property
    def built(self) -> Built:
        """Network, task and rule; RunFolderError where this version cannot make them."""
        try:
            return build_trial(self.config)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            said = " ".join(str(error).split())
            refuse(self.path / CONFIG, f"stands for no run of this version ({said})")

    @property
    def network(self) -> Network:
        """The network that each trial trains."""
        return self.built.trial.network

    @property
    def task(self) -> Task:
        """What it learns."""
        return self.built.trial.task

    def params(self, trial: int, sequences: int | None = None) -> Params:
        """The weights of a trial after so many training sequences, or the last ones known.

        Raises:
          RunFolderError: where the run has no such trial, or none of its weights then.
        """
        if sequences == 0:
            return self._begin(self.require_trial(trial)).params
        at = self.last_moment(trial) if sequences is None else sequences
        if at == 0:
            return self._begin(trial).params
        if trial in self._flying and at == self._flying[trial][0]:
            return weights_tree(self.path, self._shapes, self._flying[trial][1])
        found = next((kept for kept in self._kept if (trial, at) in kept), None)
        if found is not None:
            return weights_tree(self.path, self._shapes, found.arrays(trial, at))
        there = ", ".join(f"{moment:,}" for moment in self.moments(trial))
        return refuse(
            self.path, f"keeps no weights of trial {trial} after {at:,} sequences; it has {there}"
        )

    def example(self, seed: int, trial: int = 0) -> Example:
        """Test sequence number `seed` of a trial, one of those it was or will be tested on."""
        key = self.built.trial.test_key(self._begin(trial))
        return self._test(key, jnp.int32(seed), jnp.int32(trial))

    def key(self) -> Array:
        """The root of the run's random numbers."""
        return jax.random.key(self.config.seed, impl="threefry2x32")

    def _begin(self, trial: int) -> TrialState:
        rates = Hyper(jnp.float32(self.config.learning_rate), jnp.float32(self.config.init_range))
        return self._init(self.key(), jnp.int32(trial), rates)

    @cached_property
    def _init(self) -> Callable[..., TrialState]:
        return jax.jit(self.built.trial.init)

    @cached_property
    def _test(self) -> Callable[..., Example]:
        return jax.jit(self.task.test)

    @cached_property
    def _shapes(self) -> Params:
        return jax.eval_shape(self.network.init, jax.random.key(0))


def weights_tree(path: Path, like: Params, arrays: Mapping[str, np.ndarray]) -> Params:
    """Weights kept by the names of their leaves, as the tree that they were.

    Args:
      path: the run folder that keeps them.
      like: a tree of their shapes.
      arrays: by name.

    Raises:
      RunFolderError: where they are of another network.
    """
    needed = {name: leaf.shape for name, leaf in named_leaves(like)}
    if needed != {name: array.shape for name, array in arrays.items()}:
        refuse(path, "keeps weights of another network than its config stands for")
    leaves = [jnp.asarray(arrays[name]) for name in needed]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def config_of(files: RunFiles) -> Config:
    """The settings of a run, fields of this version that it does not have at their defaults."""
    if "task" not in files.config:
        refuse(
            files.path,
            "is a run of another kind: its settings name no task; "
            "give the folder of an experiment of trials, such as python -m experiments.adding",
        )
    fields = {**RUN, **NETWORK, **LEARNING}
    given = {name: field.default for name, field in fields.items()} | dict(files.config)
    return ConfigDict({k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})


def _in_flight(path: Path) -> dict[int, tuple[int, dict[str, np.ndarray]]]:
    """{trial: (training sequences so far, weights)} of the trials in the checkpoint."""
    arrays = read_checkpoint(path)
    if arrays is None:
        return {}
    try:
        weights = part(arrays, "lanes/params.")
        columns = (arrays[name].tolist() for name in ("numbers", "lanes/sequences"))
        return {
            n: (done, {name: leaf[lane] for name, leaf in weights.items()})
            for lane, (n, done) in enumerate(zip(*columns, strict=True))
            if n != EMPTY
        }
    except KeyError as error:
        refuse(path / CHECKPOINT, f"is of another kind of run (it has no {error})")


def ranges(numbers: list[int]) -> str:
    """Whole numbers in words.

    >>> ranges([0, 1, 2, 5, 7, 8])
    '0 to 2, 5, 7, 8'
    """
    groups: list[list[int]] = []
    for n in numbers:
        if groups and n == groups[-1][-1] + 1:
            groups[-1].append(n)
        else:
            groups.append([n])
    said = [f"{g[0]} to {g[-1]}" if len(g) > 2 else ", ".join(map(str, g)) for g in groups]
    return ", ".join(said)
