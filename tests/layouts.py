"""Weights laid out by hand as other packages have them, and comparing in their precision."""

from functools import lru_cache

import jax
import numpy as np
import pytest

from lstm_jax.unroll import unroll

SINGLE = {"rtol": 1e-6, "atol": 1e-6}  # float32 there and here, two orders of summation


def needs(*modules):
    for module in modules:
        package = {"haiku": "dm-haiku"}.get(module, module)
        pytest.importorskip(module, reason=f"no peer to compare with: pip install {package}")


def named(params):
    """{field: array} of the weights that are there."""
    return {k: np.asarray(v) for k, v in params._asdict().items() if v is not None}


def rows(p, kind, gates):
    return np.concatenate([p[f"{kind}_{a}"] for a in gates])


def columns(p, kind, gates):
    return np.concatenate([p[f"{kind}_{a}"].T for a in gates], axis=1)


@lru_cache
def compiled(cell, reverse=False):
    return jax.jit(
        lambda params, state, xs, length: unroll(
            cell, params, xs, state, length=length, reverse=reverse
        )
    )


def close_in_single(actual, expected):
    assert np.asarray(actual).dtype == np.float32
    np.testing.assert_allclose(np.asarray(actual), expected, **SINGLE)
