"""Truncated BPTT over long sequences: updates every k1 steps, gradients that go back k2."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell, require_positive
from lstm_jax.loops.step import choose
from lstm_jax.parallel import alike
from lstm_jax.structures.bidirectional import BidirectionalSpec
from lstm_jax.structures.layer import LayerSpec, as_structure
from lstm_jax.structures.stack import StackSpec
from lstm_jax.types import Array, Params, State
from lstm_jax.unroll import Structure, require_sequence


class SegmentGradient(Protocol):
    """``(params, xs[T, D], targets[T, ...], state=None, length=None) -> (loss, grads, state)``."""

    def __call__(
        self,
        params: Params,
        xs: Array,
        targets: Any,
        state: State | None = None,
        length: Array | int | None = None,
    ) -> tuple[Array, Params, State]: ...


def truncated_bptt(
    structure: Cell | Structure, loss: Callable[[Array, Any], Array], *, k1: int, k2: int
) -> SegmentGradient:
    """Backpropagation through truncated time, BPTT(h; h') of Williams & Peng 1990.

    The sequence is cut into segments of h' = k1 steps. The gradient of each segment's loss flows
    back over its own steps and those before it until h = k2 steps are behind it; the state that
    enters there is a constant. What comes out is the sum over the segments: for k1 = k2 = T it is
    that of full BPTT, and an update after every k1 steps is one call with T = k1 = k2 on the
    state handed on. (The 1997 truncation, a matter of connections and not of time, is the rule
    "truncated" in `lstm_jax.GRADIENT_RULES`.)

    Args:
      structure: a cell, or a structure of parts that run forwards.
      loss: ``(ys[k1, H], targets[k1, ...]) -> scalar``, a sum over the steps of one segment. It
        sees zeros where `length` has ended the sequence, and targets as they are.
      k1: steps a segment, h'; T must be a multiple of it.
      k2: steps the gradient flows back, h; a multiple of k1.

    Returns:
      ``gradients(params, xs[T, D], targets[T, ...], state=None, length=None)``, whose answer is
      the summed loss, its gradient in the tree of params, and the final state, to be handed to
      the next call. Targets are a pytree whose leaves begin with T.

    Raises:
      ValueError: for k1 or k2 below 1, a k2 that is no multiple of k1, a structure with a part
        that runs backwards, and, when called, a T that is no multiple of k1.

    Example:
      >>> from lstm_jax.cells import lstm
      >>> cell = lstm(2, 3)
      >>> squares = lambda ys, targets: jnp.sum((ys - targets) ** 2)
      >>> gradients = truncated_bptt(cell, squares, k1=2, k2=4)
      >>> params = cell.init(jax.random.key(0))
      >>> loss, grads, state = gradients(params, jnp.ones((6, 2)), jnp.zeros((6, 3)))
      >>> loss.shape, grads.w_z.shape, state.h.shape
      ((), (3, 2), (3,))
    """
    require_positive(k1=k1, k2=k2)
    if k2 % k1:
        raise ValueError(f"k2: {k2} is no multiple of k1 = {k1}; the gradient flows whole segments")
    part = as_structure(structure)
    if runs_backwards(part):
        raise ValueError(
            f"truncated_bptt: the {part.name} has a part that runs backwards, which hands no "
            "state on in time"
        )

    def gradients(
        params: Params,
        xs: Array,
        targets: Any,
        state: State | None = None,
        length: Array | int | None = None,
    ) -> tuple[Array, Params, State]:
        xs = require_sequence("truncated_bptt", xs, part.input_size, length)
        num_steps = xs.shape[0]
        if num_steps < 1 or num_steps % k1:
            raise ValueError(f"truncated_bptt: T = {num_steps} is no multiple of k1 = {k1}")
        for leaf in jax.tree.leaves(targets):
            if leaf.shape[:1] != (num_steps,):
                raise ValueError(
                    f"truncated_bptt: targets of shape {leaf.shape} where ({num_steps}, ...) is "
                    "needed, one for each step"
                )
        num_segments = num_steps // k1
        xs, targets = jax.tree.map(
            lambda a: a.reshape(num_segments, k1, *a.shape[1:]), (xs, targets)
        )
        length = None if length is None else jnp.asarray(length, jnp.int32)
        start = part.initial_state() if state is None else state
        params, xs, targets, start, length = alike((params, xs, targets, start, length))
        back = jnp.arange(1 - k2 // k1, 1, dtype=jnp.int32)

        def segment(params: Params, state: State, n: Array) -> tuple[State, Array]:
            stop = None if length is None else jnp.clip(length - n * k1, 0, k1)
            x = jax.lax.dynamic_index_in_dim(xs, n, keepdims=False)
            return part.apply(params, x, state, length=stop)

        def window(params: Params, begin: State, last: Array) -> tuple[Array, tuple[State, State]]:
            """The loss of segment `last`, run from the state that enters the window."""

            def step(state: State, n: Array) -> tuple[State, tuple[State, Array]]:
                after, ys = segment(params, state, jnp.maximum(n, 0))
                after = choose(n >= 0, after, state)  # before the first segment nothing moves
                return after, (after, ys)

            end, (states, ys) = jax.lax.scan(step, begin, last + back)
            due = jax.tree.map(
                lambda a: jax.lax.dynamic_index_in_dim(a, last, keepdims=False), targets
            )
            entering_next = jax.tree.map(lambda leaf: leaf[0], states)
            return loss(ys[-1], due), (entering_next, end)

        def add(carry: tuple[Any, ...], n: Array) -> tuple[tuple[Any, ...], None]:
            begin, _, total, grads = carry
            (value, (begin, end)), new = jax.value_and_grad(window, has_aux=True)(params, begin, n)
            return (begin, end, total + value, jax.tree.map(jnp.add, grads, new)), None

        zero = jax.tree.map(jnp.zeros_like, (jax.eval_shape(window, params, start, 0)[0], params))
        steps = jnp.arange(num_segments, dtype=jnp.int32)
        (_, end, total, grads), _ = jax.lax.scan(add, (start, start, *zero), steps)
        return total, grads, end

    return gradients


def runs_backwards(part: Cell | Structure) -> bool:
    """Whether anything in the structure goes through a sequence from its end.

    Example:
      >>> from lstm_jax.cells import elman
      >>> from lstm_jax.structures import layer, stack
      >>> runs_backwards(stack(elman(2, 3), layer(elman(3, 3), reverse=True)))
      True
    """
    if isinstance(part, Cell):
        return False
    if isinstance(part.spec, StackSpec):
        return any(runs_backwards(inner) for inner in part.spec.parts)
    if isinstance(part.spec, LayerSpec):
        return part.spec.reverse
    return isinstance(part.spec, BidirectionalSpec)
