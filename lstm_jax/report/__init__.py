"""The report: published tables in their own shape, `paper | ours` in each cell, from records.

Two files say the same thing, one in Markdown and one as a page that needs nothing else. Both are
made from the records alone, so the same records give the same report. Nothing here computes
with jax.
"""

from lstm_jax.report.html import report_html
from lstm_jax.report.markdown import report_markdown
from lstm_jax.report.results import replace_results, results_table_markdown
from lstm_jax.report.rows import ReportRow, ReportTable, load_records
from lstm_jax.report.writing import write_report

__all__ = [
    "ReportRow",
    "ReportTable",
    "load_records",
    "replace_results",
    "report_html",
    "report_markdown",
    "results_table_markdown",
    "write_report",
]
