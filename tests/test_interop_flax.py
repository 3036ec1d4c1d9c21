"""Flax's cells, linen and nnx, weights in and out, against Flax itself in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from lstm_jax.cells import CELLS
from lstm_jax.cells.wrappers import layer_norm
from lstm_jax.interop.flax import from_linen, from_nnx, to_linen, to_nnx
from lstm_jax.structures import stack
from lstm_jax.unroll import unroll
from tests.loops import random_case
from tests.peers import exchanged, lenient
from tests.variants import randomised

D, H, T = 3, 4, 6

# by Flax's name of the cell: our kind, what from_nnx is told, the names of the gates in a kernel
CELL_KINDS = {
    "LSTMCell": ("lstm", {}),
    "OptimizedLSTMCell": ("lstm", {"optimized": True}),
    "GRUCell": ("gru", {}),
    "SimpleCell": ("rnn", {}),
}
every_cell = pytest.mark.parametrize("name", CELL_KINDS)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def inputs():
    return np.random.default_rng(1).normal(size=(T, D))


def linen_cell(name, dtype=jnp.float64):
    return getattr(linen, name)(features=H, dtype=dtype, param_dtype=dtype)


def linen_tree(name, dtype=jnp.float64, seed=0):
    """Random weights, biases included, in linen's own tree."""
    cell = linen_cell(name, dtype)
    with lenient():
        carry = cell.initialize_carry(jax.random.key(0), (D,))
        shapes = jax.eval_shape(cell.init, jax.random.key(0), carry, jnp.ones(D, dtype))
    return randomised(shapes, np.random.default_rng(seed))["params"]


def by_linen(name, tree, xs, dtype=jnp.float64):
    """Outputs, and the final carry as (h, c) or (h,)."""
    cell = linen_cell(name, dtype)
    with lenient():
        carry, ys = cell.initialize_carry(jax.random.key(0), (D,)), []
        carry = jax.tree.map(lambda leaf: leaf.astype(dtype), carry)
        step = jax.jit(cell.apply)
        for x in xs:
            carry, y = step({"params": tree}, carry, jnp.asarray(x, dtype))
            ys.append(y)
    return np.array(ys), carry[::-1] if isinstance(carry, tuple) else (carry,)


def nnx_cell(name, dtype=jnp.float64, seed=0):
    """A module with random weights, biases included."""
    with lenient():
        module = getattr(nnx, name)(D, H, dtype=dtype, param_dtype=dtype, rngs=nnx.Rngs(0))
    state = nnx.state(module, nnx.Param)
    nnx.update(module, randomised(state, np.random.default_rng(seed)))
    return module


def by_nnx(module, xs):
    with lenient():
        carry, ys = module.initialize_carry((D,), nnx.Rngs(0)), []
        carry = jax.tree.map(lambda leaf: leaf.astype(xs.dtype), carry)
        step = nnx.jit(lambda module, carry, x: module(carry, x))
        for x in xs:
            carry, y = step(module, carry, jnp.asarray(x))
            ys.append(y)
    return np.array(ys), carry[::-1] if isinstance(carry, tuple) else (carry,)


def plain(module):
    return nnx.to_pure_dict(nnx.state(module, nnx.Param))


