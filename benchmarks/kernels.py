"""What makes `unroll` fast at medium sizes: each choice beside the others, in one run.

    python -m benchmarks.kernels                          # T=100 B=64 D=64 H=128
    python -m benchmarks.kernels --shape 100,32,128,512
    python -m benchmarks.kernels --symbols 1000           # inputs are one of 1000 symbols

Interleaved, medians, forward and backward, on as many CPU devices as there are cores; peers where
they are installed (`python -m benchmarks` has them each in its own process, and checked).
docs/decisions/0013-deferred-weight-gradients.md reads the result.
"""

import argparse
import importlib.util
import os
import re
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.layers import build, example
from benchmarks.machine import whole
from benchmarks.shapes import Row, Shape
from lstm_jax import runtime
from lstm_jax.config import refusals
from lstm_jax.config.flags import Arguments

Timed = Callable[[], Any]


def ours(shape: tuple[int, ...], symbols: int, programs: dict[str, Any]) -> dict[str, Timed]:
    """The scan and the deferred kernel, with the batch on one device and on all of them."""
    import jax
    import jax.numpy as jnp

    from lstm_jax import lstm, unroll
    from lstm_jax.parallel import spread

    num_steps, num_examples, num_inputs, num_units = shape
    cell = lstm(symbols or num_inputs, num_units)
    params = cell.init(jax.random.key(0))
    key_x, key_g = jax.random.split(jax.random.key(1))
    if symbols:
        xs = jax.random.randint(key_x, (num_steps, num_examples), 0, symbols)
    else:
        xs = jax.random.normal(key_x, (num_steps, num_examples, num_inputs))
    g = jax.random.normal(key_g, (num_steps, num_examples, num_units))

    def gradient(kernel: str, wide: bool) -> Timed:
        def loss(params: Any, xs: Any, g: Any) -> Any:
            if wide:
                xs, g = spread((xs, g), axis=1)
            ys = jax.vmap(lambda x: unroll(cell, params, x, kernel=kernel)[1], 1, 1)(xs)
            return jnp.sum(ys * g)

        wanted = 0 if symbols else (0, 1)
        program = jax.jit(jax.grad(loss, wanted)).lower(params, xs, g).compile()
        name = f"{kernel}, {jax.device_count() if wide else 1} devices"
        programs[name] = program
        args = (params, xs, g)
        if wide:  # a compiled program wants its arguments where they belong
            args = jax.tree.map(jax.device_put, args, program.input_shardings[0])
        return lambda: jax.block_until_ready(program(*args))

    timed = {}
    for kernel in ("scan", "deferred"):
        for wide in (False, True) if jax.device_count() > 1 else (False,):
            call = gradient(kernel, wide)
            timed[list(programs)[-1]] = call
    return timed


def peers(shape: tuple[int, ...]) -> dict[str, Timed]:
    """Those that are installed, with one set of weights."""
    T, B, D, H = shape
    own, timed = Shape(T, B, D, H), {}
    for name in ("flax", "haiku", "equinox", "torch"):
        if importlib.util.find_spec(name):
            row = Row(name)
            timed[row.label] = build(row, own, example(own)).training
    return timed


def interleaved(timed: dict[str, Timed], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each, one of each a round."""
    for call in timed.values():
        call()
        call()
    taken: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(rounds):
        for name, call in timed.items():
            start = time.perf_counter()
            call()
            taken[name].append(1e3 * (time.perf_counter() - start))
    return taken


def loop_bodies(text: str) -> list[int]:
    """How many operations each loop of a compiled program dispatches a step."""
    idle = "parameter|constant|tuple|get-tuple-element|bitcast"
    sizes = []
    for name in re.findall(r"body=%([\w.\-]+)", text):
        body = re.search(rf"^%{re.escape(name)} .*?^}}", text, re.M | re.S)
        lines = body.group(0).splitlines()[1:-1] if body else []
        operations = [re.search(r" ([a-z\-]+)\(", line) for line in lines]
        sizes.append(sum(1 for o in operations if o and not re.fullmatch(idle, o.group(1))))
    return sizes


def sizes(text: str) -> tuple[int, ...]:
    """T, B, D and H from a command's argument.

    Example:
      >>> sizes("100,64,64,128")
      (100, 64, 64, 128)
    """
    found = tuple(whole(1, 10**6)(word) for word in text.split(","))
    if len(found) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} is not four sizes, T,B,D,H")
    return found


def main() -> None:
    """Prints the table."""
    parser = Arguments(description="Each choice of a fast unroll beside the others.")
    parser.add_argument("--shape", type=sizes, default=(100, 64, 64, 128), help="T,B,D,H")
    parser.add_argument(
        "--symbols", type=whole(0, 10**6), default=0, help="inputs are one of so many symbols"
    )
    parser.add_argument("--rounds", type=whole(1, 1000), default=11)
    with refusals():
        arguments = parser.parse_args()
    shape = arguments.shape
    runtime.configure(small=False)
    programs: dict[str, Any] = {}
    timed = ours(shape, arguments.symbols, programs)
    if not arguments.symbols:
        timed |= peers(shape)
    taken = interleaved(timed, arguments.rounds)
    num_steps, num_examples, num_inputs, num_units = shape
    work = 24e-6 * num_steps * num_examples * num_units * (num_inputs + num_units)
    best = statistics.median(taken[list(programs)[-1]])
    print(f"T,B,D,H = {','.join(map(str, shape))}, {os.cpu_count()} cores, forward and backward")
    for name, values in taken.items():
        median = statistics.median(values)
        bodies = loop_bodies(programs[name].as_text()) if name in programs else ""
        rate = "" if arguments.symbols else f"{work / median:6.0f} GFLOP/s"
        print(
            f"{name:22s} {median:7.1f} ms (least {min(values):6.1f}) {rate} "
            f"{median / best:5.2f}  {bodies}"
        )


if __name__ == "__main__":
    main()
