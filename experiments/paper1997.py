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

REBER = (
    "most nets learn the grammar's single successors and stop where the letter before last is "
    "guessed (half of the strings wrong). The rule is held update by update to an independent "
    "NumPy implementation (tests/test_numpy_engine.py), the sets and the criterion to independent "
    "oracles. Tried on 3x2, rate 0.5, solved of 30 by 40,000: updates after every step 2 (mean "
    "13,950), and with weights 5 times wider 7, with output biases 5, with half the connections "
    "(cells only) 4, g and h swapped 3; once a sequence 0. Targets that name all legal successors, "
    "rates 0.1 and 0.2, narrower weights, identity outputs, a delta without f': no better. What "
    "let 149 of 150 trials through in 1997 is open"
)
FASTER = (
    "faster than published, and solved. Weights 5 and 10 times narrower (0.02, 0.01) change "
    "nothing (T=100, N=3 of 3b: means 13,175 and 15,650 against 15,025), wider ones make it "
    "faster still; see docs/readings.md"
)
EXPLANATIONS: dict[str, str] = {
    **{f"t1-lstm-{row}": REBER for row in ("4x1-0.1", "3x2-0.1", "3x2-0.2", "4x1-0.5", "3x2-0.5")},
    "t2-lstm-2a": "the cell starts with g and its gate at one half, so its state has reached 25 by "
    "the end of a sequence, and the first updates at rate 1.0 throw the output weights to 30 and "
    "more; nets that survive solve it late. The paper's rule for adding the cell is not given; "
    "windows of 100 and 500 sequences, rates 1.0 and 0.1, updates after every step and g in "
    "[-1, 1] or [-2, 2] were no better by 8,000 to 15,000 sequences",
    "t3-q200-p200": "the plateau of a constant answer lasts longer with every doubling of q: means "
    "26,625 and 33,475 at 50 and 100, in the paper 30,000 to 49,000 from 50 to 1000; see "
    "docs/deviations.md, init_range",
    **{
        f"t3-q{q}-p{p}": "the trials are on the plateau of a constant answer at the cap: the "
        "class's one symbol is lost in what q distractors add to the state, at any width of the "
        "initial weights. What kept the paper's count nearly constant in q is open"
        for q, p in ((500, 500), (1000, 1000), (1000, 500), (1000, 200), (1000, 100), (1000, 50))
    },
    "t4-t100-n3": "the mean is one trial's: nine end by 39,200 (mean 18,889), one passes ST1 at "
    "20,800 and ST2 at 725,000",
    "t5-t100-n3": FASTER,
    "t5-t1000-n1": "0 of 8 left the plateau of a constant answer by 1,500,000; at T=100 the same "
    "task takes half the published count",
    "t6-t100-n3": FASTER,
    "t6-t100-n1": FASTER,
    "t8-140": "as written, all solved, three times too slowly; an independent prototype had 9 of "
    "10 at 1,052,000. Twice the rate (factor 2): 6 of 8 by 1,000,000, mean 660,684, where the "
    "text's has 5 of 8, mean 789,087. Identity outputs and wider weights are worse (prototype)",
    "t9-6b": "6 of 10 did not leave a local minimum by 3,000,000 sequences: one, two or four of "
    "the eight classes are never answered; those solved took half the published count. From "
    "another seed 6 of 8 are solved by 500,000 (mean 260,661). An independent prototype solved 10 "
    "of 10 (mean 431,625), so a cause of ours is not excluded",
}
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
