"""Opening a run folder: whose it is, whether it can be written, and who else holds it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lstm_jax.record.archive import beside, pretty, write_all, write_whole
from lstm_jax.record.refusal import differences, from_json, reason, refuse, writing
from lstm_jax.record.since import HASHES, completed

try:
    import fcntl
except ImportError:  # not a POSIX system: no lock, said once when a folder is opened
    fcntl = None

FORMAT = "lstm_jax run 1"
CONFIG, LOCK = "config.json", ".lock"
SHARES = "shares"
"""The folder in a run's that holds the shares which other machines ran (`lstm_jax.shares`)."""


def make_folder(path: Path, names: Iterable[str]) -> None:
    """Creates the folder; refuses one that is not empty and no run, and leaves no trace in it.

    names: the files of a run that are written beside their place.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        found = sorted(os.listdir(path))
    except (FileExistsError, NotADirectoryError):
        in_the_way = next(p for p in (path, *path.parents) if p.exists() and not p.is_dir())
        refuse(in_the_way, "is a file where a folder is needed; give another --workdir")
    except OSError as error:
        refuse(path, f"cannot be created or read ({reason(error)}); give another --workdir")
    if not os.access(path, os.W_OK | os.X_OK):
        refuse(path, "cannot be written; give another --workdir")
    # A kill before config.json was in place leaves a lock and an unfinished file.
    ours = {LOCK, SHARES, *(beside(path / name).name for name in names)}
    foreign = [name for name in found if name not in ours]
    if foreign and CONFIG not in found:
        refuse(
            path,
            f"is not empty and holds no run (no {CONFIG}, but {', '.join(foreign[:3])}); "
            "give a new or empty --workdir",
        )


def lock_folder(path: Path, say: Callable[[str], None]) -> int:
    """Takes the folder's lock and returns its descriptor; closing that hands it back.

    The kernel closes it when the process dies, so a kill leaves no stale lock.
    """
    try:
        fd = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        refuse(path, f"cannot be written ({reason(error)}); give another --workdir")
    try:
        _lock(fd, path, say)
        with contextlib.suppress(OSError):  # the number is a courtesy, also on a full disk
            os.ftruncate(fd, 0)
            write_all(fd, f"process {os.getpid()}\n".encode())
    except BaseException:
        os.close(fd)
        raise
    return fd


def _lock(fd: int, path: Path, say: Callable[[str], None]) -> None:
    if fcntl is None:
        say(f"{path}: no file locks on this system; start no second run in this folder")
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(fd, 40).decode(errors="replace").strip() or "number unknown"
        refuse(path, f"is in use by a live process ({holder}); wait for it or stop it first")
    except OSError as error:
        say(f"{path}: no file locks here ({reason(error)}); start no second run in this folder")


@contextlib.contextmanager
def held_folder(
    path: Path,
    settings: Mapping[str, Any] | None = None,
    *,
    say: Callable[[str], None],
    what: str = "run",
    free: Sequence[str] = (),
) -> Iterator[None]:
    """Holds a folder of records that is no `RunFolder`: of these settings, in no other process.

    Its config.json is the settings alone. It is created where there is none.

    Args:
      path: the folder.
      settings: plain JSON values; None where the records themselves say whose they are.
      say: told, in one line, where the system has no locks.
      what: the records belong to, for the refusal.
      free: settings that may differ from those on file, and then take their place.

    Raises:
      RunFolderError: in one line, for a folder that is not one, cannot be written, holds
        something else or other settings, is damaged, or is held by a live process.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp())
    >>> with held_folder(path, {"T": 100}, what="sweep", say=print):
    ...     (path / "config.json").exists()
    True
    >>> with held_folder(path, {"T": 500}, what="sweep", say=print):  # doctest: +ELLIPSIS
    ...     pass
    Traceback (most recent call last):
    lstm_jax.record.refusal.RunFolderError: ...another sweep: T is 100 there and 500 here; ...
    """
    if settings is None:
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
    else:
        make_folder(path, [CONFIG])
    lock = lock_folder(path, say)
    try:
        if settings is not None:
            _settle_settings(path, settings, what, free)
        yield
    finally:
        os.close(lock)


def require_settings(
    path: Path, settings: Mapping[str, Any], what: str, free: Sequence[str] = ()
) -> dict[str, Any] | None:
    """The settings on file; None where there are none. Refuses a folder that is of others.

    Args: as of `held_folder`.
    """
    file = path / CONFIG
    try:
        there = from_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        refuse(file, f"is damaged ({reason(error)}); restore it or give another --workdir")
    if not isinstance(there, dict) or "format" in there:
        refuse(file, f"is not of a {what}; give another --workdir")
    both = (completed(there, settings), settings)
    old, new = ({k: v for k, v in c.items() if k not in free} for c in both)
    if old != new:
        refuse(path, f"holds another {what}: {differences(old, new)}; give another --workdir")
    return there


def _settle_settings(
    path: Path, settings: Mapping[str, Any], what: str, free: Sequence[str]
) -> None:
    if require_settings(path, settings, what, free) != settings:
        write_whole(path / CONFIG, pretty(settings))


def settle_config(path: Path, config: dict[str, Any], row: str, free: Sequence[str]) -> None:
    """Writes config.json, or checks that the one there is of the same run.

    config: plain JSON values. free: fields that may differ.
    """
    file = path / CONFIG
    try:
        there = from_json(file.read_bytes())
    except FileNotFoundError:
        write_whole(file, pretty({"format": FORMAT, "row": row, "config": config}))
        return
    except (OSError, ValueError) as error:
        refuse(file, f"is damaged ({reason(error)}); restore it or give another --workdir")
    if not isinstance(there, dict) or there.get("format") != FORMAT:
        refuse(
            file,
            f'is not of a run of this version (no "format": "{FORMAT}"); give another --workdir',
        )
    if not isinstance(there.get("config"), dict):
        refuse(file, 'is damaged ("config" is missing); restore it or give another --workdir')

    def fixed(row: Any, config: Mapping[str, Any]) -> dict[str, Any]:
        return {"row": row} | {name: value for name, value in config.items() if name not in free}

    old = fixed(there.get("row"), completed(there["config"], config))
    new = fixed(row, config)
    if old != new:
        refuse(path, f"holds a different run: {differences(old, new)}; give another --workdir")
    hashes = {name: config[name] for name in HASHES if name in config}
    if not hashes.keys() <= there["config"].keys():
        # Of an earlier version: what it goes on with is known from now on.
        write_whole(file, pretty(there | {"config": there["config"] | hashes}))
