"""Running code of other libraries inside a test session that forbids silent broadcasting."""

from contextlib import contextmanager
from itertools import combinations

import jax
import numpy as np


@contextmanager
def lenient():
    """Lets others' code broadcast and cast as it is used to; ours runs outside of it."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def states_of(tree):
    """The cells' states in a structure's state, from the inputs up, forward before backward."""
    return jax.tree.leaves(tree, is_leaf=lambda part: hasattr(part, "h"))


def exchanged(array, num, axis=-1):
    """The array with two of its `num` blocks exchanged, for each pair: gates mixed up."""
    blocks = np.split(np.asarray(array), num, axis=axis)
    for one, other in combinations(range(num), 2):
        order = list(range(num))
        order[one], order[other] = other, one
        yield (one, other), np.concatenate([blocks[n] for n in order], axis=axis)
