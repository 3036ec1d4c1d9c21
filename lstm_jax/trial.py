"""A trial: one network trained on-line until its stop rule holds. The top of the pure half."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lstm_jax import draws
from lstm_jax.gradients import GradientRule
from lstm_jax.network import Network, NetworkParams
from lstm_jax.stopping import Outcome, StopRule
from lstm_jax.tasks.task import Example, Task
from lstm_jax.types import Array, Params
from lstm_jax.unroll import unroll

RUNNING, SOLVED, EXHAUSTED, DIVERGED = 0, 1, 2, 3
STATUS_NAMES = ("RUNNING", "SOLVED", "EXHAUSTED", "DIVERGED")

_INIT, _TRAIN, _TEST = 0, 1, 2  # the streams of a trial's random numbers
_TEST_BLOCK = 128  # test sequences evaluated side by side: 128 keep T=1000 within a few MB


class Hyper(NamedTuple):
    """What may differ from lane to lane within one compiled program."""

    learning_rate: Array  # []
    init_range: Array  # []


class TrialState(NamedTuple):
    """Everything a trial is. With lanes, every leaf has a leading axis L."""

    trial: Array  # [] int32, its number in the run
    key: Array  # [2] uint32, the data of its threefry key
    step: Array  # [] int32, updates so far
    sequences: Array  # [] int32, training sequences so far
    status: Array  # [] int32, RUNNING, SOLVED, EXHAUSTED or DIVERGED
    params: Params  # NetworkParams; optax's stubs know no NamedTuples
    opt_state: Any
    stop: Any


class Evaluation(NamedTuple):
    """How a trained network did on fresh sequences."""

    num_wrong: Array  # [] int32
    mean_error: Array  # []
    max_error: Array  # []


class Trial(NamedTuple):
    """One experiment's network, task, rule and criterion as pure functions.

    Attributes:
      init: ``(key, trial, hyper) -> TrialState``; trial n of a run, from the run's key.
      update: ``(state, clock) -> (state, errors[batch_size])``; one update, frozen once the
        status is not RUNNING. `clock` is any counter that grows by one with each call.
      update_lanes: the same over states with a leading axis L (the clock has none).
      evaluate: ``(params, key, num_test) -> Evaluation`` on fresh sequences.
      test_key: ``state -> key`` of the trial's own test sequences.
      max_sequences: the cap; a trial that reaches it unsolved is EXHAUSTED.
      batch_size: sequences per update.
      network, task: what it is made of.
    """

    init: Callable[[Array, Array, Hyper], TrialState]
    update: Callable[[TrialState, Array], tuple[TrialState, Array]]
    update_lanes: Callable[[TrialState, Array], tuple[TrialState, Array]]
    evaluate: Callable[[NetworkParams, Array, int], Evaluation]
    test_key: Callable[[TrialState], Array]
    max_sequences: int
    batch_size: int
    network: Network
    task: Task


def make_trial(
    network: Network,
    task: Task,
    rule: GradientRule,
    stop_rule: StopRule,
    optimizer: Callable[..., optax.GradientTransformation],
    *,
    max_sequences: int,
    batch_size: int = 1,
    kernel: Callable[[GradientRule], Callable] | None = None,
) -> Trial:
    """Puts network, task, gradient rule, optimizer and criterion together.

    Randomness is addressed, not consumed: sequence s of trial n comes from
    ``fold_in(fold_in(fold_in(key, n), stream), s)``. So it is the same in any lane, chunk
    length and order, and after a resume.

    Args:
      network: what learns.
      task: what it learns; its timing is the rule's.
      rule: a gradient rule made for this network and the task's timing.
      stop_rule: evaluated after every sequence; with a batch, after each of its sequences in
        order, the whole batch having been answered with the same weights.
      optimizer: a factory like ``optax.sgd`` with a `learning_rate`.
      max_sequences: the cap in training sequences.
      batch_size: sequences per update; their gradients are averaged.
      kernel: a transformation of the rule used in place of `jax.vmap` over lanes.

    Raises:
      ValueError: for a cap or batch size below 1, or sizes of network and task that differ.

    Example:
      >>> from lstm_jax import GRADIENT_RULES, adding, consecutive_correct, lstm97, network, readout
      >>> net = network(lstm97(2, 2, 2), readout(4, 1))
      >>> trial = make_trial(net, adding(T=11), GRADIENT_RULES["traces"](net, "end"),
      ...                    consecutive_correct(10), optax.sgd, max_sequences=100)
      >>> hyper = Hyper(learning_rate=jnp.float32(0.5), init_range=jnp.float32(0.1))
      >>> state = trial.init(jax.random.key(0), jnp.int32(0), hyper)
      >>> state, errors = trial.update(state, jnp.int32(0))
      >>> int(state.step), errors.shape
      (1, (1,))
    """
    for name, value in (("max_sequences", max_sequences), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name}: {value!r} is not valid; it must be a whole number >= 1")
    sizes = {
        "inputs": (network.cell.input_size, task.input_size),
        "outputs": (network.readout.output_size, task.target_size),
    }
    for name, (has, needs) in sizes.items():
        if has != needs:
            raise ValueError(f"make_trial: the network has {has} {name}, {task.name} needs {needs}")
    injected = optax.inject_hyperparams(optimizer)
    # The rate in the state is what counts; this one only shapes the state.
    descend = injected(learning_rate=1.0)

    def init(key: Array, trial: Array, hyper: Hyper) -> TrialState:
        trial_key = draws.fold_in(key, trial)
        params: Params = network.init(_wrap(draws.fold_in(trial_key, _INIT)), hyper.init_range)
        opt_state = injected(learning_rate=hyper.learning_rate).init(params)
        zero = jnp.int32(0)
        return TrialState(
            trial=jnp.asarray(trial, jnp.int32),
            key=trial_key,
            step=zero,
            sequences=zero,
            status=jnp.int32(RUNNING),
            params=params,
            opt_state=opt_state,
            stop=stop_rule.init(),
        )

    def draw(state: TrialState) -> Example:
        key = draws.fold_in(state.key, _TRAIN)
        if batch_size == 1:
            return task.sample(_wrap(draws.fold_in(key, state.sequences)))
        numbers = state.sequences + jnp.arange(batch_size, dtype=jnp.int32)
        return jax.vmap(lambda s: task.sample(_wrap(draws.fold_in(key, s))))(numbers)

    def answer(params: Params, example: Example) -> tuple[Array, Params]:
        if batch_size == 1:
            return rule(params, example)
        outputs, grads = jax.vmap(rule, in_axes=(None, 0))(params, example)
        return outputs, jax.tree.map(lambda grad: grad.mean(axis=0), grads)

    def judge(outputs: Array, example: Example) -> Outcome:
        return Outcome(
            task.error(outputs, example),
            task.squared_error(outputs, example),
            task.correct(outputs, example),
        )

    def learn(
        state: TrialState, example: Example, outputs: Array, grads: Params, clock: Array
    ) -> tuple[TrialState, Array]:
        updates, opt_state = descend.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        if batch_size == 1:
            outcome = judge(outputs, example)
            stop, done = stop_rule.update(state.stop, outcome, clock)
            used = jnp.int32(1)
            errors = outcome.error[None]
        else:
            outcomes = jax.vmap(judge)(outputs, example)
            stop, done, used = _fold_outcomes(stop_rule, state.stop, outcomes, clock)
            errors = outcomes.error
        # A batch may reach past the cap; what it shows there no longer counts.
        done = done & (state.sequences + used <= max_sequences)
        sequences = jnp.minimum(state.sequences + used, max_sequences)
        finite = _all_finite(params) & jnp.all(jnp.isfinite(errors))
        capped = sequences >= max_sequences
        status = jnp.where(done, SOLVED, jnp.where(capped, EXHAUSTED, RUNNING))
        status = jnp.where(finite, status, DIVERGED).astype(jnp.int32)
        running = state.status == RUNNING

        def keep(new: Any, old: Any, when: Array) -> Any:
            return jax.tree.map(lambda new, old: jnp.where(when, new, old), new, old)

        # The weights before a divergence are kept: they can be looked at, NaNs cannot.
        params, opt_state = keep(
            (params, opt_state), (state.params, state.opt_state), running & finite
        )
        step, sequences, status = keep(
            (state.step + 1, sequences, status),
            (state.step, state.sequences, state.status),
            running,
        )
        # The stop state of a finished trial runs on: nobody reads it again, and selecting
        # over its window would cost more than the update.
        new = TrialState(state.trial, state.key, step, sequences, status, params, opt_state, stop)
        return new, errors

    def update(state: TrialState, clock: Array) -> tuple[TrialState, Array]:
        example = draw(state)
        outputs, grads = answer(state.params, example)
        return learn(state, example, outputs, grads, clock)

    def update_lanes(states: TrialState, clock: Array) -> tuple[TrialState, Array]:
        examples = jax.vmap(draw)(states)
        if kernel is not None and batch_size == 1:
            outputs, grads = kernel(rule)(states.params, examples)
        else:
            outputs, grads = jax.vmap(answer)(states.params, examples)
        return jax.vmap(learn, in_axes=(0, 0, 0, 0, None))(states, examples, outputs, grads, clock)

    def evaluate(params: NetworkParams, key: Array, num_test: int) -> Evaluation:
        def test(number: Array) -> Outcome:
            example = task.sample(_wrap(draws.fold_in(key, number)))
            return judge(_outputs(network, params, task, example), example)

        numbers = jnp.arange(num_test, dtype=jnp.int32)
        outcomes = jax.lax.map(test, numbers, batch_size=min(num_test, _TEST_BLOCK))
        return Evaluation(
            num_wrong=jnp.sum(~outcomes.correct, dtype=jnp.int32),
            mean_error=outcomes.error.mean(),
            max_error=outcomes.error.max(),
        )

    def test_key(state: TrialState) -> Array:
        return _wrap(draws.fold_in(state.key, _TEST))

    return Trial(
        init, update, update_lanes, evaluate, test_key, max_sequences, batch_size, network, task
    )


def _wrap(key_data: Array) -> Array:
    # The implementation is named so that a user's default generator changes no result.
    return jax.random.wrap_key_data(key_data, impl="threefry2x32")


def _outputs(network: Network, params: NetworkParams, task: Task, example: Example) -> Array:
    _, hs = unroll(network.cell, params.cell, example.inputs, length=example.length)
    if task.timing == "end":
        last = example.length - 1
        seen = network.seen(hs[last], example.inputs[last])
        return network.readout.output(network.readout.net(params.readout, seen))
    return jax.vmap(
        lambda h, x: network.readout.output(network.readout.net(params.readout, network.seen(h, x)))
    )(hs, example.inputs)


def _all_finite(tree: Any) -> Array:
    return jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]).all()


def _fold_outcomes(
    stop_rule: StopRule, stop: Any, outcomes: Outcome, clock: Array
) -> tuple[Any, Array, Array]:
    """The rule over a batch's sequences in order; counts them up to the one that met it."""

    def one(carry: tuple[Any, Array, Array], outcome: Outcome):
        stop, done, used = carry
        new, now = stop_rule.update(stop, outcome, clock * batch + used)
        used = used + jnp.where(done, 0, 1)
        return (new, done | now, used), None

    batch = outcomes.correct.shape[0]
    start = (stop, jnp.bool_(False), jnp.int32(0))
    (stop, done, used), _ = jax.lax.scan(one, start, outcomes)
    return stop, done, used
