"""A paper's records: in run folders, exported beside the code, and as the tables of a report."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lstm_jax.paper.selection import Paper, items_of
from lstm_jax.record import RunFolderError
from lstm_jax.record.archive import pretty, write_whole
from lstm_jax.record.folder import TRIALS
from lstm_jax.record.opening import CONFIG
from lstm_jax.record.provenance import PROVENANCE, total
from lstm_jax.record.refusal import from_json, refuse, writing
from lstm_jax.report import (
    ReportRow,
    ReportTable,
    load_records,
    replace_results,
    results_table_markdown,
)
from lstm_jax.report.results import BEGIN, END
from lstm_jax.rows import FREE_FIELDS
from lstm_jax.tables import PaperRow

ROWS = "rows.json"
"""Beside the exported records: how each row was run."""
CHECKOUT = Path(__file__).resolve().parents[2]
KEPT = ("versions", "device_kind", "num_devices", "num_cpus", "git_commit", "git_dirty")
LAYOUT = ("kernel", "num_lanes", "chunk")


class RowRecords(NamedTuple):
    """The finished trials of a row, and how it was run; nothing in it names a machine."""

    records: list[dict[str, Any]]
    info: dict[str, Any]

    def first(self, num_trials: int) -> RowRecords:
        """The first trials alone."""
        info = self.info | {"num_trials": min(num_trials, len(self.records))}
        return RowRecords(self.records[:num_trials], info)


def results_folder(paper: Paper, given: str) -> Path:
    """Where the records of a paper are exported to: as given, or that of the checkout."""
    return Path(given) if given else _near(CHECKOUT / "results" / paper.name)


def read_records(folder: Path, names: Sequence[str]) -> dict[str, RowRecords]:
    """The finished rows of a run's folder or of an exported one, by name.

    Takes no lock: a run may go on meanwhile. Raises RunFolderError where there is no such folder
    or a file in it is damaged.
    """
    if not folder.is_dir():
        refuse(folder, "is no folder with records; run it first, or give another --workdir")
    if is_exported(folder):
        return _read_exported(folder, names)
    found = {}
    for name in names:
        row = _read_run(folder / name)
        if row is not None:
            found[name] = row
    return found


def is_exported(folder: Path) -> bool:
    """Whether a folder holds exported records, not those of a run."""
    return (folder / ROWS).exists()


def export(folder: Path, rows: Mapping[str, RowRecords]) -> None:
    """Writes the rows to a folder; rows that were there before and are not among them stay.

    Raises RunFolderError on a failed write.
    """
    there = _read_json(folder / ROWS) if is_exported(folder) else {}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, row in rows.items():
        lines = "".join(json.dumps(record) + "\n" for record in row.records)
        write_whole(folder / f"{name}.jsonl", lines.encode())
    infos = there | {name: row.info for name, row in rows.items()}
    write_whole(folder / ROWS, pretty({name: infos[name] for name in sorted(infos)}))


def paper_tables(
    paper: Paper, rows: Mapping[str, RowRecords], only: Collection[str] | None = None
) -> list[ReportTable]:
    """The tables of a paper with our records, as a report takes them; of all rows or of some."""
    published = {row.name: row for row in paper.cited}
    published |= {name: item.paper for name, item in items_of(paper).items()}

    def row(name: str) -> ReportRow:
        if name not in rows:
            return ReportRow(published[name])
        # The report has a use of its own for "settings".
        info = {key: value for key, value in rows[name].info.items() if key != "settings"}
        if name in paper.explanations:
            info["explanation"] = paper.explanations[name]
        return ReportRow(published[name], rows[name].records, info)

    tables = []
    for title, caption, names in paper.tables:
        shown = [row(name) for name in names if only is None or name in only]
        if shown:
            tables.append(ReportTable(title, caption, shown))
    return tables


def overview(rows: Mapping[str, RowRecords]) -> dict[str, Any]:
    """What all rows together ran on: what is the same in each of them, and the time in sum."""
    infos = [row.info for row in rows.values()]
    same: dict[str, Any] = {}
    for key in KEPT:
        values = [info["provenance"].get(key) for info in infos]
        if values and all(value == values[0] for value in values):
            same[key] = values[0]
    total = sum(info["wall_s"] for info in infos)
    return {"rows": len(infos), "wall_seconds": round(total, 1)} | same


def readme_of(folder: Path) -> Path:
    """The README that shows the records of an exported folder: README.md above results/NAME."""
    return _near(folder.resolve().parents[1] / "README.md")


def update_readme(readme: Path, tables: Sequence[ReportTable]) -> bool:
    """Puts the table of results between its markers; False where there are no markers.

    Raises RunFolderError on a failed write.
    """
    if not readme.is_file() or BEGIN not in readme.read_text(encoding="utf-8"):
        return False
    text = readme.read_text(encoding="utf-8")
    write_whole(readme, replace_results(text, results_table_markdown(tables)).encode())
    return True


def differences(paper: Paper, folder: Path) -> list[str]:
    """What is wrong with the exported records and the table made of them; [] where all is well.

    Raises RunFolderError where a file is damaged.
    """
    readme = readme_of(folder)
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    shown = BEGIN in text
    if not is_exported(folder):
        return [f"{readme} shows results, but {folder} has no {ROWS}"] if shown else []
    names = [name for table in paper.tables for name in table.rows]
    rows = read_records(folder, names)
    found = [
        f"{folder / file.name}: no row of the paper has this name"
        for file in sorted(folder.glob("*.jsonl"))
        if file.stem not in names
    ]
    for name, item in items_of(paper).items():
        if name in rows:
            found += [f"{folder / name}.jsonl: {what}" for what in _faults(item.paper, rows[name])]
    if found:
        return found
    if not shown:
        return [f"{readme} lacks the markers {BEGIN} and {END} of the table of {folder}"]
    try:
        if replace_results(text, results_table_markdown(paper_tables(paper, rows))) != text:
            renew = f"python -m experiments.{paper.name} --report --workdir={folder}"
            return [f"{readme}: its table is not that of the records; to renew it: {renew}"]
    except ValueError as error:
        return [f"{readme}: {error}"]
    return []


def _faults(paper: PaperRow, row: RowRecords) -> list[str]:
    """What is wrong with the records of a row."""
    found = []
    if [record["trial"] for record in row.records] != list(range(len(row.records))):
        found.append("the trials are not numbered from 0 on without a gap")
    for field, value in (("row", paper.name), ("num_weights", paper.num_weights)):
        if {record.get(field) for record in row.records} != {value}:
            found.append(f"{field} must be {value} in every line")
    if len(row.records) != row.info.get("num_trials"):
        found.append(f"{len(row.records)} trials; {ROWS} has {row.info.get('num_trials')}")
    return found


def _read_exported(folder: Path, names: Sequence[str]) -> dict[str, RowRecords]:
    infos = _read_json(folder / ROWS)
    found = {}
    for name in names:
        try:
            records = load_records(folder / f"{name}.jsonl")
        except ValueError as error:
            raise RunFolderError(str(error)) from None
        if bool(records) != (name in infos):
            lacks = f"{ROWS} lacks the row" if records else f"it is in {ROWS} but has no records"
            refuse(folder / f"{name}.jsonl", f"does not fit: {lacks}; export it again")
        if records:
            found[name] = RowRecords(records, infos[name])
    return found


def _read_run(path: Path) -> RowRecords | None:
    """A row's run folder; None unless the trials of one of its commands are all there."""
    try:
        config = _read_json(path / CONFIG)["config"]
        sessions = _read_json(path / PROVENANCE)["sessions"]
        text = (path / TRIALS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (KeyError, TypeError):
        refuse(path, "holds no run of this version")
    records = {}
    for line in text[: text.rfind("\n") + 1].splitlines():  # a last line may be half written
        try:
            record = from_json(line)
            records[record["trial"]] = record
        except (ValueError, KeyError, TypeError):
            refuse(path / TRIALS, "is damaged; the command that runs it says where")
    asked = {config["num_trials"], *(session.get("num_trials", 0) for session in sessions)}
    whole = [number for number in asked if number and all(n in records for n in range(number))]
    if not whole:
        return None
    num_trials = max(whole)
    return RowRecords(
        [records[n] for n in range(num_trials)], _info(config, sessions, records[0], num_trials)
    )


def _info(
    config: Mapping[str, Any],
    sessions: Sequence[Mapping[str, Any]],
    record: Mapping[str, Any],
    num_trials: int,
) -> dict[str, Any]:
    last = sessions[-1]
    # One that put shares together may have trained nothing itself.
    trained = next((s for s in reversed(sessions) if s.get("trained_sequences")), last)
    info: dict[str, Any] = {
        "num_trials": num_trials,
        "max_sequences": config["max_sequences"],
        "wall_s": round(total(sessions, "wall_seconds"), 1),
        "reading": record.get("reading", ""),
        "command": _without_places(last["command"]),
        "settings": {
            key: value
            for key, value in config.items()
            if key not in (*FREE_FIELDS, "num_trials", "max_sequences")
        },
        "provenance": {
            key: trained[key] for key in (*KEPT, *LAYOUT) if trained.get(key) is not None
        },
    }
    steps = sum(s.get("trained_sequences", 0) * s.get("mean_length", 0) for s in sessions)
    if steps:
        seconds = total(sessions, "trained_seconds")
        info["ns_per_trial_step"] = round(1e9 * seconds / steps, 1)
    if steps and all("processor_seconds" in s for s in sessions if "trained_seconds" in s):
        busy = total(sessions, "processor_seconds")
        info["processor_ns_per_trial_step"] = round(1e9 * busy / steps, 1)
    return info


def _near(path: Path) -> Path:
    """The path as seen from here, where it is below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _without_places(command: Sequence[str]) -> str:
    """A command as it would be typed in the checkout: no folders, and no share, of this machine.

    >>> _without_places(["python", "-m", "experiments.paper1997", "--trials=2", "--workdir=/a/b"])
    'python -m experiments.paper1997 --trials=2'
    >>> _without_places(["python", "-m", "experiments.paper1997", "--share=2/4", "--trials=2"])
    'python -m experiments.paper1997 --trials=2'
    """
    text = re.sub(r"\s--(workdir|share)[= ]\S+", "", " ".join(command))
    return re.sub(r"(?<!\S)(--\w+=)?/\S*/", r"\1", text)


def _read_json(file: Path) -> Any:
    try:
        return from_json(file.read_bytes())
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        refuse(file, f"is damaged ({' '.join(str(error).split())})")
