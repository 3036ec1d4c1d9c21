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
    "lstm97_silent": ("lstm97", {"num_blocks": 2, "block_size": 4, "silent": True}),
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
    # the vanilla LSTM of Greff et al. 2017, then each of their eight variants of it ...
    "lstm_v": ("lstm", {"hidden_size": 5, "switches": ()}),
    "lstm_nig": ("lstm", {"hidden_size": 5, "switches": ("NIG",)}),
    "lstm_nfg": ("lstm", {"hidden_size": 5, "switches": ("NFG",)}),
    "lstm_nog": ("lstm", {"hidden_size": 5, "switches": ("NOG",)}),
    "lstm_niaf": ("lstm", {"hidden_size": 5, "switches": ("NIAF",)}),
    "lstm_noaf": ("lstm", {"hidden_size": 5, "switches": ("NOAF",)}),
    "lstm_cifg": ("lstm", {"hidden_size": 5, "switches": ("CIFG",)}),
    "lstm_fgr": ("lstm", {"hidden_size": 5, "switches": ("FGR",)}),
    # ... and combinations
    "lstm_cifg_np": ("lstm", {"hidden_size": 5, "switches": ("CIFG", "NP")}),
    "lstm_nig_nog_np": ("lstm", {"hidden_size": 5, "switches": ("NIG", "NOG", "NP")}),
    "lstm_np_fgr": ("lstm", {"hidden_size": 5, "switches": ("NP", "FGR")}),
    "lstm_nfg_fgr": ("lstm", {"hidden_size": 5, "switches": ("NFG", "FGR")}),
    "lstm_niaf_noaf": ("lstm", {"hidden_size": 5, "switches": ("NIAF", "NOAF")}),
    "lstm_no_gates": ("lstm", {"hidden_size": 5, "switches": ("NIG", "NFG", "NOG", "NP")}),
    "lstm_projected": ("lstm", {"hidden_size": 5, "projection_size": 2}),
    "lstm_cifg_fgr_projected_clipped": (
        "lstm",
        {"hidden_size": 5, "switches": ("CIFG", "FGR"), "projection_size": 2, "clip": 0.6},
    ),
    "lstm_clipped": ("lstm", {"hidden_size": 5, "switches": (), "clip": 0.6}),
    "lstm_squashers": (
        "lstm",
        {
            "hidden_size": 5,
            "switches": (),
            "gate_activation": "hard_logistic",
            "g": "softsign",
            "h": "elu",
        },
    ),
    "gru": ("gru", {"hidden_size": 5}),
    "gru_before": ("gru", {"hidden_size": 5, "reset": "before"}),
    "gru_one_bias": ("gru", {"hidden_size": 5, "recurrent_bias": False}),
    "gru_clipped": ("gru", {"hidden_size": 5, "clip": 0.6}),
    "gru_before_clipped_squashers": (
        "gru",
        {
            "hidden_size": 5,
            "reset": "before",
            "clip": 0.6,
            "gate_activation": "hard_logistic",
            "g": "leaky_relu",
        },
    ),
    "mut1": ("mut1", {"hidden_size": 5}),
    "mut2": ("mut2", {"hidden_size": 5}),
    "mut3": ("mut3", {"hidden_size": 5}),
    "mgu": ("mgu", {"hidden_size": 5}),
    "min_gru": ("min_gru", {"hidden_size": 5}),
    "min_lstm": ("min_lstm", {"hidden_size": 5}),
    "slstm": ("slstm", {"hidden_size": 5}),
    "slstm_exp": ("slstm", {"hidden_size": 5, "forget": "exp"}),
    "slstm_heads": ("slstm", {"hidden_size": 8, "num_heads": 2}),
    "slstm_exp_heads": ("slstm", {"hidden_size": 8, "num_heads": 4, "forget": "exp"}),
    "elman": ("elman", {"hidden_size": 5}),
    "elman_logistic": ("elman", {"hidden_size": 5, "activation": "logistic"}),
    "elman_relu": ("elman", {"hidden_size": 5, "activation": "relu"}),
    "elman_no_bias": ("elman", {"hidden_size": 5, "activation": "logistic", "bias": False}),
    "elman_softplus": ("elman", {"hidden_size": 5, "activation": "softplus"}),
    "irnn": ("irnn", {"hidden_size": 5, "scale": 0.5}),
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


def random_state(cell, rng):
    """A random NON-zero state. The normaliser n of the sLSTM is one it can have: positive."""
    state = randomised(jax.eval_shape(cell.initial_state), rng)
    if "n" in state._fields:
        state = state._replace(n=0.5 + abs(state.n))
    return state


def random_case(cell, seed, num_steps=T):
    """Random weights, a random NON-zero state, random inputs."""
    rng = np.random.default_rng(seed)
    params = randomised(jax.eval_shape(cell.init, jax.random.key(0)), rng)
    state = random_state(cell, rng)
    xs = randomised(np.zeros((num_steps, cell.input_size)), rng, scale=1.0)
    return params, state, xs
