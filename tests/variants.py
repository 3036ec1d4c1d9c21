"""The cells every property test runs over, by name; registering a cell demands a row here.

Sizes are all different, so that a transposed or mixed-up axis cannot go unseen.
"""

from functools import lru_cache

import jax
import numpy as np

from lstm_jax.cells import CELLS

T, D = 7, 3  # time steps, inputs

# name -> (factory name in CELLS, arguments). B=2 blocks of S=4 cells (C=8) for most of lstm97.
VARIANTS = {
    "lstm97": ("lstm97", {"num_blocks": 2, "block_size": 4}),
    "lstm97_gate_bias_only": ("lstm97", {"num_blocks": 2, "block_size": 4, "bias": "gates"}),
    "lstm97_no_bias": ("lstm97", {"num_blocks": 5, "block_size": 1, "bias": "none"}),
    "lstm97_no_output_gate": (
        "lstm97",
        {"num_blocks": 2, "block_size": 4, "output_gate": False},
    ),
    "lstm97_g1_id": (
        "lstm97",
        {
            "num_blocks": 1,
            "block_size": 2,
            "bias": "gates",
            "output_gate": False,
            "g": "g1",
            "h": "id",
        },
    ),
    "lstm97_gates_unseen": ("lstm97", {"num_blocks": 2, "block_size": 4, "see_gates": False}),
    "lstm97_ranges_swapped": ("lstm97", {"num_blocks": 2, "block_size": 4, "g": "h1", "h": "g2"}),
    "lstm97_not_recurrent": ("lstm97", {"num_blocks": 2, "block_size": 4, "recurrent": False}),
    "lstm97_experiment_2a": (
        "lstm97",
        {
            "num_blocks": 1,
            "block_size": 1,
            "bias": "none",
            "recurrent": False,
            "output_gate": False,
            "g": "g1",
            "h": "id",
        },
    ),
    "lstm": ("lstm", {"hidden_size": 5}),
    "elman": ("elman", {"hidden_size": 5}),
    "elman_logistic": ("elman", {"hidden_size": 5, "activation": "logistic"}),
    "elman_relu": ("elman", {"hidden_size": 5, "activation": "relu"}),
    "elman_no_bias": ("elman", {"hidden_size": 5, "activation": "logistic", "bias": False}),
}

LSTM97_VARIANTS = tuple(name for name, (cell, _) in VARIANTS.items() if cell == "lstm97")


@lru_cache
def make_cell(variant, input_size=D):
    name, arguments = VARIANTS[variant]
    return CELLS[name](input_size, **arguments)


def randomised(tree, rng, scale=0.7):
    """The same tree with normal numbers of this scale, in the dtype that is on now."""
    dtype = jax.dtypes.canonicalize_dtype(np.float64)
    return jax.tree.map(
        lambda leaf: jax.device_put((rng.normal(size=leaf.shape) * scale).astype(dtype)), tree
    )


def random_case(cell, seed, num_steps=T):
    """Random weights, a random NON-zero state, random inputs."""
    rng = np.random.default_rng(seed)
    params = randomised(jax.eval_shape(cell.init, jax.random.key(0)), rng)
    state = randomised(jax.eval_shape(cell.initial_state), rng)
    xs = randomised(np.zeros((num_steps, cell.input_size)), rng, scale=1.0)
    return params, state, xs
