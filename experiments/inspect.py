"""Looks into a run: what each gate does at each step, what a cell holds, what comes out.

python -m experiments.inspect --run=runs/adding/t100                       the first solved trial
python -m experiments.inspect --run=runs/adding/t100 --trial=3             another one
python -m experiments.inspect --run=runs/adding/t100 --sequence=7          another test sequence
python -m experiments.inspect --run=runs/adding/t100 --moment=11363        as it was then

The run may be finished, stopped or running. Pictures (PNG and SVG) and the recording (npz) go to
its folder inspect/, the pictures and histograms over training to TensorBoard as well.
"""

import sys

from lstm_jax.inspect.command import main
from lstm_jax.inspect.runs import refuse_fit

if __name__ == "__main__":
    sys.exit(main(__doc__ or "", refuse_fit))
