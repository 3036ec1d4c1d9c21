"""Reading a run folder that may be another process's: nothing is locked, mended or written."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.record import archive
from lstm_jax.record.counted import OF_TRIALS, Counted, counted_by
from lstm_jax.record.folder import CHECKPOINT, CURVES, PREVIOUS, RESULT, TRIALS
from lstm_jax.record.lines import load_lines
from lstm_jax.record.opening import CONFIG, FORMAT
from lstm_jax.record.provenance import sessions_on_file
from lstm_jax.record.refusal import from_json, reason, refuse


class RunFiles(NamedTuple):
    """What a run folder says, finished or not.

    Attributes:
      path: the folder.
      row: the name of its row.
      config: its settings, as JSON has them: tuples are lists.
      counted: what it counts: trials, origins of forecasts, fits, or the epochs of one fit.
      records: of those that have ended, by number.
      curves: ``{trial: [windows] mean error}``, of finished trials.
      curve_every: sequences to a window; 0 where there are no curves yet.
      sessions: of `provenance.json`, the first start first.
      result: of a fit that is finished; empty before.
    """

    path: Path
    row: str
    config: Mapping[str, Any]
    counted: Counted
    records: list[dict[str, Any]]
    curves: dict[int, np.ndarray]
    curve_every: int
    sessions: list[dict[str, Any]]
    result: Mapping[str, Any]

    @property
    def trials(self) -> list[dict[str, Any]]:
        """The records of a run of trials; of any other, none."""
        return self.records if self.counted is OF_TRIALS else []

    @property
    def num_asked(self) -> int:
        """How many records its settings ask for; of epochs, the most that there may be."""
        return self.counted.asked(self.config)

    @property
    def is_finished(self) -> bool:
        """Whether all is on file that the settings ask for.

        A fit may end before its last epoch, and is tried on the test part after it: it has its
        result then, and before that it is not finished.
        """
        if self.counted.word == "epochs":
            return bool(self.result)
        return len(self.records) >= self.num_asked


def find_runs(path: str | os.PathLike[str]) -> list[Path]:
    """The run folders at a path: itself, or those directly in it, a row of a table each.

    Raises:
      RunFolderError: in one line, where there is no such folder or no run in it.

    >>> find_runs("/no/such/run")
    Traceback (most recent call last):
    lstm_jax.record.refusal.RunFolderError: /no/such/run does not exist; give the folder of a run...
    """
    path = Path(path)
    hint = f"give the folder of a run (it holds a {CONFIG}) or a folder of such folders"
    if not path.exists():
        refuse(path, f"does not exist; {hint}")
    if not path.is_dir():
        refuse(path, f"is a file; {hint}")
    if (path / TRIALS).exists() or _is_config(path / CONFIG):
        return [path]
    try:
        found = [inner for inner in path.iterdir() if _is_config(inner / CONFIG)]
    except OSError as error:
        refuse(path, f"cannot be read ({reason(error)})")
    if not found:
        refuse(path, f"holds no run (no {CONFIG} of one, nor in a folder directly in it); {hint}")
    return sorted(found, key=_natural)


def read_run(path: str | os.PathLike[str]) -> RunFiles:
    """The files of a run; a line that another process is just writing does not count yet.

    Raises:
      RunFolderError: in one line, where this is no run folder or a file is damaged.

    >>> import tempfile
    >>> from lstm_jax.record import RunFolder
    >>> with tempfile.TemporaryDirectory() as path:
    ...     with RunFolder.open(path, {"T": 100, "num_trials": 2}, "t100") as folder:
    ...         _ = folder.append_trial({"trial": 0, "status": "SOLVED", "num_sequences": 9})
    ...         run = read_run(path)  # while it is held
    >>> run.row, run.config["T"], len(run.trials), run.is_finished
    ('t100', 100, 1, False)
    """
    path = Path(path)
    there = _read_json(path / CONFIG)
    if "format" not in there:
        refuse(
            path / CONFIG,
            "is of no run: a search, sweep or study has its own page, by its command's --report",
        )
    if there["format"] != FORMAT:
        refuse(path / CONFIG, f'is not of a run of this version (no "format": "{FORMAT}")')
    if not isinstance(there.get("config"), dict):
        refuse(path / CONFIG, 'is damaged ("config" is missing)')
    config, sessions = there["config"], sessions_on_file(path)
    counted = counted_by(config)
    if counted is OF_TRIALS:  # a row may be given more trials later, which its sessions say
        later = [number for s in sessions if isinstance(number := s.get("num_trials"), int)]
        config = config | {"num_trials": max([counted.asked(config), *later])}
    lines = load_lines(path / f"{counted.unit}s.jsonl", counted.is_record)
    by_number = {line[counted.unit]: line for line in lines}
    curves, curve_every = _read_curves(path / CURVES)
    return RunFiles(
        path=path,
        row=str(there.get("row") or path.name),
        config=config,
        counted=counted,
        records=[by_number[number] for number in sorted(by_number)],
        curves=curves,
        curve_every=curve_every,
        sessions=sessions,
        result=_read_json(path / RESULT) if (path / RESULT).exists() else {},
    )


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, np.ndarray] | None:
    """The arrays of the newest checkpoint that is whole; None where there is none yet.

    Raises:
      RunFolderError: in one line, where there are only damaged ones.

    >>> read_checkpoint("/no/such/run") is None
    True
    """
    damage = ""
    for name in (CHECKPOINT, PREVIOUS):
        try:
            return archive.unpack((Path(path) / name).read_bytes())[0]
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            damage = damage or f"is damaged ({reason(error)}), and so is the one before it"
    if damage:
        refuse(Path(path) / CHECKPOINT, f"{damage}; starting the run again goes on without them")
    return None


def running_curves(run: RunFiles) -> dict[int, np.ndarray]:
    """The curves so far of the trials that have not ended, from the checkpoint.

    Raises:
      RunFolderError: in one line, where there are only damaged checkpoints.
    """
    arrays = read_checkpoint(run.path) or {}
    ended = {record["trial"] for record in run.trials}
    found = {}
    for name, curve in arrays.items():
        number = name.removeprefix("curves/trial_")
        if number.isdigit() and int(number) not in ended and len(curve):
            found[int(number)] = curve
    return dict(sorted(found.items()))


def _read_curves(file: Path) -> tuple[dict[int, np.ndarray], int]:
    try:
        arrays, _ = archive.unpack(file.read_bytes())
        every = int(arrays.pop("curve_every"))
        curves = {int(name.removeprefix("trial_")): curve for name, curve in arrays.items()}
    except FileNotFoundError:
        return {}, 0
    except (OSError, ValueError, KeyError) as error:
        refuse(file, f"is damaged ({reason(error)}); starting the run again goes on without it")
    return dict(sorted(curves.items())), every


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = from_json(file.read_bytes())
    except FileNotFoundError:
        refuse(file.parent, f"holds no run (no {file.name})")
    except (OSError, ValueError) as error:
        refuse(file, f"is damaged ({reason(error)})")
    if not isinstance(found, dict):
        refuse(file, "is damaged (not an object)")
    return found


def _is_config(file: Path) -> bool:
    """Whether this is, or is meant to be, the config of a run: other commands have other ones."""
    try:
        found = from_json(file.read_bytes())
    except OSError:
        return False
    except ValueError:
        return True  # damaged: `read_run` says so
    return isinstance(found, dict) and "format" in found


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts t100 before t1000."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
