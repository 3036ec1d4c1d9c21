"""Checks by whole programs: other devices' code, the time of a step, a short training."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import optax

from lstm_jax.cells import Cell, lstm
from lstm_jax.conformance.subject import Broken, Note, Subject, T
from lstm_jax.gradients import bptt
from lstm_jax.network import network
from lstm_jax.readout import ReadoutParams, readout
from lstm_jax.stopping import consecutive_correct
from lstm_jax.tasks import adding
from lstm_jax.trial import Hyper, TrialState, make_trial
from lstm_jax.unroll import unroll

PLATFORMS = ("cpu", "cuda", "tpu")
PAPER_SIZE = 8  # hidden units; the nets of the 1997 paper have 1 to 16
LANES, STEPS, REPEATS = 16, 100, 7

TASK_LENGTH, UPDATES, BATCH = 11, 1000, 32
LEARNED = 0.8  # of the error of a constant answer: far outside what sampling does


def lowering(subject: Subject) -> str:
    """A step of gradient descent lowers for every kind of device."""
    cell = subject.cell
    target = jnp.ones(cell.output_size)

    def sgd(params: Any, xs: Any) -> Any:
        def loss(params: Any) -> Any:
            return jnp.sum((unroll(cell, params, xs)[1][-1] - target) ** 2)

        return jax.tree.map(lambda w, grad: w - 0.1 * grad, params, jax.grad(loss)(params))

    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((T, cell.input_size), jnp.float32)
    made = jax.export.export(jax.jit(sgd), platforms=PLATFORMS)(params, xs)
    return f"one step of gradient descent for {', '.join(made.platforms)}"


def learning(subject: Subject) -> str:
    """A short training on the adding problem leaves the constant answer behind."""
    task = adding(TASK_LENGTH)
    cell = _at_paper_size(subject, task.input_size)
    net = network(cell, readout(cell.output_size, task.target_size, activation="identity"))
    trial = make_trial(
        net,
        task,
        bptt(net, task.timing),
        consecutive_correct(2000),
        optax.adam,
        max_sequences=10**9,
        batch_size=BATCH,
    )
    key = jax.random.key(0, impl="threefry2x32")

    @jax.jit
    def train() -> TrialState:
        start = trial.init(key, jnp.int32(0), Hyper(jnp.float32(0.01), jnp.float32(0.3)))
        return jax.lax.scan(trial.update, start, jnp.arange(UPDATES, dtype=jnp.int32))[0]

    test = jax.jit(lambda params: trial.evaluate(params, key, 256).mean_error)
    params: Any = train().params
    half = ReadoutParams(jnp.zeros_like(params.readout.v), jnp.full_like(params.readout.b, 0.5))
    error, constant = float(test(params)), float(test(params._replace(readout=half)))
    said = (
        f"adding T={TASK_LENGTH}, {cell.output_size} outputs, {UPDATES} updates of {BATCH} by "
        f"adam: mean error {error:.3f}; a constant answer: {constant:.3f}"
    )
    if not error < LEARNED * constant:
        raise Broken(f"{said}; the error must fall below {LEARNED} times that")
    return said


def _at_paper_size(subject: Subject, input_size: int) -> Cell:
    # A multiple of the size it is tested at: what divides the one (heads, blocks) divides both.
    size = -(-PAPER_SIZE // subject.hidden_size) * subject.hidden_size
    return subject.make(input_size, size)


def speed(subject: Subject) -> Note:
    """Nanoseconds a step takes, beside those of the library's LSTM, in turns."""
    cell = _at_paper_size(subject, 2)
    size = cell.output_size
    mine, peer = _timers(cell), _timers(lstm(2, size))
    seconds: list[list[float]] = [[], [], [], []]
    for _ in range(REPEATS):
        for times, measure in zip(seconds, (*mine, *peer), strict=True):
            times.append(measure())
    forward, both, peer_forward, peer_both = (1e9 * min(times) for times in seconds)
    return Note(
        f"forward {forward:.0f} ns a step (lstm {peer_forward:.0f}), with the gradient "
        f"{both:.0f} (lstm {peer_both:.0f}); {size} outputs, {LANES} nets side by side"
    )


def _timers(cell: Cell) -> tuple[Callable[[], float], Callable[[], float]]:
    """Functions that time one run forward, and one with its gradient: seconds per step of a net."""
    keys = jax.random.split(jax.random.key(0), LANES)
    params = jax.jit(jax.vmap(cell.init))(keys)
    xs = jax.random.normal(jax.random.key(1), (LANES, STEPS, cell.input_size))

    def loss(params: Any, xs: Any) -> Any:
        return jnp.sum(unroll(cell, params, xs)[1][-1])

    def timer(program: Callable[..., Any]) -> Callable[[], float]:
        compiled = jax.jit(jax.vmap(program)).lower(params, xs).compile()
        jax.block_until_ready(compiled(params, xs))

        def measure() -> float:
            start = time.perf_counter()
            for _ in range(10):
                jax.block_until_ready(compiled(params, xs))
            return (time.perf_counter() - start) / (10 * LANES * STEPS)

        return measure

    return timer(loss), timer(jax.grad(loss))
