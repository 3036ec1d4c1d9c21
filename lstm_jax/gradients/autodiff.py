"""Gradients by automatic differentiation: full BPTT, and the 1997 truncation by definition."""

import jax
import jax.numpy as jnp

from lstm_jax.gradients.rule import GradientRule, require_mask, require_timing
from lstm_jax.network import Network, NetworkParams
from lstm_jax.parallel import alike
from lstm_jax.tasks.task import Example
from lstm_jax.types import Array, State
from lstm_jax.unroll import as_vectors, unroll


def bptt(network: Network, timing: str) -> GradientRule:
    """Full backpropagation through time: the gradient flows through every connection.

    Args:
      network: any cell under any readout.
      timing: "end" or "every_step"; when the task's targets come.

    Raises:
      ValueError: for an unknown timing.

    Example:
      >>> from lstm_jax import CELLS, adding, network, readout
      >>> net = network(CELLS["lstm"](2, 3), readout(3, 1))
      >>> rule = bptt(net, "end")
      >>> params = net.init(jax.random.key(0))
      >>> outputs, grads = rule(params, adding(T=11).sample(jax.random.key(1)))
      >>> outputs.shape
      (1,)
    """
    require_timing(timing)

    def rule(
        params: NetworkParams, example: Example, state: State | None = None
    ) -> tuple[Array, NetworkParams]:
        params, example, state = alike((params, example, state))
        grads, outputs = jax.grad(_surrogate, has_aux=True)(params, network, timing, example, state)
        return outputs, grads

    return rule


def truncated(network: Network, timing: str) -> GradientRule:
    """The gradient of Hochreiter & Schmidhuber 1997, by definition and for any cell.

    Recurrent inputs count as constants (A.1, eqs 10 to 15): before each step ``cell.truncate``
    stops the gradient through what enters it as an ordinary activation, so error flows back in
    time through the constant error carousel alone. For a cell without one (Elman) that leaves
    the gradient of the last step.

    Args, errors: as for `bptt`.

    Example:
      >>> from lstm_jax import adding, lstm97, network, readout
      >>> net = network(lstm97(2, 2, 2), readout(4, 1))
      >>> rule = truncated(net, "end")
      >>> params = net.init(jax.random.key(0))
      >>> outputs, grads = rule(params, adding(T=11).sample(jax.random.key(1)))
      >>> grads.cell.w_z.shape
      (4, 2)
    """
    cell = network.cell

    def step(params: NetworkParams, state: State, x: Array) -> tuple[State, Array]:
        return cell.step(params, cell.truncate(state), x)

    return bptt(network._replace(cell=cell._replace(step=step)), timing)


def _surrogate(
    params: NetworkParams, network: Network, timing: str, example: Example, state: State | None
) -> tuple[Array, Array]:
    """``- sum_k e_k net_k`` with e_k held constant: its gradient is what the rule descends.

    That serves every form of the error signal alike, those that are no derivative included.
    """
    # Padding goes first: whatever it holds, zero times it in the backward pass would be NaN.
    steps = jnp.arange(example.inputs.shape[0], dtype=jnp.int32)
    inputs = as_vectors(example.inputs, network.cell.input_size)
    xs = jnp.where((steps < example.length)[:, None], inputs, 0.0)
    _, hs = unroll(network.cell, params.cell, xs, state, length=example.length)

    def signal(h: Array, x: Array, target: Array) -> tuple[Array, Array]:
        net = network.readout.net(params.readout, network.seen(h, x))
        e = jax.lax.stop_gradient(network.readout.delta(net, target))
        return -jnp.sum(e * net), network.readout.output(net)

    if timing == "end":
        last = example.length - 1
        return signal(hs[last], xs[last], example.targets)
    mask = require_mask(example) & (steps < example.length)
    targets = jnp.where(mask[:, None], example.targets, 0.0)
    losses, outputs = jax.vmap(signal)(hs, xs, targets)
    return jnp.sum(jnp.where(mask, losses, 0.0)), outputs
