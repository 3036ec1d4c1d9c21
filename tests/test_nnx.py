"""The NNX modules are the functional cells and structures, in any NNX model."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from lstm_jax import nnx as modules
from lstm_jax.cells import CELLS
from lstm_jax.cells.wrappers import layer_norm
from lstm_jax.structures import bidirectional, stack
from lstm_jax.unroll import unroll
from tests.loops import close, padded_with, random_case, weighted_sum
from tests.peers import lenient
from tests.tolerances import assert_close

D, H, T, LENGTHS = 3, 4, 6, (6, 0, 4)

PARTS = {
    "lstm": lambda: CELLS["lstm"](D, H),
    "vanilla lstm with a projection": lambda: CELLS["lstm"](D, H, switches=(), projection_size=2),
    "gru": lambda: CELLS["gru"](D, H),
    "elman without bias": lambda: CELLS["elman"](D, H, bias=False),
    "layer norm": lambda: layer_norm(CELLS["lstm"](D, H)),
    "both ways": lambda: bidirectional(CELLS["lstm"](D, H), CELLS["gru"](D, 5)),
    "stack": lambda: stack(
        CELLS["elman"](D, H, bias=False),
        bidirectional(CELLS["gru"](H, 2), CELLS["gru"](H, 2)),
        dropout=0.5,
    ),
}
every_part = pytest.mark.parametrize("name", PARTS)
NAMED = {
    "LSTM": ("lstm", (D, H), {"switches": ("CIFG",)}),
    "LSTM97": ("lstm97", (D, 2, 2), {"see_gates": False}),
    "GRU": ("gru", (D, H), {"reset": "before"}),
    "Elman": ("elman", (D, H), {"activation": "relu"}),
    "IRNN": ("irnn", (D, H), {}),
    "MUT1": ("mut1", (D, H), {}),
    "MUT2": ("mut2", (D, H), {}),
    "MUT3": ("mut3", (D, H), {}),
    "MGU": ("mgu", (D, H), {}),
    "MinGRU": ("min_gru", (D, H), {}),
    "MinLSTM": ("min_lstm", (D, H), {}),
    "SLSTM": ("slstm", (D, H), {}),
}


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def make(name, seed=0):
    """(part, module with random weights, the same weights as functional params)."""
    part = PARTS[name]()
    params, _, _ = random_case(part, seed)
    return part, modules.Recurrent.from_params(part, params), params


def same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


def batch(part, seed=1):
    """Inputs [B, T, D] and states [B, ...]."""
    cases = [random_case(part, seed + n, num_steps=T)[1:] for n in range(len(LENGTHS))]
    states, xs = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cases)
    return xs, states


@pytest.mark.parametrize(
    "name", [n for n in PARTS if n not in ("lstm", "gru", "elman without bias")]
)
def test_one_sequence_is_unroll(name, float64):
    part, module, params = make(name)
    _, state, xs = random_case(part, seed=2, num_steps=T)
    resets = np.arange(T) == 2
    state_and_outputs = nnx.jit(
        lambda module, xs, state, length: module.run(xs, state, length=length, resets=resets)
    )
    expected = jax.jit(
        lambda params, xs, state, length: unroll(
            part, params, xs, state, length=length, resets=resets
        )
    )
    for length in (T, 4, 0):
        padded = padded_with(xs, length, np.nan)
        got = state_and_outputs(module, padded, state, length)
        assert_close(got, expected(params, xs, state, length))


@pytest.mark.parametrize("name", ["lstm", "stack"])
def test_a_batch_is_its_sequences(name, float64):
    part, module, params = make(name)
    xs, states = batch(part)
    one = jax.jit(lambda x, state, length: unroll(part, params, x, state, length=length))
    finals, ys = nnx.jit(lambda m, xs, states, n: m.run(xs, states, length=n))(
        module, xs, states, np.array(LENGTHS)
    )
    shared = nnx.jit(lambda m, xs: m(xs, length=4))(module, xs)
    for n, length in enumerate(LENGTHS):
        final, y = one(xs[n], jax.tree.map(lambda leaf, n=n: leaf[n], states), length)
        assert_close(ys[n], y)
        close(jax.tree.map(lambda leaf, n=n: leaf[n], finals), final)
        assert_close(shared[n], one(xs[n], part.initial_state(), 4)[1])
    # without state or length, from the initial state: what __call__ gives
    assert_close(
        nnx.jit(lambda m, xs: m(xs))(module, xs)[1], one(xs[1], part.initial_state(), T)[1]
    )


@every_part
def test_params_go_in_and_out(name):
    """By the names of the functional form; what is None there is absent."""
    part, module, params = make(name)
    same(module.params, params)
    held = nnx.to_pure_dict(nnx.state(module, nnx.Param))["weights"]
    names = {
        ".".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in way)
        for way, _ in jax.tree.leaves_with_path(held)
    }
    expected = {
        jax.tree_util.keystr(way, simple=True, separator=".")
        for way, _ in jax.tree.leaves_with_path(params)
    }
    assert names == expected
    assert all(
        isinstance(leaf, nnx.Param)
        for leaf in jax.tree.leaves(
            nnx.state(module), is_leaf=lambda leaf: isinstance(leaf, nnx.Variable)
        )
    )


@pytest.mark.parametrize("name", NAMED)
def test_named_modules_are_their_cells(name):
    """Sizes and options handed on; weights drawn by the cell's own init from the key of rngs."""
    cell_name, sizes, options = NAMED[name]
    cell = CELLS[cell_name](*sizes, **options)
    module = getattr(modules, name)(*sizes, rngs=nnx.Rngs(3), **options)
    same(module.params, cell.init(nnx.Rngs(3).params()))
    assert module.part.spec == cell.spec and module.part.name == cell_name
    ys = nnx.eval_shape(lambda module: module(jnp.ones((2, T, D))), module)
    assert ys.shape == (2, T, cell.output_size)


