"""The page of a run in TensorBoard's Text view, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lstm_jax.tables import PaperRow, format_paper_mean, markdown_table

MOST_TRIALS = 500  # lines of the table of trials


def run_markdown(
    name: str,
    config: Mapping[str, Any],
    *,
    paper: PaperRow | None = None,
    provenance: Mapping[str, Any] | None = None,
    table: str = "",
) -> str:
    """The published numbers beside ours, the settings, and what the run ran on.

    Args:
      name: of the row.
      config: its settings.
      paper: the published row, or None.
      provenance: of the run's folder or of its last session, nested as it likes.
      table: `paper | ours` as `comparison_markdown` has it; "" while no trial has ended.

    >>> print(run_markdown("t100", {"T": 100}, provenance={"versions": {"jax": "0.10.2"}}))
    # t100
    <BLANKLINE>
    No trial has ended yet; the paper has no such row.
    <BLANKLINE>
    ## Config
    <BLANKLINE>
    | field | value |
    |-------|------:|
    | T     | `100` |
    <BLANKLINE>
    ## Provenance
    <BLANKLINE>
    | what         |    value |
    |--------------|---------:|
    | versions.jax | `0.10.2` |
    """
    blocks = [f"# {name}", table.strip() or f"No trial has ended yet; {_published(paper)}."]
    blocks += ["## Config", _table("field", config)]
    if provenance:
        blocks += ["## Provenance", _table("what", dict(flat(provenance)))]
    return "\n\n".join(blocks)


def trials_markdown(records: Sequence[Mapping[str, Any]]) -> str:
    """What each trial came to, one line a trial, and the sum of it.

    >>> record = {"trial": 0, "status": "SOLVED", "num_sequences": 81_774}
    >>> print(trials_markdown([record]))
    1 of 1 trials solved.
    <BLANKLINE>
    | trial | status | sequences | wrong in test | mean test error |
    |-------|-------:|----------:|--------------:|----------------:|
    | 0     | SOLVED |    81,774 |             - |               - |
    """
    shown = sorted(records, key=lambda record: record["trial"])[:MOST_TRIALS]
    solved = sum(record["status"] == "SOLVED" for record in records)
    heads = ("trial", "status", "sequences", "wrong in test", "mean test error")
    lines = [f"{solved} of {len(records)} trials solved."]
    if len(shown) < len(records):
        lines[0] += f" The first {len(shown)} are listed."
    return "\n\n".join([*lines, markdown_table(heads, [trial_cells(r) for r in shown])])


def trial_cells(record: Mapping[str, Any]) -> list[str]:
    """A trial's line in a table: number, status, sequences, wrong in test, mean test error.

    >>> trial_cells({"trial": 3, "status": "SOLVED", "num_sequences": 9, "mean_test_error": 0.25})
    ['3', 'SOLVED', '9', '-', '0.2500']
    """
    wrong, error = record.get("num_wrong"), record.get("mean_test_error")
    return [
        str(record["trial"]),
        record["status"],
        f"{record['num_sequences']:,}",
        "-" if wrong is None or not record.get("num_test") else f"{wrong:,}/{record['num_test']:,}",
        "-" if error is None else f"{error:.4f}",
    ]


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as (dotted name, text); what is None is left out.

    >>> flat({"versions": {"jax": "0.10.2", "torch": None}, "command": ["python", "-m", "x"]})
    [('versions.jax', '0.10.2'), ('command', 'python -m x')]
    """
    lines = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            lines += flat(value, f"{prefix}{name}.")
        elif value is not None:
            listed = isinstance(value, (list, tuple))
            lines.append((f"{prefix}{name}", " ".join(map(str, value)) if listed else str(value)))
    return lines


def _published(paper: PaperRow | None) -> str:
    if paper is None:
        return "the paper has no such row"
    return f"{paper.source} has a mean of {format_paper_mean(paper)} training sequences"


def _table(head: str, values: Mapping[str, Any]) -> str:
    rows = [(name, f"`{value}`".replace("\n", " ")) for name, value in values.items()]
    return markdown_table((head, "value"), rows)
