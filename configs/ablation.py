"""Ablations: which parts of a gated network matter, after Greff et al. 2017, on long-lag tasks.

    python -m experiments.ablation                                           the odyssey's variants
    python -m experiments.ablation --config=configs/ablation.py:cells        other architectures
    python -m experiments.ablation --config=configs/ablation.py:gates        combinations of gates
    python -m experiments.ablation --config=configs/ablation.py:smoke        does it run
    python -m experiments.ablation --config.axes='l2=0|0.001,init_range=log:0.05:1:5'

Networks of 8 hidden units, updated after every sequence, on the embedded Reber grammar and on
temporal order with T=50, to their criteria of 1997, and on the adding problem with T=20 (minimal
lag 10) until fewer than 11 of 500 sequences are wrong with a mean error below 0.02: its criterion
of 1997, 2000 in a row, measures the end of learning more than the bridging of the lag.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import adding, reber, temporal_order
from lstm_jax.ablation.design import sweep_fields
from lstm_jax.config import make_config, parse_arg

ODYSSEY = ("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR")

ARGS = {
    "odyssey": "vanilla LSTM and the eight variants of Greff et al. 2017 (the default)",
    "gates": "combinations of missing gates and functions, without peepholes",
    "cells": "LSTM, GRU, MGU, MUT1 to 3, minimal and exponential gating, plain recurrent nets",
    "smoke": "two cells, one task, few sequences: shows in under a minute that everything runs",
}

RECIPES: dict[str, dict[str, Any]] = {
    "adam": {"optimizer": "adam", "gradient_rule": "bptt"},
    "sgd": {"optimizer": "sgd", "gradient_rule": "bptt"},
    "1997": {"optimizer": "sgd", "gradient_rule": "truncated"},
}

_SAME: dict[str, Any] = {"bias": "hidden", "num_test": 256, "init_range": 0.3}
TASKS = {
    "adding": (
        adding.FIELDS,
        {"T": 20, "num_correct": 500, "wrong_below": 11, "error_limit": 0.02}
        | {"input_gate_bias": ()}
        | _SAME,
    ),
    "reber": (reber.FIELDS, {"output_gate_bias": (), "output_bias": True} | _SAME),
    "temporal_order": (temporal_order.FIELDS, {"T": 50, "input_gate_bias": ()} | _SAME),
}
"""Fields and settings of each task; initial weights are as wide for all, within [-0.3, 0.3]."""

FIELDS = sweep_fields(tuple(TASKS), tuple(RECIPES))

_ROWS: dict[str, dict[str, Any]] = {
    "odyssey": {"cells": ODYSSEY},
    "gates": {
        "cells": ("NP", "NP+NIG", "NP+NFG", "NP+NOG", "NP+NIG+NOG", "NP+CIFG", "NP+CIFG+NOG")
    },
    "cells": {
        "cells": (
            *("NP", "V", "lstm97", "gru", "mgu", "mut1", "mut2", "mut3"),
            *("slstm", "min_lstm", "min_gru", "elman", "irnn"),
        ),
    },
    "smoke": {
        "cells": ("NP", "gru"),
        "tasks": ("temporal_order",),
        "learning_rates": (0.01, 0.03),
        "num_seeds": 2,
        "confirm_seeds": 4,
        "max_sequences": 400,
    },
}


def get_config(arg: str = "odyssey") -> ConfigDict:
    """The settings of a sweep."""
    parse_arg(arg, ARGS)
    return make_config(FIELDS, rows=(arg,), **_ROWS[arg])
