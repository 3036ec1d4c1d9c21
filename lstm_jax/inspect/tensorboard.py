"""TensorBoard files of one setting: what its trials do together, and what each came to.

    tb/events...             quantiles of the error over the trials, fraction solved, speed, texts
    tb/trials/07/events...   outcome of trial 7: its own session in the HParams page

The HParams page wants one run folder per session, hence one tiny file per trial. It groups sessions
by `SessionStartInfo.group_name`, so the trials of a setting are one row with means over the trials.
`SummaryWriter.add_hparams` can do neither and makes a stray run at each call: it is not used. No
`Experiment` summary is written: TensorBoard takes the first it finds for all runs, which would
hide the fields of every other setting in the same log folder; without one it joins them itself.

Events go through tensorboardX's record writer without its queue and thread: a flush is then a
flush, and two starts within a second do not share a file name.
"""

from __future__ import annotations

import functools
import importlib
import math
import os
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

QUANTILES = {"error/q10": 0.1, "error/median": 0.5, "error/q90": 0.9}
LAYOUT = {
    "over the trials": {
        "error of the running trials: median, 10% to 90%": [
            "Margin",
            ["error/median", "error/q10", "error/q90"],
        ],
        "error of the running trials": ["Multiline", list(QUANTILES)],
        "fraction of all trials solved": ["Multiline", ["trials/fraction_solved"]],
    }
}


class RunBoard:
    """Writer of one run folder's `tb/`.

    A start opens one event file. A later start passes the step that it goes on from, and
    TensorBoard drops what an earlier start had written from there on. `step` is the number of
    sequences each lane has run.

    Args:
      path: the folder, made if absent.
      group: name of the setting; its trials are one row of the HParams page.
      config: the setting's fields. Numbers, booleans and strings become hyperparameters as they
        are, anything else (None, tuples) as text.
      start_step: first step of this start, >= 0; above 0 for a resumed run.
      max_trial_runs: trials numbered from here on get no file of their own; TensorBoard turns
        sluggish at about 250 runs.

    Raises:
      OSError: the folder or a file cannot be written; from every method.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, RunBoard(folder, group="t100") as board:
    ...     board.log_progress(1000, errors=[0.2, 0.3], num_trials=2, num_running=2)
    ...     board.log_trial({"trial": 0, "status": "SOLVED", "num_sequences": 900})
    ...     sorted(file.parent.name for file in Path(folder).rglob("events*"))[0]
    '00'
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        group: str,
        config: Mapping[str, Any] | None = None,
        start_step: int = 0,
        max_trial_runs: int = 200,
    ):
        self.path = Path(path)
        self.group = group
        self.config = dict(config or {})
        self.max_trial_runs = max_trial_runs
        self._step = start_step
        self._start_time = time.time()
        self.path.mkdir(parents=True, exist_ok=True)
        resumed = any(self.path.glob("events.out.tfevents.*"))
        nanoseconds = time.time_ns()  # TensorBoard reads the files in the order of their names
        second, fraction = divmod(nanoseconds, 10**9)
        name = f"events.out.tfevents.{second}.{fraction:09d}.{os.getpid()}"
        self._file: _EventFile | None = _EventFile(self.path / name)
        if resumed:
            self._file.purge_from(start_step)
        tbx = _tensorboardx()
        self._file.add(tbx.summary.custom_scalars(LAYOUT), start_step)
        self.log_text("config", _config_markdown(group, self.config))

    def log_progress(
        self,
        step: int,
        *,
        errors: ArrayLike,
        num_trials: int,
        num_running: int,
        num_solved: int = 0,
        num_failed: int = 0,
        sequences_per_second: float | None = None,
    ) -> None:
        """Quantiles of the error, counts and speed, at `step` sequences per lane; once a chunk.

        Args:
          step: sequences each lane has run; not below the step before.
          errors: recent mean absolute training error of each running trial; non-finite ones are
            left out, and none at all writes no quantiles.
          num_trials: of the setting, at least 1; `num_solved`, `num_failed` (exhausted or
            diverged) and `num_running` are counts of them.
          sequences_per_second: of all lanes together.

        Raises:
          ValueError: a step below the one before.
        """
        scalars: dict[str, float] = {}
        known = np.asarray(errors, dtype=float).ravel()
        known = known[np.isfinite(known)]
        if known.size:
            values = np.quantile(known, list(QUANTILES.values()))
            scalars |= dict(zip(QUANTILES, values.tolist(), strict=True))
        scalars["trials/fraction_solved"] = num_solved / num_trials
        scalars["trials/num_running"] = num_running
        scalars["trials/num_failed"] = num_failed
        if sequences_per_second is not None:
            scalars["speed/sequences_per_second"] = sequences_per_second
        self._advance(step)
        file = self._open_file()
        for tag, value in scalars.items():
            file.add(_tensorboardx().summary.scalar(tag, value), step)
        file.flush()

    def log_trial(self, record: Mapping[str, Any]) -> None:
        """The outcome of a finished trial, in `trials/<number>`; the same again replaces it.

        Scalars at the trial's `num_sequences`: `trial/solved` (0 or 1), so that the group's mean is
        the fraction solved; `trial/sequences_to_solve` of a solved one only, so that the group's
        mean is the mean over the solved; wrong test sequences and mean test error. And a sentence.

        Args:
          record: as in `trials.jsonl`; at least `trial`, `status` and `num_sequences`.
        """
        if record["trial"] >= self.max_trial_runs:
            return
        tbx = _tensorboardx()
        step, solved = int(record["num_sequences"]), record["status"] == "SOLVED"
        scalars = {
            "trial/solved": float(solved),
            "trial/sequences_to_solve": step if solved else None,
            "trial/num_wrong": record.get("num_wrong"),
            "trial/mean_test_error": record.get("mean_test_error"),
        }
        folder = self.path / "trials" / f"{record['trial']:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / "partial"  # a name that TensorBoard does not read
        file = _EventFile(partial)
        start, end = self._session(solved)
        file.add(start, 0)
        for tag, value in scalars.items():
            if value is not None and math.isfinite(value):
                file.add(tbx.summary.scalar(tag, value), step)
        file.add(tbx.summary.text("trial/outcome", _outcome(record)), step)
        file.add(end, step)
        file.close()
        os.replace(partial, folder / "events.out.tfevents.0.trial")

    def log_text(self, tag: str, markdown: str) -> None:
        """A page of Markdown in the Text view, such as the `paper | ours` table at the end."""
        file = self._open_file()
        file.add(_tensorboardx().summary.text(tag, markdown), self._step)
        file.flush()

    def close(self) -> None:
        """Writes what is left and closes the file; nothing can be logged afterwards."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> RunBoard:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open_file(self) -> _EventFile:
        if self._file is None:
            raise ValueError(f"the board of {self.path} is closed; open a new RunBoard to go on")
        return self._file

    def _advance(self, step: int) -> None:
        if step < self._step:
            raise ValueError(f"step {step} comes after step {self._step}; steps must not fall")
        self._step = step

    def _session(self, solved: bool) -> tuple[Any, Any]:
        """Summaries that open and close a trial's session in the HParams page."""
        tbx = _tensorboardx()
        _, start, end = tbx.summary.hparams(_hparams(self.config), {})
        data = tbx.hparams.HParamsPluginData.FromString(_content(start))
        data.session_start_info.group_name = self.group
        data.session_start_info.start_time_secs = self._start_time
        start.value[0].metadata.plugin_data.content = data.SerializeToString()
        data = tbx.hparams.HParamsPluginData.FromString(_content(end))
        data.session_end_info.end_time_secs = time.time()
        status = "STATUS_SUCCESS" if solved else "STATUS_FAILURE"
        data.session_end_info.status = tbx.api.Status.Value(status)
        end.value[0].metadata.plugin_data.content = data.SerializeToString()
        return start, end


