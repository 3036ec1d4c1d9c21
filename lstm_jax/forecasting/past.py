"""What a network is shown of the past, and in which units; made of the past alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Arrays = Any
"""NumPy's when they are made, JAX's within a program."""
DIFFERENCES = ("none", "last", "season")
ROUNDING = 1e-12
"""Share of the largest value: a deviation below it is what adding up equal numbers leaves."""


class Past(NamedTuple):
    """The past of one origin as a network sees it; T is the same for all origins, t < origin.

    Attributes:
      inputs: ``[T, D]``, zero from the origin on.
      targets: ``[T, h]``: entry k of step t stands for value t + 1 + k, zero where that is not
        past.
      train, valid: truth values ``[T, h]``: what is learnt from, and what decides when to stop.
      base: ``[h]``, what is added to the forecast from the last step.
      scale, shift: ``forecast = base + shift + scale * output``.
      last: index of the last known step.
    """

    inputs: Arrays
    targets: Arrays
    train: Arrays
    valid: Arrays
    base: Arrays
    scale: Arrays
    shift: Arrays
    last: Arrays


def make_past(
    past: np.ndarray,
    num_steps: int,
    *,
    horizon: int,
    season: int,
    difference: str,
    valid_share: float,
) -> Past:
    """The past of an origin, normalised by its training part alone.

    What is forecast is the difference from a naive forecast: from zero ("none"), from the last
    value, or from the last known value at the same place of the season. The first values of the
    past teach, the last `valid_share` of them tell when to stop: no target of the training part
    lies in the validation part.

    Args:
      past: ``values[:origin]``; nothing else of the series is seen here.
      num_steps: T, at least the origin.
      horizon: h.
      season: steps of a season; 1: none.
      difference: one of `DIFFERENCES`.
      valid_share: between 0 and 1.

    Raises:
      ValueError: in one line, where the past does not vary but for rounding, or where a step ahead
        has no target in the training part.

    Example:
      >>> found = make_past(np.arange(20.0) ** 2, 25, horizon=2, season=1, difference="last",
      ...                   valid_share=0.2)
      >>> found.inputs.shape, found.base.tolist(), int(found.train.sum()), int(found.valid.sum())
      ((25, 1), [361.0, 361.0], 27, 8)
    """
    origin, split = len(past), len(past) - max(1, round(valid_share * len(past)))
    lag = {"none": 0, "last": 1, "season": season}[difference]
    times = np.arange(origin)
    ahead = times[:, None] + 1 + np.arange(horizon)  # [origin, h]: indices of the targets
    known = ahead < origin
    naive, usable = naive_forecast(past, ahead, season, difference)
    target = np.where(known, past[np.minimum(ahead, origin - 1)] - naive, 0.0)
    usable &= (times >= lag)[:, None]
    seen = past - (np.concatenate([np.full(lag, np.nan), past[: origin - lag]]) if lag else 0.0)
    train = known & usable & (ahead < split)
    valid = known & usable & (ahead >= split)
    if not train.any(axis=0).all():  # the weights of that output would stay random
        raise ValueError(
            f"config.valid_share={valid_share:g}: {split:,} of the {origin:,} values before the "
            f"first origin teach, too few for a target {horizon} steps ahead with "
            f"config.difference={difference}; must be {lag + horizon + 1:,} or more"
        )
    of_train = target[train]
    shift, scale = (of_train.mean(), of_train.std()) if of_train.size else (0.0, 0.0)
    first = seen[lag:split]
    middle, spread = first.mean(), first.std()
    if not min(scale, spread) > ROUNDING * np.abs(past).max():
        raise ValueError("the series does not vary before the first origin; nothing can be learnt")
    columns = [np.where(times >= lag, (seen - middle) / spread, 0.0)]
    if season > 1:  # the place in the season is known of any time
        angle = 2 * np.pi * times / season
        columns += [np.sin(angle), np.cos(angle)]
    inputs = np.stack(columns, axis=1)
    last = np.full((1, horizon), origin) + np.arange(horizon)
    base, _ = naive_forecast(past, last, season, difference, at=np.array([origin - 1]))

    def wide(array: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [array, np.zeros((num_steps - origin, *array.shape[1:]), array.dtype)]
        )

    return Past(
        inputs=wide(inputs).astype(np.float32),
        targets=wide((target - shift) / scale).astype(np.float32),
        train=wide(train),
        valid=wide(valid),
        base=base[0],
        scale=np.asarray(scale, np.float64),
        shift=np.asarray(shift, np.float64),
        last=np.asarray(origin - 1, np.int32),
    )


def naive_forecast(
    past: np.ndarray,
    ahead: np.ndarray,
    season: int,
    difference: str,
    at: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The naive forecast at each step of what lies ahead of it, and whether there is one."""
    now = (np.arange(len(past)) if at is None else at)[:, None]
    if difference == "none":
        return np.zeros(ahead.shape), np.ones(ahead.shape, bool)
    if difference == "last":
        return np.broadcast_to(past[now], ahead.shape), np.ones(ahead.shape, bool)
    source = ahead - season * -(-(ahead - now) // season)  # the last one that is known at `now`
    return past[np.maximum(source, 0)], source >= 0
