"""Sequences of different lengths in one array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pad(
    sequences: Sequence[np.ndarray], length: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """``(padded [N, T, ...], lengths int32 [N])``: zeros after the end of each sequence.

    Args:
      sequences: arrays ``[t_n, ...]`` of one type that differ in their length only.
      length: T; None: that of the longest.

    Raises:
      ValueError: for no sequence, or one that is longer than `length`.

    Example:
      >>> padded, lengths = pad([np.array([1, 2]), np.array([3])])
      >>> padded.tolist(), lengths.tolist()
      ([[1, 2], [3, 0]], [2, 1])
    """
    if not sequences:
        raise ValueError("sequences: there is none")
    lengths = np.array([len(sequence) for sequence in sequences], np.int32)
    bound = int(lengths.max()) if length is None else length
    if lengths.max() > bound:
        raise ValueError(f"length: {bound} is below {lengths.max()}, that of the longest sequence")
    first = np.asarray(sequences[0])
    padded = np.zeros((len(sequences), bound, *first.shape[1:]), first.dtype)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded, lengths
