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
    "most nets learn the grammar's steps and stop where the letter before last is guessed (half "
    "of the strings wrong). Not a fault of ours as far as can be told: the rule is held update by"
    " update to a NumPy implementation (tests/test_numpy_engine.py); another implementation, "
    "written from the facts of the paper alone, solves 4 of 30 by 100,000 (mean 52,215) on 3x2, "
    "rate 0.5, and 7 with updates after every step; an LSTM with forget gates, Adam and the full "
    "gradient passes the same sets and criterion (docs/ablation.md). What happens: the letter is "
    "stored at once, but the open input gates go on adding, the states drift to 20 and more, and "
    "in the flat part of h neither the letter nor the error gets through. Exploratory runs of "
    "that implementation: the ranges of g and h as the legend of Table 10 has them help most (the"
    " letter is learnt by 77% of the nets with updates in steps), and with them the full gradient"
    " solves 16 of 30 by 20,000, mean 7,344. Ours, of 30 by 40,000: updates after every step 2, "
    "and with weights 5 times wider 7, with output biases 5, with half the connections (cells "
    "only) 4, g and h swapped 3; once a sequence 0"
)
FASTER = (
    "faster than published, and solved. Weights 5 and 10 times narrower (0.02, 0.01) change "
    "nothing (T=100, N=3 of 3b, fresh exams: means 13,175 and 15,650 against 15,025), wider ones "
    "make it faster still; see docs/readings.md. A quarter of the stated rate brings both rows of "
    "T=100 in Table 5 to their figures (47,770 and 87,080, wrong in test 204 and 592 of 25,600; "
    "exploratory), half of it those of Table 6 to 0.6 and 0.5 of theirs, but T=100, N=1 of Table 4 "
    "to 1.7 and temporal order away from its own: no rate is right everywhere"
)
EXPLANATIONS: dict[str, str] = {
    **{f"t1-lstm-{row}": REBER for row in ("4x1-0.1", "3x2-0.1", "3x2-0.2", "4x1-0.5", "3x2-0.5")},
    "t2-lstm-2b": "as 2a, with symbols that cannot be predicted between",
    "t2-lstm-2a": "the cell starts with g and its gate at one half, so its state has reached 25 by "
    "the end of a sequence, and the first updates at rate 1.0 throw the output weights to 30 and "
    "more; nets that survive solve it late. The paper's rule for adding the cell is not given; "
    "windows of 100 and 500 sequences, rates 1.0 and 0.1, updates after every step and g in "
    "[-1, 1] or [-2, 2] were no better by 8,000 to 15,000 sequences",
    **{
        f"t3-q1000-p{p}": "as published where solved; the rest are on the plateau of a constant "
        "answer. Initial weights in [-0.2, 0.2] give a trial a drift of its own, 1,000 times the "
        "mean over few distractors: a standard deviation of 8 for p=50 and of 6 for p=100, where h "
        "is flat. The trials of p=100 that are unsolved or slowest begin with drifts of (-11, -1), "
        "(-7, -5), (-8, 6), (7, 8) and (8, 2) in their two cells. The paper solved all"
        for p in (50, 100)
    },
    "t4-t100-n3": "two of 30 trials make the mean: they end after 821,100 and 1,401,800, the rest "
    "after 45,325 in the mean, half of all by 30,000. With one test set for all exams of a trial "
    "one sequence that is hard for a network keeps it. Half the rate: 8 of 10 by 400,000, mean "
    "16,775; a quarter: 7 of 10, 45,957 (exploratory)",
    "t5-t100-n3": FASTER,
    "t5-t100-n1": FASTER,
    "t5-t1000-n1": "0 of 10 left the plateau of a constant answer by 1,500,000; at T=100 the same "
    "task takes half the published count",
    "t6-t100-n3": FASTER,
    "t6-t100-n1": FASTER,
    "t9-6b": "the rest end with one, two or four of the eight classes never answered. That is part "
    "of the procedure as written: another implementation, written from the facts of the paper "
    "alone, solves 9 of 16 by 700,000, mean 247,646, and has the same dead classes, most of them "
    "answered once and lost to a saturated logistic output, whose f' is zero. From another seed "
    "ours solves 6 of 8 by 500,000; an earlier prototype solved 10 of 10",
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

ORDER = (  # what ends early comes early, what takes longest next and, of the LSTM's, last: rows are
    # taken from both ends (decision 0016), and those that end last should be short; then the rivals
    *("t7-t100", "t5-t100-n3", "t4-t100-n1", "t5-t100-n1", "t9-6a", "t6-t100-n1"),
    *("t1-lstm-3x2-0.5", "t1-lstm-4x1-0.5", "t1-lstm-3x2-0.2", "t1-lstm-3x2-0.1"),
    *("t1-lstm-4x1-0.1", "t3-q50-p50", "t3-q100-p100", "t3-q1000-p50", "t3-q1000-p200"),
    *("t9-6b", "t2-lstm-2b", "t3-q1000-p1000", "t3-q1000-p500", "t2-lstm-2a", "t8-13"),
    *("t4-t100-n3", "t7-t500", "t3-q500-p500", "t8-140", "t3-q200-p200", "t6-t100-n3"),
    *("t3-q1000-p100", "t5-t1000-n1", "t4-t1000-n3", "t7-t1000"),
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
