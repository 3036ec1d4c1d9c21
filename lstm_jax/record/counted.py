"""What a run counts, by its settings: trials, origins of forecasts, fits, epochs of a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lstm_jax.record.shape import EVERY, MEASURE, NUMBER, Shape, require


class Counted(NamedTuple):
    """What a kind of run counts, and how many its settings ask for.

    Attributes:
      word: in the plural.
      unit: of its `RunFolder`: the name of the number in a record, and of the file of records.
      asked: ``settings -> number``; the most there may be where a run may end earlier.
      needs: what every record has beside its number: a `lstm_jax.record.shape.Shape`.
    """

    word: str
    unit: str
    asked: Callable[[Mapping[str, Any]], int]
    needs: Mapping[str, Shape]

    def is_record(self, line: Mapping[str, Any]) -> bool:
        """Whether a line of the file is a record; what it lacks is told by a ValueError."""
        require(line, {self.unit: int, **self.needs})
        return line[self.unit] >= 0 and line.get("num_sequences", 0) >= 0


OF_TRIALS = Counted(
    "trials",
    "trial",
    lambda own: int(own.get("num_trials", 1)),
    {"status": str, "num_sequences": int},
)
_MEASURES = {"loss": MEASURE, "accuracy": MEASURE}
KINDS = {
    "num_origins": Counted(
        "origins",
        "trial",
        lambda own: int(own["num_origins"]),
        {
            "label": str,
            "truth": [NUMBER],
            "forecasts": {"network": [NUMBER], EVERY: [NUMBER]},
            "intervals": {EVERY: [[NUMBER]]},
        },
    ),
    "num_seeds": Counted(
        "fits",
        "fit",
        lambda own: int(own["num_seeds"]) * int(own.get("num_folds", 1)),
        {
            "seed": int,
            "num_weights": int,
            "best_epoch": int,
            "valid?": _MEASURES,
            "test": _MEASURES,
            "answers": [int],
        },
    ),
    "num_epochs": Counted(
        "epochs",
        "epoch",
        lambda own: int(own["num_epochs"]),
        {"train": {EVERY: MEASURE}, "valid?": {EVERY: MEASURE}, "best": bool},
    ),
}
"""By a setting that only runs of this kind have; those before it left out. All others: trials."""


def counted_by(settings: Mapping[str, Any]) -> Counted:
    """What a run of these settings counts.

    >>> kind = counted_by({"num_epochs": 20, "num_folds": 10, "num_seeds": 1})
    >>> kind.word, kind.asked({"num_folds": 10, "num_seeds": 1})
    ('fits', 10)
    """
    return next((kind for name, kind in KINDS.items() if name in settings), OF_TRIALS)