def test_every_registered_cell_has_a_module():
    assert {cell for cell, _, _ in NAMED.values()} == set(CELLS)


def test_rngs_decide_and_go_on():
    rngs = nnx.Rngs(0)
    first, second = (modules.LSTM(D, H, rngs=rngs) for _ in range(2))
    again = modules.LSTM(D, H, rngs=nnx.Rngs(0))
    assert not (first.params.w_i == second.params.w_i).any()
    same(first.params, again.params)


def model_and_batch(seed=0):
    rngs = nnx.Rngs(seed)
    model = nnx.Sequential(
        modules.Recurrent(bidirectional(CELLS["lstm"](D, H), CELLS["lstm"](D, H)), rngs=rngs),
        modules.GRU(2 * H, H, rngs=rngs),
        nnx.Linear(H, 1, rngs=rngs),
    )
    rng = np.random.default_rng(seed)
    xs = rng.normal(size=(8, T, D)).astype(np.float32)
    return model, xs, xs.cumsum(axis=1).mean(axis=2, keepdims=True)


def test_in_sequential_with_other_layers():
    model, xs, _ = model_and_batch()
    first, second, last = model.layers
    with lenient():
        ys = nnx.jit(lambda model, xs: model(xs))(model, xs)
    assert ys.shape == (8, T, 1)

    @jax.jit
    def by_hand(x):
        _, middle = unroll(first.part, first.params, x)
        return unroll(second.part, second.params, middle)[1]

    expected = by_hand(xs[3]) @ last.kernel[...] + np.asarray(last.bias[...])[None]
    assert_close(ys[3], expected)


@pytest.mark.parametrize("name", ["lstm", "stack"])
def test_gradients_are_those_of_the_functional_form(name, float64):
    part, module, params = make(name)
    _, _, xs = random_case(part, seed=3, num_steps=T)
    got = nnx.jit(nnx.grad(lambda module: weighted_sum(module(xs))))(module)
    expected = jax.jit(jax.grad(lambda params: weighted_sum(unroll(part, params, xs)[1])))(params)
    # both by the names of the leaves
    got = {
        jax.tree_util.keystr(way, simple=True, separator="."): leaf
        for way, leaf in jax.tree.leaves_with_path(nnx.to_pure_dict(got)["weights"])
    }
    for way, leaf in jax.tree.leaves_with_path(expected):
        assert_close(got.pop(jax.tree_util.keystr(way, simple=True, separator=".")), leaf)
    assert not got


