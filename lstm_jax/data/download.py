"""Fetches files: with progress, to a temporary name, checked before they get their own."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from lstm_jax.data.errors import DataError, reason
from lstm_jax.data.sets import DataFile

PIECE = 1 << 16
TIMEOUT_S = 30.0


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file's bytes in hexadecimal; DataError if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while piece := stream.read(PIECE):
                digest.update(piece)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}") from None
    return digest.hexdigest()


def check(path: Path, file: DataFile, source: str) -> None:
    """DataError, with what was found and what is expected, unless `path` is the file."""
    size = path.stat().st_size
    if size != file.size:
        raise DataError(
            f"{source}: {size:,} bytes where {file.name} has {file.size:,}: truncated or another "
            "file"
        )
    found = sha256_of(path)
    if found != file.sha256:
        raise DataError(
            f"{source}: its SHA-256 is {found}, not the {file.sha256} of {file.name}: damaged or "
            "another file"
        )


def fetch(files: Sequence[DataFile], folder: Path) -> None:
    """Downloads files of one address into the folder; all of them, or none and a DataError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made: {reason(error)}") from None
    try:
        _fetch_into(files, folder)
    except BaseException:
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()
        raise


def _fetch_into(files: Sequence[DataFile], folder: Path) -> None:
    address = files[0].address
    with contextlib.ExitStack() as made:
        whole = made.enter_context(_temporary(folder / Path(address).name))
        _download(address, whole, by_hand(files, folder))
        parts = [whole]
        if address.endswith(".zip"):
            parts = [made.enter_context(_temporary(folder / file.name)) for file in files]
            _unpack(whole, files, parts, address)
        for file, part in zip(files, parts, strict=True):
            check(part, file, address)
        for file, part in zip(files, parts, strict=True):
            os.replace(part, folder / file.name)


def by_hand(files: Sequence[DataFile], folder: Path) -> str:
    """How to do without the download, in one line."""
    named = ", ".join(f"{file.name} (SHA-256 {file.sha256})" for file in files)
    return f"put {named} into {folder} or into your --data_dir"


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """A name beside the target that is gone afterwards, whatever happens."""
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _download(address: str, to: Path, remedy: str) -> None:
    request = urllib.request.Request(address, headers={"User-Agent": "lstm_jax"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer, open(to, "wb") as stream:
            length = answer.headers.get("Content-Length")
            expected = int(length) if length and length.isdigit() else None
            got = 0
            for piece in _with_progress(answer, Path(address).name, expected):
                stream.write(piece)
                got += len(piece)
    except urllib.error.HTTPError as error:
        error.close()  # it is the answer, with its connection
        raise DataError(
            f"{address}: no download (HTTP {error.code} {error.reason}); by hand: {remedy}"
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = error.reason if isinstance(error, urllib.error.URLError) else error
        why = why if isinstance(why, BaseException) else OSError(str(why))
        raise DataError(f"{address}: no download ({reason(why)}); by hand: {remedy}") from None
    if expected is not None and got != expected:
        raise DataError(
            f"{address}: the connection ended after {got:,} of {expected:,} bytes; nothing was "
            "kept, the same command tries again"
        )


def _with_progress(answer: http.client.HTTPResponse, label: str, total: int | None):
    """The pieces of the answer, with a bar on a terminal and one line elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(file=sys.stderr)
    if not console.is_terminal:
        size = "" if total is None else f" ({total / 1e6:.1f} MB)"
        print(f"downloading {label}{size}", file=sys.stderr)
    columns = (TextColumn(label), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        while piece := answer.read(PIECE):
            bar.advance(task, len(piece))
            yield piece


def _unpack(archive: Path, files: Sequence[DataFile], parts: Sequence[Path], address: str) -> None:
    """Writes the members that bear the files' names, wherever in the archive they are."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = {
                Path(name).name: name
                for name in reversed(opened.namelist())
                if "__MACOSX" not in name
            }
            for file, part in zip(files, parts, strict=True):
                if file.name not in members:
                    raise DataError(f"{address}: the archive holds no {file.name}")
                part.write_bytes(opened.read(members[file.name]))
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise DataError(f"{address}: no readable zip archive: {reason(error)}") from None
