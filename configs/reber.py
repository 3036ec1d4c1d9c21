"""The embedded Reber grammar: Hochreiter & Schmidhuber 1997, section 5.1 (Experiment 1), Table 1.

    python -m experiments.reber                                   3 blocks of 2, rate 0.5
    python -m experiments.reber --config=configs/reber.py:table1  the five LSTM rows
    python -m experiments.reber --config=configs/reber.py:rivals  RTRL and Elman nets
    python -m experiments.reber --config=configs/reber.py:smoke   does it run

Three pairs of a training and a test set, ten initialisations of each. Every 100 training
sequences all strings of both sets are asked; a trial is solved when all are predicted. The
settings are those of the paper, but for what docs/deviations.md lists.
"""

from typing import Any

from ml_collections import ConfigDict

from lstm_jax.config import (
    EVERY_STEP,
    EXAM,
    LEARNING,
    NETWORK,
    RUN,
    Field,
    make_config,
    parse_arg,
    standard_fields,
)
from lstm_jax.readings import Reading

ARGS = {
    "smoke": "few sequences: shows in under a minute that everything runs",
    "lstm-4x1-0.1": "4 blocks of 1, rate 0.1",
    "lstm-3x2-0.1": "3 blocks of 2, rate 0.1",
    "lstm-3x2-0.2": "3 blocks of 2, rate 0.2",
    "lstm-4x1-0.5": "4 blocks of 1, rate 0.5",
    "lstm-3x2-0.5": "3 blocks of 2, rate 0.5 (the default)",
    "rtrl3": "fully recurrent, 3 hidden units, RTRL (Smith & Zipser 1989)",
    "rtrl12": "fully recurrent, 12 hidden units, RTRL",
    "elman": "Elman net, 15 hidden units (Cleeremans et al. 1989)",
    "table1": "the five LSTM rows of Table 1",
    "rivals": "rtrl3, rtrl12 and elman",
}

FIELDS = standard_fields(
    RUN,
    NETWORK,
    LEARNING,
    EVERY_STEP,
    EXAM,
    rows=("lstm-3x2-0.5",),
    num_trials=30,
    num_blocks=3,
    bias="gates",
    output_gate_bias=(-1.0, -2.0, -3.0),
    init_range=0.2,
    output_bias=False,
    num_test=256,
    max_sequences=100_000,
    exam_size=512,
) | {
    "task": Field("embedded_reber", "what is learnt", choices=("embedded_reber",)),
    "num_pairs": Field(
        3, "pairs of a training and a test set; trial n has pair n mod num_pairs", low=1, high=100
    ),
    "num_strings": Field(
        256, "strings in each set; exam_size must be twice as many", low=1, high=10_000
    ),
}

READINGS = (
    Reading("output_unit", "logistic", "squashing function of the output units", ""),
    Reading("init_range", 0.2, "initial weights, uniform in plus or minus this", ""),
    Reading(
        "direct",
        False,
        "whether output units see the inputs of the step as well as the memory cells",
        "the text says that they see memory cells alone, and its weight counts, 264 and 276, leave "
        "no room for more (313 and 325 with the inputs)",
    ),
    Reading(
        "error_tolerance",
        0.0,
        "an output within this of its target sends no error back",
        "the text says nothing of one. With 0.25, the error that Experiment 2a allows, and "
        "`direct`, all five rows of Table 1 come out: 29, 25, 28, 29 and 28 of 30 trials by "
        "100,000, in the table's order, means 0.95, 1.36, 1.39, 1.14 and 1.45 times the paper's, "
        "where the text as it stands solves 4 of 150: `--config=configs/reber.py:table1 "
        "--config.direct=true --config.error_tolerance=0.25`. Why, and what else was tried: "
        "docs/decisions/0014-table-1.md. Not our default: two departures, found on this "
        "table, one against its weight counts",
    ),
    Reading(
        "update_every",
        None,
        "whether the weights change once a sequence or after every time step",
        "the appendix sums the contributions of all time steps, hence once a sequence",
    ),
    Reading(
        "exam_every",
        None,
        "how often both sets are asked",
        "the range quoted for the last row, 3,800 to 24,100, has the grain of 100",
    ),
)

_4X1 = {"num_blocks": 4, "block_size": 1, "output_gate_bias": (-1.0, -2.0, -3.0, -4.0)}
_RIVAL: dict[str, Any] = {
    "cell": "elman",
    "activation": "logistic",
    "bias": "none",
    "input_gate_bias": (),
    "output_gate_bias": (),
}
_ROWS = {
    "smoke": {
        "num_trials": 4,
        "max_sequences": 1_000,
        "num_strings": 16,
        "num_test": 16,
        "exam_size": 32,
        "curve_every": 100,
    },
    "lstm-4x1-0.1": _4X1 | {"learning_rate": 0.1},
    "lstm-3x2-0.1": {"learning_rate": 0.1},
    "lstm-3x2-0.2": {"learning_rate": 0.2},
    "lstm-4x1-0.5": _4X1 | {"learning_rate": 0.5},
    "lstm-3x2-0.5": {"learning_rate": 0.5},
    "rtrl3": _RIVAL
    | {
        "hidden_size": 10,
        "output_unit": "units",
        "gradient_rule": "rtrl",
        "learning_rate": 0.05,
        "max_sequences": 350_000,  # twice the published mean, and minutes of one core
    },
    "rtrl12": _RIVAL
    | {
        "hidden_size": 19,
        "output_unit": "units",
        "gradient_rule": "rtrl",
        "learning_rate": 0.1,
        "max_sequences": 75_000,  # three times the published mean
        "num_lanes": 8,  # 37 KB of sensitivities each: twice as fast a trial as 16 on a core
    },
    "elman": _RIVAL
    | {
        "hidden_size": 15,
        "gradient_rule": "truncated",
        "learning_rate": 0.1,
        "max_sequences": 200_000,
    },
}
_TABLES = {
    "table1": tuple(name for name in _ROWS if name.startswith("lstm")),
    "rivals": ("rtrl3", "rtrl12", "elman"),
}


def get_config(arg: str = "lstm-3x2-0.5") -> ConfigDict:
    """The settings of a row; for a table those of its first row with the names of all."""
    parse_arg(arg, ARGS)
    rows = _TABLES.get(arg, (arg,))
    return make_config(FIELDS, rows=rows, **_ROWS[rows[0]])
