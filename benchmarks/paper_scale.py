"""Time per trial-step at the scale of the 1997 paper, ours and the peers interleaved in one run.

    python -m benchmarks.paper_scale [--T=100] [--lanes=16,64] [--repeats=7] [--json=FILE]

The job: the adding problem, 93 weights (peers: 4 hidden units), one SGD step after each sequence.
Ours draws its data and evaluates the stop rule inside the figure. One core means one: the process
is pinned to it. Each row lives in a process of its own, and the rows take turns, one repeat at a
time, so that a slow minute of the machine hits all of them. Takes about a minute on two cores.
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmarks.ceiling import gemm
from benchmarks.machine import available_cores, headline, machine, new_file, whole
from benchmarks.peers import Job, Timing, flax_lstm, pytorch_lstm, summarize
from benchmarks.process import Ended, Process, serve
from benchmarks.programs import made
from lstm_jax import runtime
from lstm_jax.config import refusals
from lstm_jax.config.flags import Arguments

SECONDS_PER_REPEAT = 0.3
WORKER_ENV = {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "false"}


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: a library, its lanes on each core, its cores."""

    library: str  # "ours", "pytorch" or "flax"
    num_lanes: int
    num_cores: int = 1

    @property
    def label(self) -> str:
        """What the table calls it."""
        name = {"ours": "lstm_jax", "pytorch": "PyTorch nn.LSTM", "flax": "Flax nnx"}[self.library]
        if self.library == "pytorch":
            return f"{name}, batch 1, 1 thread"
        cores = "1 core" if self.num_cores == 1 else f"each of {self.num_cores} cores"
        return f"{name}, {self.num_lanes} lanes on {cores}"


