"""Walk-forward evaluation: from which points of a series forecasts are made, knowing what."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Walk(NamedTuple):
    """Where forecasts begin.

    Attributes:
      origins: how many values are known at each, increasing; ``values[:origin]`` is the past, and
        ``values[origin : origin + horizon]`` is what is forecast.
      horizon: steps ahead, h >= 1.
      step: from one origin to the next.
    """

    origins: tuple[int, ...]
    horizon: int
    step: int

    @property
    def overlap(self) -> int:
        """Following origins whose forecasts share a value with an origin's own."""
        return -(-self.horizon // self.step) - 1


def walk(num_values: int, horizon: int, num_origins: int, step: int, least: int) -> Walk:
    """The last `num_origins` origins whose forecasts end within the series, `step` apart.

    Args:
      num_values: of the series.
      horizon: steps ahead.
      num_origins: how many forecasts of `horizon` steps are made.
      step: between origins; from `horizon` on no value is forecast twice.
      least: values that must be known at the first origin.

    Raises:
      ValueError: in one line, where the series is too short.

    Example:
      >>> walk(30, horizon=3, num_origins=4, step=3, least=10)
      Walk(origins=(18, 21, 24, 27), horizon=3, step=3)
    """
    first = num_values - horizon - (num_origins - 1) * step
    if first < least:
        needed = least + horizon + (num_origins - 1) * step
        raise ValueError(
            f"the series has {num_values:,} values, too few for config.num_origins={num_origins} "
            f"origins {step} apart with a horizon of {horizon}: at least {needed:,} are needed, "
            f"{least:,} of them before the first origin"
        )
    return Walk(tuple(range(first, num_values - horizon + 1, step)), horizon, step)


def truth(values: np.ndarray, steps: Walk) -> np.ndarray:
    """What came, ``[origins, h]``.

    Example:
      >>> truth(np.arange(6.0), Walk((3, 4), 2, 1)).tolist()
      [[3.0, 4.0], [4.0, 5.0]]
    """
    return np.stack([values[at : at + steps.horizon] for at in steps.origins])
