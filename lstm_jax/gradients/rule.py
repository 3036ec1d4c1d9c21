"""What a gradient rule is: how a gradient is formed, apart from the cell and the optimizer."""

from typing import Protocol

from lstm_jax.cells.lstm97 import Lstm97Spec
from lstm_jax.network import Network, NetworkParams
from lstm_jax.tasks.task import Example
from lstm_jax.types import Array, State

TIMINGS = ("end", "every_step")


class GradientRule(Protocol):
    """``(params, example, state=None) -> (outputs, grads)`` for one network and one sequence.

    Outputs are ``[K]`` for timing "end", ``[T, K]`` for "every_step". The gradients have the
    tree of the weights and optax's sign: they are to be descended. They are those of this sequence
    alone, inside `jax.shard_map` too: adding up over devices is the caller's.

    A sequence has one step at least. One of none has no last step, and with "end" the rules do not
    agree on it: `rtrl` trains nothing, `bptt` the biases of the output units.

    Example:
      Every rule is made for a network and a timing; `bptt` and `rtrl` are the same gradient:

      >>> import jax
      >>> from lstm_jax import GRADIENT_RULES, adding, elman, network, readout
      >>> net = network(elman(2, 3), readout(3, 1))
      >>> given = net.init(jax.random.key(0)), adding(T=11).sample(jax.random.key(1))
      >>> pairs = [GRADIENT_RULES[name](net, "end")(*given) for name in ("bptt", "rtrl")]
      >>> (outputs, grads), (_, same) = pairs
      >>> outputs.shape, jax.tree.all(jax.tree.map(lambda a, b: bool(abs(a - b).max() < 1e-6),
      ...                                          grads, same))
      ((1,), True)
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


def require_lstm97(network: Network, rule: str, same: str) -> Lstm97Spec:
    """The `Lstm97Spec` of the network's cell; ``ValueError`` for another cell.

    Args:
      rule: the name of the rule that is written out for this cell.
      same: the name of the one that gives the same gradient for any cell.
    """
    spec = network.cell.spec
    if not isinstance(spec, Lstm97Spec):
        raise ValueError(
            f"{rule}: the rule is written for the lstm97 cell, not for {network.cell.name!r}; "
            f"{same!r} is the same gradient for any cell"
        )
    return spec


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
