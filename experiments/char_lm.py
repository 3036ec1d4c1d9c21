"""A character language model on War and Peace, Shakespeare or a text of your own.

python -m experiments.char_lm                                      War and Peace, 10 epochs
python -m experiments.char_lm --config.text=FILE                   your own text
python -m experiments.char_lm --config.init_from=RUN ...           from the weights of another run
python -m experiments.char_lm --generate="Prince " --workdir=RUN   writes with the best weights
python -m experiments.char_lm --look --workdir=RUN                 looks into its cells
"""

import sys

from configs import char_lm as config
from lstm_jax.fitting import main
from lstm_jax.language.command import report, text_experiment

EXPERIMENT = text_experiment("char_lm", __doc__ or "", config.FIELDS, config.ARGS, report)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
