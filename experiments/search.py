"""A search for good settings of an experiment, with Optuna.

python -m experiments.search --experiment=adding --config=configs/adding.py:modern \\
    --axes='learning_rate=log:0.001:0.1,hidden_size=4|8|16' --trials=30
python -m experiments.search --experiment=reber --axes='learning_rate=log:0.1:1' --sampler=random

What is minimised is the mean log10 of the training sequences until solved. The study is a journal
in the run folder: start the command several times, on machines that share the folder, too, and all
work on the same study. A killed worker loses the setting that it was trying.
"""

import sys

from experiments.deviations import TITLES
from lstm_jax.tuning import main

EXPERIMENTS = {
    experiment.name: experiment
    for experiment in sorted(TITLES.values(), key=lambda experiment: experiment.name)
}

if __name__ == "__main__":
    sys.exit(main(EXPERIMENTS, __doc__ or ""))
