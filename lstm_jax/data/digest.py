"""One hash of all that a data set holds: what tells it from another of the same size."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np


def sha256_of_content(*parts: Any) -> str:
    """The SHA-256 of arrays, with shapes and types, and of JSON values; their order counts.

    Args:
      parts: arrays of numbers, or JSON values such as texts and lists of them.

    Raises:
      TypeError: for a part that is neither, an array of objects among them.

    Example:
      >>> one = sha256_of_content(["good", "bad"], np.array([1, 0]))
      >>> one == sha256_of_content(["good", "bad"], np.array([1, 0]))
      True
      >>> one == sha256_of_content(["good", "bad"], np.array([0, 1]))
      False
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            if part.dtype.hasobject:
                raise TypeError(f"an array of {part.dtype} has no numbers; give a list")
            kind, body = [part.dtype.str, *part.shape], np.ascontiguousarray(part).tobytes()
        else:
            kind, body = ["json"], json.dumps(part).encode()
        # What it is and how long it is come first: no two lists of parts give the same bytes.
        digest.update(json.dumps([kind, len(body)]).encode() + body)
    return digest.hexdigest()
