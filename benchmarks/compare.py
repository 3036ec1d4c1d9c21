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
    rows: Sequence[Row],
    shapes: Sequence[Shape],
    repeats: int,
    start: Start,
    platform: str | None = None,
) -> dict[str, Any]:
    """All rows on all shapes, one repeat of each in turn.

    Args:
      rows: the first is the one whose results the others must have.
      start: makes the worker of a row (`benchmarks.worker`).
      platform: which JAX must find: "gpu". None: any.

    Returns:
      ``rows``: a dict for each row, shape and job; ``gemm``: GFLOP/s by library; ``settings``: by
      row; ``missing``: rows that could not be measured, and why, those among them that do not
      give the first one's results; ``device``: what JAX computed on.

    Raises:
      Refused: where the first row cannot be measured, or on another platform.
    """
    missing: dict[str, str] = {}
    device: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        workers: dict[Row, Any] = {}
        try:
            for row in rows:
                print(f"starting: {row.label}", file=sys.stderr, flush=True)
                _start(row, shapes, Path(folder), start, workers, missing)
                device = workers[rows[0]].ready["device"]
                if platform and device["platform"] != platform:
                    there = f"{device['kind']} ({device['platform']})"
                    raise Refused(f"needs a {platform}, and JAX's device here is {there}")
            taken, rates = _in_turn(workers, len(shapes), repeats, missing)
            if rows[0].label in missing:
                raise Refused(f"{rows[0].label} {missing[rows[0].label]}")
        finally:
            for worker in workers.values():
                worker.close()
    made = [
        _figures(row, workers[row].ready["shapes"][n], shape, job, taken[row, n, job])
        for n, shape in enumerate(shapes)
        for job in JOBS
        for row in workers
        if taken[row, n, job]
    ]
    settings = {row.label: worker.ready["settings"] for row, worker in workers.items()}
    gemm = {row.label: statistics.median(own) for row, own in rates.items() if own}
    found = {"rows": made, "gemm": gemm, "settings": settings, "missing": missing}
    return found | {"device": device}


def joined(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Several results of `measure` as one; a part may lack what it does not have.

    Example:
      >>> part = {"rows": [1], "gemm": {"a": 2.0}, "settings": {}, "missing": {}, "device": {}}
      >>> joined(part, part | {"rows": [3], "gemm": {"b": 4.0}})["gemm"]
      {'a': 2.0, 'b': 4.0}
    """
    made: dict[str, Any] = {"rows": [row for part in parts for row in part.get("rows", [])]}
    for name in ("gemm", "settings", "missing", "device"):
        made[name] = {key: value for part in parts for key, value in part.get(name, {}).items()}
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
        if not workers:
            raise Refused(f"{row.label}: not installed: {worker.ready['missing']}")
        missing[row.label] = f"not installed: {worker.ready['missing']}"
        return
    workers[row] = worker
    platform = worker.ready["device"]["platform"]
    for shape, said in zip(shapes, worker.ready["shapes"], strict=True):
        reason = refusal(shape, said["apart"], platform)
        if reason and row.label not in missing:
            missing[row.label] = reason


def _in_turn(
    workers: Mapping[Row, Any], num_shapes: int, repeats: int, missing: dict[str, str]
) -> tuple[dict[Any, list[dict[str, float]]], dict[Row, list[float]]]:
    """What was taken by row, shape and job, and the rates of the large product."""
    taken_by: dict[Any, list[dict[str, float]]] = {
        (row, n, job): [] for n in range(num_shapes) for job in JOBS for row in workers
    }
    rates: dict[Row, list[float]] = {row: [] for row in workers}
    for _ in range(repeats):
        for (row, n, job), taken in taken_by.items():
            if answer := _ask(row, workers[row], {"shape": n, "job": job}, missing):
                taken.append(answer)
        for row, worker in workers.items():
            answer = _ask(row, worker, "gemm", missing)
            if answer and answer["gflops"]:
                rates[row].append(answer["gflops"])
    for (row, *_), taken in taken_by.items():
        if row.label in missing:
            taken.clear()  # what a row took before it failed is no figure
    return taken_by, rates


def _ask(row: Row, worker: Any, question: Any, missing: dict[str, str]) -> Any:
    """The worker's answer; None where the row is missing, or is from now on."""
    if row.label in missing:
        return None
    try:
        return worker.ask(question)
    except Ended as error:
        missing[row.label] = str(error)
        return None


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


def gemm_name(label: str, shape: Shape) -> str:
    """What the rate of a row's large product is called in a record: its type is the shape's.

    Example:
      >>> gemm_name("lstm_jax", Shape(5, 4, 3, 6, dtype="bfloat16"))
      'lstm_jax, bfloat16'
    """
    return label if shape.dtype == "float32" else f"{label}, {shape.dtype}"


def ceiling(record: Mapping[str, Any], shape: str = "") -> float | None:
    """GFLOP/s of the fastest large product in the run, of the type of a shape's label.

    Example:
      >>> ceiling({"gemm": {"a": 190.0, "b": 200.0, "a, bfloat16": 700.0}})
      200.0
      >>> ceiling({"gemm": {"a": 190.0, "a, bfloat16": 700.0}}, "T=9 B=1 I=3 H=6, bfloat16")
      700.0
      >>> ceiling({"gemm": {}}) is None
      True
    """
    half = "bfloat16" in shape
    rates = [g for name, g in record.get("gemm", {}).items() if ("bfloat16" in name) == half]
    return max(rates, default=None)


def regressions(record: Mapping[str, Any], last: Mapping[str, Any] | None) -> list[str]:
    """What takes more than `SLOWER` times what it took in the last record of such a machine.

    Only ours: the others' times are not ours to mend. Nothing where the processor is another.

    Example:
      >>> def made(seconds):
      ...     return {"cpu": "x", "cores": 2, "rows": [
      ...         {"row": "lstm_jax", "shape": "s", "job": "training", "seconds": seconds}]}
      >>> regressions(made(2.0), made(1.0))
      ['slower than the last record: lstm_jax, s, training: 2.00 times']
      >>> regressions(made(1.2), made(1.0))
      []
      >>> regressions(made(2.0), made(1.0) | {"design": "family26"})
      []
    """
    if last is None or any(last.get(n) != record.get(n) for n in ("cpu", "design", "cores")):
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
