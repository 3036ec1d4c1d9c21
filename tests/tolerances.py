"""The one table of tolerances, by dtype.

Units: relative and absolute, as `numpy.testing.assert_allclose` takes them. The absolute part
covers sums that cancel; all quantities compared here are of order 1.
"""

import numpy as np

# float64: eps is 2.2e-16. Chains of about 10 steps with about 10 terms a sum lose two to three
# digits by reordering alone, and gradients sum such chains once more: 1e-12 leaves a factor ten.
# float32: eps is 1.2e-7; the same reasoning gives 1e-5. "oracle" is the bound the project states
# for float64 against the NumPy re-statements.
TOLERANCES = {
    "float32": {"rtol": 1e-5, "atol": 2e-6},
    "float64": {"rtol": 1e-12, "atol": 1e-12},
    "oracle": {"rtol": 1e-12, "atol": 1e-12},
}

# Central differences in float64 with step h = 1e-6: truncation h^2 * f''' is about 1e-12, and
# rounding eps / h about 2e-10, times the number of terms summed.
FINITE_DIFFERENCES = {"step": 1e-6, "rtol": 1e-6, "atol": 1e-8}

# `jax.test_util` in float64: its own differences along a random direction, the same step.
CHECK_GRADS = {"atol": 1e-6, "rtol": 1e-6, "eps": 1e-6}

# Statistical tests run with fixed keys, so they pass or fail for good. The rate is the chance that
# a correct sampler would have been unlucky with the key chosen; anything wrong by more than
# sampling noise gives p-values far below it.
FALSE_ALARM_RATE = 1e-3


def assert_close(actual, expected, kind=None):
    """Same tree, same shapes, values within the table's tolerance for `kind`."""
    if isinstance(expected, dict):
        assert set(actual) == set(expected)
        for name in expected:
            assert_close(actual[name], expected[name], kind)
    elif isinstance(expected, tuple | list):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_close(one, other, kind)
    elif expected is None or actual is None:
        assert actual is None and expected is None
    else:
        actual = np.asarray(actual)
        assert actual.shape == np.shape(expected)
        tolerance = TOLERANCES[str(actual.dtype) if kind is None else kind]
        np.testing.assert_allclose(actual, np.asarray(expected), **tolerance)
