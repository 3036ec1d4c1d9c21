"""TensorBoard event files, written through tensorboardX's record writer.

Without its queue and thread: a flush is then a flush. The caller names the file: tensorboardX does
by the second, so that a second start within one would overwrite the first.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PREFIX = "events.out.tfevents."
"""What TensorBoard knows the files by; it reads those of a folder in the order of their names."""


@functools.cache
def tensorboardx() -> Any:
    """The parts of tensorboardX in use, imported where they are first wanted."""
    parts = {
        "summary": "summary",
        "record_writer": "record_writer",
        "event": "proto.event_pb2",
        "summary_pb2": "proto.summary_pb2",
        "hparams": "proto.plugin_hparams_pb2",
        "api": "proto.api_pb2",
    }
    with _without("torch"):  # imported wherever it is installed, for networks of its own: 1.5 s
        modules = {name: importlib.import_module(f"tensorboardX.{p}") for name, p in parts.items()}
    return types.SimpleNamespace(**modules)


@contextmanager
def _without(name: str) -> Iterator[None]:
    """Makes a module that is not imported yet one that is not installed, for all threads."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        sys.modules.pop(name, None)


def name_of_start() -> str:
    """A file name for this start: after those of earlier starts, and of no other process."""
    second, fraction = divmod(time.time_ns(), 10**9)
    return f"{PREFIX}{second}.{fraction:09d}.{os.getpid()}"


class EventFile:
    """One event file, written record by record in the calling thread."""

    def __init__(self, path: Path):
        tbx = tensorboardx()
        self._event = tbx.event.Event
        self._session_log = tbx.event.SessionLog
        self._records = tbx.record_writer.RecordWriter(str(path))
        self._write(file_version="brain.Event:2")

    def start_at(self, step: int) -> None:
        """Makes TensorBoard drop what earlier files hold from this step on.

        Its fast loader drops a tag's later steps by itself; the other one (`--load_fast=false`)
        does at the second START it meets, so each file of a run folder needs one.
        """
        self._write(step=step, session_log=self._session_log(status=self._session_log.START))

    def add(self, summary: Any, step: int) -> None:
        """Writes a summary."""
        self._write(step=step, summary=summary)

    def flush(self) -> None:
        """Hands what was written to the system."""
        self._records.flush()

    def close(self) -> None:
        """Flushes and closes; nothing can be added afterwards."""
        self._records.flush()
        self._records.close()

    def _write(self, **fields: Any) -> None:
        event = self._event(wall_time=time.time(), **fields)
        self._records.write(event.SerializeToString())
