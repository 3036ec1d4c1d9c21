"""TensorBoard files of one setting: what its trials do together, and what each came to.

    tb/events...          error over the trials, share solved, speed, the run's page
    tb/trials/events...   the outcome of the trials: the setting's session in the HParams page
    tb/inspect/events...  pictures of what was looked at (`lstm_jax.inspect.board`)

Two files a start, however many trials: TensorBoard turns sluggish at some 250 run folders. A trial
has no folder of its own, so the outcome carries mean and interval over the trials, and the Text
page names each. docs/decisions/0010-event-files.md has the reasons.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lstm_jax.inspect.board import HISTOGRAM_BINS
from lstm_jax.inspect.event_file import EventFile, name_of_start, tensorboardx
from lstm_jax.inspect.run_text import trials_markdown
from lstm_jax.inspect.sessions import outcomes, session_end, session_start
from lstm_jax.summary import wilson_interval
from lstm_jax.tables import PaperRow

QUANTILES = {"error/q10": 0.1, "error/median": 0.5, "error/q90": 0.9}
MEAN = ["error/mean", "error/mean_low", "error/mean_high"]
SOLVED = ["solved/share", "solved/low", "solved/high"]
SEQUENCES = ["sequences/mean", "sequences/low", "sequences/high"]
LAYOUT = {
    "over the trials": {
        "error of the running trials: mean, 95% interval": ["Margin", MEAN],
        "error of the running trials: median, 10% to 90%": [
            "Margin",
            ["error/median", "error/q10", "error/q90"],
        ],
        "error of the running trials: quantiles and mean": [
            "Multiline",
            [*QUANTILES, "error/mean"],
        ],
        "share of all trials solved": ["Multiline", ["progress/fraction_solved"]],
    },
    "finished trials": {
        "share solved: 95% interval": ["Margin", SOLVED],
        "sequences to solve: mean, 95% interval": ["Margin", SEQUENCES],
        "mean sequences to solve: ours and the paper's": [
            "Multiline",
            ["trial/sequences_to_solve", "paper/sequences_to_solve"],
        ],
    },
}
NO_SETTING = ("seed", "num_trials", "num_lanes", "chunk", "rows")  # which and how many, not what
DENSE = 400  # so many first chunks have a point each; later ones keep a distance of step / DENSE


class RunBoard:
    """Writer of one run folder's `tb/`.

    A start opens two event files. A later start passes the step that it goes on from, and
    TensorBoard drops what an earlier start had written from there on. `step` is the number of
    sequences each lane has run.

    Args:
      path: the folder, made if absent.
      name: of the table's row. With a few digits that stand for the config it names a row of the
        HParams page, so that other settings of this name have another one; the same setting from
        several seeds, in folders of their own, is one row.
      num_trials: of the setting, at least 1.
      config: the setting's fields. Numbers, booleans and strings become hyperparameters as they
        are, anything else (None, tuples) as text.
      paper: the published row, for its number beside ours; or None.
      start_step: first step of this start, >= 0; above 0 for a resumed run.

    Raises:
      OSError: the folder or a file cannot be written; from every method.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with RunBoard(folder, "t100", 2) as board:
    ...         board.log_progress(1000, errors=[0.2, 0.3], num_running=2)
    ...         board.log_trial({"trial": 0, "status": "SOLVED", "num_sequences": 900})
    ...     len(list(Path(folder).rglob("events*")))
    2
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        name: str,
        num_trials: int,
        *,
        config: Mapping[str, Any] | None = None,
        paper: PaperRow | None = None,
        start_step: int = 0,
    ):
        self.path = Path(path)
        self.num_trials = num_trials
        self.paper = paper
        self._records: dict[int, dict[str, Any]] = {}
        self._untold = False  # whether a trial has ended since the last outcome
        self._step = start_step
        self._written = -math.inf  # the first step of a start has its point
        self._waiting: tuple[ArrayLike, dict[str, float]] | None = None  # not written, at `_step`
        (self.path / "trials").mkdir(parents=True, exist_ok=True)
        file, tbx = name_of_start(), tensorboardx()
        self._outcome_file = EventFile(self.path / "trials" / file)
        self._outcome_file.start_at(start_step)
        group = group_of(name, config or {})
        self._outcome_file.add(session_start(group, config or {}, time.time()), start_step)
        self._outcome_file.flush()
        self._file: EventFile | None = EventFile(self.path / file)
        self._file.start_at(start_step)
        self._file.add(tbx.summary.custom_scalars(LAYOUT), start_step)
        self._file.flush()

    def log_progress(
        self,
        step: int,
        *,
        errors: ArrayLike,
        num_running: int,
        num_solved: int = 0,
        num_failed: int = 0,
        sequences_per_second: float | None = None,
    ) -> None:
        """The error over the trials, counts and speed, at `step` sequences per lane; once a chunk.

        Of the errors: mean with the 95% interval of Student's t, from two trials on, and
        quantiles. A long run has fewer points than chunks, and always the last one.

        Args:
          step: sequences each lane has run; not below the step before.
          errors: recent mean absolute training error of each running trial; non-finite ones are
            left out, and none at all writes no statistics.
          num_running, num_solved, num_failed: counts of the setting's trials; failed is exhausted
            or diverged.
          sequences_per_second: of all lanes together.

        Raises:
          ValueError: a step below the one before.
        """
        scalars = {
            "progress/fraction_solved": num_solved / self.num_trials,
            "progress/num_running": num_running,
            "progress/num_failed": num_failed,
        }
        if sequences_per_second is not None:
            scalars["progress/sequences_per_second"] = sequences_per_second
        self._advance(step)
        self._waiting = errors, scalars
        if self._untold or step - self._written >= step / DENSE:
            self._write_waiting()

    def log_trial(self, record: Mapping[str, Any]) -> None:
        """Takes the outcome of a finished trial; the same trial again replaces it.

        With the next progress, or at the end, the files have of all that are known by then: the
        share solved with its Wilson interval, and of the solved ones the mean `num_sequences` with
        its interval of Student's t, the means of `num_wrong` and `mean_test_error`, and the
        distribution of `num_sequences`. A resumed run logs the records of the earlier starts once
        more.

        Args:
          record: as in `trials.jsonl`; at least `trial`, `status` and `num_sequences`.
        """
        self._open_file()
        self._records[record["trial"]] = dict(record)
        self._untold = True

    def log_text(self, tag: str, markdown: str) -> None:
        """A page of Markdown in the Text view, such as `run_markdown` makes."""
        file = self._open_file()
        file.add(tensorboardx().summary.text(tag, markdown), self._step)
        file.flush()

    def close(self) -> None:
        """Writes what is left and closes the files; nothing can be logged afterwards."""
        if self._file is None:
            return
        self._write_waiting()
        if self._records:
            records = [self._records[trial] for trial in sorted(self._records)]
            self.log_text("trials", trials_markdown(records))
            if len(records) >= self.num_trials:
                solved = all(record["status"] == "SOLVED" for record in records)
                self._outcome_file.add(session_end(solved), self._step)
        self._outcome_file.close()
        self._file.close()
        self._file = None

    def __enter__(self) -> RunBoard:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open_file(self) -> EventFile:
        if self._file is None:
            raise ValueError(f"the board of {self.path} is closed; open a new RunBoard to go on")
        return self._file

    def _advance(self, step: int) -> None:
        self._open_file()
        if step < self._step:
            raise ValueError(f"step {step} comes after step {self._step}; steps must not fall")
        self._step = step

    def _write_waiting(self) -> None:
        if self._waiting is not None:
            errors, scalars = self._waiting
            _write(self._open_file(), _spread(errors) | scalars, self._step)
            self._written, self._waiting = self._step, None
        if self._untold:
            self._write_outcome()
            self._untold = False

    def _write_outcome(self) -> None:
        """What the finished trials came to: the session's means, and the bands of the charts.

        The HParams page shows five metrics unasked, so the session has these five.
        """
        found = outcomes(list(self._records.values()))
        solved, counts = found["trial/solved"], np.array(found["trial/sequences_to_solve"])
        session = {tag: float(np.mean(values)) for tag, values in found.items() if values}
        if self.paper is not None and math.isfinite(self.paper.num_sequences):
            session["paper/sequences_to_solve"] = self.paper.num_sequences
        ends = wilson_interval(int(sum(solved)), len(solved))
        bands = dict(zip(SOLVED, (session["trial/solved"], *ends), strict=True))
        if len(counts) > 1:
            bands |= dict(zip(SEQUENCES, mean_and_interval(counts), strict=True))
        _write(self._outcome_file, session, self._step)
        _write(self._open_file(), bands, self._step)
        if len(counts):
            when = tensorboardx().summary.histogram("trial/when_solved", counts, HISTOGRAM_BINS)
            self._outcome_file.add(when, self._step)
            self._outcome_file.flush()


