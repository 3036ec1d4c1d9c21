"""No test leaves settings behind in the process for those that come after it."""

import os
from collections.abc import Iterator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Takes back what a test set in the environment, its fixtures included.

    Many tests run a command in this process, which sets flags of XLA and the number of devices
    (`lstm_jax.runtime`); a command started by a later test would inherit them.
    """
    before = dict(os.environ)
    try:
        return (yield)
    finally:
        os.environ.clear()
        os.environ.update(before)
