"""State drift and abused cells: section 4 of Hochreiter & Schmidhuber 1997, from real runs.

    python -m experiments.drift                                    adding and two-sequence, T=100
    python -m experiments.drift --config=configs/drift.py:smoke    does it run
    python -m experiments.drift --config.tasks=adding --config.num_trials=50

Networks of the 1997 architecture are trained to the paper's own criteria with its initial gate
biases and without them, and looked into on the way: how far the internal states are from zero at
the end of a sequence, how much of h'(s) that leaves, and what the cells are used for.

Expected on the adding problem, 16 trials each: with the bias 16 of 16 solved by 200,000 sequences
and |s| about 1 at the end of a sequence before training; without it 6 of 16, |s| about 16, and
h'(s) down to a tenth. 23 minutes beside other work on two CPU cores, the smoke run 20 s.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import adding, temporal_order, two_sequence
from lstm_jax.config import make_config, parse_arg
from lstm_jax.probing.drift_design import Experiment, drift_fields

EXPERIMENTS = {
    "adding": Experiment(adding.FIELDS, {"T": 100}),
    "adding_500": Experiment(adding.FIELDS, {"T": 500}),
    "two_sequence": Experiment(
        two_sequence.FIELDS, {"variant": "3a", "T": 100, "N": 3, "exam_error_below": 0.01}
    ),
    "temporal_order": Experiment(temporal_order.FIELDS, {}),
}
"""Experiments 4, 3a and 6a as this project runs them (docs/deviations.md)."""

ARGS = {
    "paper": "adding and two-sequence at T=100, each bias left out (the default)",
    "all": "every task, T=500 and temporal order among them, and both biases left out as well",
    "long": "the adding problem at T=500: longer sequences, more drift",
    "smoke": "one task, two conditions, few sequences: shows in a minute that everything runs",
}

FIELDS = drift_fields(tuple(EXPERIMENTS))

_ROWS: dict[str, dict[str, Any]] = {
    "paper": {
        "tasks": ("adding", "two_sequence"),
        "conditions": ("published", "no_input_bias", "no_output_bias"),
    },
    "all": {},
    "long": {
        "tasks": ("adding_500",),
        "max_sequences": 500_000,
        "conditions": ("published", "no_input_bias"),
    },
    "smoke": {
        "tasks": ("adding",),
        "conditions": ("published", "no_input_bias"),
        "num_trials": 6,
        "max_sequences": 2000,
        "probe_at": (500, 1000),
        "num_sequences": 8,
    },
}


def get_config(arg: str = "paper") -> ConfigDict:
    """The settings of a study."""
    parse_arg(arg, ARGS)
    return make_config(FIELDS, rows=(arg,), **_ROWS[arg])
