"""Settings that came after records were made, and what they stood at before they had a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BEFORE: Mapping[str, Any] = {
    "error_tolerance": 0.0,
    "exam_set": "fresh",
}
"""A further setting of trials gets its line here; without it older records are no longer found."""

HASHES = ("sha256_of_sentences", "sha256_of_signals", "sha256_of_pieces", "sha256_of_cell")
"""Of the data, and of the file of a cell of one's own. Records from before do not tell theirs, and
are taken to be of what is at hand."""


def completed(settings: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Settings on file, with those that are set now and had no name when they were written.

    Args:
      settings: as they are on file.
      now: those of this version; what it does not set is not added.

    >>> completed({"T": 100}, {"T": 500, "error_tolerance": 0.25})
    {'error_tolerance': 0.0, 'T': 100}
    >>> completed({"texts": 9}, {"texts": 9, "sha256_of_sentences": "4e1f"})
    {'sha256_of_sentences': '4e1f', 'texts': 9}
    """
    since = dict(BEFORE) | {name: now[name] for name in HASHES if name in now}
    return {name: value for name, value in since.items() if name in now} | dict(settings)
