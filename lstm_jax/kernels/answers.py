"""What networks answer to many sequences: the forward pass alone, laid out for the vectors."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells import trailing
from lstm_jax.cells.lstm97 import Lstm97Spec
from lstm_jax.gradients.outputs import at_last_step, output_nets, symbol_nets
from lstm_jax.network import Network, NetworkParams
from lstm_jax.stored import stored
from lstm_jax.tasks.task import Example
from lstm_jax.types import Array
from lstm_jax.unroll import as_vectors, is_symbols, scan_until, unroll


def answers(network: Network, timing: str) -> Callable[[NetworkParams, Example], Array]:
    """``(params, example) -> outputs`` of one network for one sequence, by definition.

    Outputs are ``[K]`` for timing "end", ``[T, K]`` for "every_step".

    Example:
      >>> from lstm_jax import CELLS, adding, network, readout
      >>> net = network(CELLS["lstm"](2, 3), readout(3, 1))
      >>> example = adding(T=11).sample(jax.random.key(1))
      >>> answers(net, "end")(net.init(jax.random.key(0)), example).shape
      (1,)
    """

    def output(params: NetworkParams, h: Array, x: Array) -> Array:
        return network.readout.output(network.readout.net(params.readout, network.seen(h, x)))

    def answer(params: NetworkParams, example: Example) -> Array:
        xs = as_vectors(example.inputs, network.cell.input_size)
        _, hs = unroll(network.cell, params.cell, xs, length=example.length)
        if timing == "end":
            last = example.length - 1
            return output(params, hs[last], xs[last])
        return jax.vmap(lambda h, x: output(params, h, x))(hs, xs)

    return answer


def many_answers(network: Network, timing: str) -> Callable[[NetworkParams, Example], Array]:
    """``(params, examples) -> outputs`` of L networks for N sequences each: all ``[L, N, ..]``.

    For `lstm97` with the lanes and sequences on the last axes (`cells.trailing`), where symbols
    have to be 0 to D - 1; for another cell the vmapped definition.

    Example:
      >>> from lstm_jax import adding, lstm97, network, readout
      >>> net, task = network(lstm97(2, 2, 2), readout(4, 1)), adding(T=11)
      >>> keys = jax.random.split(jax.random.key(0), 3)
      >>> params = jax.vmap(net.init)(keys)
      >>> split = jax.vmap(lambda key: jax.random.split(key, 5))
      >>> examples = jax.vmap(jax.vmap(task.sample))(split(keys))
      >>> definition = jax.vmap(jax.vmap(answers(net, "end"), in_axes=(None, 0)))
      >>> outputs = many_answers(net, "end")(params, examples)
      >>> outputs.shape, bool(jnp.allclose(outputs, definition(params, examples), atol=1e-6))
      ((3, 5, 1), True)
    """
    if not isinstance(network.cell.spec, Lstm97Spec):
        return jax.vmap(jax.vmap(answers(network, timing), in_axes=(None, 0)))

    def many(params: NetworkParams, examples: Example) -> Array:
        inputs = examples.inputs
        if is_symbols(inputs):
            inputs = stored(inputs)
        # [L, ..] -> [.., 1, L] and [L, N, ..] -> [.., N, L]
        lanes_last = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1)[..., None, :], params)
        sequences_last = jax.tree.map(
            lambda leaf: jnp.moveaxis(leaf, (1, 0), (-2, -1)),
            Example(inputs, None, examples.length),  # pyright: ignore
        )
        outputs = _forward(network, timing, lanes_last, sequences_last)
        return jnp.moveaxis(outputs, (-1, -2), (0, 1))

    return many


def _forward(network: Network, timing: str, params: NetworkParams, example: Example) -> Array:
    spec: Lstm97Spec = network.cell.spec
    inputs, length = example.inputs, example.length
    symbols = inputs if is_symbols(inputs) else None
    weights = trailing.weights_of(trailing.heard(spec, params.cell))
    now = trailing.start(spec, params.cell.w_z, length.shape)
    ahead = direct = None
    if symbols is not None:
        ahead = trailing.columns(weights.w, symbols)
        direct = symbol_nets(network, params, symbols, now.c.shape[0])

    def output(h: Array, x: Array | None, net_y: Array | None) -> Array:
        return network.readout.output(output_nets(network, params.readout, h, x, net_y))

    def step(carry: Any, inputs: Any) -> tuple[Any, Array | None]:
        now, last_x = carry
        x, net_x, net_y, t = inputs
        valid = (t < length)[None]
        if x is not None:
            x = jnp.where(valid, x, last_x)
            net_x = trailing.products(weights.w, x)
        now, _ = trailing.advance(spec, weights, now, net_x, valid)
        return (now, x), output(now.h, x, net_y) if timing == "every_step" else None

    steps = jnp.arange(inputs.shape[0], dtype=jnp.int32)
    xs = (None if symbols is not None else inputs, ahead, direct, steps)
    no_input = None if symbols is not None else jnp.zeros_like(inputs[0])
    (now, last_x), outputs = scan_until(step, (now, no_input), xs, jnp.max(length))
    if timing == "every_step":
        return outputs
    net_y = None if direct is None else at_last_step(direct, length).sum(axis=0)
    return output(now.h, last_x, net_y)
