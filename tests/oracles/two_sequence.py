"""The two-sequence problem in plain Python (1997 paper, Experiment 3)."""

from math import erfc, sqrt

NOISE_VARIANCE = 0.2
TARGET_NOISE_VARIANCE = 0.1
TARGETS = {"3a": (1.0, 0.0), "3b": (1.0, 0.0), "3c": (0.2, 0.8)}  # of class 1, of class 2


def target(values, variant, N):
    """The noise-free target by the sign of the first N values; certain without noise on them."""
    return TARGETS[variant][0 if sum(values[:N]) > 0 else 1]


def bayes_error(N):
    """The share that sign of the mean of N values +-1 with noise gets wrong in 3b."""
    return erfc(sqrt(N / NOISE_VARIANCE) / sqrt(2)) / 2
