"""Temporal order: Experiments 6a and 6b and Table 9 of Hochreiter & Schmidhuber 1997.

python -m experiments.temporal_order                                            6a
python -m experiments.temporal_order --config=configs/temporal_order.py:table9  6a and 6b
"""

import sys

from configs import temporal_order as config
from lstm_jax.experiment import Experiment, main
from lstm_jax.tables import PaperRow

EXPERIMENT = Experiment(
    name="temporal_order",
    usage=__doc__ or "",
    config_path="configs/temporal_order.py",
    fields=config.FIELDS,
    args=config.ARGS,
    paper={
        "6a": PaperRow("t9-6a", "two symbols, 4 classes", "Table 9", 156, 20, 31_390, 1, 2560),
        "6b": PaperRow("t9-6b", "three symbols, 8 classes", "Table 9", 308, 10, 571_100, 2, 2560),
    },
    readings=config.READINGS,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
