"""Whatever the padding holds, NaN and infinities too, reaches neither outputs nor gradients."""

import jax
import numpy as np
import pytest

from lstm_jax.cells import CELLS
from lstm_jax.cells.wrappers import layer_norm, variational_dropout, zoneout
from lstm_jax.structures import bidirectional, layer, stack
from lstm_jax.unroll import unroll
from tests.loops import padded_with, random_case, weighted_sum
from tests.tolerances import FINITE_DIFFERENCES
from tests.variants import VARIANTS, D, make_cell

STEPS, LENGTHS = 5, (0, 2)
RESETS = np.array([False, True, False, True, True])  # those in the padding as well
KEY = jax.random.key(7)
# one of each cell that is registered, the first of its name
FIRST_VARIANTS = list({cell: name for name, (cell, _) in reversed(VARIANTS.items())}.values())


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def make_gradient(part, resets):
    """By params, inputs and state, of a sum over all outputs and final states; and these."""

    def scalar(params, xs, state, length):
        out = unroll(part, params, xs, state, length=length, resets=resets)
        return weighted_sum(out), out

    return jax.jit(jax.grad(scalar, argnums=(0, 1, 2), has_aux=True, allow_int=True))


def leaks_nowhere(part, params, xs, state, resets=None):
    """The gradient function, after the same numbers came out for every filling of the padding."""
    gradient = make_gradient(part, resets)
    for length in LENGTHS:
        clean = gradient(params, padded_with(xs, length, 0.0), state, length)
        for value in (np.nan, np.inf, -np.inf):
            got = gradient(params, padded_with(xs, length, value), state, length)
            jax.tree.map(np.testing.assert_array_equal, got, clean)
        (by_params, by_xs, _), (_, ys) = clean
        leaves = [leaf for leaf in jax.tree.leaves(clean) if leaf.dtype == np.float64]
        assert all(np.isfinite(leaf).all() for leaf in leaves)
        assert not np.asarray(ys)[length:].any() and not np.asarray(by_xs)[length:].any()
        assert any(np.asarray(leaf).any() for leaf in jax.tree.leaves(by_params)) == (length > 0)
    return gradient


@pytest.mark.parametrize("variant", FIRST_VARIANTS)
def test_cells(variant, float64):
    cell = make_cell(variant)
    params, _, xs = random_case(cell, seed=41, num_steps=STEPS)
    leaks_nowhere(cell, params, xs, cell.initial_state())


STRUCTURES = {
    "layer backward": lambda: layer(CELLS["lstm"](D, 5), reverse=True),
    "both ways": lambda: bidirectional(CELLS["lstm"](D, 5), CELLS["gru"](D, 4)),
    "residual": lambda: stack(CELLS["lstm"](D, 4), CELLS["gru"](4, 4), residual=True),
    "residual from the inputs on": lambda: stack(CELLS["gru"](D, D), residual=True),
    "stack of both ways": lambda: stack(
        bidirectional(CELLS["gru"](D, 2), CELLS["lstm"](D, 3)), CELLS["elman"](5, 4)
    ),
    "layer norm": lambda: layer_norm(CELLS["lstm"](D, 5)),
    "variational dropout": lambda: variational_dropout(
        CELLS["gru"](D, 5), KEY, input_rate=0.3, recurrent_rate=0.3
    ),
    "zoneout": lambda: zoneout(CELLS["lstm"](D, 5), KEY, rates={"c": 0.5, "h": 0.3}),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_and_wrappers(name, float64):
    part = STRUCTURES[name]()
    params, state, xs = random_case(part, seed=40, num_steps=STEPS)
    gradient = leaks_nowhere(part, params, xs, state, RESETS)
    if name == "zoneout":
        return  # its state counts steps
    # and the gradient that does not see the padding is right, by central differences
    case = (params, xs, state)
    leaves, tree = jax.tree.flatten(case)
    rng, h = np.random.default_rng(0), FINITE_DIFFERENCES["step"]
    direction = [rng.normal(size=leaf.shape) for leaf in leaves]
    sums = []
    for size in (h, -h):
        moved = [leaf + size * d for leaf, d in zip(leaves, direction, strict=True)]
        sums.append(weighted_sum(gradient(*jax.tree.unflatten(tree, moved), 4)[1]))
    got = jax.tree.leaves(gradient(*case, 4)[0])
    slope = sum(np.vdot(g, d) for g, d in zip(got, direction, strict=True))
    np.testing.assert_allclose(
        slope,
        (sums[0] - sums[1]) / (2 * h),
        rtol=FINITE_DIFFERENCES["rtol"],
        atol=FINITE_DIFFERENCES["atol"],
    )


def test_dropout_between_layers(float64):
    structure = stack(CELLS["lstm"](D, 5), CELLS["elman"](5, 4), dropout=0.5)
    params, state, xs = random_case(structure, seed=46, num_steps=STEPS)

    def apply(params, xs, state=None, *, length=None, resets=None):
        return structure.apply(params, xs, state, length=length, resets=resets, key=KEY)

    leaks_nowhere(structure._replace(apply=apply), params, xs, state)


def test_a_leak_would_be_seen(float64):
    """The check itself: a structure that forgets the length fails it."""
    cell = CELLS["elman"](D, 5)
    params, state, xs = random_case(cell, seed=42, num_steps=STEPS)

    def apply(params, xs, state=None, *, length=None, resets=None):
        _, ys = unroll(cell, params, xs, state)  # multiplied by zero, NaN stays NaN
        valid = jax.numpy.arange(STEPS) < length
        return unroll(cell, params, xs, state, length=length)[0], ys * valid[:, None].astype(
            ys.dtype
        )

    with pytest.raises(AssertionError):
        leaks_nowhere(layer(cell)._replace(apply=apply), params, xs, state)
