"""A file of numbered records, one JSON object a line: each number once, and never changed.

A line is appended with one write and an fsync, so a kill at any instant leaves at most a last line
that is cut short, which the next reading drops.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lstm_jax.record import archive
from lstm_jax.record.archive import plain
from lstm_jax.record.refusal import (
    RunFolderError,
    content,
    differences,
    from_json,
    reason,
    refuse,
    writing,
)
from lstm_jax.record.shape import Shape, require


class NumberedRecords:
    """The records of a run folder that this process holds.

    Args:
      file: where they are kept.
      unit: what a record is of; the name of its number.
      say: called with a line for each repair.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "epochs.jsonl"
    >>> records = NumberedRecords(file, "epoch", print)
    >>> records.append({"epoch": 0, "loss": 0.5}), records.append({"epoch": 0, "loss": 0.5})
    (True, False)
    >>> records.records(), records.is_complete(2)
    ([{'epoch': 0, 'loss': 0.5}], False)
    """

    def __init__(self, file: Path, unit: str, say: Callable[[str], None]):
        self.file = file
        self.unit = unit
        self._say = say
        self._lines: dict[int, bytes] = {}  # number -> its line in the file

    def read(self, needs: Shape) -> None:
        """Reads the file, and drops a last line that a kill cut short.

        Raises RunFolderError, with the line, for another one that is damaged.
        needs: what a record must have beside its number.
        """
        file = self.file
        data = content(file)
        *lines, rest = data.split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                record = from_json(line)
                trial = self._number(record)
                require(record, needs)
            except ValueError as error:
                refuse(
                    file,
                    f"line {number} is damaged ({reason(error)}); correct or delete that line, "
                    "then start again",
                )
            if self._lines.setdefault(trial, line + b"\n") != line + b"\n":
                refuse(file, f"line {number} is a second, different record of {self.unit} {trial}")
        if rest:
            self._mend_last_line(rest, len(data) - len(rest))

    def append(self, record: Mapping[str, Any]) -> bool:
        """Appends the record of a finished trial to the file; False if it is there already.

        record: JSON values and NumPy scalars with an integer "trial" (or other unit); numbers
        that are not finite are written as null. On return the line is on disk.
        Raises RunFolderError if the trial is on file with other content, or on a failed write.
        """
        new = plain(record)
        trial = self._number(new)
        if trial in self._lines:
            there = json.loads(self._lines[trial])
            if there == new:
                return False
            raise RunFolderError(
                f"{self.file}: {self.unit} {trial} is on file with another result "
                f"({differences(there, new)}); the file is left as it is"
            )
        line = json.dumps(new).encode() + b"\n"
        with writing(self.file):
            archive.append(self.file, line)
        self._lines[trial] = line
        return True

    def records(self) -> list[dict[str, Any]]:
        """The finished trials, by number."""
        return [json.loads(self._lines[trial]) for trial in sorted(self._lines)]

    def is_complete(self, trials: int | Iterable[int]) -> bool:
        """Whether these trials are all on file; of a number n, trials 0 to n - 1."""
        numbers = range(trials) if isinstance(trials, int) else trials
        return all(trial in self._lines for trial in numbers)

    def finalise(self) -> None:
        """Sorts the file by number, so that its bytes do not tell the order of finishing."""
        archive.write_whole(
            self.file, b"".join(self._lines[trial] for trial in sorted(self._lines))
        )

    def _number(self, record: Any) -> int:
        number = record.get(self.unit) if isinstance(record, dict) else None
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise ValueError(
                f'a record needs "{self.unit}", an integer of at least 0, got {number!r}'
            )
        return number

    def _mend_last_line(self, rest: bytes, start: int) -> None:
        file = self.file
        try:
            trial = self._number(from_json(rest))
        except ValueError:
            with writing(file):
                os.truncate(file, start)
            self._say(f"{file}: dropped a last line cut short; that {self.unit} runs again")
            return
        # Only the newline is missing: the record is whole, so it is kept.
        with writing(file):
            archive.append(file, b"\n")
        self._lines.setdefault(trial, rest + b"\n")
        self._say(
            f"{file}: ended a last line that had lost its newline ({self.unit} {trial} is kept)"
        )
