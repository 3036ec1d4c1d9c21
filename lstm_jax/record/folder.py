"""The run folder: what a run leaves on disk, so that a kill at any instant loses no finished trial.

    WORKDIR/config.json      the settings this folder belongs to, written once
            provenance.json  versions, device, flags, git commit, command and wall time, by session
            trials.jsonl     one line per finished trial, appended; no times, so it is reproducible
            curves.npz       "curve_every" and one array "trial_<n>" per trial
            checkpoint.npz   the trials in flight; the one before is kept as checkpoint.prev.npz

What is counted may be something else than trials: epochs, say, in epochs.jsonl.

Two ways to write, and no third: a line is appended with one write and an fsync, and every other
file is written beside its place, synced and renamed. Nothing here imports jax.
"""

from __future__ import annotations

import datetime
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstm_jax.record import archive
from lstm_jax.record.archive import plain, pretty
from lstm_jax.record.numbered import NumberedRecords
from lstm_jax.record.opening import CONFIG, lock_folder, make_folder, settle_config
from lstm_jax.record.provenance import PROVENANCE, surroundings, total
from lstm_jax.record.refusal import from_json, reason, writing
from lstm_jax.record.shape import Shape

TRIALS, CURVES = "trials.jsonl", "curves.npz"
CHECKPOINT, PREVIOUS = "checkpoint.npz", "checkpoint.prev.npz"
RESULT, BEST, LAST = "result.json", "best.safetensors", "last.safetensors"
START = "start.safetensors"
WRITTEN_BESIDE = (CONFIG, PROVENANCE, TRIALS, CURVES, CHECKPOINT, RESULT, BEST, LAST, START)


