"""One row of a regime of layers, built, checked against ours and ready to be timed.

`Here` runs it in this process; ``python -m benchmarks.worker`` in one of its own, with the settings
that its library has when its users run it: ours those of `lstm_jax.runtime`, the others none.
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ceiling import gemm
from benchmarks.layers import TOLERANCE, Layer, apart, build, example
from benchmarks.process import PATIENCE, Process, serve
from benchmarks.shapes import JOBS, Row, Shape
from lstm_jax import runtime

SECONDS_PER_REPEAT = 0.1
SETTINGS = ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES", "JAX_PLATFORMS", "KERAS_BACKEND", *runtime.MALLOC)


def prepare(
    row: Row, shapes: Sequence[Shape], folder: Path, first: bool, with_gemm: bool = False
) -> tuple[dict[str, Any], Callable[[Any], dict[str, Any]]]:
    """Builds the row on every shape; returns what there is to say, and who answers.

    Args:
      folder: where the first row leaves its outputs and gradients, and the others find them.
      first: whether this row is the one that the others are held against.
      with_gemm: whether it is also asked for the rate of one large product.
    """
    layers, said = [], []
    for n, shape in enumerate(shapes):
        layer = build(row, shape, example(shape))
        memory = layer.temp_bytes or {job: growth(getattr(layer, job)) for job in JOBS}
        layers.append(layer)
        own = layer.answer()
        file = folder / f"{n}.npz"
        if first:
            np.savez(file, **own)  # pyright: ignore[reportArgumentType]: the names are no options
            far = 0.0
        else:
            with np.load(file) as kept:
                far = apart(own, kept)
        said.append({"apart": far, "compile_seconds": layer.compile_seconds, "memory": memory})
    calls = [{job: _timed(layer, job) for job in JOBS} for layer in layers]
    product = None
    if with_gemm:
        product = gemm(row.library, row.num_devices, dtype=shapes[0].dtype)

    def answer(question: Any) -> dict[str, Any]:
        if question == "gemm":
            return {"gflops": product() if product else None}
        return calls[question["shape"]][question["job"]]()

    settings = {name: os.environ[name] for name in SETTINGS if name in os.environ}
    return {"shapes": said, "settings": settings, "device": _device()}, answer


def _device() -> dict[str, str]:
    """What JAX computes on, and PyTorch with it."""
    import jax

    device = jax.devices()[0]
    version = " ".join(device.client.platform_version.split())
    return {"platform": device.platform, "kind": device.device_kind, "version": version}


def _timed(layer: Layer, job: str) -> Callable[[], dict[str, float]]:
    """Does the job for about a tenth of a second: the median of single calls, and the least.

    No mean: on a machine that does other work a few calls take many times as long as the rest.
    """
    call = getattr(layer, job)

    def one() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    one()
    num = min(100, max(1, round(SECONDS_PER_REPEAT / one())))

    def measure() -> dict[str, float]:
        taken = [one() for _ in range(num)]
        return {"seconds": statistics.median(taken), "least": min(taken)}

    return measure


def growth(call: Callable[[], Any]) -> int | None:
    """By how many bytes the largest resident set rises above the present one during a call.

    None where the system does not say (it is Linux that does).

    Example:
      >>> size = growth(lambda: np.ones(10**7).sum())
      >>> size is None or size > 7 * 10**7
      True
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        call()
        return max(0, _status("VmHWM") - before)
    except (OSError, LookupError):
        return None


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


WRONG = "does not give our results"
"""How the reason begins why such a row is not timed."""


def refusal(shape: Shape, far: float, platform: str = "cpu") -> str | None:
    """Why a row is not to be timed: it does not compute what ours computes.

    Example:
      >>> refusal(Shape(5, 4, 3, 6), 2e-6) is None
      True
      >>> print(refusal(Shape(5, 4, 3, 6), 0.25))
      does not give our results on T=5 B=4 I=3 H=6: apart by 0.25, at most 1e-05 allowed
    """
    most = TOLERANCE[shape.dtype, "cpu" if platform == "cpu" else "gpu"]
    if far <= most:
        return None
    return f"{WRONG} on {shape.label}: apart by {far:.2g}, at most {most:g} allowed"


class Here:
    """A row in this process, for tests and for a quick look."""

    def __init__(self, row: Row, shapes: Sequence[Shape], folder: Path, first: bool):
        try:
            self.ready, self.ask = prepare(row, shapes, folder, first)
        except ModuleNotFoundError as error:
            self.ready = {"missing": error.name}

    def close(self) -> None:
        """Nothing to end."""


class Apart(Process):
    """A row in a process of its own; patience: of its `Process`."""

    def __init__(
        self,
        row: Row,
        shapes: Sequence[Shape],
        folder: Path,
        first: bool,
        patience: tuple[float, float] = PATIENCE,
    ):
        task = [dataclasses.asdict(row), [tuple(shape) for shape in shapes], str(folder), first]
        # compile times are those of compiling, and a GPU's memory is shared among the rows
        env = {"JAX_ENABLE_COMPILATION_CACHE": "false", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        if row.library == "keras":
            env["KERAS_BACKEND"] = "jax"
        if row.library != "ours" and row.num_devices > 1:  # ours has it of `runtime.configure`
            env["JAX_NUM_CPU_DEVICES"] = str(row.num_devices)
        super().__init__("benchmarks.worker", task, env, patience)


def main(argv: Sequence[str] | None = None) -> int:
    """The process of one row."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker")
    parser.add_argument("--worker", required=True, help="the row, as JSON")
    own, sizes, folder, first = json.loads(parser.parse_args(argv).worker)
    row = Row(**own)
    if row.library == "ours":
        runtime.configure(num_devices=row.num_devices, small=row.small)
    shapes = [Shape(*size) for size in sizes]
    with_gemm = row.library in ("ours", "torch")
    serve(lambda: prepare(row, shapes, Path(folder), first, with_gemm))
    return 0


if __name__ == "__main__":
    sys.exit(main())
