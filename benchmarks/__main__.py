"""Speed of lstm_jax beside PyTorch, Flax, Haiku, Equinox and Keras, in one run.

    python -m benchmarks [--regimes=paper,medium,long,large,scaling] [--repeats=7]
    python -m benchmarks --quick       # everything once, on tiny shapes: does it run?
    python -m benchmarks --report      # docs/benchmarks.md and its picture from the records

Every library is in a process of its own with the settings that its users have; all get the same
weights and inputs, and one whose outputs and gradients are not ours is not timed but refused.
Rows take turns, one repeat at a time. What is slower than in the last record of this kind of
machine is pointed out. Takes two to three minutes a regime on two cores.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks import paper_scale, report
from benchmarks.compare import Refused, joined, measure, regressions
from benchmarks.machine import headline, kind, machine, new_file, whole
from benchmarks.report import RECORDS
from benchmarks.scaling import measure_scaling
from benchmarks.shapes import PAPER_LANES, PAPER_LENGTHS, REGIMES, TINY, rows, serves, shapes
from benchmarks.traces import trace_memory
from benchmarks.worker import Apart, Here
from lstm_jax.config import refusals
from lstm_jax.config.flags import Arguments
from lstm_jax.runtime import gpu_expected

DEFAULT = ("paper", "medium", "long", "scaling")


def run(regime: str, repeats: int, num_cores: int) -> dict[str, Any]:
    """The figures of one regime.

    Raises:
      Refused: where it cannot be measured here, or a library does not compute what ours does.
    """
    if regime == "paper":
        return measure_paper(repeats, num_cores)
    if regime == "scaling":
        return measure_scaling(repeats, num_cores, Apart)
    if regime == "large" and not gpu_expected():
        raise Refused("the regime 'large' needs an NVIDIA GPU and JAX's CUDA plugin; none is here")
    table = rows(regime, num_cores)
    if regime == "large":
        served = [([row for row in table if serves(row, s)], [s]) for s in shapes(regime)]
        return joined(*(measure(those, sizes, repeats, Apart) for those, sizes in served))
    made = measure(table, shapes(regime), repeats, Apart)
    return made | ({"traces": trace_memory()} if regime == "long" else {})


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
    try:
        if options.quick:
            made = measure(rows("medium", 1), TINY, 2, Here)
            print(report.layer_tables(about | made | {"regime": "quick"}))
            return 0
        records = []
        for name in options.regimes:
            made = run(name, options.repeats, about["cores"])
            records.append(about | {"regime": name, "repeats": options.repeats} | made)
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        return 1
    for record in records:
        print(report.tables(record))
        path = RECORDS / f"{record['regime']}-{kind(about)}.json"
        last = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        print("\n".join(regressions(record, last)))
        if options.record:
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            print(f"record: {path.relative_to(RECORDS.parents[1])}")
    if options.json:
        options.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
        print(f"records: {options.json}")
    return 0


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
