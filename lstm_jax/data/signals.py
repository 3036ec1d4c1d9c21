"""Labelled signals of several channels and different lengths, as the UEA archive writes them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_jax.data.errors import LARGEST, DataError, decode, read_bytes
from lstm_jax.data.finding import find, is_named
from lstm_jax.data.padding import pad
from lstm_jax.data.sets import SETS

PARTS = ("train", "test")


class Signals(NamedTuple):
    """N signals of D channels; zero after a signal's end."""

    inputs: np.ndarray  # float32 [N, T, D]
    lengths: np.ndarray  # int32 [N]
    labels: np.ndarray  # int32 [N], an index of `classes`
    classes: tuple[str, ...]


def load_signals(source: str = "vowels", data_dir: str = "") -> dict[str, Signals]:
    """``{"train", "test": Signals}`` of a named set, or of the own files ``SOURCE_TRAIN.ts`` and
    ``SOURCE_TEST.ts``; both parts are padded to the same T.

    Raises:
      DataError: one line: no such file, not in the form of a ``.ts`` file (with the line), classes
        or channels of the two parts that differ.
    """
    if is_named(source):
        if SETS[source].kind != "signals":
            raise DataError(f"{source}: holds {SETS[source].kind}, not signals; valid: vowels")
        paths = dict(zip(PARTS, find(source, data_dir).values(), strict=True))
    else:
        paths = {part: Path(f"{source}_{part.upper()}.ts") for part in PARTS}
        for path in paths.values():
            if not path.is_file():
                names = ", ".join(name for name, known in SETS.items() if known.kind == "signals")
                raise DataError(
                    f"{source}: no file {path}, and none of the named sets ({names}); NAME stands "
                    "for NAME_TRAIN.ts and NAME_TEST.ts"
                )
    read = {part: read_ts(path) for part, path in paths.items()}
    (train, _, classes), (test, _, theirs) = read["train"], read["test"]
    if classes != theirs or train[0].shape[1] != test[0].shape[1]:
        raise DataError(f"{paths['test']}: its classes or channels are not those of the train part")
    length = max(len(signal) for signals, _, _ in read.values() for signal in signals)
    return {
        part: Signals(*pad(signals, length), np.array(labels, np.int32), classes)
        for part, (signals, labels, _) in read.items()
    }


def read_ts(path: str | Path) -> tuple[list[np.ndarray], list[int], tuple[str, ...]]:
    """``(signals float32 [t, D], labels, classes)`` of a ``.ts`` file; DataError.

    A line is one signal: its channels parted by colons, their values by commas, the class last.
    """
    lines = decode(read_bytes(path), path).split("\n")
    signals: list[np.ndarray] = []
    labels: list[int] = []
    classes: tuple[str, ...] = ()
    data = False
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if line.lower().startswith("@classlabel"):
            classes = tuple(line.split()[2:])
        if line.lower() == "@data":
            data = True
        elif data and line and not line.startswith("#"):
            signal, label = _signal(f"{path}: line {number:,}", line, classes)
            if signals and signal.shape[1] != signals[0].shape[1]:
                raise DataError(
                    f"{path}: line {number:,} has {signal.shape[1]} channels, the first signal "
                    f"{signals[0].shape[1]}"
                )
            signals.append(signal)
            labels.append(label)
    if not classes or not signals:
        missing = "@classLabel with the names of classes" if not classes else "signal after @data"
        raise DataError(f"{path}: no .ts file of labelled signals: there is no {missing}")
    return signals, labels, classes


def _signal(where: str, line: str, classes: tuple[str, ...]) -> tuple[np.ndarray, int]:
    *channels, label = line.split(":")
    if not channels or label not in classes:
        raise DataError(f"{where}: ends with {label[-20:]!r}, which is no class of {classes}")
    try:
        columns = [[float(value) for value in channel.split(",")] for channel in channels]
    except ValueError as error:
        raise DataError(f"{where}: {error}; values must be numbers") from None
    if len({len(column) for column in columns}) > 1:
        raise DataError(f"{where}: its channels have different lengths")
    signal = np.array(columns).T
    if not np.isfinite(signal).all():
        raise DataError(f"{where}: a value is missing or not finite")
    if np.abs(signal).max(initial=0.0) > LARGEST:
        raise DataError(f"{where}: a value is too large; at most {LARGEST:g}")
    return signal.astype(np.float32), classes.index(label)
