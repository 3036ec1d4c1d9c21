"""The `paper | ours` tables: what stands in which cell, and that it fits a terminal."""

import io

import pytest
from rich.console import Console

from lstm_jax.summary import summarize
from lstm_jax.tables import (
    PaperRow,
    comparison_markdown,
    comparison_table,
    format_duration,
    format_median,
)

T100 = PaperRow("t100", "T=100, minimal lag 50", "Table 7", 93, 10, 74_000, 1, 2560, "ST1")
T1000 = PaperRow("t1000", "T=1000, minimal lag 500", "Table 7", 93, 10, 853_000, 1, 2560)


def make_summary(row, solved=(), exhausted=(), cap=None):
    counts = [("SOLVED", n) for n in solved] + [("EXHAUSTED", n) for n in exhausted]
    fields = {"num_wrong": 2, "num_test": 2560, "mean_test_error": 0.00614, "num_weights": 93}
    records = [
        {"row": row, "trial": n, "status": status, "num_sequences": count} | fields
        for n, (status, count) in enumerate(counts)
    ]
    return summarize(records, max_sequences=cap)


ENTRIES = [
    (
        T100,
        make_summary("t100", range(65_000, 75_000, 1_000)),
        {"wall_s": 41.23, "ns_per_trial_step": 22.13, "reading": "identity output"},
    ),
    (T1000, make_summary("t1000", [1_100_000, 1_200_000, 1_300_000], [2_020_000] * 7), {}),
    (None, make_summary("modern", [6_000, 7_000, 8_000]), {"wall_s": 3725}),
    (T100, make_summary("never", exhausted=[5_000_000] * 10), {"ns_per_trial_step": 1234.5}),
]


def cells(markdown, row):
    """Cells of a row in the two tables, by their heads."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    split = [
        [c.strip().replace(r"\|", "|") for c in line.replace(r"\|", "\0").strip("|").split("|")]
        for line in lines
    ]
    found = {}
    for line in split:
        line = [cell.replace("\0", "|") for cell in line]
        if line[0] == "row":
            heads = line
        elif line[0] == row:
            found |= dict(zip(heads, line, strict=True))
    return found


def test_markdown_holds_paper_and_ours():
    found = cells(comparison_markdown(ENTRIES), "t100")
    assert found["weights"] == "93 | 93"
    assert found["solved"] == "10/10"
    assert found["mean sequences"] == "74,000 | 69,500"
    assert found["ratio"] == "0.94"
    assert found["wrong in test"] == "1/2,560 | 20/25,600"
    assert found["median sequences [95% interval]"] == "69,500 [65,000, 72,000]"
    assert found["range"] == "65,000 to 74,000"
    assert found["test error"] == "0.0061"


def test_what_was_not_reached_is_above_the_cap():
    found = cells(comparison_markdown(ENTRIES), "t1000")
    assert found["median sequences [95% interval]"] == ">2,020,000 [1,100,000, >2,020,000]"
    assert found["solved"] == "3/10"
    assert found["ratio"] == "1.41"  # of the mean of the solved


def test_a_row_that_the_paper_lacks():
    found = cells(comparison_markdown(ENTRIES), "modern")
    assert (found["weights"], found["ratio"]) == ("- | 93", "-")
    assert (found["mean sequences"], found["wrong in test"]) == ("- | 7,000", "- | 6/7,680")


def test_a_row_that_was_never_solved():
    found = cells(comparison_markdown(ENTRIES), "never")
    assert found["mean sequences"] == "74,000 | -"
    assert found["median sequences [95% interval]"] == ">5,000,000"
    assert (found["ratio"], found["range"], found["test error"]) == ("-", "-", "-")
    assert found["wrong in test"] == "1/2,560 | -"


def test_notes_say_cost_reading_and_what_was_not_solved():
    notes = [line for line in comparison_markdown(ENTRIES).splitlines() if line.startswith("- ")]
    assert notes[0] == (
        "- t100: T=100, minimal lag 50 (Table 7, mean of 10 trials); ST1; solved 100%, "
        "95% interval 72% to 100%; wall time 41.2 s; 22.1 ns per trial-step; "
        "reading: identity output"
    )
    assert "7 not solved by 2,020,000 sequences" in notes[1]
    assert "not in the paper" in notes[2] and "wall time 1 h 02 min" in notes[2]
    assert "1,234 ns per trial-step" in notes[3]


def test_everything_fits_100_columns():
    markdown = comparison_markdown(ENTRIES)
    assert max(len(line) for line in markdown.splitlines() if not line.startswith("- ")) <= 100
    stream = io.StringIO()
    Console(file=stream, width=100).print(comparison_table(ENTRIES))
    text = stream.getvalue()
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "…" not in text  # nothing was cut
    for cell in ("93 | 93", "74,000 | 69,500", ">2,020,000 [1,100,000, >2,020,000]", "65,000 to"):
        assert cell in text


def test_each_markdown_table_has_one_width():
    tables = comparison_markdown(ENTRIES).split("\n\n")[:2]
    for table in tables:
        assert len({len(line) for line in table.splitlines()}) == 1


def test_median_of_one_trial_has_no_interval():
    assert format_median(make_summary("t100", [60_000])) == "60,000"


def test_durations_carry():
    seconds = (59.94, 59.96, 119.7, 3599.7)
    assert [format_duration(s) for s in seconds] == [
        "59.9 s",
        "1 min 00 s",
        "2 min 00 s",
        "1 h 00 min",
    ]


@pytest.mark.parametrize("make", [comparison_markdown, comparison_table])
def test_no_settings(make):
    with pytest.raises(ValueError, match="no settings to tabulate"):
        make([])
