"""The best epoch so far: its loss, its weights, and how long ago it was."""

import math

import jax
import numpy as np

from lstm_jax.types import Params


class Best:
    """Keeps the weights of the epoch with the least loss.

    Args:
      params: those before the first epoch; in memory of its own, as all that it keeps, since the
        state that weights are of is donated to the next update.

    Example:
      >>> best = Best({"w": np.zeros(1)})
      >>> [best.offer(epoch, loss, {"w": np.ones(1)}) for epoch, loss in ((1, 0.5), (2, 0.7))]
      [True, False]
      >>> best.epoch, best.loss, [best.is_past(2, patience) for patience in (0, 1, 2)]
      (1, 0.5, [False, True, False])
    """

    def __init__(self, params: Params):
        self.epoch, self.loss, self.params = 0, math.inf, _copy(params)

    def offer(self, epoch: int, loss: float, params: Params) -> bool:
        """Takes the epoch if it is the best; whether it was. A NaN is not."""
        if not loss < self.loss:
            return False
        self.epoch, self.loss, self.params = epoch, loss, _copy(params)
        return True

    def is_past(self, epoch: int, patience: int) -> bool:
        """Whether `patience` epochs have brought nothing better; 0: it waits for ever."""
        return 0 < patience <= epoch - self.epoch


def _copy(params: Params) -> Params:
    return jax.tree.map(lambda leaf: np.array(leaf), params)
