"""What is fitted, and what comes of it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lstm_jax.fitting.batches import Batches
from lstm_jax.fitting.model import Model
from lstm_jax.types import Params

Samples = Callable[[Params, int], Mapping[str, str]]


class Problem(NamedTuple):
    """A model and the data that it is fitted to, as an experiment builds them from its config.

    Attributes:
      model: what is fitted.
      train: batches of a pass; an update each.
      valid: decides the best epoch; None: the last one is.
      test: what the best weights are tried on in the end, by name.
      identity: JSON values that tell this data from other (its hash, say); part of the settings
        that a run folder belongs to.
      samples: ``(params, epoch) -> {name: text}``, kept after each epoch; None: nothing is.
    """

    model: Model
    train: Batches
    valid: Batches | None = None
    test: Mapping[str, Batches] = {}
    identity: Mapping[str, Any] = {}
    samples: Samples | None = None


class Fitted(NamedTuple):
    """What a fit came to.

    Attributes:
      params: of the best epoch.
      records: one per epoch.
      result: best epoch, its losses, and the test; None for a fit that was stopped before its end.
    """

    params: Params
    records: list[dict[str, Any]]
    result: dict[str, Any] | None


class DivergedError(ValueError):
    """A loss or gradient that is not a finite number; the message is one line for the user."""
