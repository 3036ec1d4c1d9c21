"""A character language model on War and Peace, Shakespeare or a text of your own.

python -m experiments.char_lm                                      War and Peace, 10 epochs
python -m experiments.char_lm --config.text=FILE                   your own text
python -m experiments.char_lm --config.init_from=RUN ...           from the weights of another run
python -m experiments.char_lm --generate="Prince " --workdir=RUN   writes with the best weights
python -m experiments.char_lm --look --workdir=RUN                 looks into its cells
"""

import sys

from configs import char_lm as config
from lstm_jax.data import DATA_FLAG
from lstm_jax.fitting import Fitting, main
from lstm_jax.language.command import GENERATE, LOOK, instead, report
from lstm_jax.language.problem import build_named, check_text

EXPERIMENT = Fitting(
    name="char_lm",
    usage=__doc__ or "",
    config_path="configs/char_lm.py",
    fields=config.FIELDS,
    args=config.ARGS,
    build=build_named,
    report=report,
    check=check_text,
    extra_flags={**DATA_FLAG, **GENERATE, **LOOK},
    instead=instead,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
