"""TensorBoard files of one setting: what its trials do together, and what each came to.

    tb/events...             quantiles of the error over the trials, fraction solved, speed, texts
    tb/trials/07/events...   outcome of trial 7: its own session in the HParams page
    tb/trials/all/events...  in place of those when there are many: their means, as one session

The HParams page wants one run folder per session, hence one tiny file per trial. It groups sessions
by `SessionStartInfo.group_name`, so the trials of a setting are one row with means over the trials.
`SummaryWriter.add_hparams` can do neither and makes a stray run at each call: it is not used. No
`Experiment` summary is written: TensorBoard takes the first it finds for all runs, which would
hide the fields of every other setting in the same log folder; without one it joins them itself.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lstm_jax.inspect.event_file import EventFile, tensorboardx

QUANTILES = {"error/q10": 0.1, "error/median": 0.5, "error/q90": 0.9}
LAYOUT = {
    "over the trials": {
        "error of the running trials: median, 10% to 90%": [
            "Margin",
            ["error/median", "error/q10", "error/q90"],
        ],
        "error of the running trials": ["Multiline", list(QUANTILES)],
        "fraction of all trials solved": ["Multiline", ["progress/fraction_solved"]],
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
      num_trials: of the setting, at least 1.
      start_step: first step of this start, >= 0; above 0 for a resumed run.
      max_trial_runs: with more trials than this they share one session, `trials/all`: TensorBoard
        turns sluggish at about 250 runs, and three settings of 80 trials stay below.

    Raises:
      OSError: the folder or a file cannot be written; from every method.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, RunBoard(folder, "t100", 2) as board:
    ...     board.log_progress(1000, errors=[0.2, 0.3], num_running=2)
    ...     board.log_trial({"trial": 0, "status": "SOLVED", "num_sequences": 900})
    ...     sorted(file.parent.name for file in Path(folder).rglob("events*"))[0]
    '00'
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        group: str,
        num_trials: int,
        *,
        config: Mapping[str, Any] | None = None,
        start_step: int = 0,
        max_trial_runs: int = 80,
    ):
        self.path = Path(path)
        self.group = group
        self.config = dict(config or {})
        self.num_trials = num_trials
        self.one_session = num_trials > max_trial_runs
        self._records: dict[int, dict[str, Any]] = {}
        self._step = start_step
        self._start_time = time.time()
        self.path.mkdir(parents=True, exist_ok=True)
        nanoseconds = time.time_ns()  # TensorBoard reads the files in the order of their names
        second, fraction = divmod(nanoseconds, 10**9)
        name = f"events.out.tfevents.{second}.{fraction:09d}.{os.getpid()}"
        self._file: EventFile | None = EventFile(self.path / name)
        self._file.start_at(start_step)
        tbx = tensorboardx()
        self._file.add(tbx.summary.custom_scalars(LAYOUT), start_step)
        self.log_text("config", _config_markdown(group, self.config))

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
        """Quantiles of the error, counts and speed, at `step` sequences per lane; once a chunk.

        Args:
          step: sequences each lane has run; not below the step before.
          errors: recent mean absolute training error of each running trial; non-finite ones are
            left out, and none at all writes no quantiles.
          num_running, num_solved, num_failed: counts of the setting's trials; failed is exhausted
            or diverged.
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
        scalars["progress/fraction_solved"] = num_solved / self.num_trials
        scalars["progress/num_running"] = num_running
        scalars["progress/num_failed"] = num_failed
        if sequences_per_second is not None:
            scalars["progress/sequences_per_second"] = sequences_per_second
        self._advance(step)
        file = self._open_file()
        for tag, value in scalars.items():
            file.add(tensorboardx().summary.scalar(tag, value), step)
        file.flush()

    def log_trial(self, record: Mapping[str, Any]) -> None:
        """The outcome of a finished trial, in `trials/<number>`; the same again replaces it.

        Scalars at the trial's `num_sequences`: `trial/solved` (0 or 1), so that the group's mean is
        the fraction solved; and of a solved one only, so that the group's means are those of the
        tables, `trial/sequences_to_solve`, `trial/num_wrong`, `trial/mean_test_error`. And a
        sentence with the outcome.
        With more than `max_trial_runs` trials: their means, in `trials/all`. A resumed run logs
        the records of the earlier starts once more.

        Args:
          record: as in `trials.jsonl`; at least `trial`, `status` and `num_sequences`.
        """
        if not self.one_session:
            self._write_session(f"{record['trial']:02d}", [record])
            return
        self._records[record["trial"]] = dict(record)
        self._write_session("all", [self._records[trial] for trial in sorted(self._records)])

    def log_text(self, tag: str, markdown: str) -> None:
        """A page of Markdown in the Text view, such as the `paper | ours` table at the end."""
        file = self._open_file()
        file.add(tensorboardx().summary.text(tag, markdown), self._step)
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

    def _open_file(self) -> EventFile:
        if self._file is None:
            raise ValueError(f"the board of {self.path} is closed; open a new RunBoard to go on")
        return self._file

    def _advance(self, step: int) -> None:
        if step < self._step:
            raise ValueError(f"step {step} comes after step {self._step}; steps must not fall")
        self._step = step

    def _write_session(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        folder = self.path / "trials" / name
        write_session(folder, self.group, self.config, records, start_time=self._start_time)


def write_session(
    folder: Path,
    group: str,
    hparams: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    *,
    start_time: float | None = None,
) -> None:
    """One session of the HParams page: the outcomes of some trials, averaged if there are several.

    Args:
      folder: of the session, made if absent; what it held is replaced.
      group: sessions of one name are one row of the page.
      hparams: settings, by name.
      records: at least `trial`, `status` and `num_sequences`; one or more.
      start_time: seconds since the epoch; None: now.

    Raises:
      OSError: the folder or its file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     record = {"trial": 0, "status": "SOLVED", "num_sequences": 900}
    ...     write_session(Path(folder), "gru", {"learning_rate": 0.01}, [record])
    ...     [file.name for file in Path(folder).iterdir()]
    ['events.out.tfevents.0.trial']
    """
    tbx = tensorboardx()
    step = max(int(record["num_sequences"]) for record in records)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "partial"  # a name that TensorBoard does not read
    file = EventFile(partial)
    file.add(_session_start(group, hparams, time.time() if start_time is None else start_time), 0)
    for tag, values in _scalars(records).items():
        if values:
            file.add(tbx.summary.scalar(tag, float(np.mean(values))), step)
    text = "\n".join(f"- {_outcome(record)}" for record in records)
    file.add(tbx.summary.text("trial/outcome", text), step)
    file.add(_session_end(all(r["status"] == "SOLVED" for r in records)), step)
    file.close()
    os.replace(partial, folder / "events.out.tfevents.0.trial")


def _session_start(group: str, hparams: Mapping[str, Any], start_time: float) -> Any:
    tbx = tensorboardx()
    _, start, _ = tbx.summary.hparams(_hparams(hparams), {})
    plugin_data = start.value[0].metadata.plugin_data
    data = tbx.hparams.HParamsPluginData.FromString(plugin_data.content)
    data.session_start_info.group_name = group
    data.session_start_info.start_time_secs = start_time
    plugin_data.content = data.SerializeToString()
    return start


def _session_end(solved: bool) -> Any:
    tbx = tensorboardx()
    _, _, end = tbx.summary.hparams({}, {})
    plugin_data = end.value[0].metadata.plugin_data
    data = tbx.hparams.HParamsPluginData.FromString(plugin_data.content)
    data.session_end_info.end_time_secs = time.time()
    status = "STATUS_SUCCESS" if solved else "STATUS_FAILURE"
    data.session_end_info.status = tbx.api.Status.Value(status)
    plugin_data.content = data.SerializeToString()
    return end


def _scalars(records: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Each scalar of the HParams page: solved, of all the trials; the rest, of the solved ones."""
    winners = [record for record in records if record["status"] == "SOLVED"]

    def known(field: str) -> list[float]:
        values = [record.get(field) for record in winners]
        return [float(v) for v in values if v is not None and math.isfinite(v)]

    return {
        "trial/solved": [float(record["status"] == "SOLVED") for record in records],
        "trial/sequences_to_solve": known("num_sequences"),
        "trial/num_wrong": known("num_wrong"),
        "trial/mean_test_error": known("mean_test_error"),
    }


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
