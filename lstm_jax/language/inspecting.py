"""A fitted language model looked into, as `lstm_jax.inspect` looks into trials."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.config import Config
from lstm_jax.fitting.steps import INIT
from lstm_jax.inspect.looks import Look
from lstm_jax.interop.files import load_weights, named_leaves
from lstm_jax.language.looking import record_text
from lstm_jax.language.model import LanguageParams
from lstm_jax.language.problem import build_corpus, read_run, run_text
from lstm_jax.record.folder import BEST, LAST
from lstm_jax.record.opening import CONFIG
from lstm_jax.record.reading import RunFiles
from lstm_jax.record.refusal import reason, refuse

LENGTH = 110  # characters of a piece


class LanguageRun:
    """A run of `experiments.char_lm`: one trial, number 0; its moments are epochs.

    Test sequence n is the n-th piece of the test part of its text, read from a state of zeros.

    Args:
      files: of the run folder.
      make: ``(**fields) -> config``, for the experiment's table of fields.

    Raises:
      RunFolderError, WeightsError: in one line, where it is another kind of fit, or before the
        first epoch has ended.
    """

    def __init__(self, files: RunFiles, make: Callable[..., Config]):
        self.files, self.path, self.is_finished = files, files.path, files.is_finished
        if not {"text", "vocabulary", "length"} <= files.config.keys():
            refuse(
                files.path / CONFIG,
                "is of a fit that is no language model; only those and runs of trials, such as "
                "python -m experiments.adding, can be looked into",
            )
        run = read_run(files.path, make)
        self.config, self.vocabulary, self.model = run.config, run.vocabulary, run.model

    @property
    def num_sequences(self) -> int:
        """Pieces of the test text."""
        return max((len(self._test) - 1) // LENGTH, 1)

    def trials(self) -> list[int]:
        """There is one."""
        return [0]

    def default_trial(self) -> int:
        """The only one."""
        return 0

    def require_trial(self, trial: int) -> int:
        """The trial; RunFolderError for any other than 0."""
        if trial:
            refuse(self.path, f"has no trial {trial}; a fit is one trial, valid: 0")
        return trial

    def moments(self, trial: int) -> list[int]:
        """The epochs whose weights are on file: the start, the best and the last."""
        self.require_trial(trial)
        begun = [] if self.config.init_from else [0]
        ends = [line["epoch"] for line in self.files.epochs]
        return sorted({*begun, self._best, *ends[-1:]})

    def last_moment(self, trial: int) -> int:
        """The best epoch: its weights are those that the run is judged by."""
        self.require_trial(trial)
        return self._best

    def params(self, moment: int) -> LanguageParams:
        """The weights after so many epochs; RunFolderError where they are not on file."""
        if moment not in self.moments(0):
            there = ", ".join(map(str, self.moments(0)))
            refuse(self.path, f"keeps no weights of epoch {moment}; it has those of {there}")
        key = jax.random.key(self.config.seed, impl="threefry2x32")
        like = jax.eval_shape(self.model.init, key)
        if moment == 0:
            given = () if self.config.init_range is None else (self.config.init_range,)
            return self.model.init(jax.random.fold_in(key, INIT), *given)
        file = self.path / (BEST if moment == self._best else LAST)
        try:
            return load_weights(file, like)
        except (OSError, ValueError) as error:
            return refuse(file, f"cannot be used ({reason(error)})")

    def weights(self, trial: int, moment: int | None = None) -> dict[str, np.ndarray]:
        """The weights by their names."""
        last = self.last_moment(trial)
        at = last if moment is None else moment
        return dict(named_leaves(jax.device_get(self.params(at))))

    def look(self, trial: int, sequence: int = 0, moment: int | None = None) -> Look:
        """A piece of the test text through the weights of an epoch, the best unless given."""
        last = self.last_moment(trial)
        at = last if moment is None else moment
        params = self.params(at)
        inputs, follows = self._piece(sequence)
        arrays = record_text(self.model, params, inputs)
        log_p = self._log_p(params, inputs)
        targets = np.full_like(log_p, np.nan)
        targets[:] = np.eye(log_p.shape[1], dtype=log_p.dtype)[follows]
        nats = -log_p[np.arange(len(follows)), follows]
        best = f"epoch {at}" + (", the best" if at == self._best else "")
        meta = self._meta(sequence, at, best, len(inputs), float(nats.mean()))
        meta["axes"] = {name: ["t", "unit"] for name in arrays}
        return Look(inputs, targets, np.exp(log_p), arrays, np.zeros(0, int), None, meta)

    def _meta(self, sequence: int, at: int, status: str, length: int, nats: float) -> dict:
        names = list(self.vocabulary.symbols)
        where = self.path.resolve()
        return {
            "run": f"{where.parent.name}/{where.name}",
            "row": self.files.row,
            "task": f"text {self.config.text}",
            "trial": 0,
            "sequence": sequence,
            "sequences": at,
            "status": status,
            "length": length,
            "timing": "every_step",
            "input_names": names,
            "output_names": names,
            "truth": "",
            "correct": nats < np.log(2),
            "error": nats,
            "verdict": f"{nats:.2f} nats a character",
            "units": {"t": "characters, from 0", "sequences": "epochs"},
        }

    @cached_property
    def _best(self) -> int:
        ends = [line["epoch"] for line in self.files.epochs if line.get("best")]
        if not ends:
            refuse(self.path, "has no weights to look at yet: its first epoch has to end")
        return ends[-1]

    @cached_property
    def _test(self) -> np.ndarray:
        text = run_text(self.config, "")
        return build_corpus(self.config, text, self.vocabulary).parts["test"]

    def _piece(self, sequence: int) -> tuple[np.ndarray, np.ndarray]:
        if sequence >= self.num_sequences:
            refuse(self.path, f"has no piece {sequence}; valid: 0 to {self.num_sequences - 1}")
        piece = self._test[sequence * LENGTH : (sequence + 1) * LENGTH + 1]
        return piece[:-1], piece[1:]

    @cached_property
    def _read(self) -> Any:
        return jax.jit(self.model.apply)

    def _log_p(self, params: LanguageParams, inputs: np.ndarray) -> np.ndarray:
        symbols = jnp.asarray(inputs, jnp.int32)[:, None]
        _, log_p = self._read(params, self.model.start(1), symbols)
        return np.asarray(log_p)[:, 0]
