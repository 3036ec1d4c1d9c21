"""Temporal order: Hochreiter & Schmidhuber 1997, section 5.6 (Experiments 6a and 6b), Table 9.

    python -m experiments.temporal_order                                            6a
    python -m experiments.temporal_order --config=configs/temporal_order.py:table9  6a and 6b
    python -m experiments.temporal_order --config=configs/temporal_order.py:smoke   does it run

The settings are those of the paper, but for what docs/deviations.md lists.
"""

from ml_collections import ConfigDict

from lstm_jax.config import (
    LEARNING,
    MEAN_ERROR,
    NETWORK,
    RUN,
    WINDOW,
    Field,
    make_config,
    parse_arg,
    standard_fields,
)
from lstm_jax.readings import Reading

ARGS = {
    "smoke": "T=20 and few sequences: shows in under a minute that everything runs",
    "6a": "two symbols in order, four classes (the default)",
    "6b": "three symbols in order, eight classes",
    "table9": "the two rows of Table 9: 6a and 6b",
}

FIELDS = standard_fields(
    RUN,
    NETWORK,
    LEARNING,
    WINDOW,
    MEAN_ERROR,
    rows=("6a",),
    num_trials=20,
    input_gate_bias=(-2.0, -4.0),
    max_sequences=300_000,
    error_limit=0.1,
) | {
    "task": Field("temporal_order", "what is learnt", choices=("temporal_order",)),
    "num_symbols": Field(2, "relevant symbols in a sequence: 2 (6a) or 3 (6b)", low=2, high=3),
    "T": Field(100, "shortest sequence in steps; the longest has T + T/10", low=20, high=100_000),
}

READINGS = (
    Reading("output_unit", "logistic", "squashing function of the output units", ""),
    Reading("init_range", 0.1, "initial weights, uniform in plus or minus this", ""),
    Reading("output_gate_bias", (), "initial output-gate biases", ""),
    Reading(
        "error_measure",
        None,
        "which error the average training error averages",
        "2000 right answers in a row have every error below 0.3; the mean absolute error is the "
        "stricter of the two readings, and binds little",
    ),
)

_6B = {
    "num_symbols": 3,
    "num_blocks": 3,
    "input_gate_bias": (-2.0, -4.0, -6.0),
    "learning_rate": 0.1,
    "num_trials": 10,
    "max_sequences": 3_000_000,
}
_ROWS = {
    "smoke": {"T": 20, "num_trials": 4, "max_sequences": 10_000, "num_test": 256},
    "6a": {},
    "6b": _6B,
}


def get_config(arg: str = "6a") -> ConfigDict:
    """The settings of a row, or for table9 those of 6a with the names of both rows."""
    parse_arg(arg, ARGS)
    if arg == "table9":
        return make_config(FIELDS, rows=("6a", "6b"))
    return make_config(FIELDS, rows=(arg,), **_ROWS[arg])
