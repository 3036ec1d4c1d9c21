"""Looks into a run: what each gate does at each step, what a cell holds, what comes out.

python -m experiments.inspect --run=runs/adding/t100                       the first solved trial
python -m experiments.inspect --run=runs/adding/t100 --trial=3             another one
python -m experiments.inspect --run=runs/adding/t100 --sequence=7          another test sequence
python -m experiments.inspect --run=runs/adding/t100 --moment=11363        as it was then

A language model (python -m experiments.char_lm) is looked into alike, at its best epoch.
The run may be finished, stopped or running. Pictures (PNG and SVG) and the recording (npz) go to
its folder inspect/, the pictures and histograms over training to TensorBoard as well.
"""

import sys
from functools import partial

from lstm_jax.config import make_config
from lstm_jax.inspect.command import main
from lstm_jax.inspect.histories import Inspectable
from lstm_jax.record.reading import RunFiles


def open_fit(files: RunFiles) -> Inspectable:
    """A fit to a data set; RunFolderError for a kind that cannot be looked into."""
    from configs.char_lm import FIELDS
    from lstm_jax.language.inspecting import LanguageRun

    return LanguageRun(files, partial(make_config, FIELDS))


if __name__ == "__main__":
    sys.exit(main(__doc__ or "", open_fit))
