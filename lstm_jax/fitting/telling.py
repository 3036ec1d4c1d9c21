"""What a fit says while it runs: a line that is written over, and one at the end of each epoch."""

import math
from collections.abc import Mapping
from typing import Any

from lstm_jax.config import Config
from lstm_jax.fitting.batches import Batches
from lstm_jax.progress import LiveLine
from lstm_jax.tables import format_duration


class Telling:
    """The voice of a fit.

    Args:
      line: where it is shown; None: nowhere.
      label: what it goes by.
      config: its settings.
      train: its batches.
    """

    def __init__(self, line: LiveLine | None, label: str, config: Config, train: Batches):
        self._line, self._label, self._config, self._train = line, label, config, train

    def is_due(self) -> bool:
        """Whether it is time to show progress."""
        return self._line is not None and self._line.is_due()

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._line:
            self._line.say(text)

    def show(self, step: int, rate: float, loss: float) -> None:
        """Progress after `step` updates, at so many a second, with the epoch's loss so far."""
        if self._line is None:
            return
        num_steps, num_epochs = self._train.num_steps, self._config.num_epochs
        epoch = math.ceil(step / num_steps)  # 1 is the first; a step at its end is in it
        done = step / num_steps - (epoch - 1)
        left = (num_epochs * num_steps - step) / rate
        self._line.write(
            f"{self._label}  epoch {epoch}/{num_epochs}  {done:.0%}  "
            f"loss {loss:.4f}  {rate * self._train.num_examples / num_steps:,.0f} "
            f"examples/s  at most {format_duration(left)} left"
        )

    def say_epoch(self, record: Mapping[str, Any], seconds: float) -> None:
        """What an epoch came to."""
        parts = [f"{self._label}  epoch {record['epoch']}/{self._config.num_epochs}"]
        for part in ("train", "valid"):
            if part in record:
                said = "  ".join(f"{name} {value:.4f}" for name, value in record[part].items())
                parts.append(f"{part}: {said}")
        parts.append(f"{seconds:.1f} s" + ("  best so far" if record["best"] else ""))
        self.say("  ".join(parts))
