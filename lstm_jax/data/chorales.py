"""Music: pieces as lists of chords of MIDI pitches, and as piano rolls."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.data.errors import DataError, decode, read_bytes
from lstm_jax.data.padding import pad
from lstm_jax.data.text import own_or_named, split_by_position

LOWEST = 21  # MIDI pitch of the piano's lowest key
NUM_KEYS = 88
PARTS = ("train", "valid", "test")

Chord = Sequence[int]
Piece = Sequence[Chord]


class Rolls(NamedTuple):
    """Piano rolls of N pieces; zero after a piece's end."""

    notes: np.ndarray  # uint8 [N, T, 88]: 1 where key k, MIDI pitch 21 + k, sounds
    lengths: np.ndarray  # int32 [N]


def load_chorales(source: str = "jsb_chorales", data_dir: str = "") -> dict[str, Rolls]:
    """``{"train", "valid", "test": Rolls}`` of a named set or of an own JSON file.

    An own file holds ``{"train": [piece, ...], "valid": ..., "test": ...}``, or a plain list of
    pieces, which is split 80 to 10 to 10 by position. A piece is a list of chords, a chord a list
    of MIDI pitches from 21 to 108; an empty one is a rest.

    Raises:
      DataError: one line: no such file, not JSON, a part that is missing or empty, a pitch that
        is none (with piece, chord and value).
    """
    path = own_or_named(source, "chorales", data_dir)[0]
    pieces = read_pieces(path)
    return {part: Rolls(*pad([piano_roll(piece) for piece in pieces[part]])) for part in PARTS}


def read_pieces(path: str | Path) -> dict[str, list[Piece]]:
    """``{"train", "valid", "test": pieces}`` of a JSON file, every pitch checked; DataError."""
    try:
        parts = json.loads(decode(read_bytes(path), path))
    except DataError:
        raise
    except ValueError as error:  # of the syntax, or of a number with thousands of digits
        raise DataError(f"{path}: not JSON: {error}") from None
    except RecursionError:
        raise DataError(f"{path}: not a list of pieces: nested too deeply") from None
    if isinstance(parts, list):
        return _checked(path, _split(path, parts))
    if not isinstance(parts, dict) or not set(PARTS) <= set(parts):
        raise DataError(f"{path}: must hold {', '.join(PARTS)}, or be a list of pieces")
    return _checked(path, {part: parts[part] for part in PARTS})


def piano_roll(piece: Piece) -> np.ndarray:
    """The piano roll of a piece, uint8 [T, 88].

    Example:
      >>> roll = piano_roll([[21, 108], [], [60]])
      >>> np.argwhere(roll).tolist()
      [[0, 0], [0, 87], [2, 39]]
    """
    roll = np.zeros((len(piece), NUM_KEYS), np.uint8)
    for frame, chord in zip(roll, piece, strict=True):
        frame[np.asarray(chord, int) - LOWEST] = 1
    return roll


def chords_of(roll: np.ndarray) -> list[list[int]]:
    """The chords of a piano roll [T, 88], as lists of MIDI pitches.

    Example:
      >>> chords_of(piano_roll([[60, 64], []]))
      [[60, 64], []]
    """
    return [(np.flatnonzero(frame) + LOWEST).tolist() for frame in roll]


def _split(path: str | Path, pieces: list[Any]) -> dict[str, Any]:
    try:
        parts = split_by_position(np.arange(len(pieces)), (0.8, 0.1, 0.1))
    except DataError:
        raise DataError(
            f"{path}: {len(pieces)} pieces are too few to be split 80 to 10 to 10; at least 10, or "
            f"name the parts {', '.join(PARTS)}"
        ) from None
    return {part: [pieces[at] for at in some] for part, some in zip(PARTS, parts, strict=True)}


def _checked(path: str | Path, parts: dict[str, Any]) -> dict[str, list[Piece]]:
    for part, pieces in parts.items():
        if not isinstance(pieces, list) or not pieces:
            raise DataError(f"{path}: {part} must be a list of pieces, and not empty")
        for number, piece in enumerate(pieces):
            _check_piece(f"{path}: {part}, piece {number}", piece)
    return parts


def _check_piece(where: str, piece: Any) -> None:
    if not isinstance(piece, list) or not piece:
        raise DataError(f"{where}: must be a list of chords, and not empty")
    for at, chord in enumerate(piece):
        if not isinstance(chord, list):
            raise DataError(f"{where}, chord {at}: must be a list of MIDI pitches")
        for pitch in chord:
            valid = type(pitch) is int and LOWEST <= pitch < LOWEST + NUM_KEYS
            if not valid:
                raise DataError(
                    f"{where}, chord {at}: {json.dumps(pitch)[:40]} is no MIDI pitch from {LOWEST} "
                    f"to {LOWEST + NUM_KEYS - 1}"
                )
