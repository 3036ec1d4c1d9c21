"""What a run says while it runs: one live line on a terminal, plain lines elsewhere."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import numpy as np

from lstm_jax.runner import Progress
from lstm_jax.tables import format_duration

PLAIN_EVERY = 5.0  # seconds between plain lines


class _Live:
    """The live lines of a terminal, below everything that is printed; runs may be in threads."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.lock = threading.RLock()
        self.texts: dict[LiveLine, str] = {}

    def back(self) -> str:
        """To the start of the live lines, and clears them."""
        up = len(self.texts) - 1
        return "\r" + (f"\x1b[{up}A" if up > 0 else "") + "\x1b[J" if self.texts else ""

    def all(self) -> str:
        # A line that is wrapped could not be gone back over.
        try:
            width = os.get_terminal_size(self.stream.fileno()).columns - 1
        except (OSError, ValueError):
            width = 200
        return "\n".join(text[:width] for text in self.texts.values())


_LIVE: dict[TextIO, _Live] = {}


@contextmanager
def _above(stream: TextIO) -> Iterator[None]:
    """What is printed inside stands above the live lines, which are then shown anew."""
    live = _LIVE.get(stream)
    if live is None:
        yield
        return
    with live.lock:
        stream.write(live.back())
        stream.flush()
        yield
        stream.write(live.all())
        stream.flush()


def print_above(text: str, stream: TextIO | None = None) -> None:
    """Prints text, by default on stdout, above the live lines of stderr.

    Example:
      >>> print_above("one of two rows is through")
      one of two rows is through
    """
    with _above(sys.stderr):
        print(text, file=stream or sys.stdout, flush=True)


class LiveLine:
    """One line that is rewritten on a terminal, and printed every few seconds elsewhere.

    Several of one terminal stand below each other.

    Args:
      stream: where to; by default stderr.

    Example:
      >>> line = LiveLine(stream=sys.stdout)
      >>> line.write("epoch 1", due=True)
      epoch 1
    """

    def __init__(self, stream: TextIO | None = None):
        self.stream = sys.stderr if stream is None else stream
        self.live = self.stream.isatty()
        self._last_shown = float("-inf")

    def is_due(self) -> bool:
        """Whether `write` would show a line now that is due by the clock alone."""
        return self.live or time.monotonic() - self._last_shown >= PLAIN_EVERY

    def write(self, text: str, due: bool = False) -> None:
        """Shows the line: at once on a terminal, else where `due` or after a few seconds."""
        if not due and not self.is_due():
            return
        self._last_shown = time.monotonic()
        if not self.live:
            self.stream.write(text + "\n")
            self.stream.flush()
            return
        live = _LIVE.setdefault(self.stream, _Live(self.stream))
        with _above(self.stream):
            live.texts[self] = text

    def say(self, line: str) -> None:
        """Prints a line of its own above the live ones."""
        with _above(self.stream):
            self.stream.write(line + "\n")
            self.stream.flush()

    def close(self) -> None:
        """Ends the live line: it stays, above those that go on."""
        live = _LIVE.get(self.stream)
        if live is None or self not in live.texts:
            return
        with _above(self.stream):
            self.stream.write(live.texts.pop(self) + "\n")


class ProgressLine(LiveLine):
    """Shows where a run stands: counts, rate, error quantiles, time left.

    Args:
      label: the row's name.
      max_sequences: the cap per trial; what is left is told against it, as an upper bound.
      stream: where to; the live line is used only where it is a terminal.

    Example:
      >>> progress = Progress(700, 2, [], {0: 500, 1: 700}, {0: 0.2, 1: 0.1}, 1200, 0.5, 1400.0)
      >>> ProgressLine("t100", 1000, stream=sys.stdout).show(progress)
      t100  solved 0/2  running 2  failed 0  2,400 sequences/s  error 0.100 .. 0.150 .. 0.200  \
at most 0.4 s left
    """

    def __init__(self, label: str, max_sequences: int, stream: TextIO | None = None):
        super().__init__(stream)
        self.label = label
        self.max_sequences = max_sequences
        self._last_finished = 0

    def show(self, progress: Progress) -> None:
        """Shows `progress`: at once on a terminal, else every few seconds and at each finish."""
        finished = len(progress.finished)
        if self.is_due() or finished != self._last_finished:
            self._last_finished = finished
            self.write(self._text(progress), due=True)

    def _text(self, progress: Progress) -> str:
        solved = sum(record.status == "SOLVED" for record in progress.finished)
        failed = len(progress.finished) - solved
        rate = progress.trained_sequences / max(progress.trained_seconds, 1e-9)
        parts = [
            self.label,
            f"solved {solved}/{progress.num_trials}",
            f"running {len(progress.running)}",
            f"failed {failed}",
            f"{rate:,.0f} sequences/s",
        ]
        errors = [progress.errors[n] for n in progress.running if n in progress.errors]
        if errors:
            low, middle, high = np.quantile(errors, [0.0, 0.5, 1.0])
            parts.append(f"error {low:.3f} .. {middle:.3f} .. {high:.3f}")
            parts.append(f"at most {format_duration(self._seconds_left(progress))} left")
        return "  ".join(parts)

    def _seconds_left(self, progress: Progress) -> float:
        """Until the last trial reaches the cap, with the lanes there are now."""
        left = [self.max_sequences - used for used in progress.running.values()]
        queued = progress.num_trials - len(progress.finished) - len(progress.running)
        turns = -(-queued // len(left)) if queued else 0
        return (max(left) + turns * self.max_sequences) / max(progress.lane_rate, 1e-9)
