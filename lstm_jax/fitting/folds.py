"""Folds of a cross-validation that keep the shares of the classes."""

from collections.abc import Hashable, Sequence

import numpy as np


def stratified_folds(
    strata: Sequence[Hashable], num_folds: int, seed: int, setting: str = ""
) -> np.ndarray:
    """The fold of each example, int32 [N], 0 to ``num_folds - 1``.

    The examples of each stratum are shuffled and dealt in turn, each stratum going on where the
    one before ended: folds differ by one example at most, as do the parts of a stratum in them.

    Args:
      strata: what is to have the same share in all folds: the class, or class and source.
      num_folds: at least 2.
      seed: of the shuffles.
      setting: that asks for so many folds, named where they cannot be.

    Raises:
      ValueError: where a stratum has fewer examples than there are folds.

    Example:
      >>> folds = stratified_folds([0] * 6 + [1] * 4, 2, seed=0)
      >>> np.bincount(folds[:6]).tolist(), np.bincount(folds[6:]).tolist()
      ([3, 3], [2, 2])
    """
    names = {name: number for number, name in enumerate(dict.fromkeys(strata))}
    number_of = np.array([names[stratum] for stratum in strata])
    rng = np.random.Generator(np.random.Philox(seed))
    folds = np.empty(len(number_of), np.int32)
    begin = 0
    for name, number in names.items():
        members = rng.permutation(np.flatnonzero(number_of == number))
        if len(members) < num_folds:
            raise ValueError(
                f"{setting and f'{setting}: '}{len(members)} examples of {name} cannot be in "
                f"{num_folds} folds; at least {num_folds} are needed"
            )
        folds[members] = (begin + np.arange(len(members))) % num_folds
        begin += len(members)
    return folds
