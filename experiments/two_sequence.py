"""The two-sequence problem: Experiments 3a to 3c, Tables 4 to 6 of Hochreiter & Schmidhuber 1997.

python -m experiments.two_sequence                                          3a, T=100, N=3
python -m experiments.two_sequence --config=configs/two_sequence.py:table4  the rows of Table 4
"""

import sys

from configs import two_sequence as config
from lstm_jax.experiment import Experiment, main
from lstm_jax.tables import PaperRow


def _row(
    table: int,
    T: int,
    N: int,
    first_stage: int | None,
    num_sequences: int,
    wrong: int,
    fraction_wrong: float,
    test_error: float | None = None,
) -> PaperRow:
    # The published fractions are totals over ten trials of 2560: 212/25600 = 0.00828.
    name, label = f"t{table}-t{T}-n{N}", f"T={T}, N={N}"
    return PaperRow(
        name,
        label,
        f"Table {table}",
        102,
        10,
        num_sequences,
        wrong,
        25_600,
        first_stage=first_stage,
        fraction_wrong=fraction_wrong,
        test_error=test_error,
    )


EXPERIMENT = Experiment(
    name="two_sequence",
    usage=__doc__ or "",
    config_path="configs/two_sequence.py",
    fields=config.FIELDS,
    args=config.ARGS,
    paper={
        "a-t100-n3": _row(4, 100, 3, 27_380, 39_850, 5, 0.000195),
        "a-t100-n1": _row(4, 100, 1, 58_370, 64_330, 3, 0.000117),
        "a-t1000-n3": _row(4, 1000, 3, 446_850, 452_460, 2, 0.000078),
        "b-t100-n3": _row(5, 100, 3, 41_740, 43_250, 212, 0.00828),
        "b-t100-n1": _row(5, 100, 1, 74_950, 78_430, 384, 0.01500),
        "b-t1000-n1": _row(5, 1000, 1, 481_060, 485_080, 309, 0.01207),
        "c-t100-n3": _row(6, 100, 3, None, 269_650, 143, 0.00558, 0.014),
        "c-t100-n1": _row(6, 100, 1, None, 565_640, 113, 0.00441, 0.012),
    },
    readings=config.READINGS,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
