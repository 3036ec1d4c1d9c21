"""The records as Markdown: `docs/benchmarks.md`, and its picture.

Nothing is measured here: the page says what the records in `results/benchmarks` say.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import scaling
from benchmarks.compare import ceiling, ratios
from benchmarks.machine import ROOT, headline
from benchmarks.shapes import REGIMES

RECORDS = ROOT / "results" / "benchmarks"
PAGE = ROOT / "docs" / "benchmarks.md"

HEAD = """# Speed beside other libraries

Made by `python -m benchmarks --report` from the [records](../results/benchmarks), which
`python -m benchmarks --regimes=... --record` measures. Do not edit.

Each library is in a process of its own. All have our weights, through `lstm_jax.interop`, and the
same inputs; outputs and input gradients (in records that name a device the weights' gradients too)
were compared with ours before anything was timed ("apart": of all arrays the largest difference,
relative to the largest value or 1; in records that name a device also the relative difference in
the root of the mean square; above 1e-5 in float32 a library is not timed). Rows take turns, a tenth
of a second at a time; a figure is the median over turns of the median call.

- *forward* is the outputs alone, *training* the outputs and the gradients of weights and inputs.
- *times ours* is the row's time over ours on the same shape: above 1, ours is faster.
- In brackets: the same of the least of all calls, which is nearer to a machine without other work
  where there was some (the load is below each table).
- *of GEMM* is the rate of the matrix products over that of one product of two 2048x2048 matrices
  (on a GPU 8192x8192, of the same type), measured in the same run in the fastest of the libraries.
- *memory* is what the compiled program needs beside arguments and results; for PyTorch, by how
  much the resident set rises in the first call, or the memory it has taken of a GPU.
- Ours has the settings of `lstm_jax.runtime` and its batch spread over one CPU device a core;
  PyTorch one thread a core; JAX libraries one device with XLA's own threads and no flags, as their
  users run them, and Flax once more with its batch spread as ours is.
- A machine is named by cores, vectors and the design of its processor: AMD's family 26 is Zen 5,
  with AVX-512 family 25 is Zen 4; Intel's model 207 is Emerald Rapids.
"""


def tables(record: Mapping[str, Any]) -> str:
    """A record's figures, as Markdown."""
    if record["regime"] == "paper":
        return paper_table(record)
    if record["regime"] == "scaling":
        return scaling_table(record)
    return layer_tables(record)


def layer_tables(record: Mapping[str, Any]) -> str:
    """One table for each shape: a line for each library."""
    rows = record["rows"]
    if not rows:
        return "\n\n".join([*_check_lines(record), *_missing_lines(record)])
    first = rows[0]["row"]
    times, leasts = ratios(rows, first), ratios(rows, first, "least")
    parts = []
    for shape in dict.fromkeys(row["shape"] for row in rows):
        lines, top = [], ceiling(record, shape)
        for label in dict.fromkeys(row["row"] for row in rows):
            own = {r["job"]: r for r in rows if (r["row"], r["shape"]) == (label, shape)}
            if not own:  # not every kernel serves every type
                continue
            forward, training = own["forward"], own["training"]
            line = [label]
            for r in (forward, training):
                key = label, shape, r["job"]
                line.append(f"{1e3 * r['seconds']:,.2f} ({1e3 * r['least']:,.2f})")
                line.append(f"{times[key]:.2f} ({leasts[key]:.2f})")
            line += [
                f"{training['gflops']:,.0f}",
                f"{training['gflops'] / top:.0%}" if top else "-",
                _said(training["compile_seconds"], "{:.2f}"),
                _said(training["memory_bytes"], "{:,.1f}", 1e-6),
                f"{training['apart']:.0e}",
            ]
            lines.append(line)
        head = ["", "forward, ms", "times ours", "training, ms", "times ours", "GFLOP/s"]
        head += ["of GEMM", "compile, s", "memory, MB", "apart"]
        parts.append(f"**{shape}**\n\n" + markdown(head, lines))
    missing = _missing_lines(record)
    return "\n\n".join([*parts, *_check_lines(record), *missing, *_trace_lines(record)])


def _missing_lines(record: Mapping[str, Any]) -> list[str]:
    return [f"Not measured: {row}: {why}." for row, why in record.get("missing", {}).items()]


def _check_lines(record: Mapping[str, Any]) -> list[str]:
    """How far small shapes were from ours, where the record has it."""
    checks = record.get("checks", [])
    if not checks:
        return []
    labels = list(dict.fromkeys(label for check in checks for label in check["apart"]))
    lines = [
        [check["shape"], *(_said(check["apart"].get(label), "{:.0e}") for label in labels)]
        for check in checks
    ]
    return ["Small shapes, apart:\n\n" + markdown(["", *labels], lines)]


def _trace_lines(record: Mapping[str, Any]) -> list[str]:
    """What the forward traces need, where the record has it."""
    if "traces" not in record:
        return []
    lines = [
        [
            f"{int(T):,}",
            *(f"{own[name]:,}" for name in ("temp_bytes", "input_bytes")),
        ]
        for T, own in record["traces"].items()
    ]
    head = ["T", "temporary, bytes", "the inputs themselves"]
    return [
        "Memory of the 1997 rule by forward traces (eight cells, B=1, an error at the end):\n\n"
        + markdown(head, lines)
    ]


def paper_table(record: Mapping[str, Any]) -> str:
    """Nanoseconds per trial-step by T, and how many times PyTorch's speed that is."""
    rows, top = record["rows"], ceiling(record)
    head = ["", "ns per trial-step", "times cores", "times PyTorch", "of GEMM", "compile, s"]
    head += ["memory, MB"]
    parts = []
    for shape in dict.fromkeys(row["shape"] for row in rows):
        own_rows = [row for row in rows if row["shape"] == shape]
        torch = [row for row in own_rows if row["row"].startswith("PyTorch") and "seconds" in row]
        lines = [_paper_line(row, torch[0] if torch else None, top) for row in own_rows]
        parts.append(f"**{shape}**\n\n" + markdown(head, lines))
    return "\n\n".join(parts)


def _paper_line(row: Mapping[str, Any], torch: Mapping[str, Any] | None, top: Any) -> list[str]:
    if "seconds" not in row:
        return [row["row"], row["problem"], *["-"] * 5]
    ns = 1e9 * row["seconds"]
    each = ns * row["num_cores"]
    share = PAPER_FLOPS / each / top if top and row["row"].startswith("lstm_jax") else None
    return [
        row["row"],
        f"{ns:,.1f}",
        f"{each:,.1f}",
        f"{torch['seconds'] / row['seconds']:,.1f}" if torch else "-",
        _said(share, "{:.0%}"),
        _said(row.get("compile_seconds"), "{:.2f}"),
        _said(row.get("memory_bytes"), "{:,.2f}", 1e-6),
    ]


def scaling_table(record: Mapping[str, Any]) -> str:
    """Milliseconds by shape: on one device, on all, and the peers."""
    rows = record["rows"]
    labels = list(dict.fromkeys(row["row"] for row in rows))
    by_shape = {(row["row"], row["shape"]): row["seconds"] for row in rows}
    lines = [
        [shape, *(_said(by_shape.get((label, shape)), "{:,.2f}", 1e3) for label in labels)]
        for shape in dict.fromkeys(row["shape"] for row in rows)
    ]
    table = markdown(["training, ms", *labels], lines)
    return "\n\n".join([table, *_missing_lines(record)])


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table.

    Example:
      >>> print(markdown(["", "ms"], [["ours", "1.5"]]))
      |      |  ms |
      |------|----:|
      | ours | 1.5 |
    """
    widths = [max(len(row[n]) for row in [head, *lines]) for n in range(len(head))]

    def text(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        words = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
        return "| " + " | ".join(words) + " |"

    first, *rest = widths
    rule = "|" + "|".join(["-" * (first + 2), *("-" * (width + 1) + ":" for width in rest)]) + "|"
    return "\n".join([text(head), rule, *map(text, lines)])


def _said(value: float | None, form: str, factor: float = 1.0) -> str:
    return "-" if value is None else form.format(factor * value)


def load(folder: Path = RECORDS) -> dict[str, dict[str, dict[str, Any]]]:
    """The records by kind of machine and regime."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for regime in REGIMES:
        for path in sorted(folder.glob(f"{regime}-*.json")):
            record = json.loads(path.read_text(encoding="utf-8"))
            found.setdefault(path.stem.removeprefix(f"{regime}-"), {})[regime] = record
    return dict(sorted(found.items()))


def picture_name(machine: str) -> str:
    """The file of a kind of machine's plots, beside the page."""
    return f"benchmarks-{machine}.png"


def page(records: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """The whole page."""
    parts = [HEAD]
    for machine, by_regime in records.items():
        parts.append(f"## {machine}\n")
        for regime, record in by_regime.items():
            parts += [f"### {TITLES[regime]}\n", NOTES[regime] + "\n", tables(record) + "\n"]
            parts.append(_provenance(record))
        if {"paper", "scaling"} <= set(by_regime):
            parts.append(f"![Cost by length, trials, size and cores]({picture_name(machine)})\n")
    if not any("large" in by_regime for by_regime in records.values()):
        parts.append(f"## {TITLES['large']}\n\n{NOT_RUN}\n")
    return "\n".join(parts)


PAPER_FLOPS = 2 * 176  # multiply-adds of a trial-step: decision 0011
TITLES = {
    "paper": "Paper scale: tiny networks, trained online",
    "medium": "Medium: batches, 128 to 512 units",
    "long": "Long: one sequence of 10,000 and 100,000 steps",
    "large": "Large: 1024 and 2048 units on a GPU",
    "scaling": "Scaling",
}
NOTES = {
    "paper": """The adding problem, one SGD step after each sequence; ours (93 weights) draws its
data and evaluates the stop rule inside the figure. Time over trials times steps; the floor of one
core with AVX-512 is about 4 ns ([decision 0011](decisions/0011-lanes-last.md)). PyTorch has one
sequence at a time, its data drawn beforehand.""",
    "medium": "Which choice of our kernel won, and why: `python -m benchmarks.kernels`.",
    "long": """Ours with the settings for small networks; *in segments* keeps the states of about
2 sqrt(T) steps and runs forward once more.""",
    "large": """Products of float32 are TF32, as they are by default in JAX and in cuDNN. Results of
such products are held to 2e-3 of ours, those of bfloat16 to 1.5e-2; the weights' gradients of scans
are left out in bfloat16, which they add up in step by step.""",
    "scaling": """Forward and backward; trials are rows of the paper regime. Under 48 units one
device has the scan, which a batch over several must not have: it adds up the weights' gradients
of all devices at each step ([decision 0013](decisions/0013-deferred-weight-gradients.md)).""",
}
NOT_RUN = (
    "Not run: no GPU was at hand. `python -m benchmarks --regimes=large` runs it where one is\n"
    "(T=1024, B=64, float32 and bfloat16; cuDNN as a row of ours), and refuses where none is."
)


def _provenance(record: Mapping[str, Any]) -> str:
    """Machine, settings and commit, in small."""
    settings = record.get("settings", {})
    lines = [headline(record), f"`{record['command']}`, {record['time']}"]
    lines.append(f"commit {(record['git_commit'] or 'unknown')[:10]}")
    if record.get("gemm"):
        lines.append(
            "GEMM: " + ", ".join(f"{n} {g:,.0f} GFLOP/s" for n, g in record["gemm"].items())
        )
    told = json.dumps(settings) if settings else "none"
    lines.append(f"settings: `{told}`")
    return "".join(f"<sub>{line}</sub>  \n" for text in lines for line in text.split("\n"))


def write() -> list[Path]:
    """Writes the page and its pictures; the paths."""
    records, written = load(), [PAGE]
    PAGE.write_text(page(records), encoding="utf-8")
    for machine, by_regime in records.items():
        if {"paper", "scaling"} <= set(by_regime):
            path = PAGE.parent / picture_name(machine)
            scaling.draw(by_regime["scaling"], by_regime["paper"], path)
            written.append(path)
    return written
