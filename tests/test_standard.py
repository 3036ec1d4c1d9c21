"""Standard settings: what fits together, what does not, and that a line says which."""

import jax
import numpy as np
import pytest

from configs import adding, long_lag, reber, two_sequence
from experiments.reber import EXPERIMENT
from lstm_jax.build import build_trial
from lstm_jax.config import (
    EXAM,
    NETWORK,
    RUN,
    ConfigError,
    check_standard,
    make_config,
    standard_fields,
)
from lstm_jax.exams import Exam
from lstm_jax.experiment import main
from lstm_jax.tasks.reber import reber_sets

ADDING, REBER, LONG_LAG, TWO = adding.FIELDS, reber.FIELDS, long_lag.FIELDS, two_sequence.FIELDS

BAD = [
    # what a cell cannot be
    (ADDING, {"bias": "none"}, ["input_gate_bias=-3.0,-6.0: must be ()", "bias=none"]),
    (ADDING, {"num_blocks": 3}, ["input_gate_bias=-3.0,-6.0", "num_blocks=3"]),
    (REBER, {"output_gate_bias": (1.0,)}, ["output_gate_bias=1.0", "num_blocks=3"]),
    (REBER, {"output_gate": False}, ["output_gate_bias=-1.0,-2.0,-3.0", "output_gate=false"]),
    (ADDING, {"cell": "lstm"}, ["gradient_rule=traces", "lstm97", "truncated, bptt, rtrl"]),
    (ADDING, {"cell": "elman"}, ["gradient_rule=traces", "elman"]),
    (ADDING, {"cell": "elman", "gradient_rule": "bptt", "bias": "gates"}, ["bias=gates", "elman"]),
    (ADDING, {"cell": "lstm", "gradient_rule": "bptt", "bias": "none"}, ["bias=none", "cell=lstm"]),
    (ADDING, {"output_unit": "units"}, ["output_unit=units", "gradient_rule"]),
    (
        REBER,
        {
            "cell": "elman",
            "gradient_rule": "rtrl",
            "bias": "none",
            "output_unit": "units",
            "direct": True,
        },
        ["output_unit=units", "direct=false"],
    ),
    # what a gradient cannot be
    (ADDING, {"kernel": "lanes", "gradient_rule": "rtrl"}, ["kernel=lanes", "traces", "vmap"]),
    (
        ADDING,
        {"kernel": "lanes", "gradient_rule": "bptt", "cell": "lstm"},
        ["kernel=lanes", "cell=lstm97"],
    ),
    (ADDING, {"kernel": "lanes", "batch_size": 2}, ["kernel=lanes", "batch_size=1"]),
    (REBER, {"update_every": "step", "optimizer": "adam"}, ["update_every=step", "optimizer=sgd"]),
    (
        REBER,
        {"update_every": "step", "gradient_rule": "truncated"},
        ["update_every=step", "gradient_rule=traces"],
    ),
    # what an exam cannot be
    (TWO, {"max_sequences": 1050}, ["max_sequences=1050", "multiple", "exam_every=100"]),
    (TWO, {"exam_wrong_below": 257}, ["exam_wrong_below=257", "exam_size=256"]),
    (TWO, {"batch_size": 2}, ["batch_size=2", "exam"]),
    (TWO, {"chunk": 150}, ["chunk=150", "multiple", "exam_every=100"]),
    (LONG_LAG, {"exam_every": 300}, ["max_sequences=5000000", "exam_every=300"]),
    # what a window cannot be
    (ADDING, {"wrong_below": 2001}, ["wrong_below=2001", "num_correct=2000"]),
]


@pytest.mark.parametrize(("fields", "changes", "parts"), BAD)
def test_one_line_says_what_contradicts_what(fields, changes, parts):
    with pytest.raises(ConfigError) as raised:
        check_standard(make_config(fields, **changes))
    line = str(raised.value)
    assert line.startswith("config.") and "\n" not in line
    for part in parts:
        assert part in line


GOOD = [
    (ADDING, {"num_blocks": 3, "input_gate_bias": ()}),
    (ADDING, {"cell": "lstm", "gradient_rule": "bptt", "batch_size": 4, "optimizer": "adam"}),
    (ADDING, {"cell": "elman", "gradient_rule": "rtrl", "bias": "none"}),
    (ADDING, {"wrong_below": 2000}),
    (ADDING, {"sees": "cells", "g": "h1", "h": "g2", "gradient_rule": "truncated"}),
    (ADDING, {"sees": "nothing", "direct": True}),
    (ADDING, {"kernel": "lanes", "gradient_rule": "bptt"}),
    (REBER, {"update_every": "step", "chunk": 200}),
    (TWO, {"exam_every": 1, "max_sequences": 7, "chunk": 3, "exam_wrong_below": 256}),
    (LONG_LAG, {"growth_window": 0}),
    (LONG_LAG, {"update_every": "step"}),
]


@pytest.mark.parametrize(("fields", "changes"), GOOD)
def test_what_passes_the_check_can_be_built(fields, changes):
    config = make_config(fields, **changes)
    check_standard(config)
    build_trial(config)


def test_the_criterion_is_that_of_the_fields():
    def built(fields, **changes):
        return build_trial(make_config(fields, **changes)).trial.exam

    assert built(ADDING) is None
    one = built(LONG_LAG, exam_wrong_below=5, exam_size=100, exam_every=50)
    assert isinstance(one, Exam)
    assert (one.every, one.num) == (50, 100)
    assert [(s.name, s.wrong_below, s.error_below) for s in one.stages] == [
        ("ST1", 5, float("inf"))
    ]
    two = built(TWO, exam_error_below=0.01)
    assert [(s.name, s.wrong_below, s.error_below) for s in two.stages] == [
        ("ST1", 1, float("inf")),
        ("ST2", 1, 0.01),
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_strings": 16, "num_test": 32}, "config.exam_size=512: must be 32"),
        ({"num_strings": 1000}, "config.exam_size=512: must be 2000"),
        ({"exam_size": 100}, "config.exam_size=100: must be 512"),
        ({"num_test": 513}, "config.num_test=513: must be at most 512"),
    ],
)
def test_no_string_of_a_set_is_asked_over_and_over(changes, said):
    """Past the end of an array its last element comes again: those exams asked one string."""
    with pytest.raises(ConfigError) as refused:
        build_trial(make_config(REBER, **changes))
    assert str(refused.value).startswith(said) and "\n" not in str(refused.value)
    given = {"num_strings": 16, "exam_size": 32, "num_test": 32}
    task = build_trial(make_config(REBER, **given)).trial.task
    shown = [np.asarray(task.test(jax.random.key(0), n, 0).inputs) for n in range(32)]
    test, training = reber_sets(1, 16)[0][::-1]
    assert [len(s) - 1 for s in test + training] == [
        int(task.test(jax.random.key(0), n, 0).length) for n in range(32)
    ]
    assert len({s.tobytes() for s in shown}) == len({*test, *training})


def test_defaults_are_laid_over_standard_fields():
    fields = standard_fields(RUN, NETWORK, num_trials=3)
    assert list(fields) == [*RUN, *NETWORK]
    assert fields["num_trials"].default == 3 and RUN["num_trials"].default == 10
    assert fields["num_trials"].meaning == RUN["num_trials"].meaning
    with pytest.raises(ConfigError, match="exam_every: no such standard field"):
        standard_fields(RUN, exam_every=3)
    assert standard_fields(EXAM, exam_every=3)["exam_every"].default == 3


def test_a_boolean_says_what_it_takes(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(EXPERIMENT, ["--config.direct=maybe"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: config.direct=maybe: must be true or false\n"