class RunFolder:
    """A run folder held by this process, new or resumed.

    Made by `RunFolder.open`. Use it in a `with` statement or call `close`, which hands the lock
    back; the kernel does so too when the process dies. `messages` lists what was repaired.

    >>> import tempfile
    >>> with RunFolder.open(tempfile.mkdtemp(), {"T": 100}, "t100") as folder:
    ...     _ = folder.append_trial({"trial": 0, "status": "SOLVED"})
    ...     folder.trials(), folder.is_complete(1)
    ([{'trial': 0, 'status': 'SOLVED'}], True)
    """

    def __init__(
        self, path: Path, report: Callable[[str], None] | None = None, unit: str = "trial"
    ):
        self.path = path
        self.unit = unit  # what a record is of
        self.messages: list[str] = []
        self._report = report
        self._lock_fd = -1
        self._records = NumberedRecords(path / f"{unit}s.jsonl", unit, self._say)
        self._checkpoint_is_valid = False  # whether checkpoint.npz may replace the previous one
        self._session: dict[str, Any] = {}  # this session's entry in provenance.json
        self._earlier_sessions: list[dict[str, Any]] = []
        self._start_clock = 0.0  # when this session's entry was begun

    @classmethod
    def open(
        cls,
        workdir: str | os.PathLike[str],
        config: Mapping[str, Any],
        row: str,
        *,
        free_fields: Sequence[str] = (),
        report: Callable[[str], None] | None = None,
        unit: str = "trial",
        needs: Shape = object,
    ) -> RunFolder:
        """Creates the run folder `workdir`, or resumes the run that is in it.

        config: the settings, JSON values (tuples count as lists). row: the name of the table row.
        free_fields: config fields that do not change results and so may differ on a resume.
        report: called with each line worth telling the user, as it is added to `messages`.
        unit: what is counted; "epoch" keeps records of epochs in epochs.jsonl.
        needs: what a record on file must have beside its number.
        Raises RunFolderError: not a folder, not writable, another run's or nobody's folder, held
        by a live process, or damaged beyond what a kill can do.

        >>> import tempfile
        >>> workdir = tempfile.mkdtemp()
        >>> RunFolder.open(workdir, {"T": 100}, "t100").close()
        >>> RunFolder.open(workdir, {"T": 500}, "t100")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        lstm_jax.record.refusal.RunFolderError: ...different run: T is 100 there and 500 here; ...
        """
        folder = cls(Path(workdir), report, unit)
        make_folder(folder.path, WRITTEN_BESIDE)
        try:
            folder._lock_fd = lock_folder(folder.path, folder._say)
            with writing(folder.path):
                for name in WRITTEN_BESIDE:  # what a kill left unfinished
                    archive.beside(folder.path / name).unlink(missing_ok=True)
            settle_config(folder.path, plain(config), row, free_fields)
            folder._records.read(needs)
        except BaseException:
            folder.close()
            raise
        return folder

    def close(self) -> None:
        """Hands the folder back; later calls do nothing."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- finished trials, or whatever is counted

    def append_trial(self, record: Mapping[str, Any]) -> bool:
        """`append` where trials are counted."""
        return self.append(record)

    def trials(self) -> list[dict[str, Any]]:
        """`records` where trials are counted."""
        return self.records()

    def append(self, record: Mapping[str, Any]) -> bool:
        """Appends a record, on disk on return; False if it is on file already.

        record: JSON values and NumPy scalars with an integer "trial" (or other unit); numbers
        that are not finite are written as null.
        Raises RunFolderError if the trial is on file with other content, or on a failed write.
        """
        return self._records.append(record)

    def records(self) -> list[dict[str, Any]]:
        """The finished trials, by number."""
        return self._records.records()

    def is_complete(self, trials: int | Iterable[int]) -> bool:
        """Whether these trials are all on file; of a number n, trials 0 to n - 1."""
        return self._records.is_complete(trials)

    def finalise(self) -> None:
        """Sorts trials.jsonl by trial, so that its bytes do not tell the order of finishing."""
        self._records.finalise()

    # ---- trials in flight, curves

    def save_checkpoint(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Writes checkpoint.npz and keeps the one before as checkpoint.prev.npz.

        arrays: numeric arrays by name; meta: JSON values. A kill at any instant leaves a valid
        one. Raises TypeError for an array that is not numeric, RunFolderError on a failed write.
        """
        file = self.path / CHECKPOINT
        data = archive.pack(arrays, meta)
        with writing(file):
            archive.write_beside(file, data)
            # Never let a damaged file push out the good one that was fallen back on.
            valid = self._checkpoint_is_valid
            if file.exists() and (valid or archive.is_whole(file.read_bytes())):
                os.replace(file, self.path / PREVIOUS)
            archive.put_in_place(file)
        self._checkpoint_is_valid = True

    def load_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The newest valid checkpoint as (arrays, meta); None if there is none.

        A damaged file costs one line in `messages` and the work since the one before it.
        """
        for name, otherwise in (
            (CHECKPOINT, f"falling back on {PREVIOUS}"),
            (PREVIOUS, "unfinished trials start again, finished ones are kept"),
        ):
            try:
                arrays, meta = archive.unpack((self.path / name).read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                self._say(f"{self.path / name} is damaged ({reason(error)}); {otherwise}")
                continue
            self._checkpoint_is_valid = name == CHECKPOINT
            return arrays, meta
        return None

    def save_curves(self, curves: Mapping[int, np.ndarray], curve_every: int) -> None:
        """Writes curves.npz, the same bytes for the same curves.

        curves: {trial: mean error of each window of `curve_every` sequences, float32}.
        """
        arrays: dict[str, np.ndarray] = {"curve_every": np.asarray(curve_every, np.int64)}
        for trial in sorted(curves):
            arrays[f"trial_{trial}"] = np.asarray(curves[trial], np.float32)
        self._replace(CURVES, archive.pack(arrays))

    def load_curves(self) -> dict[int, np.ndarray]:
        """The curves on file by trial; empty, with a line in `messages`, if they are damaged."""
        try:
            arrays, _ = archive.unpack((self.path / CURVES).read_bytes())
            names = [name for name in arrays if name != "curve_every"]
            return {int(name.removeprefix("trial_")): arrays[name] for name in names}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            self._say(
                f"{self.path / CURVES} is damaged ({reason(error)}); "
                "the curves of finished trials are lost, their results are kept"
            )
            return {}

    # ---- provenance

    def write_provenance(
        self,
        *,
        device_kind: str | None = None,
        num_devices: int | None = None,
        command: Sequence[str] | None = None,
        **more: Any,
    ) -> None:
        """Writes what this session ran on to provenance.json, one entry per session.

        Call it at the start with the devices and at every checkpoint without arguments: it
        brings the wall time (seconds) up to date and keeps what was said before.
        more: further JSON values for the entry, such as the chosen kernel.
        """
        if not self._session:
            # From here, not from the opening: a command opens the folders of all its rows first.
            self._start_clock = time.monotonic()
            self._earlier_sessions = self._read_sessions()
            start = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            self._session = {"start": start, "command": sys.argv} | surroundings()
        said = {"device_kind": device_kind, "num_devices": num_devices, "command": command, **more}
        self._session |= plain({name: value for name, value in said.items() if value is not None})
        self._session["wall_seconds"] = round(time.monotonic() - self._start_clock, 3)
        self._write_sessions()

    def provenance(self) -> dict[str, Any]:
        """What this session's entry says so far; empty before the first `write_provenance`."""
        return dict(self._session)

    def add_sessions(self, sessions: Sequence[Mapping[str, Any]], share: str) -> None:
        """Takes over what trials ran on that were run elsewhere; before this session's own entry.

        sessions: of provenance.json there; those that are here already, by their start, are
        replaced. share: what they are told by.
        """
        new = [{"share": share, **session} for session in sessions]
        starts = {session.get("start") for session in new}
        earlier = self._earlier_sessions if self._session else self._read_sessions()
        self._earlier_sessions = [
            session
            for session in earlier
            if session.get("share") != share or session.get("start") not in starts
        ] + new
        self._write_sessions()

    def _write_sessions(self) -> None:
        sessions = [*self._earlier_sessions, *([self._session] if self._session else [])]
        seconds = round(total(sessions, "wall_seconds"), 3)
        self._replace(PROVENANCE, pretty({"total_wall_seconds": seconds, "sessions": sessions}))

    def _read_sessions(self) -> list[dict[str, Any]]:
        file = self.path / PROVENANCE
        try:
            return [dict(session) for session in from_json(file.read_bytes())["sessions"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError):
            kept = file.with_name("provenance.damaged.json")
            with writing(kept):
                os.replace(file, kept)
            self._say(f"{file} is damaged; kept as {kept.name}, a new one is begun")
            return []

    def write_file(self, name: str, data: bytes) -> None:
        """Writes a file of the run, whole or not at all; `name` may lead into folders."""
        archive.write_whole(self.path / name, data)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Writes result.json: what the finished run came to; no times, so it is reproducible."""
        self._replace(RESULT, pretty(plain(result)))

    def read_result(self) -> dict[str, Any] | None:
        """What `write_result` wrote; None for a run that is not finished."""
        try:
            return dict(from_json((self.path / RESULT).read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            self._say(f"{self.path / RESULT} is damaged ({reason(error)}); it is made again")
            return None

    # ---- inside

    def _replace(self, name: str, data: bytes) -> None:
        archive.write_whole(self.path / name, data)

    def _say(self, message: str) -> None:
        self.messages.append(message)
        if self._report is not None:
            self._report(message)
