"""Files of one JSON object a line, which a kill at any instant leaves readable."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lstm_jax.record.refusal import from_json, reason, refuse, writing


def load_lines(file: Path, is_whole: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The objects on file, none where there is no file; a half-written last line does not count.

    Args:
      file: the path.
      is_whole: whether an object has all it needs; what it raises for one counts as no, and the
        text of a ValueError is told.

    Raises:
      RunFolderError: in one line, where the file cannot be read or another line is damaged.

    Example:
      >>> load_lines(Path("not there"), bool)
      []
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        refuse(file, f"cannot be read ({reason(error)})")
    lines = []
    for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), start=1):
        try:
            found = from_json(line)
            if not is_whole(found):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            why = f" ({reason(error)})" if isinstance(error, ValueError) and str(error) else ""
            refuse(file, f"is damaged in line {number}{why}")
        lines.append(found)
    return lines


def append_line(file: Path, line: Mapping[str, Any]) -> None:
    """Adds an object, in place of a half-written last line if there is one; it is on disk then.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     append_line(Path(folder) / "a.jsonl", {"x": 1})
      ...     load_lines(Path(folder) / "a.jsonl", bool)
      [{'x': 1}]
    """
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "a+b") as stream:
            stream.seek(0)
            stream.truncate(stream.read().rfind(b"\n") + 1)
            stream.write(json.dumps(line).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
