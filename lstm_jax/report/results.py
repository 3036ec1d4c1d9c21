"""The compact table of results, and its place in a text such as the README."""

from __future__ import annotations

from collections.abc import Sequence

from lstm_jax.report.cells import Pair
from lstm_jax.report.grids import headline, ratio_grid
from lstm_jax.report.rows import ReportTable
from lstm_jax.tables import markdown_table

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def results_table_markdown(tables: Sequence[ReportTable]) -> str:
    """One line a row of the method itself, and the count of rows that agree; with its markers.

    Raises:
      ValueError: no rows, two rows of one name, or records that do not fit their row.

    >>> from lstm_jax.report import ReportRow, ReportTable, results_table_markdown
    >>> from lstm_jax.tables import PaperRow
    >>> paper = PaperRow("t7-t100", "T=100", "Table 7", 93, 10, 74_000, 1, 2560)
    >>> print(results_table_markdown([ReportTable("Table 7", "", [ReportRow(paper)])]))
    ... # doctest: +NORMALIZE_WHITESPACE
    <!-- results:begin -->
    0 of 1 LSTM rows have a mean within a factor of 2 of the paper's; ... 0 of 1 were run.
    <BLANKLINE>
    | row     | weights | solved | mean sequences, paper \\| ours | ratio |  agrees |
    |---------|--------:|-------:|------------------------------:|------:|--------:|
    | t7-t100 | 93 \\| - |      - |            74,000 \\| not run |     - | not run |
    <!-- results:end -->
    """
    rows = []
    for name, weights, solved, mean, ratio, agrees, _ in ratio_grid(tables).rows:
        trials = solved.ours if isinstance(solved, Pair) else solved
        # the interval is in the report; here a line must stay short
        cells = (name, weights, trials.split(" [")[0], mean, str(ratio).split(" [")[0], agrees)
        rows.append([str(cell) for cell in cells])
    heads = ("row", "weights", "solved", "mean sequences, paper | ours", "ratio", "agrees")
    lines = [BEGIN, " ".join(headline(tables)), "", markdown_table(heads, rows), END]
    return "\n".join(lines)


def replace_results(text: str, table: str) -> str:
    """The text with `table`, as `results_table_markdown` gives it, in place of the marked part.

    Raises:
      ValueError: the text does not have each marker once and in order.

    >>> from lstm_jax.report import replace_results
    >>> old = "a\\n<!-- results:begin -->\\nold\\n<!-- results:end -->\\nb"
    >>> replace_results(old, "<!-- results:begin -->\\nnew\\n<!-- results:end -->")
    'a\\n<!-- results:begin -->\\nnew\\n<!-- results:end -->\\nb'
    """
    begin, end = text.find(BEGIN), text.find(END)
    if text.count(BEGIN) != 1 or text.count(END) != 1 or end < begin:
        raise ValueError(f"the text must have {BEGIN} and then {END}, each once")
    return text[:begin] + table + text[end + len(END) :]
