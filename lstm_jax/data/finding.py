"""Where a named set's files are: the user's folder, the cache, a package; or they are fetched."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from lstm_jax.config.fields import Field, Fields, no_such
from lstm_jax.data.download import check, fetch, sha256_of
from lstm_jax.data.errors import DataError
from lstm_jax.data.sets import SETS, DataFile, DataSet

DATA_FLAG: Fields = {
    "data_dir": Field(
        "",
        "folder that is looked through for the files of a named set before the cache is, and "
        "before they are downloaded; unset: the environment variable LSTM_JAX_DATA",
    ),
}
"""The flag of experiments on data, for `parse_command_line(extra_flags=...)`. It is no field of a
config: where a file lies on one machine does not belong to the record of a run."""


def cache_dir() -> Path:
    """Where downloaded sets are kept: ``$XDG_CACHE_HOME/lstm_jax/data``."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "lstm_jax" / "data"


def is_named(source: str) -> bool:
    """Whether `source` is the name of a set; if not, loaders take it for the path of a file.

    Example:
      >>> is_named("warpeace"), is_named("./warpeace.txt")
      (True, False)
    """
    return source in SETS


def find(source: str | DataSet, data_dir: str = "") -> dict[str, Path]:
    """``{name: path}`` of the files of a set, each with the SHA-256 that belongs to it.

    A file is taken from the first of these that has it: `data_dir` (or, if that is "", the folder
    that the environment variable ``LSTM_JAX_DATA`` names) and its sub-folders; the cache; an
    installed package that ships it. What none of them has is downloaded into the cache.

    Args:
      source: a name in ``SETS``, or a set of one's own.
      data_dir: a folder of the user's; a file there that bears the name but is another is refused.

    Raises:
      DataError: one line: an unknown name, a folder that is not there, a wrong hash, a download
        that failed (with the address, the hash and where to put the file by hand).
    """
    if isinstance(source, str):
        if source not in SETS:
            raise DataError(f"{source}: {no_such('data set', source, SETS, show_all=True)}")
        source = SETS[source]
    found = {file.name: look_for(file, source.name, data_dir) for file in source.files}
    missing: dict[str, list[DataFile]] = {}
    for file in source.files:
        if found[file.name] is None:
            missing.setdefault(file.address, []).append(file)
    folder = cache_dir() / source.name
    for files in missing.values():
        fetch(files, folder)
    return {name: path or folder / name for name, path in found.items()}


def look_for(file: DataFile, set_name: str, data_dir: str) -> Path | None:
    """The file in the user's folder, the cache or a package; None where it has to be fetched."""
    own = data_dir or os.environ.get("LSTM_JAX_DATA", "")
    if own:
        flag = "--data_dir" if data_dir else "LSTM_JAX_DATA"
        if not Path(own).is_dir():
            raise DataError(f"{flag}={own}: no such folder")
        for path in [Path(own) / file.name, *sorted(Path(own).rglob(file.name))]:
            if path.is_file():
                check(path, file, str(path))
                return path
    cached = cache_dir() / set_name / file.name
    if cached.is_file():
        if sha256_of(cached) == file.sha256:
            return cached
        print(f"{cached}: damaged; it is fetched again", file=sys.stderr)
    return _in_package(file)


def _in_package(file: DataFile) -> Path | None:
    """The copy in an installed package, which is not imported; None if its bytes are others."""
    package, _, inside = file.packaged.partition("/")
    spec = importlib.util.find_spec(package) if package else None
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / inside
        if path.is_file() and sha256_of(path) == file.sha256:
            return path
    return None
