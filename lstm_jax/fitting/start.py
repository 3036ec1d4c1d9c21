"""Where a fit starts: fresh weights, or those of another run."""

from collections.abc import Callable
from pathlib import Path

import jax
import optax

from lstm_jax.config import Config
from lstm_jax.fitting.batches import Batches
from lstm_jax.fitting.model import Model
from lstm_jax.fitting.steps import FitState, from_weights, make_init
from lstm_jax.interop.files import check_weights, load_weights
from lstm_jax.record.folder import BEST, LAST
from lstm_jax.types import Array, Params


class WeightsError(ValueError):
    """Weights that do not fit; one line of the message per mismatch."""


def find_weights(given: str) -> Path:
    """The file of weights of ``--config.init_from``: itself, or that of a run folder.

    Raises:
      WeightsError: in one line, where there is none.

    Example:
      >>> find_weights("no/such/run")
      Traceback (most recent call last):
      lstm_jax.fitting.start.WeightsError: config.init_from=no/such/run: no such file or folder
    """
    path = Path(given).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise WeightsError(f"config.init_from={given}: no such file or folder")
    for name in (BEST, LAST):
        if (path / name).is_file():
            return path / name
    raise WeightsError(
        f"config.init_from={given}: holds no weights ({BEST} or {LAST}); "
        "give a run folder in which at least one epoch has ended"
    )


def start_weights(given: str, like: Params) -> Params:
    """The weights of another run in the tree of `like`.

    Args:
      given: a run folder (its best epoch) or a file of weights.
      like: a tree with the shapes needed.

    Raises:
      WeightsError: one line for each weight that is missing, one too many or of another shape.
    """
    path = find_weights(given)
    try:
        wrong = check_weights(path, like)
    except (OSError, ValueError) as error:
        raise WeightsError(f"config.init_from={given}: {error}") from None
    if wrong:
        raise WeightsError("\n".join(f"config.init_from={given}: {line}" for line in wrong))
    return load_weights(path, like)


def make_start(
    model: Model,
    batches: Batches,
    optimizer: optax.GradientTransformation,
    config: Config,
    init_from: str | None = None,
) -> Callable[[Array], FitState]:
    """``key -> FitState``: before the first update, from fresh weights or those of a run.

    Args:
      model, batches, optimizer: of the fit.
      config: its settings.
      init_from: run folder or file of weights, "" for fresh ones; None: ``config.init_from``.

    Raises:
      WeightsError: when called, where those weights do not fit.
    """
    init = jax.jit(make_init(model, batches, optimizer), static_argnums=1)
    given = config.init_from if init_from is None else init_from

    def start(key: Array) -> FitState:
        state = init(key, config.init_range)
        if not given:
            return state
        params = start_weights(given, state.params)
        return from_weights(model, batches, optimizer, params)

    return start
