"""Measures the rows of a regime of layers in turn; what their figures say about each other."""

import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.process import Ended
from benchmarks.shapes import JOBS, Row, Shape
from benchmarks.worker import refusal

SLOWER = 1.3
"""From this ratio to the last record on a row is pointed out."""

Start = Callable[[Row, Sequence[Shape], Path, bool], Any]


class Refused(Exception):
    """A regime cannot be measured; the message is one line."""


def measure(
    rows: Sequence[Row], shapes: Sequence[Shape], repeats: int, start: Start
) -> dict[str, Any]:
    """All rows on all shapes, one repeat of each in turn.

    Args:
      rows: the first is the one whose results the others must have.
      start: makes the worker of a row (`benchmarks.worker`).

    Returns:
      ``rows``: a dict for each row, shape and job; ``gemm``: GFLOP/s by library; ``settings``: by
      row; ``missing``: rows that could not be measured, and why.

    Raises:
      Refused: where a row does not give the first one's results.
    """
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        workers: dict[Row, Any] = {}
        try:
            for row in rows:
                print(f"starting: {row.label}", file=sys.stderr, flush=True)
                _start(row, shapes, Path(folder), start, workers, missing)
            taken, rates = _in_turn(workers, len(shapes), repeats, missing)
        finally:
            for worker in workers.values():
                worker.close()
    made = [
        _figures(row, workers[row].ready["shapes"][n], shape, job, taken[row, n, job])
        for n, shape in enumerate(shapes)
        for job in JOBS
        for row in workers
        if row.label not in missing
    ]
    settings = {row.label: worker.ready["settings"] for row, worker in workers.items()}
    gemm = {row.label: statistics.median(own) for row, own in rates.items() if own}
    return {"rows": made, "gemm": gemm, "settings": settings, "missing": missing}


def joined(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Several results of `measure` as one.

    Example:
      >>> part = {"rows": [1], "gemm": {"a": 2.0}, "settings": {}, "missing": {}}
      >>> joined(part, part | {"rows": [3], "gemm": {"b": 4.0}})
      {'rows': [1, 3], 'gemm': {'a': 2.0, 'b': 4.0}, 'settings': {}, 'missing': {}}
    """
    made: dict[str, Any] = {"rows": [row for part in parts for row in part["rows"]]}
    for name in ("gemm", "settings", "missing"):
        made[name] = {key: value for part in parts for key, value in part[name].items()}
    return made


def _start(
    row: Row,
    shapes: Sequence[Shape],
    folder: Path,
    start: Start,
    workers: dict[Row, Any],
    missing: dict[str, str],
) -> None:
    """Adds the row's worker, or says why there is none."""
    try:
        worker = start(row, shapes, folder, not workers)
    except Ended as error:
        if not workers:
            raise Refused(f"{row.label} {error}") from None
        missing[row.label] = str(error)
        return
    if "missing" in worker.ready:
        worker.close()
        missing[row.label] = f"not installed: {worker.ready['missing']}"
        return
    workers[row] = worker
    for shape, said in zip(shapes, worker.ready["shapes"], strict=True):
        reason = refusal(row, shape, said["apart"])
        if reason:
            raise Refused(reason)


def _in_turn(
    workers: Mapping[Row, Any], num_shapes: int, repeats: int, missing: dict[str, str]
) -> tuple[dict[Any, list[dict[str, float]]], dict[Row, list[float]]]:
    """What was taken by row, shape and job, and the rates of the large product."""
    taken_by: dict[Any, list[dict[str, float]]] = {}
    rates: dict[Row, list[float]] = {row: [] for row in workers}
    for _ in range(repeats):
        for n in range(num_shapes):
            for job in JOBS:
                for row, worker in workers.items():
                    if row.label in missing:
                        continue
                    try:
                        taken = worker.ask({"shape": n, "job": job})
                    except Ended as error:
                        missing[row.label] = str(error)
                        continue
                    taken_by.setdefault((row, n, job), []).append(taken)
        for row, worker in workers.items():
            if row.label not in missing:
                rate = worker.ask("gemm")["gflops"]
                rates[row] += [rate] if rate else []
    return taken_by, rates


def _figures(
    row: Row, said: Mapping[str, Any], shape: Shape, job: str, taken: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    """One line of a record."""
    medians = [own["seconds"] for own in taken]
    median = statistics.median(medians)
    return {
        "row": row.label,
        "shape": shape.label,
        "job": job,
        "seconds": median,
        "least": min(own["least"] for own in taken),
        "low": min(medians),
        "high": max(medians),
        "num_repeats": len(medians),
        "gflops": 1e-9 * shape.flops(job) / median,
        "compile_seconds": said["compile_seconds"].get(job),
        "memory_bytes": said["memory"].get(job),
        "apart": said["apart"],
    }


def ratios(
    rows: Sequence[Mapping[str, Any]], first: str, figure: str = "seconds"
) -> dict[tuple[str, str, str], float]:
    """By row, shape and job: its time over that of the row `first`, on the same shape and job.

    Example:
      >>> made = [{"row": r, "shape": "s", "job": "training", "seconds": t}
      ...         for r, t in (("ours", 2.0), ("theirs", 5.0))]
      >>> ratios(made, "ours")["theirs", "s", "training"]
      2.5
    """
    times = {(r["shape"], r["job"]): r[figure] for r in rows if r["row"] == first}
    return {
        (r["row"], r["shape"], r["job"]): r[figure] / times[r["shape"], r["job"]]
        for r in rows
        if (r["shape"], r["job"]) in times
    }


def ceiling(record: Mapping[str, Any]) -> float | None:
    """GFLOP/s of the fastest large product in the run.

    Example:
      >>> ceiling({"gemm": {"a": 190.0, "b": 200.0}}), ceiling({"gemm": {}})
      (200.0, None)
    """
    return max(record.get("gemm", {}).values(), default=None)


def regressions(record: Mapping[str, Any], last: Mapping[str, Any] | None) -> list[str]:
    """What takes more than `SLOWER` times what it took in the last record of such a machine.

    Only ours: the others' times are not ours to mend. Nothing where the processor is another.

    Example:
      >>> def made(seconds):
      ...     return {"cpu": "x", "cores": 2, "rows": [
      ...         {"row": "lstm_jax", "shape": "s", "job": "training", "seconds": seconds}]}
      >>> regressions(made(2.0), made(1.0))
      ['slower than the last record: lstm_jax, s, training: 2.00 times']
      >>> regressions(made(1.2), made(1.0)), regressions(made(2.0), made(1.0) | {"cpu": "y"})
      ([], [])
    """
    if last is None or (last["cpu"], last["cores"]) != (record["cpu"], record["cores"]):
        return []
    before = {(r["row"], r["shape"], r["job"]): r["seconds"] for r in last["rows"]}
    found = []
    for r in record["rows"]:
        key = r["row"], r["shape"], r["job"]
        if not r["row"].startswith("lstm_jax") or key not in before:
            continue
        ratio = r["seconds"] / before[key]
        if ratio > SLOWER:
            found.append(f"slower than the last record: {', '.join(key)}: {ratio:.2f} times")
    return found
