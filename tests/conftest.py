"""What the tests share: tolerances in one table, and how arrays are compared."""

import jax
import numpy as np
import pytest
from hypothesis import settings

# The first example of a shape compiles for seconds; and a run must not depend on a data base.
settings.register_profile("jax", deadline=None, database=None, derandomize=True, max_examples=20)
settings.load_profile("jax")

# relative and absolute tolerance of one computation done in two orders
TOLERANCES = {
    "cpu": {"float64": (1e-11, 1e-13), "float32": (2e-5, 1e-6), "bfloat16": (2e-2, 1e-2)},
    "gpu": {"float64": (1e-10, 1e-12), "float32": (2e-4, 1e-5), "bfloat16": (5e-2, 2e-2)},
}


def _assert_close(actual, expected, *, dtype=None):
    actual_paths, actual_tree = jax.tree.flatten_with_path(actual)
    expected_leaves, expected_tree = jax.tree.flatten(expected)
    assert actual_tree == expected_tree, f"{actual_tree} is not {expected_tree}"
    table = TOLERANCES.get(jax.default_backend(), TOLERANCES["gpu"])
    for (path, leaf), other in zip(actual_paths, expected_leaves, strict=True):
        leaf, other = np.asarray(leaf), np.asarray(other)
        name = jax.tree_util.keystr(path)
        assert leaf.shape == other.shape, f"{name}: shape {leaf.shape} is not {other.shape}"
        if np.issubdtype(leaf.dtype, np.integer) or leaf.dtype == bool:
            np.testing.assert_array_equal(leaf, other, err_msg=name)
        else:
            rtol, atol = table[str(dtype or leaf.dtype)]
            np.testing.assert_allclose(
                leaf.astype(np.float64),
                other.astype(np.float64),
                rtol=rtol,
                atol=atol,
                err_msg=name,
            )


@pytest.fixture
def assert_close():
    """Compare two trees of arrays: same structure and shapes, values by the table above."""
    return _assert_close