class _EventFile:
    """One event file, written record by record in the calling thread."""

    def __init__(self, path: Path):
        tbx = _tensorboardx()
        self._event = tbx.event.Event
        self._session_log = tbx.event.SessionLog
        self._records = tbx.record_writer.RecordWriter(str(path))
        self._write(file_version="brain.Event:2")

    def purge_from(self, step: int) -> None:
        """Makes TensorBoard drop what earlier files hold from this step on."""
        self._write(step=step, session_log=self._session_log(status=self._session_log.START))

    def add(self, summary: Any, step: int) -> None:
        self._write(step=step, summary=summary)

    def flush(self) -> None:
        self._records.flush()

    def close(self) -> None:
        self._records.flush()
        self._records.close()

    def _write(self, **fields: Any) -> None:
        event = self._event(wall_time=time.time(), **fields)
        self._records.write(event.SerializeToString())


@functools.cache
def _tensorboardx() -> Any:
    """The parts of tensorboardX in use; imported late, for the import takes seconds."""
    parts = {
        "summary": "summary",
        "record_writer": "record_writer",
        "event": "proto.event_pb2",
        "hparams": "proto.plugin_hparams_pb2",
        "api": "proto.api_pb2",
    }
    return types.SimpleNamespace(
        **{name: importlib.import_module(f"tensorboardX.{part}") for name, part in parts.items()}
    )


def _content(summary: Any) -> bytes:
    return summary.value[0].metadata.plugin_data.content


def _hparams(config: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """Fields as TensorBoard takes them: one type per column, so None and tuples are text."""
    return {
        key: value if isinstance(value, (bool, int, float, str)) else str(value)
        for key, value in config.items()
    }


def _config_markdown(group: str, config: Mapping[str, Any]) -> str:
    rows = [f"| {key} | `{value}` |".replace("\n", " ") for key, value in config.items()]
    return "\n".join([f"### {group}", "", "| field | value |", "|---|---|", *rows])


def _outcome(record: Mapping[str, Any]) -> str:
    text = (
        f"Trial {record['trial']}: {record['status']} after {record['num_sequences']:,} sequences"
    )
    if record.get("num_wrong") is not None and record.get("num_test"):
        text += f"; {record['num_wrong']:,} of {record['num_test']:,} test sequences wrong"
    return text + "."
