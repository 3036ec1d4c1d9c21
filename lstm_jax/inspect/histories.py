"""A trial over its training: weights and gates at each moment; and how far its gates saturate."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from lstm_jax.inspect.looks import Look

LEFT, RIGHT = 0.1, 0.9
"""Left- and right-saturated: below and above (Karpathy, Johnson & Li 2015, section 4.3)."""
MOST_STEPS, MOST_SEQUENCES = 20_000, 64  # that shares are taken over


class Inspectable(Protocol):
    """What the pictures of a run need to know of it: a `Run` of trials, or another kind's.

    A kind without trials has one, of number 0. Moments are training sequences, or what else the
    kind counts, rising. `num_sequences` is how many test sequences of a trial there are to look at.
    """

    path: Path
    is_finished: bool

    def num_sequences(self, trial: int) -> int:
        """How many test sequences of a trial there are to look at."""
        ...

    def trials(self) -> list[int]:
        """The numbers of the trials that something is known of, rising."""
        ...

    def default_trial(self) -> int:
        """The one that is looked at unless another is asked for; RunFolderError for none."""
        ...

    def require_trial(self, trial: int) -> int:
        """The trial; RunFolderError, with the valid ones, where there is none of this number."""
        ...

    def moments(self, trial: int) -> list[int]:
        """The moments after which a trial's weights are known, rising; 0 is the start."""
        ...

    def last_moment(self, trial: int) -> int:
        """The last of the `moments`; RunFolderError where a trial's weights are lost."""
        ...

    def look(self, trial: int, sequence: int = 0, moment: int | None = None) -> Look:
        """A test sequence through the weights of a moment, the last one unless given."""
        ...

    def weights(self, trial: int, moment: int | None = None) -> dict[str, np.ndarray]:
        """The weights of a moment by their names, the last ones unless given."""
        ...


class History(NamedTuple):
    """What a trial's numbers were at each moment of its training that is on file.

    Attributes:
      moments: training sequences, rising.
      weights: ``{name: [moments, ...]}``, by the leaves of the network's weights.
      arrays: ``{name: [moments, T, H]}`` of one test sequence, as `record` names them.
    """

    moments: list[int]
    weights: dict[str, np.ndarray]
    arrays: dict[str, np.ndarray]


class Shares(NamedTuple):
    """How saturated the units of a gate are over some sequences.

    Attributes:
      left: share of the steps with an activation below 0.1, ``[H]``.
      right: share of those above 0.9.
    """

    left: np.ndarray
    right: np.ndarray


def history(run: Inspectable, trial: int, sequence: int = 0) -> History:
    """Weights, and gates and states over one test sequence, at every moment kept.

    Raises:
      RunFolderError: in one line, where the run has no such trial.
    """
    run.last_moment(trial)
    moments = run.moments(trial)
    seen = [run.look(trial, sequence, moment).arrays for moment in moments]
    weights = [run.weights(trial, moment) for moment in moments]
    return History(moments, *(_stacked(parts) for parts in (weights, seen)))


def saturation(
    run: Inspectable, trial: int, moment: int | None = None
) -> tuple[dict[str, Shares], dict[str, Any]]:
    """The shares of each recorded array that has units, over many test sequences.

    Which of them are gates is for the picture to say. Returns the shares by name, and
    ``{"sequences": how many, "steps": how many}``.

    Raises:
      RunFolderError: in one line, where the run has no such trial or no such weights.
    """
    counts: dict[str, np.ndarray] = {}
    sequences = steps = 0
    while sequences < min(MOST_SEQUENCES, run.num_sequences(trial)) and steps < MOST_STEPS:
        seen = run.look(trial, sequences, moment)
        for name, value in seen.arrays.items():
            if value.ndim == 2:
                count = np.stack([(value < LEFT).sum(axis=0), (value > RIGHT).sum(axis=0)])
                counts[name] = counts.get(name, np.zeros_like(count)) + count
        sequences += 1
        steps += seen.meta["length"]
    shares = {name: Shares(*(count / steps)) for name, count in counts.items()}
    return shares, {"sequences": sequences, "steps": steps}


def _stacked(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}