def group_of(name: str, config: Mapping[str, Any]) -> str:
    """The row of the HParams page that a run belongs to: one for each setting, whatever the seed.

    >>> one, other = ({"learning_rate": 0.5, "seed": seed} for seed in (0, 1))
    >>> group_of("t100", one)
    't100 c16015'
    >>> group_of("t100", one) == group_of("t100", other)
    True
    """
    setting = {key: value for key, value in config.items() if key not in NO_SETTING}
    text = json.dumps(setting, sort_keys=True, default=str)
    return f"{name} {hashlib.sha256(text.encode()).hexdigest()[:6]}"


def mean_and_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, and the ends of its 95% interval by Student's t; of values that are not negative.

    Args:
      values: [n], n >= 2. The lower end is cut off at 0.

    >>> [round(float(end), 3) for end in mean_and_interval(np.array([0.1, 0.2, 0.3]))]
    [0.2, 0.0, 0.448]
    """
    from scipy.special import stdtrit  # lighter than scipy.stats, in a program that trains

    mean = float(values.mean())
    half = float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / math.sqrt(len(values)))
    return mean, max(mean - half, 0.0), mean + half


def _spread(errors: ArrayLike) -> dict[str, float]:
    """Mean with interval, and quantiles, of those that are finite."""
    known = np.asarray(errors, dtype=float).ravel()
    known = known[np.isfinite(known)]
    scalars: dict[str, float] = {}
    if known.size:
        values = np.quantile(known, list(QUANTILES.values()))
        scalars |= dict(zip(QUANTILES, values.tolist(), strict=True))
    if known.size > 1:  # TensorBoard draws no band where one of its three lines lacks a point
        scalars |= dict(zip(MEAN, mean_and_interval(known), strict=True))
    return scalars


def _write(file: EventFile, scalars: Mapping[str, float], step: int) -> None:
    for tag, value in scalars.items():
        file.add(tensorboardx().summary.scalar(tag, value), step)
    file.flush()