def test_an_optimizer_lowers_the_loss():
    model, xs, targets = model_and_batch()
    optimizer = nnx.Optimizer(model, optax.adam(0.02), wrt=nnx.Param)
    before = jax.tree.map(np.array, model.layers[1].params)

    @nnx.jit
    def train(model, optimizer):
        loss, grads = nnx.value_and_grad(lambda m: jnp.mean(jnp.square(m(xs) - targets)))(model)
        optimizer.update(model, grads)
        return loss

    with lenient():
        losses = [float(train(model, optimizer)) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]
    # the functional view sees the weights as they are now
    after = model.layers[1].params
    assert all((a != b).any() for a, b in zip(before, after, strict=True) if a is not None)


def test_split_merge_and_copies_keep_the_function(float64):
    _, module, _ = make("stack")
    xs = np.random.default_rng(4).normal(size=(T, D))
    call = nnx.jit(lambda module, xs: module(xs))
    expected = call(module, xs)
    graph, state = nnx.split(module)
    doubled = nnx.merge(graph, jax.tree.map(lambda leaf: 2 * leaf, state))
    np.testing.assert_array_equal(call(nnx.merge(graph, state), xs), expected)
    np.testing.assert_array_equal(call(nnx.clone(module), xs), expected)
    assert not np.allclose(call(doubled, xs), expected)
    same(doubled.params, jax.tree.map(lambda leaf: 2 * leaf, module.params))
    same(module.params, make("stack")[2])  # the copies' weights are their own


def test_weights_can_be_written(float64):
    part, module, _ = make("both ways")
    other, _, _ = random_case(part, seed=5)
    nnx.update(module, nnx.state(modules.Recurrent.from_params(part, other)))
    same(module.params, other)


def test_nothing_is_compiled_twice():
    module = modules.GRU(D, H, rngs=nnx.Rngs(0))
    traces = []

    @nnx.jit
    def call(module, xs):
        traces.append(None)
        return module(xs)

    xs = jnp.ones((2, T, D))
    first = call(module, xs)
    nnx.update(module, jax.tree.map(lambda leaf: 2 * leaf, nnx.state(module)))
    assert (call(module, xs) != first).any() and len(traces) == 1


def test_dropout_needs_a_key_and_differs_along_the_batch():
    part = stack(CELLS["elman"](D, 8), CELLS["elman"](8, H), dropout=0.5)
    module = modules.Recurrent(part, rngs=nnx.Rngs(0))
    xs = jnp.ones((3, T, D))
    call = nnx.jit(lambda module, xs, key: module(xs, key=key))
    plain = nnx.jit(lambda module, xs: module(xs))(module, xs)
    one, again, other = (call(module, xs, jax.random.key(k)) for k in (0, 0, 1))
    np.testing.assert_array_equal(plain[0], plain[1])
    np.testing.assert_array_equal(one, again)
    assert (one != other).any() and (one[0] != one[1]).any() and (one[0] != plain[0]).any()


def test_symbols(float64):
    _, module, _ = make("lstm")
    symbols = np.random.default_rng(6).integers(0, D, (2, T)).astype(np.int32)
    call = nnx.jit(lambda module, xs: module(xs))
    vectors = np.eye(D)[symbols]
    assert_close(call(module, symbols), call(module, vectors))
    assert_close(call(module, symbols[0]), call(module, vectors[0]))


@pytest.mark.parametrize(
    ("shape", "words"),
    [((D,), "shape"), ((1, 2, T, D), "shape"), ((2, T, D + 1), "shape"), ((T, D - 1), "shape")],
)
def test_bad_shapes_are_one_clear_line(shape, words):
    module = modules.LSTM(D, H, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=words) as caught:
        module(jnp.ones(shape))
    assert "\n" not in str(caught.value)


def test_weights_come_from_one_place():
    cell = CELLS["elman"](D, H)
    params = cell.init(jax.random.key(0))
    for given in ({}, {"rngs": nnx.Rngs(0), "params": params}):
        with pytest.raises(ValueError, match="rngs or params"):
            modules.Recurrent(cell, **given)
