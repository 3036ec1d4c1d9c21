"""The squashing functions by name."""

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


SQUASHERS = {
    "tanh": np.tanh,
    "logistic": sigmoid,
    "relu": lambda x: np.where(x > 0, x, 0.0),
    "identity": lambda x: x,
    "hard_logistic": lambda x: np.where(x < -2.5, 0.0, np.where(x > 2.5, 1.0, x / 5 + 1 / 2)),
    "hard_tanh": lambda x: np.where(x < -1, -1.0, np.where(x > 1, 1.0, x)),
    "softsign": lambda x: x / (1.0 + np.abs(x)),
    "softplus": lambda x: np.log(1.0 + np.exp(x)),
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1.0),
    "leaky_relu": lambda x: np.where(x > 0, x, x / 100),
}


def clipped(net, limit):
    """A net input held within [-limit, limit]; None is no limit."""
    return net if limit is None else np.minimum(np.maximum(net, -limit), limit)
