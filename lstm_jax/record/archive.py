"""Files that are whole or absent: how a run folder's files are formed, checked and put in place.

A file is written beside its place, synced and renamed over it. Arrays go into an npz without
pickles that carries the sha256 of its own bytes, so damage is noticed before anything is parsed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstm_jax.record.refusal import writing

_DIGEST_SIZE = 64  # hexadecimal digits of a sha256


def pack(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of an npz that `numpy.load` reads; its zip comment is the sha256 of the rest.

    arrays: numeric arrays by name; meta: JSON values, kept as the member meta.json. The same
    content gives the same bytes. Raises TypeError for an array that is not numeric.

    >>> arrays, meta = unpack(pack({"x": np.arange(3)}, {"step": 7}))
    >>> arrays["x"], meta
    (array([0, 1, 2]), {'step': 7})
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in arrays.items():
            array = np.asarray(value)
            if array.dtype.kind not in "biufc":
                raise TypeError(f"array {name!r} has dtype {array.dtype}; only numbers are saved")
            # ZipInfo's fixed date of 1980 keeps the time of writing out of the bytes.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        if meta is not None:
            archive.writestr(zipfile.ZipInfo("meta.json"), json.dumps(plain(meta)))
        archive.comment = bytes(_DIGEST_SIZE)
    content = file.getvalue()[:-_DIGEST_SIZE]
    return content + _digest(content)


def unpack(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The (arrays, meta) that `pack` was given; ValueError unless every byte is as written."""
    if not is_whole(data):
        raise ValueError(f"the checksum of its {len(data)} bytes differs")
    arrays, meta = {}, {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                if name == "meta.json":
                    meta = json.loads(member.read())
                else:
                    array = np.lib.format.read_array(member, allow_pickle=False)
                    arrays[name.removesuffix(".npy")] = array
    return arrays, meta


def is_whole(data: bytes) -> bool:
    """Whether these are the bytes of a `pack`, not one changed or missing."""
    return _digest(data[:-_DIGEST_SIZE]) == data[-_DIGEST_SIZE:]


def plain(value: Any) -> Any:
    """The value as JSON keeps it: tuples become lists, NumPy scalars numbers, NaN and inf null.

    >>> plain({"rate": np.float64(0.5), "bias": (-3.0, float("nan"))})
    {'rate': 0.5, 'bias': [-3.0, None]}
    """
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def pretty(value: Any) -> bytes:
    """The bytes of a JSON file that people read too."""
    return (json.dumps(value, indent=2) + "\n").encode()


def beside(path: Path) -> Path:
    """Where the next content of `path` is written before it takes its place."""
    return path.with_name(f".{path.name}.tmp")


def write_beside(path: Path, data: bytes) -> None:
    """Writes and syncs `beside(path)`; on an OSError nothing is left of it."""
    temporary = beside(path)
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError:
        with contextlib.suppress(OSError):  # on a full disk its room is needed
            temporary.unlink()
        raise


def put_in_place(path: Path) -> None:
    """Renames `beside(path)` over `path`, for good."""
    os.replace(beside(path), path)
    sync_folder(path.parent)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all, and its folder where there is none yet.

    Raises:
      RunFolderError: in one line, on a failed write; what was there is there still.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "new" / "a.txt", b"all of it")
    ...     (Path(folder) / "new" / "a.txt").read_bytes()
    b'all of it'
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_beside(path, data)
        put_in_place(path)


def append(path: Path, line: bytes) -> None:
    """Appends and syncs; on an OSError the file is as it was."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(fd).st_size
        try:
            write_all(fd, line)
            os.fsync(fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, size)
            raise
    finally:
        os.close(fd)
    if size == 0:
        sync_folder(path.parent)


def write_all(fd: int, data: bytes) -> None:
    """Writes all of `data`: one call, more only where the kernel takes less than it is given."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(path: Path) -> None:
    """Makes names last: a rename or a new file changes the folder, not the file."""
    if os.name != "posix":
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
