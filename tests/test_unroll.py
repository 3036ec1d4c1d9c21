"""Loops over time that stop at a sequence's end, and symbols as vectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.unroll import as_vectors, is_symbols, scan_until

T = 5
XS = (jnp.arange(1.0, T + 1), None, {"m": jnp.arange(T * 2, dtype=jnp.int32).reshape(T, 2)})


def step(carry, inputs):
    total, count = carry
    x, nothing, rest = inputs
    assert nothing is None
    out = {"total": total, "twice": 2 * rest["m"], "none": None}
    return (total + x, count + rest["m"][0]), out


@pytest.mark.parametrize("stop", range(T + 1))
def test_scan_until_is_scan_over_the_first_steps(stop):
    start = (jnp.float32(0.5), jnp.int32(7))
    carry, outs = jax.jit(lambda stop: scan_until(step, start, XS, stop))(jnp.int32(stop))
    first = jax.tree.map(lambda leaf: leaf[:stop], XS)
    expected, expected_outs = jax.lax.scan(step, start, first)
    assert jax.tree.structure(outs) == jax.tree.structure(expected_outs)
    for one, other in zip(jax.tree.leaves(carry), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)
    for out, whole in zip(jax.tree.leaves(expected_outs), jax.tree.leaves(outs), strict=True):
        assert whole.dtype == out.dtype and whole.shape == (T, *out.shape[1:])
        np.testing.assert_array_equal(whole[:stop], out)
        assert not np.asarray(whole[stop:]).any()


def test_scan_until_without_outputs():
    carry, outs = scan_until(
        lambda total, x: (total + x, None), jnp.float32(0), jnp.ones(3), jnp.int32(2)
    )
    assert float(carry) == 2 and outs is None


@pytest.mark.parametrize("lanes", [(), (3,), (2, 3)])
def test_symbols_as_vectors(lanes):
    symbols = np.random.default_rng(0).integers(0, 4, size=(T, *lanes)).astype(np.int32)
    vectors = np.asarray(as_vectors(symbols, 4))
    assert vectors.shape == (T, 4, *lanes)
    for index in np.ndindex(symbols.shape):
        unit = [float(unit == symbols[index]) for unit in range(4)]
        assert vectors[(index[0], slice(None), *index[1:])].tolist() == unit
    assert is_symbols(symbols) and not is_symbols(vectors)
    assert as_vectors(vectors, 4) is vectors  # numbers are left alone
