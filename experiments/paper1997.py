"""The experiments of Hochreiter & Schmidhuber 1997, section 5: all tables, row by row.

python -m experiments.paper1997                  every row, with the paper's numbers of trials
python -m experiments.paper1997 --tables=1,4,7   the rows of these tables
python -m experiments.paper1997 --rows=t9-6a     these rows
python -m experiments.paper1997 --report         the report anew, from the records
"""

import sys

from experiments.deviations import TITLES
from experiments.long_lag import CHUNKER
from experiments.reber import RCC
from lstm_jax.paper import Paper, PublishedTable, main

EXPLANATIONS: dict[str, str] = {}
"""Why a row differs from the paper, by its name."""

TABLES = (
    PublishedTable(
        "Table 1",
        "Experiment 1, the embedded Reber grammar",
        (
            *("t1-rtrl3", "t1-rtrl12", "t1-elman", "t1-rcc", "t1-lstm-4x1-0.1"),
            *("t1-lstm-3x2-0.1", "t1-lstm-3x2-0.2", "t1-lstm-4x1-0.5", "t1-lstm-3x2-0.5"),
        ),
    ),
    PublishedTable(
        "Table 2",
        "Experiments 2a and 2b, long time lags without and with noise between",
        (
            *("t2-rtrl-p4-1", "t2-rtrl-p4-4", "t2-rtrl-p4-10", "t2-rtrl-p10", "t2-rtrl-p100"),
            *("t2-bptt-p100", "t2-chunker-p100", "t2-lstm-2a", "t2-lstm-2b"),
        ),
    ),
    PublishedTable(
        "Table 3",
        "Experiment 2c, very long time lags between many distractors",
        (
            *("t3-q50-p50", "t3-q100-p100", "t3-q200-p200", "t3-q500-p500", "t3-q1000-p1000"),
            *("t3-q1000-p500", "t3-q1000-p200", "t3-q1000-p100", "t3-q1000-p50"),
        ),
    ),
    PublishedTable(
        "Table 4",
        "Experiment 3a, two sequences, noise after the elements that tell them apart",
        ("t4-t100-n3", "t4-t100-n1", "t4-t1000-n3"),
    ),
    PublishedTable(
        "Table 5",
        "Experiment 3b, two sequences, noise on all elements",
        ("t5-t100-n3", "t5-t100-n1", "t5-t1000-n1"),
    ),
    PublishedTable(
        "Table 6",
        "Experiment 3c, two sequences, noise on the targets",
        ("t6-t100-n3", "t6-t100-n1"),
    ),
    PublishedTable(
        "Table 7", "Experiment 4, the adding problem", ("t7-t100", "t7-t500", "t7-t1000")
    ),
    PublishedTable("Table 8", "Experiment 5, the multiplication problem", ("t8-140", "t8-13")),
    PublishedTable("Table 9", "Experiments 6a and 6b, temporal order", ("t9-6a", "t9-6b")),
)

ORDER = (  # what ends early comes early, the rivals come last
    *("t9-6a", "t7-t100", "t1-lstm-3x2-0.5", "t1-lstm-4x1-0.5", "t1-lstm-3x2-0.2"),
    *("t1-lstm-3x2-0.1", "t1-lstm-4x1-0.1", "t4-t100-n3", "t4-t100-n1", "t5-t100-n3"),
    *("t5-t100-n1", "t8-140", "t2-lstm-2a", "t2-lstm-2b", "t3-q50-p50", "t3-q100-p100"),
    *("t3-q200-p200", "t6-t100-n3", "t6-t100-n1", "t9-6b", "t8-13", "t3-q500-p500"),
    *("t3-q1000-p1000", "t3-q1000-p500", "t3-q1000-p200", "t3-q1000-p100", "t3-q1000-p50"),
    *("t7-t500", "t4-t1000-n3", "t5-t1000-n1", "t7-t1000"),
    *("t2-rtrl-p4-10", "t2-rtrl-p4-4", "t2-rtrl-p4-1", "t2-rtrl-p10", "t1-rtrl3", "t1-elman"),
    *("t1-rtrl12", "t2-bptt-p100", "t2-rtrl-p100"),
)

PAPER = Paper(
    name="paper1997",
    usage=__doc__ or "",
    experiments=TITLES,
    cited=(RCC, CHUNKER),
    tables=TABLES,
    order=ORDER,
    explanations=EXPLANATIONS,
)

if __name__ == "__main__":
    sys.exit(main(PAPER))
