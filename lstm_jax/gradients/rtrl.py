"""Real-time recurrent learning: the full gradient, forward in time, for any cell."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from lstm_jax.gradients.rule import GradientRule, require_mask, require_timing
from lstm_jax.network import Network, NetworkParams
from lstm_jax.parallel import alike
from lstm_jax.readout import ReadoutParams
from lstm_jax.tasks.task import Example
from lstm_jax.types import Array, Params, State
from lstm_jax.unroll import as_vectors, scan_until


class _Carry(NamedTuple):
    """What a step hands on: nothing here grows with T."""

    state: Array  # [Z] the cell's state as one vector
    # [Z, ..] d state / d weights of the cell, in their tree. It, and the gradient until it is
    # whole, are of the wider of both types.
    p: Params
    outputs: Array  # [K] those of the last valid step
    cell: Params  # the gradient so far
    readout: ReadoutParams


def rtrl(network: Network, timing: str, *, ragged: bool = False) -> GradientRule:
    """The full gradient of any cell by forward sensitivities (Williams & Zipser 1989).

    With s the state as a vector, w the weights of the cell, and y its outputs::

        p_t = ds_t/dw + (ds_t/ds_tm1) p_tm1,    p_0 = 0
        descend  - sum_k e_k (dnet_k/dy) (dy_t/dw + (dy_t/ds_tm1) p_tm1)   where a target is due

    Theirs is the case of one layer of logistic units, all fed back. Weights are held during a
    sequence, so it equals `bptt`, to rounding. Memory does not grow with T; a step costs
    ``Z^2 W`` products, for Z numbers in the state and W weights.

    Args:
      network: any cell under any readout.
      timing: "end" or "every_step".
      ragged: stop at the end of the sequence (of the longest one, under `jax.vmap`) instead of the
        static bound; for tasks whose bound is far above their length.

    Raises:
      ValueError: for an unknown timing.

    Example:
      >>> from lstm_jax import GRADIENT_RULES, adding, elman, network, readout
      >>> net = network(elman(2, 3), readout(3, 1))
      >>> params = net.init(jax.random.key(0))
      >>> example = adding(T=11).sample(jax.random.key(1))
      >>> _, forward = rtrl(net, "end")(params, example)
      >>> _, backward = GRADIENT_RULES["bptt"](net, "end")(params, example)
      >>> bool(jnp.allclose(forward.cell.r, backward.cell.r, atol=1e-7))
      True
    """
    require_timing(timing)
    cell, readout = network.cell, network.readout
    every_step = timing == "every_step"

    def rule(
        params: NetworkParams, example: Example, state: State | None = None
    ) -> tuple[Array, NetworkParams]:
        begin = cell.initial_state() if state is None else state
        params, example, begin = alike((params, example, begin))
        s, as_state = ravel_pytree(begin)

        def advance(w: Params, s: Array, x: Array) -> tuple[Array, Array]:
            new, y = cell.step(w, as_state(s), x)
            return ravel_pytree(new)[0], y

        def step(carry: _Carry, inputs: tuple[Any, ...]) -> tuple[_Carry, Array | None]:
            x, valid, due, target = inputs
            target = example.targets if target is None else target
            x = as_vectors(x[None], cell.input_size)[0]  # here: one vector at a time, not T
            x = jnp.where(valid, x, 0.0)  # so that padding cannot leak, whatever it holds
            (new, y), pull = jax.vjp(lambda w, s: advance(w, s, x), params.cell, carry.state)
            y = jnp.where(valid, y, 0.0)

            net, pull_readout = jax.vjp(
                lambda v, y: readout.net(v, network.seen(y, x)), params.readout, y
            )
            outputs = readout.output(net)
            e = jnp.where(due, readout.delta(net, target), 0.0).astype(net.dtype)
            grad_readout, back = pull_readout(-e)
            units = jnp.eye(new.size, dtype=new.dtype)
            units, no_new, no_y = alike((units, jnp.zeros_like(new), jnp.zeros_like(y)), y)
            direct, through = pull((no_new, back))
            by_w, by_s = jax.vmap(lambda unit: pull((unit, no_y)))(units)

            def grown(now: Array, p: Array) -> Array:
                return jnp.where(valid, now + jnp.tensordot(by_s, p, 1), p)

            def descent(total: Array, now: Array, p: Array) -> Array:
                return total + now + jnp.tensordot(through, p, 1)

            carry = _Carry(
                state=jnp.where(valid, new, carry.state),
                p=jax.tree.map(grown, by_w, carry.p),
                outputs=jnp.where(valid, outputs, carry.outputs),
                cell=jax.tree.map(descent, carry.cell, direct, carry.p),
                readout=jax.tree.map(jnp.add, carry.readout, grad_readout),
            )
            return carry, outputs if every_step else None

        steps = jnp.arange(example.inputs.shape[0], dtype=jnp.int32)
        valid = steps < example.length
        due = valid & require_mask(example) if every_step else steps == example.length - 1

        def told(params: NetworkParams, s: Array, xs: Array) -> Array:
            x = jnp.zeros(cell.input_size, as_vectors(xs, cell.input_size).dtype)
            _, y = advance(params.cell, s, x)
            return readout.output(readout.net(params.readout, network.seen(y, x)))

        def zeros(w: Array, *axes: int) -> Array:
            return jnp.zeros((*axes, *w.shape), jnp.promote_types(w.dtype, s.dtype))

        start = _Carry(
            state=s,
            p=jax.tree.map(lambda w: zeros(w, s.size), params.cell),
            outputs=jnp.zeros_like(jax.eval_shape(told, params, s, example.inputs)),
            cell=jax.tree.map(zeros, params.cell),
            readout=jax.tree.map(jnp.zeros_like, params.readout),
        )

        start = alike(start, params)
        xs = (example.inputs, valid, due, example.targets if every_step else None)
        if ragged:
            final, outputs = scan_until(step, start, xs, example.length)
        else:
            final, outputs = jax.lax.scan(step, start, xs)
        narrow = jax.tree.map(lambda grad, w: grad.astype(w.dtype), final.cell, params.cell)
        grads = NetworkParams(narrow, final.readout)
        return final.outputs if outputs is None else outputs, grads

    return rule
