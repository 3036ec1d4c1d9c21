"""State drift and abused memory cells, with and without the gate biases that are to prevent them.

python -m experiments.drift                                   adding and two-sequence, T=100
python -m experiments.drift --config=configs/drift.py:long    the adding problem at T=500
python -m experiments.drift --config=configs/drift.py:all     temporal order too, and neither bias
python -m experiments.drift --config=configs/drift.py:smoke   does it run
python -m experiments.drift --report                          page and pictures, from the records

Section 4 of the 1997 paper, from real runs: |s| within a sequence and over training, what is left
of h'(s), how constant the cells' outputs are, and how soon the criterion is met.
"""

import functools
import sys

from configs import drift as config
from lstm_jax.probing import Study, main
from lstm_jax.probing.drift_design import groups_of
from lstm_jax.probing.drift_page import page

STUDY = Study(
    name="drift",
    usage=__doc__ or "",
    config_path="configs/drift.py",
    fields=config.FIELDS,
    args=config.ARGS,
    groups=functools.partial(groups_of, experiments=config.EXPERIMENTS),
    page=page,
)

if __name__ == "__main__":
    sys.exit(main(STUDY))
