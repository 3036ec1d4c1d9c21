"""TensorBoard of an experiment on a data set: means per epoch, and texts."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstm_jax.inspect.event_file import EventFile, tensorboardx


class FitBoard:
    """Writer of one start's event file in a run folder's `tb/`; steps are updates.

    Args:
      path: the folder, made if absent.
      start_step: updates done before this start; TensorBoard drops what was written from there on.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder, FitBoard(folder) as board:
      ...     board.log(100, {"valid/loss": 1.5}, {"sample": "the"})
      ...     len(list(Path(folder).glob("events*")))
      1
    """

    def __init__(self, path: str | os.PathLike[str], start_step: int = 0):
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        second, fraction = divmod(time.time_ns(), 10**9)  # read in the order of their names
        name = f"events.out.tfevents.{second}.{fraction:09d}.{os.getpid()}"
        self._file = EventFile(folder / name)
        self._file.start_at(start_step)

    def log(
        self, step: int, scalars: Mapping[str, float], texts: Mapping[str, str] | None = None
    ) -> None:
        """Scalars and texts (shown as they are, line ends and all) at `step` updates."""
        summary: Any = tensorboardx().summary
        for tag, value in scalars.items():
            self._file.add(summary.scalar(tag, value), step)
        for tag, text in (texts or {}).items():
            indented = "\n".join("    " + line for line in text.splitlines())  # Markdown's code
            self._file.add(summary.text(tag, indented), step)
        self._file.flush()

    def __enter__(self) -> "FitBoard":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
