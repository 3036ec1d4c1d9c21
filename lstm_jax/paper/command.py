"""The command of a paper: runs its rows into one folder, and reports on them."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from lstm_jax import runtime
from lstm_jax.config import refusals
from lstm_jax.experiment import interrupted, say_share
from lstm_jax.paper.command_line import Request, parse
from lstm_jax.paper.estimates import estimate, runs_on_file
from lstm_jax.paper.records import (
    differences,
    export,
    is_exported,
    overview,
    paper_tables,
    read_records,
    readme_of,
    results_folder,
    update_readme,
)
from lstm_jax.paper.selection import Paper, build_row
from lstm_jax.progress import print_above
from lstm_jax.record.refusal import refuse, writing
from lstm_jax.report import results_table_markdown, write_report
from lstm_jax.report.grids import own_rows
from lstm_jax.row_shares import deal, opened_rows
from lstm_jax.rows import FREE_FIELDS, Row, say, stop_signals
from lstm_jax.side_by_side import devices_each, run_rows
from lstm_jax.tables import Entry, format_count, format_duration, format_paper_mean, format_ratio

FREE = (*FREE_FIELDS, "num_trials")
"""A trial depends on its number only: a finished row can be given more trials later."""


def main(paper: Paper, argv: Sequence[str] | None = None) -> int:
    """Runs a paper's rows for a command line; returns the exit status.

    0: done. 1: `--check` found a difference. 2: one line on stderr said what was wrong, with
    nothing computed. 130: stopped; everything is saved and the same command goes on.
    """
    request = parse(paper, sys.argv[1:] if argv is None else argv)
    with refusals():
        if request.check is not None:
            return _check(request, request.check)
        if request.export is not None:
            _export(request, request.export)
        if request.report:
            _report(request)
        if request.report or request.export is not None:
            return 0
        runtime.configure()
        rows = [
            build_row(item, num_trials=request.num_trials, max_sequences=request.max_sequences)
            for item in request.items.values()
        ]
        rows = deal(rows, request.share)
        return _describe(rows, request) if request.dry_run else _run(rows, request)


def _check(request: Request, given: str) -> int:
    folder = results_folder(request.paper, given)
    found = differences(request.paper, folder)
    for line in found:
        say(line)
    if not found:
        print(f"{folder}: the records and the table of the README agree")
    return 1 if found else 0


def _export(request: Request, given: str) -> None:
    """The finished rows of the run's folder, beside the code and in the README."""
    paper, workdir = request.paper, Path(request.workdir)
    folder = results_folder(paper, given)
    if workdir.resolve() == folder.resolve():
        refuse(workdir, "holds exported records already; give the --workdir of the run")
    rows = read_records(workdir, list(request.items))
    if not rows:
        refuse(workdir, "has no finished row to export")
    export(folder, rows)
    print(f"{len(rows)} rows: {folder}")
    if update_readme(readme_of(folder), paper_tables(paper, read_records(folder, paper.order))):
        print(f"table: {readme_of(folder)}")


def _report(request: Request) -> None:
    """The report on all rows of the paper, from their records."""
    paper, workdir = request.paper, Path(request.workdir)
    rows = read_records(workdir, paper.order)
    if not rows:
        refuse(workdir, "has no finished row to report on")
    tables = paper_tables(paper, rows)
    with writing(workdir):
        page, *_ = write_report(
            workdir,
            tables,
            deviations={title: (e.fields, e.readings) for title, e in paper.experiments.items()},
            provenance=overview(rows),
        )
    print(f"report on {len(rows)} of {len(paper.order)} rows: {page}")
    if is_exported(workdir) and update_readme(readme_of(workdir), tables):
        print(f"table: {readme_of(workdir)}")


def _describe(rows: Sequence[Row], request: Request) -> int:
    on_file = runs_on_file(results_folder(request.paper, ""), list(request.items))
    num_devices = devices_each(len(rows))
    estimates = [
        estimate(row, request.items[row.name], on_file.get(row.name), num_devices) for row in rows
    ]
    if request.json:
        print(json.dumps([line.as_json() for line in estimates], indent=1))
        return 0
    for line in estimates:
        print(line)
    known = [line.expected_seconds for line in estimates if line.expected_seconds is not None]
    at_once = max(1, min(jax.device_count() // num_devices, len(rows)))
    time = max([sum(known) / at_once, *known])
    print(
        f"{len(rows)} rows, {sum(line.num_trials for line in estimates)} trials, "
        f"about {format_duration(time)} for the {len(known)} on file or with a published "
        f"number, {at_once} at once, without compiling"
    )
    return 0


def _run(rows: Sequence[Row], request: Request) -> int:
    workdir = Path(request.workdir)
    lines: dict[str, str] = {}
    opened = opened_rows(rows, workdir, request.share, free_fields=FREE)
    with opened as folders, stop_signals() as stopped:
        for row, entry in run_rows(rows, folders, stopped):
            lines[row.name] = result_line(row.name, entry)
            print_above(f"{lines[row.name]}   [{len(lines)} of {len(rows)}]")
            jax.clear_caches()  # the programs of 39 rows would add up
            gc.collect()
    if len(lines) < len(rows):
        return interrupted(request.share.workdir(workdir))
    if not request.share.is_whole:
        say_share(request.share, workdir, sum(len(row.numbers) for row in rows), "trials")
        return 0
    _show(request, rows, lines)
    _report(request)
    return 0


def _show(request: Request, rows: Sequence[Row], lines: Mapping[str, str]) -> None:
    """The rows that were run in one table; the rivals, which it does not have, below it.

    It is of as many trials as were asked for, also where the folder has more.
    """
    found = read_records(Path(request.workdir), list(request.items))
    for row in rows:
        if row.name in found:
            found[row.name] = found[row.name].first(row.config.num_trials)
    tables = paper_tables(request.paper, found, only=request.items)
    own = {row.paper.name for row in own_rows(tables)}
    print()
    if own:
        table = results_table_markdown(tables).splitlines()
        print("\n".join(table[1:-1]))  # without the marks for a place in a text
    rivals = [line for name, line in lines.items() if name not in own]
    if rivals:
        print("\n".join(["", "Rivals:", *rivals]))


def result_line(name: str, entry: Entry) -> str:
    """What a row came to, in a line.

    Example:
      >>> from lstm_jax.summary import summarize
      >>> from lstm_jax.tables import PaperRow
      >>> paper = PaperRow("t7-t100", "T=100", "Table 7", 93, 10, 74_000, 1, 2560)
      >>> trial = {"trial": 0, "status": "SOLVED", "num_sequences": 62_797}
      >>> result_line("t7-t100", (paper, summarize([trial]), {"wall_s": 20.0}))
      't7-t100          solved   1/1    mean    74,000 | 62,797      ratio 0.85   20.0 s'
    """
    paper, ours, extra = entry
    published = format_paper_mean(paper) if paper else "-"
    mean = format_count(ours.mean_sequences) if ours.num_solved else f">{ours.cap:,}"
    ratio = format_ratio(ours.mean_sequences / paper.num_sequences) if paper else "-"
    solved = f"{ours.num_solved}/{ours.num_trials}"
    line = f"{name:16} solved {solved:>5}    mean {published:>9} | {mean:10}  ratio {ratio:5}"
    return line + f"  {format_duration(extra['wall_s'])}"
