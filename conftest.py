"""Settings of the whole test run, doctests included: in place before jax computes anything."""

import os
import shutil
import tempfile
from collections.abc import Iterator

# Only where unset: a run on an accelerator, or with other flags, is the caller's choice.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
os.environ.setdefault("MPLBACKEND", "Agg")
# Commands that the tests start find each other's compiled programs, and none of an earlier run.
CACHE = tempfile.mkdtemp(prefix="lstm_jax-tests-")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", CACHE)

import jax
import pytest

from lstm_jax import runtime

runtime.configure()  # the programs under test are the ones that experiments run

# Silent broadcasting and silent casts hide wrong equations: both raise.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Takes back what a test and its fixtures set in the environment.

    A command run in this process sets flags for its children; those of a later test are none.
    """
    before = dict(os.environ)
    try:
        return (yield)
    finally:
        for name, _ in os.environ.items() ^ before.items():
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


def pytest_unconfigure():
    """Removes the session's compilation cache."""
    shutil.rmtree(CACHE, ignore_errors=True)


@pytest.fixture
def standard_promotion():
    """For code of others that casts silently (optax.adam: float ** int32)."""
    with jax.numpy_dtype_promotion("standard"):
        yield
