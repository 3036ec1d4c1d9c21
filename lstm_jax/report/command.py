"""The command of a page on runs: reads a folder, looks inside the networks, writes an HTML file."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lstm_jax import runtime
from lstm_jax.config import ConfigError, Field, refusals
from lstm_jax.config.flags import output_file, parse_flags
from lstm_jax.record.archive import write_whole
from lstm_jax.record.reading import RunFiles, find_runs, read_run
from lstm_jax.report.run_page import Inside, RunReport, run_html
from lstm_jax.tables import PaperRow

FLAGS = {
    "run": Field("", "folder of a run, finished or not, or of a table's rows; needed"),
    "out": Field("", "the page to write; report.html in that folder unless given"),
    "trial": Field(None, "trial to look into; the first solved one unless given", low=0, of=int),
    "sequence": Field(0, "number of the first test sequence to step through", low=0, high=10**6),
    "look": Field(True, "look inside the networks, which computes for some seconds a row"),
}
LookInside = Callable[[RunFiles, int | None, int], Inside]


def main(
    usage: str,
    paper_row: Callable[[RunFiles], PaperRow | None],
    look_inside: LookInside,
    argv: Sequence[str] | None = None,
) -> int:
    """Writes the page for a command line; returns the exit status.

    0: written. 2: one line on stderr said what was wrong, with nothing written.

    Args:
      usage: what the command does; the head of its help.
      paper_row: the published row of a run, or None.
      look_inside: ``(run, trial, sequence) -> Inside``.
      argv: the arguments; those of the process by default.
    """
    with refusals():
        given = parse_flags(sys.argv[1:] if argv is None else argv, FLAGS, usage)
        if not given["run"]:
            raise ConfigError("--run=: give the folder of a run, or of a table's rows")
        folder = Path(given["run"])
        out = output_file("out", given["out"] or folder / "report.html")
        runs = [read_run(path) for path in find_runs(folder)]
        if given["look"]:
            runtime.configure(num_devices=1)
        reports = []
        for run in runs:
            inside = Inside()
            if given["look"]:
                inside = look_inside(run, given["trial"], given["sequence"])
            reports.append(RunReport(run, paper_row(run), inside))
        page = run_html(reports, title_of(runs, folder))
        write_whole(out, page.encode())
    told = ", unfinished" if any(not run.is_finished for run in runs) else ""
    print(f"report on {_count(runs)}{told}: {out} ({os.path.getsize(out) / 1000:,.0f} kB)")
    return 0


def title_of(runs: Sequence[RunFiles], folder: Path) -> str:
    """What the page is called: the task or the experiment, and the row or the folder of rows."""
    names = {_what(run) for run in runs}
    row = runs[0].row if len(runs) == 1 else folder.resolve().name
    what = names.pop() if len(names) == 1 else ""
    return f"{what}: {row}" if what and what != row else row


def _what(run: RunFiles) -> str:
    """The task of a run; else the experiment that its command names."""
    command = run.sessions[-1].get("command", "") if run.sessions else ""
    named = re.search(r"experiments[./](\w+)", str(command))
    name = run.config.get("task") or (named.group(1) if named else "")
    return str(name).replace("_", " ")


def _count(runs: Sequence[RunFiles]) -> str:
    return f"row {runs[0].row}" if len(runs) == 1 else f"{len(runs)} rows"
