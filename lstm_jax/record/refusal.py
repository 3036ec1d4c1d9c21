"""How a run folder says no: one line that names the file, the reason and what to do."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn


class RunFolderError(ValueError):
    """A run folder that cannot be used or written; the message is one line for the user."""


def refuse(where: Path, message: str) -> NoReturn:
    """Raises RunFolderError with the path and the message."""
    raise RunFolderError(f"{where} {message}") from None


def reason(error: Exception) -> str:
    """What went wrong, without the path and on one line.

    >>> reason(FileNotFoundError(2, "No such file or directory", "a.txt"))
    'No such file or directory'
    """
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def from_json(text: str | bytes) -> Any:
    """What the text of a file says; ValueError where it is no JSON, or too deep to be read.

    >>> from_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: nested too deep
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """`old` against `new` in words, the first three fields.

    >>> differences({"T": 100, "seed": 0}, {"T": 500, "seed": 0})
    'T is 100 there and 500 here'
    """

    def word(values: Mapping[str, Any], name: str) -> str:
        return json.dumps(values[name]) if name in values else "absent"

    names = [name for name in sorted({*old, *new}) if word(old, name) != word(new, name)]
    said = [f"{name} is {word(old, name)} there and {word(new, name)} here" for name in names[:3]]
    return ", ".join(said) + (f", and {len(names) - 3} more" if len(names) > 3 else "")


def content(file: Path) -> bytes:
    """What is in the file, nothing where there is none; RunFolderError where it cannot be read.

    >>> content(Path("not there"))
    b''
    """
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        refuse(file, f"cannot be read ({reason(error)})")


@contextlib.contextmanager
def writing(file: Path) -> Iterator[None]:
    """Tells an OSError inside as a RunFolderError: a full disk loses nothing but the last step."""
    try:
        yield
    except OSError as error:
        raise RunFolderError(
            f"{file} could not be written ({reason(error)}); "
            "everything before it is kept, and the same command goes on from there"
        ) from error
