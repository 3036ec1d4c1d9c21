"""What a run ran on: versions, flags, the git commit of the code."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lstm_jax.record.refusal import from_json

PROVENANCE = "provenance.json"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "lstm_jax")


def surroundings() -> dict[str, Any]:
    """Versions, platform, flags and git state as JSON values; None for what is not to be had.

    >>> sorted(surroundings())
    ['flags', 'git_commit', 'git_dirty', 'num_cpus', 'platform', 'versions']
    """
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "versions": {"python": platform.python_version()} | {p: _version(p) for p in PACKAGES},
        "platform": platform.platform(),
        "num_cpus": os.cpu_count(),
        "flags": {k: os.environ[k] for k in sorted(os.environ) if k.startswith(("XLA_", "JAX_"))},
        "git_commit": commit,
        "git_dirty": None if commit is None or changes is None else bool(changes),
    }


def sessions_on_file(folder: Path) -> list[dict[str, Any]]:
    """The sessions that a folder's provenance.json tells of; none where it is not there or damaged.

    What they say is a courtesy and no record, so nothing is refused for it.

    >>> sessions_on_file(Path("not there"))
    []
    """
    try:
        found = from_json((folder / PROVENANCE).read_bytes())["sessions"]
        return [dict(session) for session in found]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def total(sessions: Sequence[Mapping[str, Any]], name: str) -> float:
    """A figure summed over sessions; what is no number, or is not there, counts as nothing.

    >>> total([{"wall_seconds": 2.5}, {"wall_seconds": None}, {}], "wall_seconds")
    2.5
    """
    found = (session.get(name) for session in sessions)
    return sum((float(x) for x in found if isinstance(x, int | float)), 0.0)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """The output of git in this checkout; None outside one, or without git."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
