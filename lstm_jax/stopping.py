"""Stop rules as values: when a trial counts as solved, decided after every sequence."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.stored import stored
from lstm_jax.types import Array

MEASURES = ("absolute", "squared")
_UNITS = 2**20  # fixed-point units per 1.0 of error


class Outcome(NamedTuple):
    """What one training sequence gave: its mean errors over the outputs, and whether right."""

    error: Array  # [] mean absolute error
    squared_error: Array  # []
    correct: Array  # [] bool


class StopRule(NamedTuple):
    """When to stop.

    Attributes:
      init: ``() -> state``.
      update: ``(state, outcome, clock=None) -> (state, done)``; all arrays may have lanes on a
        last axis, if there is a clock. `clock` is any counter that
        grows by one with each call; networks in lanes share one, which keeps the write into a
        window a plain slice. Without it the rule counts for itself.

    Example:
      A rule of one's own: once a sequence is right to a hundredth.

      >>> def update(state, outcome, clock=None):
      ...     return state, outcome.error < 0.01
      >>> rule = all_of(StopRule(lambda: (), update), consecutive_correct(1))
      >>> right = Outcome(jnp.float32(0.02), jnp.float32(4e-4), jnp.bool_(True))
      >>> state, done = rule.update(rule.init(), right)
      >>> bool(done), bool(rule.update(state, right._replace(error=jnp.float32(0.005)))[1])
      (False, True)
    """

    init: Callable[[], Any]
    update: Callable[..., tuple[Any, Array]]


def consecutive_correct(num: int) -> StopRule:
    """Done once the `num` most recent sequences were all right.

    Example:
      >>> rule = consecutive_correct(2)
      >>> right = Outcome(jnp.float32(0), jnp.float32(0), jnp.bool_(True))
      >>> state, done = rule.update(rule.init(), right)
      >>> bool(done), bool(rule.update(state, right)[1])
      (False, True)
    """
    if num < 1:
        raise ValueError(f"num: {num!r} is not valid; it must be a whole number >= 1")

    def update(run: Array, outcome: Outcome, clock: Array | None = None) -> tuple[Array, Array]:
        del clock
        run = jnp.where(outcome.correct, run + 1, 0)
        return run, run >= num

    return StopRule(lambda: jnp.int32(0), update)


def few_wrong(limit: int, window: int = 2000) -> StopRule:
    """Done once fewer than `limit` of the `window` most recent sequences were wrong.

    Fewer than `window` sequences in all never stop a trial.

    Raises:
      ValueError: for a limit or window below 1.

    Example:
      >>> rule = few_wrong(2, window=2)
      >>> wrong = Outcome(jnp.float32(1), jnp.float32(1), jnp.bool_(False))
      >>> state, done = rule.update(rule.init(), wrong)
      >>> bool(done), bool(rule.update(state, wrong._replace(correct=jnp.bool_(True)))[1])
      (False, True)
    """
    for name, value in (("limit", limit), ("window", window)):
        if value < 1:
            raise ValueError(f"{name}: {value!r} is not valid; it must be a whole number >= 1")

    def init() -> tuple[Array, Array, Array]:
        return jnp.zeros(window, bool), jnp.int32(0), jnp.int32(0)

    def update(
        state: tuple[Array, Array, Array], outcome: Outcome, clock: Array | None = None
    ) -> tuple[tuple[Array, Array, Array], Array]:
        ring, num_wrong, num_seen = state
        slot = (num_seen if clock is None else clock) % window
        ring, wrong, oldest = _exchange(ring, slot, ~outcome.correct)
        num_wrong = num_wrong + wrong.astype(jnp.int32) - oldest.astype(jnp.int32)
        num_seen = num_seen + 1
        return (ring, num_wrong, num_seen), (num_seen >= window) & (num_wrong < limit)

    return StopRule(init, update)


class _Window(NamedTuple):
    ring: Array  # [window] int32, errors in units
    high: Array  # [] int32, the exact sum of units // 1024 ...
    low: Array  # [] int32, ... and of units % 1024
    num_seen: Array  # [] int32


def mean_error_below(limit: float, window: int = 2000, measure: str = "absolute") -> StopRule:
    """Done once the mean error of the `window` most recent sequences is below `limit`.

    The running sum is kept in whole units of 2^-20, so that it is exact whatever the number of
    sequences (a float sum of differences drifts) and the same for any order of lanes. An error
    of ``limit * window`` or more, and a NaN, holds the mean at or above the limit by itself
    until it has left the window.

    Args:
      limit: the bound, in units of the error.
      window: how many sequences, at least 1; fewer than that never stop a trial.
      measure: "absolute" or "squared" error.

    Raises:
      ValueError: for a limit that is not positive, a window below 1, a limit and window so
        large that ``limit * window ** 2`` passes 2^21, or an unknown measure.

    Example:
      >>> rule = mean_error_below(0.1, window=2)
      >>> off = Outcome(jnp.float32(0.15), jnp.float32(0.02), jnp.bool_(False))
      >>> right = Outcome(jnp.float32(0.01), jnp.float32(0.0), jnp.bool_(True))
      >>> state, done_1 = rule.update(rule.init(), off)
      >>> state, done_2 = rule.update(state, right)
      >>> bool(done_1), bool(done_2)
      (False, True)
    """
    if not limit > 0:
        raise ValueError(f"limit: {limit!r} is not valid; it must be positive")
    if window < 1:
        raise ValueError(f"window: {window!r} is not valid; it must be a whole number >= 1")
    if limit * window**2 >= 2**21:  # the sum of high parts would leave an int32
        raise ValueError(
            f"limit: {limit!r} with a window of {window}: limit * window ** 2 must be below 2^21"
        )
    if measure not in MEASURES:
        raise ValueError(f"measure: {measure!r} is not one of {', '.join(MEASURES)}")
    most = math.ceil(limit * window * _UNITS)

    def init() -> _Window:
        return _Window(jnp.zeros(window, jnp.int32), jnp.int32(0), jnp.int32(0), jnp.int32(0))

    def update(
        state: _Window, outcome: Outcome, clock: Array | None = None
    ) -> tuple[_Window, Array]:
        error = outcome.error if measure == "absolute" else outcome.squared_error
        # A NaN compares false, and so counts as too large.
        counted = jnp.where(error < limit * window, error, 0.0)
        units = jnp.round(counted * _UNITS).astype(jnp.int32)
        units = jnp.where(error < limit * window, units, most)
        slot = (state.num_seen if clock is None else clock) % window
        ring, units, oldest = _exchange(state.ring, slot, units)
        high = state.high + units // 1024 - oldest // 1024
        low = state.low + units % 1024 - oldest % 1024
        num_seen = state.num_seen + 1
        carried = high + low // 1024
        below = (carried < most // 1024) | ((carried == most // 1024) & (low % 1024 < most % 1024))
        return _Window(ring, high, low, num_seen), (num_seen >= window) & below

    return StopRule(init, update)


def all_of(*rules: StopRule) -> StopRule:
    """Done in the update where every one of `rules` is done.

    Example:
      >>> rule = all_of(consecutive_correct(1), mean_error_below(0.01, window=1))
      >>> right = Outcome(jnp.float32(0.001), jnp.float32(0), jnp.bool_(True))
      >>> bool(rule.update(rule.init(), right)[1])
      True
    """

    def init() -> tuple[Any, ...]:
        return tuple(rule.init() for rule in rules)

    def update(
        states: tuple[Any, ...], outcome: Outcome, clock: Array | None = None
    ) -> tuple[tuple[Any, ...], Array]:
        steps = [
            rule.update(state, outcome, clock) for rule, state in zip(rules, states, strict=True)
        ]
        done = jnp.stack([done for _, done in steps]).all(axis=0)
        return tuple(state for state, _ in steps), done

    return StopRule(init, update)


def _exchange(ring: Array, slot: Array, new: Array) -> tuple[Array, Array, Array]:
    """The ring with `new` in the slot; what is new there, and what was there before."""
    oldest = jax.lax.dynamic_index_in_dim(ring, slot, keepdims=False)
    # Through memory, so that the write waits for the read. Otherwise XLA may read later, and
    # copies the whole ring in each update to be able to.
    new, oldest = stored(jnp.stack([new, oldest]))
    return jax.lax.dynamic_update_index_in_dim(ring, new, slot, 0), new, oldest
