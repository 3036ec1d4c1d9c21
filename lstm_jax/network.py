"""A network: a recurrent cell and the output units over it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell
from lstm_jax.readout import Readout, ReadoutParams
from lstm_jax.types import Array, Params


class NetworkParams(NamedTuple):
    """The weights of the cell and of the readout."""

    cell: Params
    readout: ReadoutParams


class Network(NamedTuple):
    """A cell under output units. `direct` lets the outputs see the inputs as well (type "B").

    Attributes:
      cell: what recurs; D inputs, H outputs.
      readout: the output units, over H numbers, or H + D where `direct` is set.
      direct: whether they see the inputs of the same time step.
      init: ``(key, init_range=None) -> NetworkParams``; a range stands over both parts' own.

    Example:
      >>> from lstm_jax import elman, readout
      >>> net = network(elman(2, 3), readout(5, 1), direct=True)
      >>> net.seen(h=jnp.zeros(3), x=jnp.ones(2)).tolist()
      [0.0, 0.0, 0.0, 1.0, 1.0]
      >>> params = net.init(jax.random.key(0), init_range=0.1)
      >>> params.readout.v.shape, bool(jnp.abs(params.readout.v).max() <= 0.1)
      ((1, 5), True)
    """

    cell: Cell
    readout: Readout
    direct: bool
    init: Callable[..., NetworkParams]

    def seen(self, h: Array, x: Array) -> Array:
        """What the output units see: the cell's outputs, and for type "B" the inputs too."""
        return jnp.concatenate([h, x], axis=0) if self.direct else h


def network(cell: Cell, readout: Readout, *, direct: bool = False) -> Network:
    """Puts `readout` over `cell`.

    Args:
      cell: any `Cell` with H outputs.
      readout: output units that see H numbers, or H + D where `direct` is set.
      direct: the output units also see the inputs of the same time step.

    Raises:
      ValueError: where the sizes do not fit.

    Example:
      >>> from lstm_jax import lstm97, readout
      >>> net = network(lstm97(2, num_blocks=2, block_size=2), readout(4, 1))
      >>> num_weights(net.init(jax.random.key(0)))  # Table 7 of the 1997 paper
      93
    """
    needed = cell.output_size + (cell.input_size if direct else 0)
    if readout.input_size != needed:
        raise ValueError(
            f"network: the readout sees {readout.input_size} numbers, the {cell.name} cell "
            f"offers {needed}"
        )

    def init(key: Array, init_range: float | Array | None = None) -> NetworkParams:
        # A range given here overrides both parts' own, and may be traced: one per lane.
        key_cell, key_readout = jax.random.split(key)
        given = () if init_range is None else (init_range,)
        return NetworkParams(
            cell=cell.init(key_cell, *given), readout=readout.init(key_readout, *given)
        )

    return Network(cell, readout, direct, init)


def num_weights(params: Params) -> int:
    """How many weights there are: the sizes of all leaves, as the papers count them.

    Example:
      >>> num_weights({"w": jnp.zeros((2, 3)), "b": jnp.zeros(3), "none": None})
      9
    """
    return sum(leaf.size for leaf in jax.tree.leaves(params))
