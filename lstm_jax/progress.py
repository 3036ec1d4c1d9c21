"""What a run says while it runs: one live line on a terminal, plain lines elsewhere."""

import sys
import time
from typing import TextIO

import numpy as np

from lstm_jax.runner import Progress
from lstm_jax.tables import format_duration

PLAIN_EVERY = 5.0  # seconds between plain lines


class LiveLine:
    """One line that is rewritten on a terminal, and printed every few seconds elsewhere.

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
        self._width = 0

    def is_due(self) -> bool:
        """Whether `write` would show a line now that is due by the clock alone."""
        return self.live or time.monotonic() - self._last_shown >= PLAIN_EVERY

    def write(self, text: str, due: bool = False) -> None:
        """Shows the line: at once on a terminal, else where `due` or after a few seconds."""
        if not due and not self.is_due():
            return
        self._last_shown = time.monotonic()
        if self.live:
            self.stream.write("\r" + text + " " * max(0, self._width - len(text)))
            self._width = len(text)
        else:
            self.stream.write(text + "\n")
        self.stream.flush()

    def say(self, line: str) -> None:
        """Prints a line of its own above the live one."""
        if self.live:
            self.stream.write("\r" + " " * self._width + "\r")
            self._width = 0
        self.stream.write(line + "\n")
        self.stream.flush()

    def close(self) -> None:
        """Ends the live line."""
        if self.live and self._width:
            self.stream.write("\n")
            self.stream.flush()
            self._width = 0


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
