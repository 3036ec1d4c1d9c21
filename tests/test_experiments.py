"""The paper's experiments as settings: every ARG is a run, every row has the paper's weights."""

import math
from functools import lru_cache

import jax
import pytest

from experiments import adding, long_lag, multiplication, reber, temporal_order, two_sequence
from lstm_jax.build import build_trial
from lstm_jax.config import parse_command_line, row_configs
from lstm_jax.dry_run import describe_row
from lstm_jax.network import num_weights

MODULES = (reber, long_lag, two_sequence, adding, multiplication, temporal_order)
EXPERIMENTS = {module.EXPERIMENT.name: module.EXPERIMENT for module in MODULES}

# Table 10 and the text of the paper: what trains in each row
WEIGHTS = {
    "t1-rtrl3": 170,
    "t1-rtrl12": 494,
    "t1-elman": 435,
    "t1-lstm-4x1-0.1": 264,
    "t1-lstm-3x2-0.1": 276,
    "t1-lstm-3x2-0.2": 276,
    "t1-lstm-4x1-0.5": 264,
    "t1-lstm-3x2-0.5": 276,
    "t2-rtrl-p4-1": 36,
    "t2-rtrl-p4-4": 36,
    "t2-rtrl-p4-10": 36,
    "t2-rtrl-p10": 144,
    "t2-rtrl-p100": 10404,
    "t2-bptt-p100": 10404,
    "t2-lstm-2a": 10504,
    "t2-lstm-2b": 10504,
    "t3-q50-p50": 364,
    "t3-q100-p100": 664,
    "t3-q200-p200": 1264,
    "t3-q500-p500": 3064,
    "t3-q1000-p1000": 6064,
    "t3-q1000-p500": 3064,
    "t3-q1000-p200": 1264,
    "t3-q1000-p100": 664,
    "t3-q1000-p50": 364,
    "t4-t100-n3": 102,
    "t4-t100-n1": 102,
    "t4-t1000-n3": 102,
    "t5-t100-n3": 102,
    "t5-t100-n1": 102,
    "t5-t1000-n1": 102,
    "t6-t100-n3": 102,
    "t6-t100-n1": 102,
    "t7-t100": 93,
    "t7-t500": 93,
    "t7-t1000": 93,
    "t8-140": 93,
    "t8-13": 93,
    "t9-6a": 156,
    "t9-6b": 308,
}
PUBLISHED = [(name, row) for name, e in EXPERIMENTS.items() for row in e.paper]
ARGS = [(name, arg) for name, e in EXPERIMENTS.items() for arg in e.args]


@lru_cache
def rows_of(name, arg):
    """{row: its config} of an ARG, through the command line and its checks."""
    experiment = EXPERIMENTS[name]
    line = parse_command_line(
        [f"--config={experiment.config_path}:{arg}"],
        fields=experiment.fields,
        default_config_path=experiment.config_path,
        arg_names=experiment.args,
        usage=experiment.usage,
        check=experiment.check,
    )
    assert line.config_arg == arg
    return dict(row_configs(line))


@pytest.mark.parametrize(("name", "arg"), ARGS)
def test_every_arg_is_a_run(name, arg):
    """A row by its own name, or the rows of a table, each with the settings of its own."""
    rows = rows_of(name, arg)
    assert arg in rows or len(rows) > 1
    for row, config in rows.items():
        assert config.rows == (row,)
        assert dict(config.items()) == dict(rows_of(name, row)[row].items())
        built = build_trial(config)
        assert built.trial.max_sequences == config.max_sequences


@pytest.mark.parametrize(("name", "row"), PUBLISHED)
def test_weights_of_the_paper(name, row):
    experiment = EXPERIMENTS[name]
    published = experiment.paper[row]
    net = build_trial(rows_of(name, row)[row]).trial.network
    count = num_weights(jax.eval_shape(net.init, jax.random.key(0)))
    assert count == published.num_weights
    assert count == WEIGHTS[adding_row(published.name)]


def adding_row(name):
    return "t7-t100" if name == "literal" else name  # another reading of the same row


def test_every_row_of_the_paper_is_there():
    """But for two that the paper cites from others, and we from it."""
    names = [row.name for e in EXPERIMENTS.values() for row in e.paper.values()]
    assert sorted({adding_row(name) for name in names}) == sorted(WEIGHTS)
    assert len(set(names)) == len(names)
    assert all(not row.cited for e in EXPERIMENTS.values() for row in e.paper.values())
    assert reber.RCC.cited and long_lag.CHUNKER.cited


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_rows_say_what_the_paper_says(name):
    """Trials, criterion and tables of the paper's own; a bound where it gives no mean."""
    for row, published in EXPERIMENTS[name].paper.items():
        config = rows_of(name, row)[row]
        assert config.num_trials == published.num_trials
        assert published.source.split()[1] == published.name[1] or row == "literal"
        if math.isnan(published.num_sequences):
            assert published.cap is not None and config.max_sequences <= published.cap
        else:
            assert config.max_sequences > published.num_sequences


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [("reber", "elman", "435 weights (paper: 435)"), ("long_lag", "rtrl-p10", "144 weights")],
)
def test_a_row_without_a_published_mean_is_described(name, row, expected):
    config = rows_of(name, row)[row]
    text = describe_row(row, config, build_trial(config), EXPERIMENTS[name].paper[row])
    assert expected in text and "nan" not in text
    assert f"to the cap of {config.max_sequences:,} sequences" in text


def test_a_row_without_a_published_count_is_described():
    config = rows_of("reber", "smoke")["smoke"]
    text = describe_row("smoke", config, build_trial(config), reber.RCC)
    assert "276 weights," in text and "None" not in text and "182,000" in text
