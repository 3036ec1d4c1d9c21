"""What a gradient rule is: how a gradient is formed, apart from the cell and the optimizer."""

from typing import Protocol

from lstm_jax.network import NetworkParams
from lstm_jax.tasks.task import Example
from lstm_jax.types import Array, State

TIMINGS = ("end", "every_step")


class GradientRule(Protocol):
    """``(params, example, state=None) -> (outputs, grads)`` for one network and one sequence.

    Outputs are ``[K]`` for timing "end", ``[T, K]`` for "every_step". The gradients have the
    tree of the weights and optax's sign: they are to be descended.
    """

    def __call__(
        self, params: NetworkParams, example: Example, state: State | None = None, /
    ) -> tuple[Array, NetworkParams]: ...


def require_timing(timing: str) -> None:
    """Raises ``ValueError`` for an unknown timing.

    Example:
      >>> require_timing("start")
      Traceback (most recent call last):
      ValueError: timing: 'start' is not one of end, every_step
    """
    if timing not in TIMINGS:
        raise ValueError(f"timing: {timing!r} is not one of {', '.join(TIMINGS)}")


def require_mask(example: Example) -> Array:
    """The example's mask; ``ValueError`` where it has none.

    Example:
      >>> require_mask(Example(None, None, None))
      Traceback (most recent call last):
      ValueError: timing 'every_step' needs an example with a mask
    """
    if example.mask is None:
        raise ValueError("timing 'every_step' needs an example with a mask")
    return example.mask
