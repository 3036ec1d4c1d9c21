"""Folds and held-out parts that keep the shares of the classes."""

from collections import Counter
from collections.abc import Hashable, Sequence
from fractions import Fraction

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
    _require(strata, num_folds, f"cannot be in {num_folds} folds", setting)
    return _places(strata, seed) % num_folds


def stratified_share(
    strata: Sequence[Hashable], share: float, seed: int, setting: str = ""
) -> np.ndarray:
    """Which examples are held out, bool [N]: `share` of them, of each stratum alike.

    Dealt as `stratified_folds` deals, p of every q in turn for a share of p/q; for 1/q the
    examples are those of its fold 0.

    Args:
      strata: what is to have the same share in both parts.
      share: above 0, at most 1/2.
      seed: of the shuffles.
      setting: that asks for the share, named where it cannot be.

    Raises:
      ValueError: where a stratum is too small to have an example held out.

    Example:
      >>> held = stratified_share([0] * 60 + [1] * 40, 0.45, seed=0)
      >>> int(held[:60].sum()), int(held[60:].sum())
      (27, 18)
    """
    exact = Fraction(share).limit_denominator(10**6) or Fraction(1, 10**6)
    least = -(-exact.denominator // exact.numerator)
    _require(strata, least, f"are too few to hold out {share:g} of them", setting)
    return _places(strata, seed).astype(int) * exact.numerator % exact.denominator < exact.numerator


def held_out_by(share: float) -> dict[str, str]:
    """What tells a run that holds out a share from one of before, which held out the nearest 1/n.

    Example:
      >>> held_out_by(0.1), held_out_by(0.3)
      ({}, {'held_out': 'the share itself'})
    """
    nearest = 1 / max(2, round(1 / share)) if share else share
    return {} if abs(share - nearest) < 1e-9 else {"held_out": "the share itself"}


def _places(strata: Sequence[Hashable], seed: int) -> np.ndarray:
    """The place of each example in the order of dealing, int32 [N]."""
    names = {name: number for number, name in enumerate(dict.fromkeys(strata))}
    number_of = np.array([names[stratum] for stratum in strata])
    rng = np.random.Generator(np.random.Philox(seed))
    order = [rng.permutation(np.flatnonzero(number_of == number)) for number in names.values()]
    places = np.empty(len(number_of), np.int32)
    places[np.concatenate(order)] = np.arange(len(number_of))
    return places


def _require(strata: Sequence[Hashable], least: int, what: str, setting: str) -> None:
    for name, count in Counter(strata).items():
        if count < least:
            raise ValueError(
                f"{setting and f'{setting}: '}{count} examples of {name} {what}; at least {least} "
                "are needed"
            )
