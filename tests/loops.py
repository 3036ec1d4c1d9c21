"""Plain Python loops over a cell's step: what unroll and the structures must equal."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.tolerances import assert_close
from tests.variants import T, randomised


def random_case(part, seed, num_steps=T):
    """Random weights, a random NON-zero state and random inputs, of a cell or a structure.

    Counters stay as they begin; the normaliser n of the sLSTM is one it can have: positive.
    """
    rng = np.random.default_rng(seed)
    params = randomised(jax.eval_shape(part.init, jax.random.key(0)), rng)

    def drawn(way, leaf):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        value = randomised(leaf, rng)
        return 0.5 + abs(value) if getattr(way[-1], "name", None) == "n" else value

    state = jax.tree_util.tree_map_with_path(drawn, part.initial_state())
    xs = randomised(np.zeros((num_steps, part.input_size)), rng, scale=1.0)
    return params, state, xs


def run_cell(cell, params, xs, state=None, *, length=None, reverse=False, resets=None, begins=None):
    """Final state and outputs [T, H] of one cell; zeros after the length.

    Before a step marked in `resets` the state is the initial one, in the order of running. A step
    marked in `begins` is the first of a new sequence: run backwards, it is the last of it.
    """
    xs = np.asarray(xs)
    stop = len(xs) if length is None else int(length)
    step = jax.jit(cell.step)  # the same function has the same compiled programs
    state = cell.initial_state() if state is None else state
    ys = np.zeros((len(xs), cell.output_size))
    for t in reversed(range(stop)) if reverse else range(stop):
        first = begins is not None and (t + 1 < stop and begins[t + 1] if reverse else begins[t])
        if first or (resets is not None and resets[t]):
            state = cell.initial_state()
        state, y = step(params, state, xs[t])
        ys[t] = y
    return state, ys


def run_both_ways(cells, params, xs, states=(None, None), **how):
    """((state, ys) forward, (state, ys) backward) of two cells over the same inputs."""
    return tuple(
        run_cell(cell, params[n], xs, states[n], reverse=n == 1, **how)
        for n, cell in enumerate(cells)
    )


def run_stack(cells, params, xs, states=None, *, residual=False, **how):
    """(states, ys) of cells over each other; the zeros after the length are the next's inputs."""
    states = (None,) * len(cells) if states is None else states
    finals, below = [], np.asarray(xs)
    for cell, p, s in zip(cells, params, states, strict=True):
        final, ys = run_cell(cell, p, below, s, **how)
        if residual and ys.shape == below.shape:
            stop = len(below) if how.get("length") is None else int(how["length"])
            ys[:stop] += below[:stop]
        finals.append(final)
        below = ys
    return tuple(finals), below


def weighted_sum(tree):
    """A scalar in which every element counts, each with its own weight."""
    total = 0.0
    for n, leaf in enumerate(jax.tree.leaves(tree)):
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            weights = np.cos(1.0 + n + np.arange(leaf.size)).reshape(leaf.shape)
            total += jnp.sum(leaf * weights.astype(leaf.dtype))
    return total


def padded_with(xs, length, value):
    """A copy of the inputs with `value` at every step from `length` on."""
    xs = np.array(xs)
    xs[int(length) :] = value
    return xs


def close(actual, expected):
    """Leaf by leaf, whatever the trees: a loop's states are plain tuples. Counters are equal."""
    actual, expected = (list(map(np.asarray, jax.tree.leaves(t))) for t in (actual, expected))
    for one, other in zip(actual, expected, strict=True):
        if one.dtype == np.int32:
            np.testing.assert_array_equal(one, other)
        else:
            assert_close(one, other)
