"""The character model of `:warpeace` here and in PyTorch: same weights, batches and updates.

    python -m benchmarks.char_lm [--blocks=8] [--updates=40] [--batches=64x50,64x100] [--json=FILE]

Embedding, one LSTM, softmax, Adam with clipping; the state carried from batch to batch. Both start
from the same weights and see the same batches, each in a process of its own with all cores, and
take turns, a block of updates at a time; anew for each size of the batches, streams x characters.
In PyTorch the second bias of `nn.LSTM`, which ours does not have, is zero and stays so. Prints
characters per second and the loss on held-out text.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.machine import headline, machine, new_file, whole
from benchmarks.process import Ended, Process, serve
from configs.char_lm import get_config
from lstm_jax import runtime
from lstm_jax.config import Config, refusals
from lstm_jax.config.flags import Arguments
from lstm_jax.fitting import Problem

LABELS = {"ours": "lstm_jax", "pytorch": "PyTorch nn.LSTM"}
VALID_CHARACTERS = 100_000

Train = Callable[[int], float]
"""Makes so many updates; the mean training loss over them."""
Judge = Callable[[], float]
"""Nats per character on the held-out text."""


def build(text: str, batch: tuple[int, int]) -> tuple[Config, Problem]:
    """The model of `:warpeace`, with the rate held constant, and batches of this size."""
    runtime.configure(small=False)
    from lstm_jax.fitting import streams
    from lstm_jax.language.problem import build_corpus, build_problem, run_text

    config = get_config("warpeace")
    with config.unlocked():
        config.text, config.schedule, config.sample_length = text, "constant", 0
        config.batch_size, config.length = batch
    chars = run_text(config, "")
    held_out = build_corpus(config, chars).parts["valid"][:VALID_CHARACTERS]
    valid = streams(held_out, config.batch_size, config.length)
    return config, build_problem(config, chars)._replace(valid=valid)


def ours(config: Config, problem: Problem) -> tuple[Train, Judge]:
    """The fitting loop's own compiled program."""
    import jax
    import jax.numpy as jnp

    from lstm_jax.fitting import build_optimizer, make_advance, make_evaluate
    from lstm_jax.fitting.steps import make_init

    optimizer = build_optimizer(config, problem.train.num_steps)
    key = jax.random.key(config.seed, impl="threefry2x32")
    state = jax.jit(make_init(problem.model, problem.train, optimizer))(key)
    advance = make_advance(problem.model, problem.train, optimizer)
    assert problem.valid is not None
    evaluate = make_evaluate(problem.model, problem.valid)
    data = jax.device_put(problem.train.data)
    totals = np.zeros(2)

    def train(num: int) -> float:
        nonlocal state, totals
        state = advance(state, data, key, state.step + jnp.int32(num))
        now = np.array([float(state.sums["loss"].total), float(state.sums["loss"].weight)])
        mean, totals = (now - totals)[0] / (now - totals)[1], now
        return float(mean)

    assert problem.valid is not None
    valid = jax.device_put(problem.valid.data)
    return train, lambda: evaluate(state.params, valid)["loss"]()


def pytorch(config: Config, problem: Problem) -> tuple[Train, Judge]:
    """The same in PyTorch, eagerly, on all cores."""
    import jax
    import torch  # pyright: ignore[reportMissingImports]

    from lstm_jax.build import build_structure
    from lstm_jax.fitting.steps import INIT
    from lstm_jax.interop import to_torch

    torch.set_num_threads(runtime.num_cores())
    key = jax.random.fold_in(jax.random.key(config.seed, impl="threefry2x32"), INIT)
    params = jax.device_get(jax.jit(problem.model.init)(key))
    num_symbols, size = params.embedding.shape

    def tensor(array: Any) -> torch.Tensor:
        return torch.from_numpy(np.array(array))

    embedding = torch.nn.Embedding(num_symbols, size)
    lstm = torch.nn.LSTM(size, config.hidden_size)
    softmax = torch.nn.Linear(config.hidden_size, num_symbols)
    embedding.load_state_dict({"weight": tensor(params.embedding)})
    structure = build_structure(config, size)
    lstm.load_state_dict({k: tensor(v) for k, v in to_torch(structure, params.layers).items()})
    softmax.load_state_dict({"weight": tensor(params.v), "bias": tensor(params.b)})
    lstm.bias_hh_l0.requires_grad_(False)
    modules = (embedding, lstm, softmax)
    weights = [w for module in modules for w in module.parameters() if w.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=config.learning_rate)
    state: Any = None

    def nats(inputs: torch.Tensor, targets: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        ys, state = lstm(embedding(inputs), state)
        logits = softmax(ys).flatten(0, 1)
        return torch.nn.functional.cross_entropy(logits, targets.flatten()), state

    def batches(text: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor, np.ndarray]]:
        arrays = [text.inputs.astype(np.int64), text.targets.astype(np.int64)]
        for begin in range(0, len(arrays[0]), config.length):
            rows = slice(begin, begin + config.length)
            inputs, targets = (torch.from_numpy(array[rows]) for array in arrays)
            yield inputs, targets, text.weight[rows]

    epoch = batches(problem.train.data)

    def train(num: int) -> float:
        nonlocal state
        losses = []
        for _ in range(num):
            inputs, targets, _ = next(epoch)
            loss, state = nats(inputs, targets, state)
            state = tuple(part.detach() for part in state)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, config.clip_norm)
            optimizer.step()
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())

    def judge() -> float:
        assert problem.valid is not None
        total, weight, own = 0.0, 0.0, None
        with torch.no_grad():
            for inputs, targets, valid in batches(problem.valid.data):
                ys, own = lstm(embedding(inputs), own)
                log_p = torch.log_softmax(softmax(ys), dim=-1)
                said = log_p.gather(-1, targets[..., None])[..., 0].numpy()
                total -= float(said[valid].sum())
                weight += float(valid.sum())
        return total / weight

    return train, judge


