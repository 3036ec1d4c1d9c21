"""What other libraries take for the paper's smallest job: online training on the adding problem.

A peer is built once and then called; each call trains for a fraction of a second, warmed up, and
returns the seconds per trial-step: wall time / (networks x time steps of the sequences trained).
Steps are those of the sequences themselves, never padding. All peers have 4 hidden units with a
forget gate, 2 inputs, a linear output at the end, and one plain SGD step after each sequence.
"""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.programs import made

HIDDEN_SIZE = 4
LEARNING_RATE = 0.1

Measure = Callable[[], float]
"""Trains for a while; returns seconds per trial-step."""


class Job(NamedTuple):
    """One library at the paper's job, built and warm.

    Attributes:
      measure: trains once more.
      compile_seconds: of its program; None where nothing is compiled.
      memory_bytes: what the program needs beside arguments and results; None likewise.
    """

    measure: Measure
    compile_seconds: float | None = None
    memory_bytes: int | None = None


class Timing(NamedTuple):
    """Seconds per trial-step: the median of `num_repeats`, with the lowest and the highest."""

    seconds: float
    low: float
    high: float
    num_repeats: int


def summarize(seconds: list[float]) -> Timing:
    """The `Timing` of repeated measurements.

    >>> summarize([3e-9, 1e-9, 2e-9])
    Timing(seconds=2e-09, low=1e-09, high=3e-09, num_repeats=3)
    """
    return Timing(statistics.median(seconds), min(seconds), max(seconds), len(seconds))


def pytorch_lstm(T: int = 100, *, num_sequences: int = 300) -> Job:
    """PyTorch ``nn.LSTM`` at batch 1 on one thread: forward, loss at the end, backward, SGD step.

    The sequences are drawn beforehand: their cost is not in the figure.

    Raises:
      ModuleNotFoundError: without torch.
    """
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(2, HIDDEN_SIZE)
    readout = torch.nn.Linear(HIDDEN_SIZE, 1)
    weights = [*lstm.parameters(), *readout.parameters()]
    optimizer = torch.optim.SGD(weights, lr=LEARNING_RATE)
    rng = np.random.default_rng(0)

    def measure() -> float:
        examples = [
            (torch.from_numpy(inputs), torch.from_numpy(target))
            for inputs, target in (_adding(rng, T) for _ in range(num_sequences))
        ]
        start = time.perf_counter()
        for inputs, target in examples:
            optimizer.zero_grad()
            outputs, _ = lstm(inputs)
            loss = (readout(outputs[-1]) - target).square().sum()
            loss.backward()
            optimizer.step()
        return (time.perf_counter() - start) / sum(len(inputs) for inputs, _ in examples)

    measure()
    return Job(measure)


def flax_lstm(T: int = 100, *, num_lanes: int = 16, num_updates: int = 200) -> Job:
    """A Flax nnx ``RNN(OptimizedLSTMCell)``, vmapped over `num_lanes` networks, full BPTT and SGD.

    All updates run in one compiled `lax.scan`; the sequences are drawn inside it.

    Raises:
      ModuleNotFoundError: without flax.
    """
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from lstm_jax.tasks.adding import adding

    task = adding(T)

    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.rnn = nnx.RNN(nnx.OptimizedLSTMCell(2, HIDDEN_SIZE, rngs=rngs), rngs=False)
            self.readout = nnx.Linear(HIDDEN_SIZE, 1, rngs=rngs)

        def __call__(self, inputs, length):
            zeros = jnp.zeros((1, HIDDEN_SIZE))
            (_, h), _ = self.rnn(
                inputs[None],
                initial_carry=(zeros, zeros),
                seq_lengths=length[None],
                return_carry=True,
            )
            return self.readout(h[0])

    graph, _ = nnx.split(Net(nnx.Rngs(0)))

    def loss(params, example):
        output = nnx.merge(graph, params)(example.inputs, example.length)
        return jnp.sum((output - example.targets) ** 2)

    def step(params, key):
        example = task.sample(key)
        grads = jax.grad(loss)(params, example)
        params = jax.tree.map(lambda w, g: w - LEARNING_RATE * g, params, grads)
        return params, example.length

    @jax.jit
    def train(params, key):
        keys = jax.random.split(key, (num_updates, num_lanes))
        params, lengths = jax.lax.scan(jax.vmap(step), params, keys)
        return params, jnp.sum(lengths)

    lane_keys = jax.random.split(jax.random.key(0), num_lanes)
    params = jax.vmap(lambda key: nnx.split(Net(nnx.Rngs(key)))[1])(lane_keys)
    key = jax.random.key(1)
    update = made(train, params, key)

    def measure() -> float:
        nonlocal params, key
        key, subkey = jax.random.split(key)
        start = time.perf_counter()
        params, num_steps = jax.block_until_ready(update.program(params, subkey))
        return (time.perf_counter() - start) / int(num_steps)

    measure()
    return Job(measure, update.seconds, update.temp_bytes)


def _adding(rng: np.random.Generator, T: int) -> tuple[np.ndarray, np.ndarray]:
    """One sequence [T, 1, 2] and its target [1, 1] of the adding problem."""
    length = int(rng.integers(T, T + T // 10 + 1))
    first = int(rng.integers(10))
    second = int(rng.choice([t for t in range(T // 2 - 1) if t != first]))
    inputs = np.zeros((length, 1, 2), np.float32)
    inputs[:, 0, 0] = rng.uniform(-1, 1, length)
    inputs[[first, second], 0, 1] = 1
    inputs[[0, -1], 0, 1] = -1
    marked = sum(inputs[t, 0, 0] for t in (first, second) if t != 0)
    return inputs, np.array([[0.5 + marked / 4]], np.float32)
