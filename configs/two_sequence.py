"""The two-sequence problem: Hochreiter & Schmidhuber 1997, section 5.3 (Experiments 3a, 3b, 3c).

    python -m experiments.two_sequence                                          3a, T=100, N=3
    python -m experiments.two_sequence --config=configs/two_sequence.py:table4  the rows of Table 4
    python -m experiments.two_sequence --config=configs/two_sequence.py:smoke   does it run

Every 100 training sequences a net is examined on 256 others, the same ones throughout a trial: ST1
asks for few wrong answers, ST2 for a small mean error as well. The settings are those of the paper,
but for what docs/deviations.md lists.
"""

from typing import Any

from ml_collections import ConfigDict

from lstm_jax.config import (
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
    "smoke": "T=20 and few sequences: shows in under a minute that everything runs",
    "a-t100-n3": "3a: no noise on the first N elements; T=100, N=3 (the default)",
    "a-t100-n1": "3a, T=100, N=1",
    "a-t1000-n3": "3a, T=1000, N=3",
    "b-t100-n3": "3b: noise on all elements; T=100, N=3",
    "b-t100-n1": "3b, T=100, N=1",
    "b-t1000-n1": "3b, T=1000, N=1",
    "c-t100-n3": "3c: noise on the targets; T=100, N=3",
    "c-t100-n1": "3c, T=100, N=1",
    "table4": "the three rows of Table 4 (3a)",
    "table5": "the three rows of Table 5 (3b)",
    "table6": "the two rows of Table 6 (3c)",
}

FIELDS = standard_fields(
    RUN,
    NETWORK,
    LEARNING,
    EXAM,
    rows=("a-t100-n3",),
    num_blocks=3,
    block_size=1,
    input_gate_bias=(-1.0, -3.0, -5.0),
    output_gate_bias=(-2.0, -4.0, -6.0),
    output_bias=False,
    learning_rate=1.0,
    max_sequences=1_500_000,
    exam_set="fixed",
) | {
    "task": Field("two_sequence", "what is learnt", choices=("two_sequence",)),
    "variant": Field(
        "3a",
        "3a: noise after the first N elements; 3b: on all; 3c: as 3a, and on the targets",
        choices=("3a", "3b", "3c"),
    ),
    "T": Field(100, "shortest sequence in steps; the longest has T + T/10", low=1, high=100_000),
    "N": Field(3, "elements that carry the class", low=1, high=100_000),
}

READINGS = (
    Reading("output_unit", "logistic", "squashing function of the output unit", ""),
    Reading("init_range", 0.1, "initial weights, uniform in plus or minus this", ""),
    Reading("input_gate_bias", (-1.0, -3.0, -5.0), "initial input-gate biases", ""),
    Reading("output_gate_bias", (-2.0, -4.0, -6.0), "initial output-gate biases", ""),
    Reading(
        "exam_every",
        None,
        "how often the stopping criteria are tested",
        "the counts of Tables 4 to 6 are multiples of 10: means of 10 trials whose counts are "
        "multiples of 100",
    ),
    Reading(
        "exam_set",
        None,
        "whether each test draws its 256 sequences, or a trial keeps one set",
        "a trial that may try a new draw every 100 sequences passes with a lucky one: in the rows "
        "of T=100, in the order of the tables, 41, 12, 553, 573, 132 and 278 of 25,600 further "
        "sequences were wrong with `--config.exam_set=fresh`, 26, 8, 446, 595, 107 and 74 with one "
        "set; paper 5, 3, 212, 384, 143 and 113. The mean error, which the exam bounds by 0.015 in "
        "3c and by 0.04 in 3b, is above the bound in new tests of the former (3b, N=3: 0.0432), "
        "below it in those of the latter (0.0387). The text speaks of a test set and, for the "
        "share of wrong answers, of another",
    ),
)


def _row(variant: str, T: int, N: int) -> dict[str, Any]:
    row: dict[str, Any] = {"variant": variant, "T": T, "N": N, "exam_error_below": 0.01}
    if variant == "3b":
        row |= {"exam_wrong_below": 6, "exam_error_below": 0.04}
    if variant == "3c":
        row |= {"learning_rate": 0.1, "exam_error_below": 0.015, "max_sequences": 3_000_000}
    return row


_ROWS = {
    "smoke": _row("3a", 20, 3)
    | {"num_trials": 4, "max_sequences": 2_000, "num_test": 256, "curve_every": 100},
    "a-t100-n3": _row("3a", 100, 3),
    "a-t100-n1": _row("3a", 100, 1),
    "a-t1000-n3": _row("3a", 1000, 3),
    "b-t100-n3": _row("3b", 100, 3),
    "b-t100-n1": _row("3b", 100, 1),
    "b-t1000-n1": _row("3b", 1000, 1),
    "c-t100-n3": _row("3c", 100, 3),
    "c-t100-n1": _row("3c", 100, 1),
}
_TABLES = {
    "table4": tuple(name for name in _ROWS if name.startswith("a-")),
    "table5": tuple(name for name in _ROWS if name.startswith("b-")),
    "table6": tuple(name for name in _ROWS if name.startswith("c-")),
}


def get_config(arg: str = "a-t100-n3") -> ConfigDict:
    """The settings of a row; for a table those of its first row with the names of all."""
    parse_arg(arg, ARGS)
    rows = _TABLES.get(arg, (arg,))
    return make_config(FIELDS, rows=rows, **_ROWS[rows[0]])
