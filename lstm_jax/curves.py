"""Learning curves of many trials, the same whatever the chunks they arrive in."""

import numpy as np

_UNITS = 2**30  # fixed-point units per 1.0 of error: sums are exact in any grouping


class Curves:
    """Mean training error of each trial over successive windows of its own sequences.

    Args:
      every: sequences per window, at least 1.

    Example:
      >>> curves = Curves(every=2)
      >>> curves.add(0, np.array([0.1, 0.3, 0.5], np.float32))
      >>> curves.add(0, np.array([0.7], np.float32))
      >>> curves[0].round(3).tolist()
      [0.2, 0.6]
    """

    def __init__(self, every: int):
        if every < 1:
            raise ValueError(f"every: {every!r} is not valid; it must be a whole number >= 1")
        self.every = every
        self._windows: dict[int, np.ndarray] = {}
        self._open: dict[int, tuple[int, int]] = {}  # sum in units, count

    def add(self, trial: int, errors: np.ndarray) -> None:
        """Appends the errors of a trial's next sequences; a non-finite one counts as 2^10."""
        finite = np.where(np.isfinite(errors), errors, 2.0**10)
        units = np.round(np.minimum(finite, 2.0**10).astype(np.float64) * _UNITS).astype(np.int64)
        total, count = self._open.get(trial, (0, 0))
        ends = np.arange(self.every - count, len(units) + 1, self.every)
        sums = np.concatenate([[0], np.cumsum(units)])
        edges = np.concatenate([[0], ends])
        means = np.diff(sums[edges]).astype(np.float64)
        if len(ends):
            means[0] += total
            total, count = 0, 0
        windows = (means / (self.every * _UNITS)).astype(np.float32)
        self._windows[trial] = np.concatenate([self[trial], windows])
        last = int(edges[-1])
        self._open[trial] = (total + int(sums[-1] - sums[last]), count + len(units) - last)

    def __getitem__(self, trial: int) -> np.ndarray:
        return self._windows.get(trial, np.zeros(0, np.float32))

    def drop(self, trial: int) -> None:
        """Forgets a trial's curve, for one that starts again from its first sequence."""
        self._windows.pop(trial, None)
        self._open.pop(trial, None)

    def trials(self) -> list[int]:
        """The trials that have a curve, in order."""
        return sorted(self._windows)

    def as_dict(self) -> dict[int, np.ndarray]:
        """All curves: ``{trial: [windows] float32}``."""
        return {trial: self[trial] for trial in self.trials()}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything a checkpoint needs to go on exactly here."""
        trials = self.trials()
        open_windows = np.array([self._open[n] for n in trials], np.int64).reshape(-1, 2)
        arrays = {"trials": np.array(trials, np.int64), "open": open_windows}
        return arrays | {f"trial_{n}": self[n] for n in trials}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what `to_arrays` gave."""
        for n, (total, count) in zip(arrays["trials"], arrays["open"], strict=True):
            self._windows[int(n)] = arrays[f"trial_{int(n)}"]
            self._open[int(n)] = (int(total), int(count))
