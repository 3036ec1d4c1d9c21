"""The adding problem: Experiment 4 and Table 7 of Hochreiter & Schmidhuber 1997.

python -m experiments.adding                                     T=100, ten trials
python -m experiments.adding --config=configs/adding.py:table7   the three rows of Table 7
python -m experiments.adding --config=configs/adding.py:modern   the same task, today's recipe
"""

import sys

from configs import adding as config
from lstm_jax.experiment import Experiment, main
from lstm_jax.tables import PaperRow


def _row(name: str, T: int, lag: int, num_sequences: int, wrong: int, note: str = "") -> PaperRow:
    label = f"T={T}, minimal lag {lag}"
    return PaperRow(name, label, "Table 7", 93, 10, num_sequences, wrong, 2560, note)


EXPERIMENT = Experiment(
    name="adding",
    usage=__doc__ or "",
    config_path="configs/adding.py",
    fields=config.FIELDS,
    args=config.ARGS,
    paper={
        "t100": _row("t7-t100", 100, 50, 74_000, 1),
        "literal": _row("literal", 100, 50, 74_000, 1),
        "t500": _row("t7-t500", 500, 250, 209_000, 0),
        "t1000": _row("t7-t1000", 1000, 500, 853_000, 1, "370,000 to 2,020,000 sequences"),
    },
    readings=config.READINGS,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
