"""Error flow back in time: section 3 of Hochreiter & Schmidhuber 1997 made visible.

    python -m experiments.error_flow                                       Elman, 1997, LSTM, GRU
    python -m experiments.error_flow --config=configs/error_flow.py:smoke  does it run
    python -m experiments.error_flow --config.cells=elman,V,mut1,examples/own_cell.py:janet

The norm of d error(t_end) / d state(t) against the lag, at initialisation and after training on the
adding problem, by automatic differentiation, beside the bound that section 3 derives.
"""

from ml_collections import ConfigDict

from lstm_jax.config import make_config, parse_arg
from lstm_jax.probing.flow_design import FIELDS

ARGS = {
    "four": "Elman's net, the net of 1997, the LSTM and the GRU, at T=100 (the default)",
    "smoke": "T=20 and few sequences: shows in under a minute that everything runs",
}

_ROWS = {
    "four": {},
    "smoke": {
        "T": 20,
        "num_trials": 6,
        "max_sequences": 1600,
        "num_sequences": 4,
        "cells": ("elman", "lstm97"),
    },
}


def get_config(arg: str = "four") -> ConfigDict:
    """The settings of a study."""
    parse_arg(arg, ARGS)
    return make_config(FIELDS, rows=(arg,), **_ROWS[arg])
