"""Ablations over cells, tasks, gradient rules, learning rates and any other setting.

python -m experiments.ablation                                      the odyssey's eight variants
python -m experiments.ablation --config=configs/ablation.py:cells   other architectures
python -m experiments.ablation --config.cells=V,gru,my_cell.py:janet --config.tasks=adding
python -m experiments.ablation --config.axes=hidden_size=4|8|16,l2=log:1e-6:1e-2:3
python -m experiments.ablation --report                             the page anew, from the records

Each cell is swept over the learning rates (a grid, or --config.num_samples random points of the
axes); then its best point is run again with fresh seeds, and those are tested against the first.
"""

import sys

from configs import ablation as config
from lstm_jax.ablation import Ablation, Task, main

ABLATION = Ablation(
    name="ablation",
    usage=__doc__ or "",
    config_path="configs/ablation.py",
    fields=config.FIELDS,
    args=config.ARGS,
    tasks={name: Task(*task) for name, task in config.TASKS.items()},
    recipes=config.RECIPES,
)

if __name__ == "__main__":
    sys.exit(main(ABLATION))
