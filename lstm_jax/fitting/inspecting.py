"""Fits to data sets looked into, as `lstm_jax.inspect` looks into trials: one adapter for all.

What differs is where the weights are (`EpochWeights`: one fit, its best and last epoch in files
of their own; `LoggedWeights`: many small fits, in ``weights.bin``) and what is shown of an example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
import numpy as np

from lstm_jax.config import Config, ConfigError, Fields, make_config
from lstm_jax.fitting.steps import INIT
from lstm_jax.inspect.looks import Look, by_unit
from lstm_jax.inspect.runs import ranges, weights_tree
from lstm_jax.interop.files import load_weights
from lstm_jax.lanes import named_leaves
from lstm_jax.record.folder import BEST, LAST
from lstm_jax.record.opening import CONFIG
from lstm_jax.record.reading import RunFiles
from lstm_jax.record.refusal import reason, refuse
from lstm_jax.record.since import completed
from lstm_jax.record.weights import read_weights
from lstm_jax.types import Params


class Kept(Protocol):
    """The weights of a run: of which trials, at which moments, and what a moment counts."""

    unit: str

    def trials(self) -> list[int]:
        """The numbers of the trials that weights are kept of, rising."""
        ...

    def moments(self, trial: int) -> list[int]:
        """The moments after which a trial's weights are kept, rising."""
        ...

    def last_moment(self, trial: int) -> int:
        """The last of them; RunFolderError where there is none."""
        ...

    def params(self, trial: int, moment: int) -> Params:
        """The weights of a trial at a moment; RunFolderError where none were kept then."""
        ...

    def status(self, trial: int, moment: int, /) -> str:
        """How the trial stood then, in words."""
        ...


class FitRun:
    """A run of an experiment on data, as an `lstm_jax.inspect.histories.Inspectable`.

    Args:
      files: of the run folder.
      kept: its weights.
      num_examples: ``trial -> number`` of what there is to look at.
      show: ``(params, trial, number) -> Look``, whose meta lacks what is the same in all fits:
        run, row, trial, sequence, sequences, status.
    """

    def __init__(
        self,
        files: RunFiles,
        kept: Kept,
        num_examples: Callable[[int], int],
        show: Callable[[Params, int, int], Look],
    ):
        self.path, self.row, self.kept = files.path, files.row, kept
        self.is_finished = files.is_finished
        self._num_examples, self._show = num_examples, show

    def num_sequences(self, trial: int) -> int:
        """Examples of the test part."""
        return self._num_examples(trial)

    def trials(self) -> list[int]:
        """The fits that weights are kept of."""
        return self.kept.trials()

    def default_trial(self) -> int:
        """The first one; RunFolderError where there is none."""
        return self.kept.trials()[0]

    def require_trial(self, trial: int) -> int:
        """The trial; RunFolderError, with the valid ones, for any other number."""
        if trial not in self.trials():
            refuse(self.path, f"has no trial {trial}; valid: {ranges(self.trials())}")
        return trial

    def moments(self, trial: int) -> list[int]:
        """When weights are on file, in the unit that the fit counts; 0 is the start."""
        return self.kept.moments(self.require_trial(trial))

    def last_moment(self, trial: int) -> int:
        """When the weights were those that the fit is judged by."""
        return self.kept.last_moment(self.require_trial(trial))

    def params(self, trial: int, moment: int | None = None) -> Params:
        """The weights of a moment; RunFolderError where they are not on file."""
        at, there = self._moment(trial, moment), self.moments(trial)
        if at not in there:
            said = ", ".join(map(str, there))
            refuse(self.path, f"keeps no weights of {self.kept.unit} {at}; it has those of {said}")
        return self.kept.params(trial, at)

    def weights(self, trial: int, moment: int | None = None) -> dict[str, np.ndarray]:
        """The weights by their names."""
        return dict(named_leaves(jax.device_get(self.params(trial, moment))))

    def look(self, trial: int, sequence: int = 0, moment: int | None = None) -> Look:
        """An example of the test part through the weights of a moment."""
        params, at = self.params(trial, moment), self._moment(trial, moment)
        if sequence >= self.num_sequences(trial):
            last = self.num_sequences(trial) - 1
            refuse(self.path, f"has no test sequence {sequence}; valid: 0 to {last}")
        seen = self._show(params, trial, sequence)
        where = self.path.resolve()
        meta = {
            "run": f"{where.parent.name}/{where.name}",
            "row": self.row,
            "trial": trial,
            "sequence": sequence,
            "sequences": at,
            "status": self.kept.status(trial, at),
            "length": len(seen.outputs),
            "truth": "",
            "axes": {name: ["t", "unit"] for name in seen.arrays},
            "units": {"t": "time steps, from 0", "sequences": f"{self.kept.unit}s"},
        }
        return seen._replace(arrays=by_unit(seen.arrays), meta=meta | seen.meta)

    def _moment(self, trial: int, moment: int | None) -> int:
        return self.last_moment(trial) if moment is None else moment


