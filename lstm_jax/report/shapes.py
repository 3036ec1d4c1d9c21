"""The shapes of the 1997 tables: their columns, and what describes each row in them.

A column is a measure (`MEASURES`) or a setting; a setting's cells come from `SETTINGS`, by row. A
table that is not here gets its label, its weights and the measures that its rows have.
"""

from collections.abc import Mapping

MEASURES = ("weights", "solved", "mean", "first_stage", "wrong", "fraction_wrong", "test_error")

Shape = tuple[tuple[str, str], ...]  # (key, head) by column

_STAGED: Shape = (
    ("T", "T"),
    ("N", "N"),
    ("first_stage", "stop: ST1 [sequences]"),
    ("mean", "stop: ST2 [sequences]"),
    ("weights", "weights"),
    ("fraction_wrong", "ST2: fraction misclassified"),
)

SHAPES: Mapping[str, Shape] = {
    "Table 1": (
        ("method", "method"),
        ("hidden", "hidden units"),
        ("weights", "weights"),
        ("rate", "learning rate"),
        ("solved", "success"),
        ("mean", "success after [sequences]"),
    ),
    "Table 2": (
        ("method", "method"),
        ("p", "delay p"),
        ("rate", "learning rate"),
        ("weights", "weights"),
        ("solved", "success"),
        ("mean", "success after [sequences]"),
    ),
    "Table 3": (
        ("q", "q (time lag - 1)"),
        ("p", "p (random inputs)"),
        ("q/p", "q/p"),
        ("weights", "weights"),
        ("mean", "success after [sequences]"),
    ),
    "Table 4": _STAGED,
    "Table 5": _STAGED,
    "Table 6": (
        ("T", "T"),
        ("N", "N"),
        ("mean", "stop [sequences]"),
        ("weights", "weights"),
        ("fraction_wrong", "fraction misclassified"),
        ("test_error", "average difference to mean"),
    ),
    "Table 7": (
        ("T", "T"),
        ("lag", "minimal lag"),
        ("weights", "weights"),
        ("wrong", "wrong predictions"),
        ("mean", "success after [sequences]"),
    ),
    "Table 8": (
        ("T", "T"),
        ("lag", "minimal lag"),
        ("weights", "weights"),
        ("n_seq", "n_seq"),
        ("wrong", "wrong predictions"),
        ("test_error", '"MSE" (mean absolute error)'),
        ("mean", "success after [sequences]"),
    ),
    "Table 9": (
        ("task", "task"),
        ("weights", "weights"),
        ("wrong", "wrong predictions"),
        ("mean", "success after [sequences]"),
    ),
}


def _rows(names: str, keys: str, cells: str) -> dict[str, dict[str, str]]:
    """Settings by row name: one line of `cells` a row, its parts between bars."""
    lines = [line.split("|") for line in cells.strip().splitlines()]
    return {
        name: dict(zip(keys.split(), (cell.strip() for cell in line), strict=True))
        for name, line in zip(names.split(), lines, strict=True)
    }


SETTINGS: Mapping[str, Mapping[str, str]] = {
    **_rows(
        "t1-rtrl3 t1-rtrl12 t1-elman t1-rcc t1-lstm-4x1-0.1 t1-lstm-3x2-0.1 t1-lstm-3x2-0.2"
        " t1-lstm-4x1-0.5 t1-lstm-3x2-0.5",
        "method hidden rate",
        """
        RTRL | 3               | 0.05
        RTRL | 12              | 0.1
        ELM  | 15              | -
        RCC  | 7-9             | -
        LSTM | 4 blocks of 1   | 0.1
        LSTM | 3 blocks of 2   | 0.1
        LSTM | 3 blocks of 2   | 0.2
        LSTM | 4 blocks of 1   | 0.5
        LSTM | 3 blocks of 2   | 0.5
        """,
    ),
    **_rows(
        "t2-rtrl-p4-1 t2-rtrl-p4-4 t2-rtrl-p4-10 t2-rtrl-p10 t2-rtrl-p100 t2-bptt-p100"
        " t2-chunker-p100 t2-lstm-2a t2-lstm-2b",
        "method p rate",
        """
        RTRL | 4        | 1.0
        RTRL | 4        | 4.0
        RTRL | 4        | 10.0
        RTRL | 10       | 1.0-10.0
        RTRL | 100      | 1.0-10.0
        BPTT | 100      | 1.0-10.0
        CH   | 100      | 1.0
        LSTM | 100      | 1.0
        LSTM | 100 (2b) | 1.0
        """,
    ),
    **{
        f"t3-q{q}-p{p}": {"q": f"{q:,}", "p": f"{p:,}", "q/p": f"{q // p}"}
        for q, p in [
            *((n, n) for n in (50, 100, 200, 500, 1000)),
            *((1000, p) for p in (500, 200, 100, 50)),
        ]
    },
    **{
        f"t{table}-t{T}-n{N}": {"T": f"{T:,}", "N": str(N)}
        for table, T, N in [
            *((4, 100, 3), (4, 100, 1), (4, 1000, 3)),
            *((5, 100, 3), (5, 100, 1), (5, 1000, 1)),
            *((6, 100, 3), (6, 100, 1)),
        ]
    },
    **{f"t7-t{T}": {"T": f"{T:,}", "lag": str(T // 2)} for T in (100, 500, 1000)},
    **{f"t8-{n}": {"T": "100", "lag": "50", "n_seq": str(n)} for n in (140, 13)},
    **{f"t9-{task}": {"task": task} for task in ("6a", "6b")},
}
