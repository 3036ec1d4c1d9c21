"""The page of a sweep, from its records: tables, tests, and how to read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lstm_jax.ablation.analysis import (
    Comparison,
    Family,
    PointResult,
    best,
    compare,
    point_results,
    shares_of,
    summary_of,
)
from lstm_jax.config import show
from lstm_jax.summary import RowSummary, wilson_interval
from lstm_jax.tables import format_count, format_duration, format_median, markdown_table

Lines = Sequence[Mapping[str, Any]]
PICTURE = "heat-map.png"


def records_by_cell(lines: Lines, stage: str) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """The trials of a stage by ``(task, recipe, cell)``, in the order of the file."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for line in lines:
        if line["stage"] == stage:
            for record in line["records"]:
                key = (record["task"], record["recipe"], record["cell"])
                found.setdefault(key, []).append(record)
    return found


def results_of(lines: Lines, cap: int) -> dict[Family, dict[str, list[PointResult]]]:
    """The points of the sweep by ``(task, recipe)`` and cell."""
    found: dict[Family, dict[str, list[PointResult]]] = {}
    for (task, recipe, cell), records in records_by_cell(lines, "sweep").items():
        found.setdefault((task, recipe), {})[cell] = point_results(records, cap)
    return found


def markdown(title: str, lines: Lines, *, baseline: str, cap: int, command: str) -> str:
    """The page: what was run, each cell at its best point, its tests, and what settings explain."""
    sweep, fresh = (records_by_cell(lines, stage) for stage in ("sweep", "confirm"))
    tested = fresh or sweep
    num_trials = sum(len(line["records"]) for line in lines)
    wall = format_duration(sum(line["wall_s"] for line in lines))
    weights = _weights(lines)
    blocks = [
        f"# {title}",
        f"{num_trials:,} trials of at most {cap:,} training sequences, in {len(lines)} programs "
        f"that took {wall} in all: `{command}`.",
        f"![Share of trials solved, over cells and learning rates]({PICTURE})",
    ]
    comparisons = compare(tested, baseline, cap)
    for family, cells in results_of(lines, cap).items():
        blocks.append(f"## {family[0]}, {family[1]}")
        own = {cell: tested.get((*family, cell)) for cell in cells} if fresh else {}
        found = {c.cell: c for c in comparisons if (c.task, c.recipe) == family}
        blocks.append(_table(family, cells, own, found, baseline, cap, weights))
        shares = _shares(sweep, family, cap)
        if shares:
            blocks.append(shares)
    blocks.append(_legend(baseline, bool(fresh), len(comparisons)))
    return "\n\n".join(blocks) + "\n"


def _table(
    family: Family,
    cells: Mapping[str, Sequence[PointResult]],
    fresh: Mapping[str, Sequence[Mapping[str, Any]] | None],
    comparisons: Mapping[str, Comparison],
    baseline: str,
    cap: int,
    weights: Mapping[tuple[str, str, str], int],
) -> str:
    """fresh: each cell's trials by fresh seeds, None where they are still to come; or empty."""
    heads = ("cell", "weights", "solved in sweep", "best point", "solved there [95%]")
    heads += ("median sequences [95%]", "sooner than first [95%]", "q", "verdict")
    rows = []
    for cell, points in cells.items():
        chosen = best(points)
        own = fresh.get(cell)
        summary = summary_of(own, cap) if own else chosen.summary
        waits = bool(fresh) and own is None
        solved = sum(point.summary.num_solved for point in points)
        total = sum(point.summary.num_trials for point in points)
        found = comparisons.get(cell)
        if cell == baseline:
            verdict = "baseline, its fresh seeds still to come" if waits else "baseline"
        elif found is None:
            verdict = "fresh seeds still to come" if waits else f"{baseline} still to come"
        else:
            verdict = found.verdict
        rows.append(
            (
                cell,
                format_count(weights[(*family, cell)]),
                f"{solved}/{total}",
                ", ".join(f"{name} {show(value)}" for name, value in chosen.values.items()),
                "-" if waits else _share(summary),
                "-" if waits else format_median(summary),
                "-" if found is None else f"{found.effect:.2f} [{found.low:.2f}, {found.high:.2f}]",
                "-" if found is None else f"{found.q:.2g}",
                verdict,
            )
        )
    return markdown_table(heads, rows)


def _share(summary: RowSummary) -> str:
    low, high = wilson_interval(summary.num_solved, summary.num_trials)
    return f"{summary.num_solved}/{summary.num_trials} [{low:.2f}, {high:.2f}]"


def _weights(lines: Lines) -> dict[tuple[str, str, str], int]:
    """Weights of each cell; where a swept setting changes them, of the last point."""
    return {
        (point["task"], point["recipe"], point["cell"]): line["num_weights"]
        for line in lines
        for point in line["points"]
    }


def _shares(
    sweep: Mapping[tuple[str, str, str], Sequence[Mapping[str, Any]]], family: Family, cap: int
) -> str:
    records = [r for key, found in sweep.items() if key[:2] == family for r in found]
    try:
        shares = shares_of(records, cap)
    except ImportError:
        return "Share of the variance by setting (fANOVA): needs `pip install -e '.[search]'`."
    return shares.text("log sequences") if shares else ""


def _legend(baseline: str, confirmed: bool, num_tests: int) -> str:
    fresh = (
        "The best point is the one with most trials solved in the sweep, then the least median "
        "(the first, where none is solved at any); what stands to its right is of fresh seeds at "
        "that point, so that choosing does not flatter it. "
        if confirmed
        else "Tests are over all trials of the sweep, what is solved at the best point is of the "
        "trials that it was chosen by. "
    )
    return (
        f"{fresh}Solved: Wilson interval. Median: Kaplan-Meier, unsolved trials censored at the "
        f"cap. Sooner: probability that a trial is solved sooner than one of {baseline}, ties one "
        "half (Mann-Whitney's U / nm; bootstrap interval). q: log-rank test, corrected for all "
        f"{num_tests} comparisons of this page (Benjamini & Hochberg); better or worse below 0.05."
    )