class EpochWeights:
    """The weights of one fit, trial 0: at the start, and after its best and its last epoch.

    Args:
      files: of the run folder.
      init: ``(key, init_range) -> params``; the range may be left out.
      config: its settings.
    """

    unit = "epoch"

    def __init__(self, files: RunFiles, init: Callable[..., Params], config: Config):
        self._path, self._init, self._config = files.path, init, config
        self._ends = [line["epoch"] for line in files.records]
        self._best = [line["epoch"] for line in files.records if line.get("best")][-1:]
        if not self._best and files.is_finished:  # no epoch, or none better than the start
            self._best = [0]

    def trials(self) -> list[int]:
        """There is one."""
        return [0]

    def moments(self, trial: int) -> list[int]:
        """Epochs: 0 the start, the best, the last."""
        del trial
        begun = [] if self._config.init_from else [0]
        return sorted({*begun, self.last_moment(0), *self._ends[-1:]})

    def last_moment(self, trial: int) -> int:
        """The best epoch: its weights are those that the run is judged by."""
        del trial
        if not self._best:
            refuse(self._path, "has no weights to look at yet: its first epoch has to end")
        return self._best[0]

    def params(self, trial: int, moment: int) -> Params:
        """The weights after an epoch; RunFolderError where the file cannot be used."""
        del trial
        if moment == 0 and self._best != [0]:
            return fresh(self._init, self._config, self._config.seed)
        file = self._path / (BEST if moment == self._best[0] else LAST)
        try:
            return load_weights(file, jax.eval_shape(self._init, jax.random.key(0)))
        except (OSError, ValueError) as error:
            return refuse(file, f"cannot be used ({reason(error)})")

    def status(self, trial: int, moment: int) -> str:
        """The epoch, and whether it is the best."""
        return f"epoch {moment}" + (", the best" if moment == self.last_moment(trial) else "")


class LoggedWeights:
    """The weights of many fits, each at its start and as it is judged, from ``weights.bin``.

    Args:
      files: of the run folder.
      like: a tree of the shapes of one fit's weights.
      start: ``trial -> params``; None: what a fit began with cannot be made again.
      unit: what moments count.
      said: ``(trial, moment) -> text``, which fit it is and how far.

    Raises:
      RunFolderError: where nothing is kept.
    """

    def __init__(
        self,
        files: RunFiles,
        like: Params,
        start: Callable[[int], Params] | None,
        unit: str,
        said: Callable[[int, int], str],
    ):
        self.unit, self.status = unit, said
        self._path, self._like, self._start = files.path, like, start
        self._kept = read_weights(files.path)
        if not self._kept.trials():
            refuse(
                files.path,
                "keeps no weights: its first fit has not ended, or it was made by an earlier "
                "version, which kept none; the same command with a new --workdir makes it again",
            )

    def trials(self) -> list[int]:
        """Those that weights are kept of."""
        return self._kept.trials()

    def moments(self, trial: int) -> list[int]:
        """The start, and the end."""
        return sorted({*([0] if self._start else []), *self._kept.moments(trial)})

    def last_moment(self, trial: int) -> int:
        """The end."""
        return self._kept.moments(trial)[-1]

    def params(self, trial: int, moment: int) -> Params:
        """The weights; RunFolderError where they are of another network."""
        if moment == 0 and self._start:
            return self._start(trial)
        return weights_tree(self._path, self._like, self._kept.arrays(trial, moment))


def fresh(init: Callable[..., Params], config: Config, seed: int) -> Params:
    """The weights that a fit of this seed begins with."""
    key = jax.random.key(seed, impl="threefry2x32")
    given = () if config.init_range is None else (config.init_range,)
    return init(jax.random.fold_in(key, INIT), *given)


def config_of_fit(files: RunFiles, fields: Fields) -> Config:
    """The settings of a run; fields of this version that it lacks are at their defaults.

    Raises:
      RunFolderError: in one line, where a value is none of this experiment's.
    """
    known = {name: value for name, value in files.config.items() if name in fields}
    try:
        return make_config(
            fields, **{k: tuple(v) if isinstance(v, list) else v for k, v in known.items()}
        )
    except ConfigError as error:
        refuse(files.path / CONFIG, f"is of another experiment or version ({error})")


def require_data(files: RunFiles, identity: Mapping[str, Any]) -> None:
    """RunFolderError where the data found now are not those that the run was made with."""
    on_file = completed(files.config, identity)
    for name, value in identity.items():
        if on_file.get(name) != value:
            refuse(
                files.path / CONFIG,
                f"is of other data than are found now ({name} differs); LSTM_JAX_DATA names the "
                "folder that data are looked for in first",
            )
