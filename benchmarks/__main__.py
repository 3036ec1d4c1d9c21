"""Speed of lstm_jax beside PyTorch, Flax, Haiku, Equinox and Keras, in one run.

    python -m benchmarks [--regimes=paper,medium,long,large,scaling] [--repeats=7]
    python -m benchmarks --quick       # everything once, on tiny shapes: does it run?
    python -m benchmarks --report      # docs/benchmarks.md and its picture from the records

Every library is in a process of its own with the settings that its users have; all get the same
weights and inputs, and one whose outputs and gradients are not ours is not timed: the tables say
so, and the exit status is 1. Rows take turns, one repeat at a time. What is slower than in the last
record of this kind of machine is pointed out. Takes two to three minutes a regime on two cores.

Records are written as soon as there is something to write: after a regime, and after each shape of
the large one, whose kernels may be stopped by what nobody has seen yet.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import paper_scale, report
from benchmarks.compare import Refused, gemm_name, joined, measure, regressions
from benchmarks.machine import headline, kind, machine, new_file, whole
from benchmarks.report import RECORDS
from benchmarks.scaling import measure_scaling
from benchmarks.shapes import (
    CHECKS,
    PAPER_LANES,
    PAPER_LENGTHS,
    REGIMES,
    TINY,
    rows,
    serves,
    shapes,
)
from benchmarks.traces import trace_memory
from benchmarks.worker import WRONG, Apart, Here
from lstm_jax.config import refusals
from lstm_jax.config.flags import Arguments
from lstm_jax.runtime import gpu_expected

DEFAULT = ("paper", "medium", "long", "scaling")


def run(
    regime: str, repeats: int, num_cores: int, keep: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """The figures of one regime; keep: is given them whenever there are more.

    Raises:
      Refused: where it cannot be measured here.
    """
    if regime == "large":
        return measure_large(repeats, num_cores, keep)
    if regime == "paper":
        made = measure_paper(repeats, num_cores)
    elif regime == "scaling":
        made = measure_scaling(repeats, num_cores, Apart)
    else:
        made = measure(rows(regime, num_cores), shapes(regime), repeats, Apart)
        made |= {"traces": trace_memory()} if regime == "long" else {}
    keep(made)
    return made


PATIENCE = (150.0, 60.0)
"""Seconds for a GPU row to start, and for each of its repeats: a kernel that hangs is stopped."""


def measure_large(
    repeats: int, num_cores: int, keep: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Shape by shape, each library in a fresh process; before that the small `CHECKS`."""
    if not gpu_expected():
        raise Refused("the regime 'large' needs an NVIDIA GPU and JAX's CUDA plugin; none is here")
    start = partial(Apart, patience=PATIENCE)
    made: dict[str, Any] = {"checks": []}
    for shape in (*CHECKS, *shapes("large")):
        checked = shape in CHECKS
        table = [row for row in rows("large", num_cores) if serves(row, shape)]
        if checked:
            table = [row for row in table if row.library in ("ours", "torch")]
        part: dict[str, Any]
        try:
            part = measure(table, [shape], 1 if checked else repeats, start, "gpu")
        except Refused as refused:
            if shape == CHECKS[0]:
                raise
            label = table[0].label
            part = {"missing": {label: str(refused).removeprefix(f"{label} ")}}
        why = {f"{label}, {shape.label}": reason for label, reason in part["missing"].items()}
        part["missing"] = why
        if checked:
            far = {row["row"]: row["apart"] for row in part.get("rows", [])}
            made["checks"].append({"shape": shape.label, "apart": far})
            part = {"missing": why, "device": part.get("device", {})}
        else:
            part["gemm"] = {gemm_name(n, shape): g for n, g in part.get("gemm", {}).items()}
        made = joined(made, part) | {"checks": made["checks"]}
        keep(made)
    return made


def measure_paper(repeats: int, num_cores: int) -> dict[str, Any]:
    """The rows of `benchmarks.paper_scale` for each T, as those of other regimes."""
    rows, gemm = [], {}
    for T in PAPER_LENGTHS:
        table = paper_scale.rows(PAPER_LANES, num_cores)
        results, rate = paper_scale.compare(T, table, repeats)
        if rate is not None:
            gemm["lstm_jax, 1 core"] = rate
        for result in results:
            own = paper_scale.record_of(result)
            del own["library"]
            rows.append({"row": own.pop("label"), "shape": f"T={T}", "job": "update"} | own)
    return {"rows": rows, "gemm": gemm, "settings": paper_scale.settings()}


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parse(argv)
    if options.report:
        for path in report.write():
            print(f"wrote {path}")
        return 0
    about = machine("benchmarks")
    print(headline(about))
    records: dict[str, dict[str, Any]] = {}
    before: dict[str, Any] = {}

    def keep(regime: str, made: dict[str, Any]) -> None:
        record = about | {"regime": regime, "repeats": options.repeats} | made
        records[regime], path = record, RECORDS / f"{regime}-{kind(record)}.json"
        if regime not in before:
            there = path.exists()
            before[regime] = json.loads(path.read_text(encoding="utf-8")) if there else None
        if options.json:
            _write(options.json, list(records.values()))
        if options.record:
            _write(path, record)

    wrong = False
    try:
        if options.quick:
            made = measure(rows("medium", 1), TINY, 2, Here)
            print(report.layer_tables(about | made | {"regime": "quick"}))
            return int(_some_wrong(made))
        for name in options.regimes:
            made = run(name, options.repeats, about["cores"], partial(keep, name))
            print(report.tables(records[name]))
            print("\n".join(regressions(records[name], before[name])))
            wrong = wrong or _some_wrong(made)
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        return 1
    for record in records.values() if options.record else ():
        print(f"record: results/benchmarks/{record['regime']}-{kind(record)}.json")
    if options.json:
        print(f"records: {options.json}")
    return int(wrong)


def _some_wrong(made: Mapping[str, Any]) -> bool:
    return any(WRONG in why for why in made.get("missing", {}).values())


def _write(path: Path, record: Any) -> None:
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    about = __doc__ or ""
    parser = Arguments(
        prog="python -m benchmarks",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ", ".join(REGIMES)
    parser.add_argument(
        "--regimes", type=regimes, default=DEFAULT, help=f"of {names} (all but large)"
    )
    parser.add_argument("--repeats", type=whole(1, 1000), default=7, help="of each row (7)")
    parser.add_argument("--json", type=new_file, help="also write the records to this file")
    parser.add_argument(
        "--record", action="store_true", help="keep the records in results/benchmarks"
    )
    parser.add_argument("--quick", action="store_true", help="tiny shapes, in this process")
    parser.add_argument("--report", action="store_true", help="write docs/benchmarks.md; no timing")
    with refusals():
        return parser.parse_args(argv)


def regimes(text: str) -> tuple[str, ...]:
    """Names of regimes from a command's argument.

    Example:
      >>> regimes("medium,long")
      ('medium', 'long')
    """
    names = tuple(text.split(","))
    for name in names:
        if name not in REGIMES:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(REGIMES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
