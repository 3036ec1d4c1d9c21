"""Many networks side by side with the lanes on the last axis, where the processor's vectors are."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.gradients.rule import GradientRule
from lstm_jax.network import NetworkParams
from lstm_jax.stored import stored
from lstm_jax.tasks.task import Example
from lstm_jax.types import Array
from lstm_jax.unroll import is_symbols


def lanes_last(rule: GradientRule, axis: int = 0) -> Callable[..., tuple[Array, NetworkParams]]:
    """``vmap(rule)`` over L networks, laid out with features first and lanes last.

    For a rule that is written for arrays with trailing axes (`traces`). `jax.vmap` puts lanes
    first wherever ranks differ, and a loop over the few features of a tiny network does not fill
    a vector register; with the lanes last every operation of the time step does. Further
    arguments of the rule (a state, a rate) go the same way.

    Args:
      rule: the gradient rule.
      axis: where arguments and results have their lanes: 0, as elsewhere, to be turned once per
        sequence; or -1, where they stay.

    Example:
      >>> from lstm_jax import adding, lstm97, readout
      >>> from lstm_jax.gradients import traces
      >>> from lstm_jax.network import network
      >>> net = network(lstm97(2, 2, 2), readout(4, 1))
      >>> rule, keys = traces(net, "end"), jax.random.split(jax.random.key(0), 3)
      >>> params, examples = jax.vmap(net.init)(keys), jax.vmap(adding(T=11).sample)(keys)
      >>> lanes, definition = lanes_last(rule), jax.vmap(rule)
      >>> pairs = zip(lanes(params, examples), definition(params, examples))
      >>> bool(jax.numpy.allclose(lanes(params, examples)[0], definition(params, examples)[0]))
      True
    """

    def lanes(params: NetworkParams, examples: Example, *rest: Any) -> tuple[Array, NetworkParams]:
        if axis == 0:
            last = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), (params, examples, *rest))
            results = lanes_last(rule, -1)(*last)
            return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), results)
        if is_symbols(examples.inputs):
            examples = examples._replace(inputs=stored(examples.inputs))
        # Each gradient would compute the targets again, from the random numbers on.
        return rule(params, examples._replace(targets=stored(examples.targets)), *rest)

    return lanes
