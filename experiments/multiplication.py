"""The multiplication problem: Experiment 5 and Table 8 of Hochreiter & Schmidhuber 1997.

python -m experiments.multiplication                                            n_seq = 140
python -m experiments.multiplication --config=configs/multiplication.py:table8  both rows
"""

import sys

from configs import multiplication as config
from lstm_jax.experiment import Experiment, main
from lstm_jax.tables import PaperRow


def _row(n_seq: int, num_sequences: int, wrong: int, error: float) -> PaperRow:
    label, note = f"T=100, n_seq={n_seq}", '"MSE" of the paper read as mean absolute error'
    row = PaperRow(f"t8-{n_seq}", label, "Table 8", 93, 10, num_sequences, wrong, 2560, note)
    return row._replace(test_error=error)


EXPERIMENT = Experiment(
    name="multiplication",
    usage=__doc__ or "",
    config_path="configs/multiplication.py",
    fields=config.FIELDS,
    args=config.ARGS,
    paper={
        "n140": _row(140, 482_000, 139, 0.0223),
        "n13": _row(13, 1_273_000, 14, 0.0139),
    },
    readings=config.READINGS,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