def ours(T: int, num_lanes: int, num_devices: int) -> Job:
    """The engine of `lstm_jax.runner` on the 93-weight net, `num_lanes` on each device."""
    import jax
    import jax.numpy as jnp
    import optax

    from lstm_jax.cells import lstm97
    from lstm_jax.gradients import GRADIENT_RULES
    from lstm_jax.kernels import lanes_last
    from lstm_jax.lanes import compile_advance, lane_mesh
    from lstm_jax.network import network
    from lstm_jax.readout import readout
    from lstm_jax.stopping import all_of, consecutive_correct, mean_error_below
    from lstm_jax.tasks import adding
    from lstm_jax.trial import Hyper, make_trial

    task = adding(T)
    net = network(lstm97(2, 2, 2), readout(4, 1, activation="identity"))
    trial = make_trial(
        net,
        task,
        GRADIENT_RULES["traces"](net, task.timing),
        all_of(consecutive_correct(2000), mean_error_below(0.01)),
        optax.sgd,
        max_sequences=10**9,
        kernel=lanes_last,
    )
    total = num_lanes * num_devices
    mesh = lane_mesh(jax.devices()[:num_devices])
    lanes = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("lanes"))
    hyper = Hyper(jnp.full(total, 0.5), jnp.full(total, 0.1))
    init = jax.jit(jax.vmap(trial.init, in_axes=(None, 0, 0)), out_shardings=lanes)
    states = init(jax.random.key(0), jnp.arange(total, dtype=jnp.int32), hyper)
    mean_length = T + (T // 10) / 2  # uniform in T .. T + T // 10
    chunk = max(20, int(SECONDS_PER_REPEAT / (12e-9 * mean_length * max(8, num_lanes))))
    advance = made(compile_advance(trial, mesh, chunk), states, jnp.int32(0))
    clock = 0

    def measure() -> float:
        nonlocal states, clock
        start = time.perf_counter()
        states, _ = jax.block_until_ready(advance.program(states, jnp.int32(clock)))
        clock += chunk
        return (time.perf_counter() - start) / (chunk * total * mean_length)

    measure()
    memory = None if advance.temp_bytes is None else advance.temp_bytes * num_devices
    return Job(measure, advance.seconds, memory)


def prepare(row: Row, T: int) -> tuple[dict[str, Any], Callable[[Any], dict[str, Any]]]:
    """Builds a row in its own process; what there is to say, and who measures once more."""
    if row.library != "pytorch":
        runtime.configure(num_devices=row.num_cores)  # Flax gains from the settings too
    if row.library == "ours":
        job = ours(T, row.num_lanes, row.num_cores)
    elif row.library == "flax":
        num_updates = int(SECONDS_PER_REPEAT / (150e-9 * T * row.num_lanes))
        job = flax_lstm(T, num_lanes=row.num_lanes, num_updates=max(4, min(200, num_updates)))
    else:
        job = pytorch_lstm(T, num_sequences=max(10, 30_000 // T))
    product = gemm("ours") if row.library == "ours" and row.num_cores == 1 else None

    def answer(question: str) -> dict[str, Any]:
        if question == "gemm":
            return {"gflops": product() if product else None}
        return {"seconds": job.measure()}

    return {"compile_seconds": job.compile_seconds, "memory_bytes": job.memory_bytes}, answer


class Result(NamedTuple):
    """What came of a row.

    Attributes:
      row: which.
      timing: None where there is none, and then
      problem: says why.
      compile_seconds, memory_bytes: of its program, where it has one.
    """

    row: Row
    timing: Timing | None
    problem: str = ""
    compile_seconds: float | None = None
    memory_bytes: int | None = None


def compare(T: int, table: Sequence[Row], repeats: int) -> tuple[list[Result], float | None]:
    """All rows, each in its process pinned to its cores, one repeat of each in turn.

    And the GFLOP/s of one large product on one core, where ours has a row there.
    """
    cores, workers, problems = available_cores(), {}, {}
    for row in table:
        print(f"starting: {row.label}, T={T}", file=sys.stderr, flush=True)
        own = [dataclasses.asdict(row), T, cores[: row.num_cores]]
        try:
            worker = Process("benchmarks.paper_scale", own, WORKER_ENV)
        except Ended as error:
            problems[row] = str(error)
            continue
        if "missing" in worker.ready:
            worker.close()
            problems[row] = f"not installed: {worker.ready['missing']}"
            continue
        workers[row] = worker
    seconds: dict[Row, list[float]] = {row: [] for row in table}
    rates: list[float] = []
    for _ in range(repeats):
        for row, worker in workers.items():
            try:
                if row not in problems:
                    seconds[row].append(worker.ask("again")["seconds"])
                    if row == table[0]:
                        rates += [rate for rate in worker.ask("gemm").values() if rate]
            except Ended as error:
                problems[row] = str(error)
    for worker in workers.values():
        worker.close()
    results = [
        Result(row, None, problems[row])
        if row in problems
        else Result(row, summarize(seconds[row]), **workers[row].ready)
        for row in table
    ]
    return results, statistics.median(rates) if rates else None


def settings() -> dict[str, str]:
    """The runtime settings of the rows in JAX, without the place of the cache.

    >>> "JAX_COMPILATION_CACHE_DIR" in settings()
    False
    """
    made = {setting.name: setting.value for setting in runtime.settings(1)}
    return {name: value for name, value in made.items() if "CACHE" not in name}


def rows(lanes: Sequence[int], num_cores: int) -> list[Row]:
    """The table's lines: ours on one core and on two, then the peers.

    >>> for row in rows([16], num_cores=1):
    ...     print(row.label)
    lstm_jax, 16 lanes on 1 core
    PyTorch nn.LSTM, batch 1, 1 thread
    Flax nnx, 16 lanes on 1 core
    """
    table = [Row("ours", n) for n in lanes]
    if num_cores >= 2:
        table += [Row("ours", n, num_cores=2) for n in lanes]
    return [*table, Row("pytorch", 1), *(Row("flax", n) for n in lanes)]


def record_of(result: Result) -> dict[str, Any]:
    """A row and its figures, for JSON."""
    row = result.row
    figures = result.timing._asdict() if result.timing else {"problem": result.problem}
    about = {"compile_seconds": result.compile_seconds, "memory_bytes": result.memory_bytes}
    return dataclasses.asdict(row) | {"label": row.label} | figures | about


def table(results: Sequence[Result]) -> str:
    """The rows as text; the last column is PyTorch's time over the row's."""
    by_library = {result.row.library: result.timing for result in results}
    reference = by_library.get("pytorch")
    head = f"{'':42}{'ns per trial-step':>18}  {'lowest .. highest':>19}  {'x cores':>9}"
    lines = [f"{head}  {'times PyTorch':>13}"]
    for row, timing, problem, *_ in results:
        if timing is None:
            lines.append(f"{row.label:42}{problem:>18}")
            continue
        ns, low, high = (1e9 * s for s in (timing.seconds, timing.low, timing.high))
        ratio = f"{reference.seconds / timing.seconds:,.1f}" if reference else "-"
        lines.append(
            f"{row.label:42}{ns:>18,.1f}  {f'{low:,.1f} .. {high:,.1f}':>19}"
            f"  {ns * row.num_cores:>9,.1f}  {ratio:>13}"
        )
    for one, alone, *_ in results:
        for two, both, *_ in results:
            same = (one.library, one.num_lanes) == (two.library, two.num_lanes)
            if same and (one.num_cores, two.num_cores) == (1, 2) and alone and both:
                gain = alone.seconds / both.seconds
                lines.append(f"two cores over one at {one.num_lanes} lanes each: {gain:.2f}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = _parse(argv)
    if options.worker:
        row, T, own = json.loads(options.worker)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, own)
        serve(lambda: prepare(Row(**row), T))
        return 0
    about = machine("benchmarks.paper_scale")
    about["settings"] = settings()
    print(headline(about))
    print(f"adding problem, T={options.T}; median of {options.repeats} repeats, rows in turn")
    lines = rows(options.lanes, about["cores"])
    results, _ = compare(options.T, lines, options.repeats)
    print(table(results))
    if options.json:
        record = about | {"T": options.T, "rows": [record_of(result) for result in results]}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"record: {options.json}")
    return 1 if any(result.problem.startswith("failed") for result in results) else 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Arguments(
        prog="python -m benchmarks.paper_scale", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--T", type=whole(11, 10000), default=100, help="shortest sequence (100)")
    parser.add_argument(
        "--lanes",
        type=lambda text: [whole(1, 4096)(word) for word in text.split(",")],
        default=[16, 64],
        help="networks side by side on each core (16,64)",
    )
    parser.add_argument("--repeats", type=whole(1, 1000), default=7, help="of each row (7)")
    parser.add_argument("--json", type=new_file, help="also write the figures to this file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    with refusals():
        return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
