"""The output units of a network over `lstm97`, for arrays with trailing axes (lanes, sequences)."""

import jax.numpy as jnp

from lstm_jax.cells import trailing
from lstm_jax.network import Network, NetworkParams
from lstm_jax.readout import ReadoutParams
from lstm_jax.types import Array


def output_nets(
    network: Network, params: ReadoutParams, h: Array, x: Array | None, direct: Array | None
) -> Array:  # [K]
    """The net inputs of the output units from the cells' outputs ``h[C]`` and the input ``x[D]``.

    Where inputs are symbols, x is None and `direct` is what the symbol gives (`symbol_nets`).

    Example:
      >>> from lstm_jax import lstm97, network, readout
      >>> net = network(lstm97(2, 2, 2), readout(4, 1))
      >>> params = ReadoutParams(v=jnp.ones((1, 4)), b=jnp.ones(1))
      >>> output_nets(net, params, jnp.ones(4), jnp.ones(2), None).tolist()
      [5.0]
    """
    if x is None:
        net = trailing.products(params.v[:, : h.shape[0]], h)
        net = net if direct is None else net + direct
    else:
        net = trailing.products(params.v, network.seen(h, x))
    return net if params.b is None else net + params.b


def symbol_nets(
    network: Network, params: NetworkParams, symbols: Array, num_cells: int
) -> Array | None:  # [T, K]
    """What each symbol gives to the output units that see the inputs; None where they do not.

    Example:
      >>> from lstm_jax import lstm97, network, readout
      >>> net = network(lstm97(2, 1, 1), readout(1, 1))
      >>> symbol_nets(net, None, jnp.zeros(3, jnp.int32), 1) is None
      True
    """
    if not network.direct:
        return None
    return trailing.columns(params.readout.v[:, num_cells:], symbols)


def at_last_step(values: Array, length: Array) -> Array:  # [T, F] -> [T, F]
    """The values of the last valid step, zero elsewhere; `length` has the trailing axes alone.

    Example:
      >>> at_last_step(jnp.ones((3, 1)), jnp.int32(2))[:, 0].tolist()
      [0.0, 1.0, 0.0]
    """
    steps = jnp.arange(values.shape[0], dtype=jnp.int32).reshape(-1, *[1] * length.ndim)
    return jnp.where((steps == length[None] - 1)[:, None], values, 0.0)
