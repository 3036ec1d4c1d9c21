"""The weights a run leaves behind: those a trial ended with, and some on its way there.

    WORKDIR/weights.bin      records one after the other, each the bytes of `archive.pack` behind
                             eight that count them: arrays "trial", "sequences", "status" [k] and
                             "weights" [k, W], and the names and shapes of the leaves

It is only ever appended to, so nothing of `trials.jsonl` waits for it or is rewritten for it, and
what a kill cuts short is the last record, which the run goes through again. Weights are a function
of the trial and of the training sequences so far, so the same ones are never kept twice.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_jax.record import archive
from lstm_jax.record.refusal import content, reason, refuse, writing

WEIGHTS = "weights.bin"
PER_OCTAVE = 3
"""Moments kept each time the training sequences double; one for nets of many weights."""
MANY = 4096
_COUNT = 8  # bytes that say how many follow
_NAMES = "leaves"


class KeptWeights:
    """The weights on file, by trial and training sequences.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as path:
      ...     log = WeightLog(path)
      ...     log.keep([4], [900], [1], {"cell.w": np.ones((1, 2, 3), np.float32)})
      ...     kept = read_weights(path)
      >>> kept.trials(), kept.moments(4), kept.arrays(4, 900)["cell.w"].shape
      ([4], [900], (2, 3))
    """

    def __init__(self) -> None:
        self._kept: dict[int, dict[int, tuple[int, np.ndarray, _Leaves]]] = {}

    def trials(self) -> list[int]:
        """The trials that any weights are kept of, in order."""
        return sorted(self._kept)

    def moments(self, trial: int) -> list[int]:
        """Training sequences after which the trial's weights were kept, in order."""
        return sorted(self._kept.get(trial, {}))

    def status(self, trial: int, sequences: int) -> int:
        """The status that the trial had then: 0 while it was running."""
        return self._kept[trial][sequences][0]

    def arrays(self, trial: int, sequences: int) -> dict[str, np.ndarray]:
        """The weights by the names of their leaves; KeyError where none were kept then."""
        _, flat, leaves = self._kept[trial][sequences]
        arrays, start = {}, 0
        for name, shape in leaves:
            size = math.prod(shape)
            arrays[name] = flat[start : start + size].reshape(shape)
            start += size
        return arrays

    def __contains__(self, moment: object) -> bool:
        trial, sequences = moment  # pyright: ignore[reportGeneralTypeIssues]
        return sequences in self._kept.get(trial, {})

    def add(self, arrays: Mapping[str, np.ndarray], leaves: _Leaves) -> None:
        """Takes the rows of one record."""
        columns = (arrays[name].tolist() for name in ("trial", "sequences", "status"))
        for trial, sequences, status, flat in zip(*columns, arrays["weights"], strict=True):
            self._kept.setdefault(trial, {})[sequences] = (status, flat, leaves)


_Leaves = Sequence[tuple[str, Sequence[int]]]


class _Record(NamedTuple):
    end: int  # where the next one begins
    arrays: dict[str, np.ndarray]
    leaves: _Leaves


class WeightLog:
    """Writer of a run folder's `weights.bin`; the folder is held by this process.

    Args:
      path: the run folder. A last record that a kill cut short is dropped.

    Raises:
      RunFolderError: in one line, where the file is damaged or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self._file = Path(path) / WEIGHTS
        self._known = KeptWeights()
        end = 0
        for record in _records(self._file):
            self._known.add(record.arrays, record.leaves)
            end = record.end
        if self._file.exists() and self._file.stat().st_size > end:
            with writing(self._file):
                os.truncate(self._file, end)

    def keep(
        self,
        trials: Sequence[int],
        sequences: Sequence[int],
        statuses: Sequence[int],
        weights: Mapping[str, np.ndarray],
    ) -> None:
        """Appends the weights of k trials; on return they are on disk.

        Args:
          trials, sequences, statuses: k whole numbers each.
          weights: ``{leaf: [k, ...]}``, all of one dtype.
        """
        new = [n for n, key in enumerate(zip(trials, sequences, strict=True)) if key not in self]
        if not new:
            return
        rows = {name: np.asarray(leaf)[new] for name, leaf in weights.items()}
        flat = [row.reshape(len(new), -1) for row in rows.values()]
        arrays = {
            "trial": np.asarray(trials, np.int32)[new],
            "sequences": np.asarray(sequences, np.int32)[new],
            "status": np.asarray(statuses, np.int32)[new],
            "weights": np.concatenate(flat, axis=1),
        }
        leaves = [(name, row.shape[1:]) for name, row in rows.items()]
        data = archive.pack(arrays, {_NAMES: leaves})
        with writing(self._file):
            archive.append(self._file, len(data).to_bytes(_COUNT, "little") + data)
        self._known.add(arrays, leaves)

    def __contains__(self, moment: object) -> bool:
        return moment in self._known


def read_weights(path: str | os.PathLike[str]) -> KeptWeights:
    """The weights in a run folder, which may be another process's; none where none were kept.

    Raises:
      RunFolderError: in one line, where a record other than a last, unfinished one is damaged.
    """
    kept = KeptWeights()
    for record in _records(Path(path) / WEIGHTS):
        kept.add(record.arrays, record.leaves)
    return kept


def is_moment(before: int, now: int, num_weights: int) -> bool:
    """Whether weights are kept after `now` training sequences, those before being the last looked.

    The moments are powers of ``2^(1/3)``, of 2 from `MANY` weights on; it is at the ends of
    chunks that anything can be kept, so at the first one after each moment.

    Example:
      >>> [n for n in range(100, 2000, 100) if is_moment(n - 100, n, 93)]
      [100, 200, 300, 400, 500, 600, 700, 900, 1100, 1300, 1700]
    """
    rate = PER_OCTAVE if num_weights < MANY else 1
    steps = [math.floor(rate * math.log2(n)) if n > 0 else -1 for n in (before, now)]
    return steps[1] > steps[0]


def _records(file: Path) -> Iterator[_Record]:
    """The whole records of the file, in order."""
    data = content(file)
    start = number = 0
    while start + _COUNT <= len(data):
        number += 1
        end = start + _COUNT + int.from_bytes(data[start : start + _COUNT], "little")
        if end > len(data):
            return  # cut short by a kill, or being written
        try:
            arrays, meta = archive.unpack(data[start + _COUNT : end])
            yield _Record(end, arrays, [(name, tuple(shape)) for name, shape in meta[_NAMES]])
        except (ValueError, KeyError, TypeError, json.JSONDecodeError) as error:
            refuse(
                file,
                f"is damaged in record {number} ({reason(error)}); without the file the run "
                "goes on, and keeps no weights of what is past",
            )
        start = end
