"""Which reading of Hochreiter & Schmidhuber 1997 explains its tables: a factorial search.

python -m experiments.readings                        the text and each single change
python -m experiments.readings --design=pairs --factors=output_unit,init_scale,ranges
python -m experiments.readings --dry_run              which programs that takes
python -m experiments.readings --report               docs/readings.md anew, from the records

Runs what results/readings does not have yet; readings of one structure are lanes of one program.
"""

import sys

from experiments.paper1997 import PAPER
from lstm_jax.search import Search, main

KNOWN = (
    "Of the adding rows more is known, from longer runs "
    "([results/adding](../results/adding/readings.jsonl), [deviations](deviations.md)). As the "
    "text has it, T=100 is solved in all of 10 trials after 1,802,306 sequences in the mean, 24 "
    "times the paper's 74,000: the logistic unit takes long to reach the ends of the target's "
    "range. With an identity unit and the text's initial weights, T=100 takes 84,800, but T=500 "
    "does not leave the plateau of a constant answer. With an identity unit and initial weights "
    "five times wider (0.5), T=100 takes 68,800 (16 of 16), T=500 252,900 (7 of 8 by 500,000; "
    "paper 209,000) and T=1000 668,300 (6 of 8 by 1,200,000; paper 853,000): the least departure "
    "found that brings all three rows of Table 7 within a factor of two, and our default there. "
    "T=500 and T=1000 take both changes together, which single changes do not show."
)

ROWS = (
    *("t9-6a", "t7-t100", "t8-140", "t5-t100-n1", "t4-t100-n1"),
    *("t3-q50-p50", "t1-lstm-3x2-0.5"),
)

SEARCH = Search(name="readings", paper=PAPER, usage=__doc__ or "", rows=ROWS, known=KNOWN)

if __name__ == "__main__":
    sys.exit(main(SEARCH))