def agree(network, params, xs, expected, tolerance=1e-12):
    state, ys = jax.jit(lambda params, xs: unroll(network, params, xs))(params, xs)
    np.testing.assert_allclose(ys, expected[0], rtol=0, atol=tolerance)
    finals = (state.h, state.c) if hasattr(state, "c") else (state.h,)
    for one, other in zip(finals, expected[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)


def same_tree(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


@every_cell
def test_linen_in_and_out(name, float64):
    kind, _ = CELL_KINDS[name]
    tree, xs = linen_tree(name), inputs()
    cell, params = from_linen(tree, kind=kind)
    assert all(leaf.dtype == np.float64 for leaf in jax.tree.leaves(params))
    agree(cell, params, xs, by_linen(name, tree, xs))
    same_tree(to_linen(cell, params), jax.tree.map(np.asarray, tree))  # exact


@every_cell
def test_nnx_in_and_out(name, float64):
    kind, told = CELL_KINDS[name]
    module, xs = nnx_cell(name), inputs()
    cell, params = from_nnx(nnx.state(module, nnx.Param), kind=kind, **told)
    agree(cell, params, xs, by_nnx(module, xs))
    same_tree(from_nnx(plain(module), kind=kind, **told)[1], params)
    out = to_nnx(cell, params, **told)
    same_tree(out, jax.tree.map(np.asarray, plain(module)))  # exact
    fresh = nnx_cell(name, seed=9)
    nnx.update(fresh, out)
    np.testing.assert_array_equal(by_nnx(fresh, xs)[0], by_nnx(module, xs)[0])


@every_cell
def test_in_float32(name):
    kind, told = CELL_KINDS[name]
    xs = inputs().astype(np.float32)
    tree = linen_tree(name, jnp.float32)
    cell, params = from_linen(tree, kind=kind)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(params))
    agree(cell, params, xs, by_linen(name, tree, xs, jnp.float32), 1e-6)
    module = nnx_cell(name, jnp.float32)
    agree(*from_nnx(plain(module), kind=kind, **told), xs, by_nnx(module, xs), 1e-6)


OURS = {
    "lstm": lambda: CELLS["lstm"](D, H),
    "gru": lambda: CELLS["gru"](D, H),
    "gru, one bias": lambda: CELLS["gru"](D, H, recurrent_bias=False),
    "rnn": lambda: CELLS["elman"](D, H),
    "rnn, no bias": lambda: CELLS["elman"](D, H, bias=False),
}


@pytest.mark.parametrize("which", OURS)
def test_ours_in_flax(which, float64):
    cell, kind = OURS[which](), which.partition(",")[0]
    params, _, xs = random_case(cell, seed=2, num_steps=T)
    for name, (one, told) in CELL_KINDS.items():
        if one != kind:
            continue
        tree = to_linen(cell, params)
        agree(cell, params, xs, by_linen(name, tree, xs))
        _, back = from_linen(tree, kind=kind)
        without = {
            "gru, one bias": lambda p: p._replace(b_rn=None),
            "rnn, no bias": lambda p: p._replace(b=None),
        }.get(which, lambda p: p)
        same_tree(without(back), params)
        if which == "gru":
            continue  # its bias inside the reset has no place in nnx: below
        module = nnx_cell(name, seed=9)
        nnx.update(module, to_nnx(cell, params, **told))
        agree(cell, params, xs, by_nnx(module, xs))
        same_tree(without(from_nnx(to_nnx(cell, params, **told), kind=kind, **told)[1]), params)


def test_a_gru_bias_inside_the_reset_has_no_place_in_nnx(float64):
    cell = CELLS["gru"](D, H)
    params, _, xs = random_case(cell, seed=3, num_steps=T)
    for b_rn in (params.b_rn, np.append(np.zeros(H - 1), 1.0)):  # one of them is enough
        with pytest.raises(ValueError, match="b_rn") as caught:
            to_nnx(cell, params._replace(b_rn=b_rn))
    assert "\n" not in str(caught.value)
    params = params._replace(b_rn=0 * params.b_rn)
    module = nnx_cell("GRUCell", seed=9)
    nnx.update(module, to_nnx(cell, params))
    agree(cell, params, xs, by_nnx(module, xs))


def test_fresh_flax_cells_have_no_hidden_forget_bias():
    """Unlike haiku's: b_f is what is in the tree."""
    tree = linen_tree("LSTMCell", jnp.float32)
    _, params = from_linen(tree, kind="lstm")
    np.testing.assert_array_equal(params.b_f, tree["hf"]["bias"])


@pytest.mark.parametrize(("name", "gates"), [("OptimizedLSTMCell", 4), ("GRUCell", 3)])
def test_no_two_gates_can_be_mixed_up_unseen_in_nnx(name, gates, float64):
    kind, told = CELL_KINDS[name]
    module, xs = nnx_cell(name), inputs()
    tree, (expected, _) = plain(module), by_nnx(module, xs)
    cell, _ = from_nnx(tree, kind=kind, **told)
    run = jax.jit(lambda params: unroll(cell, params, xs)[1])
    for dense, own in tree.items():
        for field, array in own.items():
            for gates_mixed, mixed in exchanged(array, gates):
                changed = {**tree, dense: {**own, field: mixed}}
                _, params = from_nnx(changed, kind=kind, **told)
                assert abs(run(params) - expected).max() > 1e-4, (dense, field, gates_mixed)


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell"])
def test_no_two_modules_can_be_mixed_up_unseen_in_linen(name, float64):
    kind, _ = CELL_KINDS[name]
    tree, xs = linen_tree(name), inputs()
    expected, _ = by_linen(name, tree, xs)
    cell, _ = from_linen(tree, kind=kind)
    run = jax.jit(lambda params: unroll(cell, params, xs)[1])
    for source in "ih":
        names = [module for module in tree if module[0] == source]
        for one in names:
            for other in names[: names.index(one)]:
                changed = dict(tree)
                for field in ("kernel", "bias"):
                    if field in tree[one] and field in tree[other]:
                        changed[one] = {**changed[one], field: tree[other][field]}
                        changed[other] = {**changed[other], field: tree[one][field]}
                _, params = from_linen(changed, kind=kind)
                assert abs(run(params) - expected).max() > 1e-4, (one, other)


def without(tree, *names):
    return {name: own for name, own in tree.items() if name not in names}


@pytest.mark.parametrize(
    ("read", "kind", "change", "words"),
    [
        (from_linen, "lstm", lambda t: {}, "hf"),
        (from_linen, "lstm", lambda t: without(t, "hf"), "hf"),
        (from_linen, "lstm", lambda t: {**t, "xx": t["hf"]}, "xx"),
        (from_linen, "lstm", lambda t: {**t, "hf": {"kernel": t["hf"]["kernel"]}}, "hf.*bias"),
        (from_linen, "lstm", lambda t: {**t, "ii": t["hi"]}, "ii.*bias"),
        (
            from_linen,
            "lstm",
            lambda t: {**t, "hf": {**t["hf"], "bias": np.ones(3)}},
            "hf bias.*shape",
        ),
        (from_linen, "gru", lambda t: t, "hf"),
        (from_linen, "LSTM", lambda t: t, "kind.*LSTM"),
        (from_nnx, "lstm", lambda t: t, "if_"),  # linen's names are not nnx's
        (from_nnx, "gru", lambda t: t, "dense_i"),
        (
            from_nnx,
            "gru",
            lambda t: {
                "dense_i": {"kernel": np.ones((3, 12)), "bias": np.ones(12)},
                "dense_h": {"kernel": np.ones((4, 11))},
            },
            "dense_h kernel.*shape",
        ),
        (from_nnx, "LSTM", lambda t: t, "kind.*LSTM"),
    ],
)
def test_trees_that_do_not_fit_are_one_clear_line(read, kind, change, words):
    tree = change(linen_tree("LSTMCell", jnp.float32))
    with pytest.raises(ValueError, match=words) as caught:
        read(tree, kind=kind)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("write", [to_linen, to_nnx])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CELLS["lstm"](D, H, switches=()), "switches"),
        (lambda: CELLS["lstm"](D, H, projection_size=2), "projection_size"),
        (lambda: CELLS["lstm"](D, H, clip=1.0), "clip"),
        (lambda: CELLS["lstm"](D, H, g="relu"), "relu"),
        (lambda: CELLS["gru"](D, H, reset="before"), "reset"),
        (lambda: CELLS["elman"](D, H, activation="relu"), "relu"),
        (lambda: CELLS["irnn"](D, H), "relu"),
        (lambda: CELLS["mgu"](D, H), "mgu"),
        (lambda: layer_norm(CELLS["lstm"](D, H)), "lstm"),
        (lambda: stack(CELLS["lstm"](D, H), CELLS["lstm"](H, H)), "stack"),
    ],
)
def test_what_flax_does_not_have_is_refused_by_name(write, make, words):
    network = make()
    params = jax.eval_shape(network.init, jax.random.key(0))
    with pytest.raises(ValueError, match=words) as caught:
        write(network, randomised(params, np.random.default_rng(4)))
    assert "\n" not in str(caught.value) and "flax" in str(caught.value)
