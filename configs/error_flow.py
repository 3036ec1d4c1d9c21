"""Error flow back in time: section 3 of Hochreiter & Schmidhuber 1997 made visible.

    python -m experiments.error_flow                                       Elman, 1997, LSTM, GRU
    python -m experiments.error_flow --config=configs/error_flow.py:smoke  does it run
    python -m experiments.error_flow --config.cells=elman,V,mut1,examples/own_cell.py:janet

The norm of d error(t_end) / d state(t) against the lag, at initialisation and after training on the
adding problem (section 5.4), by automatic differentiation, beside the bound that section 3 derives.

Expected, 20 nets each, median factor by which the error shrinks per step at T=100, before and after
training; 7 min 30 s beside other work on two CPU cores, the smoke run 20 s:

    elman    0.31   0.59     the bound from its weights: below 1 at initialisation
    lstm97   1      1        to the last bit under its own, truncated rule
    lstm     0.79   0.80     with a forget-gate bias of 1
    gru      0.56   0.78
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
