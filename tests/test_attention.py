"""Attention equals its equations and torch's; what the padding holds reaches nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from lstm_jax.attention import additive, attention_weights, dot_product, init_additive
from lstm_jax.cells import elman, lstm
from lstm_jax.pooling import POOLINGS, pooling
from lstm_jax.structures import bidirectional
from lstm_jax.unroll import valid_steps
from tests.compiling import quick
from tests.oracles import attention as oracle
from tests.tolerances import CHECK_GRADS, assert_close

T, A, H, Q, UNITS = 7, 3, 5, 2, 4


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def numbers(*shape, seed=0, scale=1.0):
    return jnp.asarray(scale * np.random.default_rng(seed).standard_normal(shape))


def filled(array, length, value):
    """The array with its steps from `length` on set to a value."""
    return jnp.asarray(np.where(np.arange(len(array))[:, None] < length, array, value))


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("length", [1, 4, T])
def test_dot_product_is_its_equation(length, scaled, float64):
    query, keys, values = numbers(A, seed=1, scale=3), numbers(T, A, seed=2), numbers(T, H, seed=3)
    got = dot_product(query, keys, values, valid_steps(T, length), scaled=scaled)
    context, weights = oracle.dot_product(query, keys[:length], values[:length], scaled)
    assert_close(got, (context, np.pad(weights, (0, T - length))), "oracle")


@pytest.mark.parametrize("query_size", [0, Q])
@pytest.mark.parametrize("length", [1, 4, T])
def test_additive_is_its_equation(length, query_size, float64):
    params = init_additive(jax.random.key(3), H, UNITS, query_size, init_range=1.5)
    query = numbers(Q, seed=1) if query_size else None
    keys, values = numbers(T, H, seed=2), numbers(T, A, seed=3)
    got = additive(params, query, keys, values, valid_steps(T, length))
    context, weights = oracle.additive(params, query, keys[:length], values[:length])
    assert_close(got, (context, np.pad(weights, (0, T - length))), "oracle")


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("length", [0, 1, 4, T])
def test_poolings_are_their_equations(name, length, float64):
    pool = pooling(name, H, attention_size=UNITS)
    params, ys = pool.init(jax.random.key(3), 1.5), numbers(T, H, seed=2)
    vector, weights = oracle.pooled(name, params, np.asarray(ys)[:length])
    assert_close(pool.apply(params, ys, length), vector, "oracle")
    assert_close(pool.weights(params, ys, length), np.pad(weights, (0, T - length)), "oracle")
    if length == T:
        assert_close(pool.apply(params, ys), vector, "oracle")


@pytest.mark.parametrize("name", POOLINGS)
def test_a_sequence_of_no_steps_gives_zeros(name):
    pool = pooling(name, H, attention_size=UNITS)
    params, ys = pool.init(jax.random.key(3)), jnp.zeros((0, H))
    np.testing.assert_array_equal(pool.apply(params, ys), np.zeros(H))
    assert pool.weights(params, ys).shape == (0,)


@pytest.mark.parametrize("name", POOLINGS)
def test_padding_leaks_nowhere(name, float64):
    pool = pooling(name, H, attention_size=UNITS)
    params = pool.init(jax.random.key(3), 1.5)

    def scalar(params, ys, length):
        return (pool.apply(params, ys, length) * jnp.arange(1.0, H + 1)).sum()

    gradient = quick(jax.value_and_grad(scalar, argnums=(0, 1)))
    for length in (0, 3):
        clean = gradient(params, filled(numbers(T, H, seed=2), length, 0.0), length)
        for value in (np.nan, np.inf, -np.inf, 1e30):
            got = gradient(params, filled(numbers(T, H, seed=2), length, value), length)
            jax.tree.map(np.testing.assert_array_equal, got, clean)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(clean))
        by_ys = np.asarray(clean[1][1])
        assert not by_ys[length:].any() and by_ys[:length].any() == (length > 0)


@pytest.mark.parametrize("name", POOLINGS)
def test_gradients_are_those_of_differences(name, float64):
    pool = pooling(name, H, attention_size=UNITS)
    params, ys = pool.init(jax.random.key(3), 1.5), numbers(T, H, seed=2)
    check_grads(lambda p, ys: pool.apply(p, ys, 4), (params, ys), order=1, **CHECK_GRADS)


def test_the_last_of_a_bidirectional_net_is_its_final_state(float64):
    both = bidirectional(lstm(A, H), elman(A, UNITS))
    params, xs = both.init(jax.random.key(3), 1.5), numbers(T, A, seed=2)
    state, ys = both.apply(params, xs, length=4)
    pool = pooling("last", both.output_size, backward_size=UNITS)
    final = np.concatenate([state.forward.h, state.backward.h])
    np.testing.assert_array_equal(pool.apply((), ys, 4), final)
    assert_close(pool.weights((), ys, 4)[jnp.array([0, 3])], np.array([UNITS, H]) / (UNITS + H))


def test_large_scores_do_not_overflow():
    weights = attention_weights(jnp.array([1e4, -1e4, 1e4], jnp.float32))
    assert weights.tolist() == [0.5, 0.0, 0.5]
    # far below 0, the score that padding is given: exp of it must not be taken
    low = jnp.array([-1e4, -1e4, jnp.nan], jnp.float32)
    valid = jnp.array([True, True, False])
    slopes = jax.jacrev(attention_weights)(low, valid)
    assert slopes.tolist() == [[0.25, -0.25, 0.0], [-0.25, 0.25, 0.0], [0.0, 0.0, 0.0]]


def test_dot_product_equals_torch():
    torch = pytest.importorskip("torch", reason="its scaled_dot_product_attention")
    queries, keys, values = numbers(2, A, seed=1), numbers(T, A, seed=2), numbers(T, H, seed=3)
    valid = np.arange(T) < 4
    ours = jax.vmap(lambda q: dot_product(q, keys, values, jnp.asarray(valid))[0])(queries)
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *(torch.tensor(np.asarray(array)) for array in (queries, keys, values)),
        attn_mask=torch.tensor(np.broadcast_to(valid, (2, T)).copy()),
    )
    assert_close(ours, theirs.numpy())


def test_shapes_that_do_not_fit_are_refused():
    ys, query = jnp.ones((T, H)), jnp.ones(Q)
    params = init_additive(jax.random.key(0), H, UNITS)
    with pytest.raises(ValueError, match="query of shape"):
        dot_product(query, ys, ys)
    with pytest.raises(ValueError, match=r"valid \(3,\)"):
        additive(params, None, ys, ys, jnp.ones(3, jnp.bool_))
    with pytest.raises(ValueError, match="values"):
        additive(params, None, ys, jnp.ones((3, H)))
    with pytest.raises(ValueError, match="needs params with w"):
        additive(params, query, ys, ys)
    with pytest.raises(ValueError, match="'men' is not one of last, mean"):
        pooling("men", H)
    with pytest.raises(ValueError, match="backward_size 6"):
        pooling("last", H, backward_size=H + 1)


@pytest.mark.parametrize("given", [None, 0.3])
def test_fresh_weights_lie_within_their_ranges(given):
    """Of the root of the size of what they are multiplied with, unless another is given."""
    params = init_additive(jax.random.key(0), 100, 50, 20, init_range=given)
    query = pooling("dot", 100).init(jax.random.key(1), given)
    pooled = pooling("additive", 100, attention_size=50).init(jax.random.key(2), given)
    for leaf in (params.u, params.w, query, pooled.u):
        bound = 0.1 if given is None else given
        assert 0.9 * bound < float(jnp.abs(leaf).max()) <= bound
    assert pooled.u.shape == (50, 100) and pooled.w is None
