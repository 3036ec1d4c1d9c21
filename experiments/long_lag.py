"""Long time lags: Experiments 2a, 2b, 2c, Tables 2 and 3 of Hochreiter & Schmidhuber 1997.

python -m experiments.long_lag                                      2a, p=100
python -m experiments.long_lag --config=configs/long_lag.py:table2  2a, 2b and their rivals
python -m experiments.long_lag --config=configs/long_lag.py:table3  the nine rows of 2c
"""

import math
import sys

from configs import long_lag as config
from lstm_jax.experiment import Experiment, main
from lstm_jax.tables import PaperRow


def _row2(
    name: str, label: str, num_weights: int, num_sequences: float, solved: float = 1.0
) -> PaperRow:
    row = PaperRow(f"t2-{name}", label, "Table 2", num_weights, 18, num_sequences, None, 0)
    return row._replace(solved=solved, cap=None if solved else 5_000_000)


def _row3(q: int, p: int, num_weights: int, num_sequences: int) -> PaperRow:
    label = f"lag {q + 1}, {p} distractors"
    return PaperRow(f"t3-q{q}-p{p}", label, "Table 3", num_weights, 20, num_sequences, 0, 10_000)


TABLE_3 = (
    _row3(50, 50, 364, 30_000),
    _row3(100, 100, 664, 31_000),
    _row3(200, 200, 1264, 33_000),
    _row3(500, 500, 3064, 38_000),
    _row3(1000, 1000, 6064, 49_000),
    _row3(1000, 500, 3064, 49_000),
    _row3(1000, 200, 1264, 75_000),
    _row3(1000, 100, 664, 135_000),
    _row3(1000, 50, 364, 203_000),
)

EXPERIMENT = Experiment(
    name="long_lag",
    usage=__doc__ or "",
    config_path="configs/long_lag.py",
    fields=config.FIELDS,
    args=config.ARGS,
    paper={
        "rtrl-p4-1": _row2("rtrl-p4-1", "RTRL, delay 4, rate 1", 36, 1_043_000, 0.78),
        "rtrl-p4-4": _row2("rtrl-p4-4", "RTRL, delay 4, rate 4", 36, 892_000, 0.56),
        "rtrl-p4-10": _row2("rtrl-p4-10", "RTRL, delay 4, rate 10", 36, 254_000, 0.22),
        "rtrl-p10": _row2("rtrl-p10", "RTRL, delay 10", 144, math.nan, 0.0),
        "rtrl-p100": _row2("rtrl-p100", "RTRL, delay 100", 10404, math.nan, 0.0),
        "bptt-p100": _row2("bptt-p100", "BPTT, delay 100", 10404, math.nan, 0.0),
        "2a": _row2("lstm-2a", "LSTM (2a), delay 100", 10504, 5_040),
        "2b": _row2("lstm-2b", "LSTM (2b), delay 100", 10504, 5_680)._replace(
            note="2b is reported in the text"
        ),
        **{row.name.removeprefix("t3-"): row for row in TABLE_3},
    },
    readings=config.READINGS,
)

CHUNKER = _row2("chunker-p100", "two-net chunker, delay 100", 10506, 32_400, 0.33)._replace(
    note="Schmidhuber 1992", cited=True
)
"""Cited by the paper and here: not run."""

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