def work(library: str, text: str, batch: Sequence[int]) -> None:
    """The process of one library: so many updates for each question, for 0 the held-out loss."""

    def prepare() -> tuple[dict[str, Any], Callable[[int], dict[str, float]]]:
        config, problem = build(text, (batch[0], batch[1]))
        train, judge = {"ours": ours, "pytorch": pytorch}[library](config, problem)
        train(2)  # compiles
        left = problem.train.num_steps - 2

        def answer(num: int) -> dict[str, float]:
            nonlocal left
            if not num:
                return {"valid": judge()}
            if num > left:
                raise SystemExit(f"the text has no {num} further batches: fewer --updates")
            left -= num
            began = time.perf_counter()
            loss = train(num)
            return {"seconds": time.perf_counter() - began, "loss": loss}

        return {"ready": True}, answer

    serve(prepare)


def start(library: str, text: str, batch: tuple[int, int]) -> Process:
    """A library's process, built and warm; SystemExit where it is not installed."""
    process = Process("benchmarks.char_lm", [library, text, batch], {"JAX_PLATFORMS": "cpu"})
    if "missing" in process.ready:
        raise SystemExit(f"error: not installed: {process.ready['missing']}")
    return process


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = Arguments(
        prog="python -m benchmarks.char_lm", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--blocks", type=whole(1, 1000), default=8, help="that each library trains (8)"
    )
    parser.add_argument("--updates", type=whole(1, 10**6), default=40, help="in a block (40)")
    parser.add_argument(
        "--batches",
        type=lambda text: [_batch(word) for word in text.split(",")],
        default=[(32, 50), (64, 50), (64, 100)],
        help="streams x characters (32x50,64x50,64x100)",
    )
    parser.add_argument("--text", default="warpeace", help="name of a text, or a file (warpeace)")
    parser.add_argument("--json", type=new_file, help="also write the figures to this file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    with refusals():
        options = parser.parse_args(argv)
    if options.worker:
        work(*json.loads(options.worker))
        return 0
    about = machine("benchmarks.char_lm")
    made = runtime.settings(small=False)
    about["settings"] = {s.name: s.value for s in made if "CACHE" not in s.name}
    print(headline(about))
    rows = []
    for batch in options.batches:
        try:
            found = compare(options, batch)
        except Ended as error:
            raise SystemExit(f"error: {batch[0]}x{batch[1]}: {error}") from None
        print(table(found, batch))
        rows += found
    if options.json:
        record = about | {"blocks": options.blocks, "updates": options.updates, "rows": rows}
        record["model"] = "embedding 50, LSTM 128, softmax, Adam with clipping; :warpeace"
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"record: {options.json}")
    return 0


def _batch(text: str) -> tuple[int, int]:
    streams, _, length = text.partition("x")
    if not (streams.isdecimal() and length.isdecimal() and int(streams) and int(length)):
        raise argparse.ArgumentTypeError(f"{text!r} is not streams x characters, such as 32x50")
    return int(streams), int(length)


def compare(options: argparse.Namespace, batch: tuple[int, int]) -> list[dict[str, Any]]:
    """The figures of each library for batches of one size."""
    workers = {library: start(library, options.text, batch) for library in LABELS}
    blocks: dict[str, list[dict[str, float]]] = {library: [] for library in LABELS}
    for worker in workers.values():
        worker.ask(options.updates)  # a program for several devices is compiled again
    for _ in range(options.blocks):
        for library, worker in workers.items():
            blocks[library].append(worker.ask(options.updates))
    valid = {library: worker.ask(0)["valid"] for library, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    characters = options.updates * batch[0] * batch[1]
    return [
        row(library, blocks[library], valid[library], characters) | {"batch": list(batch)}
        for library in LABELS
    ]


def row(
    library: str, blocks: Sequence[dict[str, float]], valid: float, characters: int
) -> dict[str, Any]:
    """A library's figures.

    Example:
      >>> row("ours", [{"seconds": 2.0, "loss": 3.0}], 2.5, 100)["characters_per_second"]
      50.0
    """
    rates = [characters / block["seconds"] for block in blocks]
    return {
        "library": library,
        "label": LABELS[library],
        "characters_per_second": statistics.median(rates),
        "low": min(rates),
        "high": max(rates),
        "train_nats": [block["loss"] for block in blocks],
        "valid_nats": valid,
    }


def table(rows: Sequence[dict[str, Any]], batch: tuple[int, int]) -> str:
    """The rows as text, the ratio of their speeds, the difference of their losses."""
    size = f"{batch[0]} x {batch[1]}"
    head = f"{size:18}{'characters/s':>14}  {'lowest .. highest':>20}  {'train nats':>11}"
    lines = [f"{head}  {'valid nats':>11}"]
    for r in rows:
        spread = f"{r['low']:,.0f} .. {r['high']:,.0f}"
        lines.append(
            f"{r['label']:18}{r['characters_per_second']:>14,.0f}  {spread:>20}"
            f"  {r['train_nats'][-1]:>11.4f}  {r['valid_nats']:>11.4f}"
        )
    ratio = rows[0]["characters_per_second"] / rows[1]["characters_per_second"]
    apart = rows[0]["valid_nats"] - rows[1]["valid_nats"]
    lines.append(f"{rows[0]['label']} over {rows[1]['label']}: {ratio:.2f} times the speed, ")
    lines[-1] += f"{apart:+.4f} nats on held-out text"
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
