"""The embedded Reber grammar: Experiment 1 and Table 1 of Hochreiter & Schmidhuber 1997.

python -m experiments.reber                                   3 blocks of 2, rate 0.5
python -m experiments.reber --config=configs/reber.py:table1  the five LSTM rows
python -m experiments.reber --config=configs/reber.py:rivals  RTRL and Elman nets
"""

import math
import sys

from configs import reber as config
from lstm_jax.experiment import Experiment, main
from lstm_jax.tables import PaperRow


def _row(
    name: str, label: str, num_weights: int | None, num_sequences: float, solved: float = 1.0
) -> PaperRow:
    return PaperRow(
        f"t1-{name}", label, "Table 1", num_weights, 30, num_sequences, None, 256, solved=solved
    )


SOME = "the paper's figure is that of other authors, of their few successes"

EXPERIMENT = Experiment(
    name="reber",
    usage=__doc__ or "",
    config_path="configs/reber.py",
    fields=config.FIELDS,
    args=config.ARGS,
    paper={
        "rtrl3": _row("rtrl3", "RTRL, 3 hidden, rate 0.05", 170, 173_000, math.nan)._replace(
            note=SOME
        ),
        "rtrl12": _row("rtrl12", "RTRL, 12 hidden, rate 0.1", 494, 25_000, math.nan)._replace(
            note=SOME
        ),
        "elman": _row("elman", "Elman, 15 hidden", 435, math.nan, 0.0)._replace(cap=200_000),
        "lstm-4x1-0.1": _row("lstm-4x1-0.1", "4 blocks of 1, rate 0.1", 264, 39_740),
        "lstm-3x2-0.1": _row("lstm-3x2-0.1", "3 blocks of 2, rate 0.1", 276, 21_730),
        "lstm-3x2-0.2": _row("lstm-3x2-0.2", "3 blocks of 2, rate 0.2", 276, 14_060, 0.97),
        "lstm-4x1-0.5": _row("lstm-4x1-0.5", "4 blocks of 1, rate 0.5", 264, 9_500, 0.97),
        "lstm-3x2-0.5": _row("lstm-3x2-0.5", "3 blocks of 2, rate 0.5", 276, 8_440)._replace(
            note="3,800 to 24,100 sequences"
        ),
    },
    readings=config.READINGS,
)

RCC = _row("rcc", "recurrent cascade-correlation, 7-9 hidden", None, 182_000, 0.5)._replace(
    note="about 119 to 198 weights; Fahlman 1991", cited=True
)
"""Cited by the paper and here: not run."""

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
