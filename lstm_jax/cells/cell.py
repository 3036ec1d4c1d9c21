"""What a recurrent cell is: a pair of pure functions and their sizes."""

from collections.abc import Callable
from typing import Any, NamedTuple

from lstm_jax.types import Array, Params, State


class Cell(NamedTuple):
    """A recurrent cell for one network and one sequence.

    Attributes:
      name: the key under which ``CELLS`` knows it.
      input_size: D.
      output_size: H.
      init: ``(key, init_range) -> params``; fresh weights. The range may be left out.
      initial_state: ``() -> state``; what a sequence starts from.
      step: ``(params, state, x[D]) -> (state, y[H])``; one time step.
      gates: ``(params, state, x[D]) -> {name: array}``; the activations inside that step.
        Unused results cost nothing under ``jit``.
      truncate: ``state -> state``; the 1997 truncation. It stops the gradient through all
        that enters the next step as an ordinary recurrent activation, and leaves the
        constant error carousel (the memory cells' self-connection) alone.
      spec: what a kernel written for this one architecture needs to know; None where there is
        no such kernel.

    Example:
      >>> import jax
      >>> from lstm_jax import CELLS
      >>> cell = CELLS["elman"](input_size=2, hidden_size=3)
      >>> params = cell.init(jax.random.key(0))
      >>> state, y = cell.step(params, cell.initial_state(), jax.numpy.ones(2))
      >>> y.shape
      (3,)
    """

    name: str
    input_size: int
    output_size: int
    init: Callable[..., Params]
    initial_state: Callable[[], State]
    step: Callable[[Params, State, Array], tuple[State, Array]]
    gates: Callable[[Params, State, Array], dict[str, Array]]
    truncate: Callable[[State], State]
    spec: Any = None


def require_positive(**sizes: int) -> None:
    """Raises ``ValueError`` for the first size that is not a whole number >= 1.

    Example:
      >>> require_positive(input_size=2, hidden_size=0)
      Traceback (most recent call last):
      ValueError: hidden_size: 0 is not valid; it must be a whole number >= 1
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name}: {size!r} is not valid; it must be a whole number >= 1")


def require_input(cell_name: str, x: Array, input_size: int) -> None:
    """Raises ``ValueError`` unless ``x`` is one input vector of ``input_size`` numbers.

    Example:
      >>> import jax.numpy as jnp
      >>> require_input("lstm", jnp.ones(3), 2)
      Traceback (most recent call last):
      ValueError: lstm: an input of shape (3,) where (2,) is needed (one time step, no batch axis)
    """
    if x.shape != (input_size,):
        raise ValueError(
            f"{cell_name}: an input of shape {x.shape} where ({input_size},) is needed "
            "(one time step, no batch axis)"
        )
