"""Settings of the whole test run, doctests included: in place before jax is imported."""

import os

# Only where unset: a run on an accelerator, or with other flags, is the caller's choice.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
os.environ.setdefault("MPLBACKEND", "Agg")

import jax  # noqa: E402  after the environment is set
import pytest  # noqa: E402

# Silent broadcasting and silent casts hide wrong equations: both raise.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture
def standard_promotion():
    """For code of others that casts silently (optax.adam: float ** int32)."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def x64():
    """Float64 throughout the test."""
    with jax.enable_x64(True):
        yield
