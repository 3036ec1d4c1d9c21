"""A trial: one network trained on-line until its stop rule holds. The top of the pure half."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lstm_jax import draws, exams, growth
from lstm_jax.exams import Exam
from lstm_jax.gradients import GradientRule
from lstm_jax.growth import Growth
from lstm_jax.kernels import many_answers
from lstm_jax.network import Network, NetworkParams
from lstm_jax.stopping import Outcome, StopRule
from lstm_jax.stored import stored
from lstm_jax.tasks.task import Example, Task
from lstm_jax.types import Array, Params

RUNNING, SOLVED, EXHAUSTED, DIVERGED = 0, 1, 2, 3
STATUS_NAMES = ("RUNNING", "SOLVED", "EXHAUSTED", "DIVERGED")

UPDATES = ("sequence", "step")

_INIT, _TRAIN, _TEST, _EXAM = 0, 1, 2, 3  # the streams of a trial's random numbers
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
    stop: Any  # of the stop rule; None without one
    passed: Any  # [S] int32, sequences at which each stage of the exam was passed, or -1; or None
    growth: Any  # GrowthState, or None


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
      update_lanes: ``(states, clock, axis=0)``, the same over states with an axis of L lanes, the
        first one or, with -1, the last; errors likewise. The clock has none.
      examine_lanes: ``states -> states``, one exam of all lanes, to follow every
        ``exam.every``-th update; None where there is no exam.
      evaluate: ``(params, key, num_test, trial=0) -> Evaluation`` on fresh sequences.
      test_key: ``state -> key`` of the trial's own test sequences.
      max_sequences: the cap; a trial that reaches it unsolved is EXHAUSTED.
      batch_size: sequences per update.
      network, task, exam: what it is made of.
      lane_axis: where the lanes of `update_lanes` are best put: -1 where a kernel has them last.

    Example:
      Two nets side by side, each with a rate and with sequences of its own:

      >>> from lstm_jax import GRADIENT_RULES, adding, consecutive_correct, lstm97, network, readout
      >>> net = network(lstm97(2, 2, 2), readout(4, 1))
      >>> trial = make_trial(net, adding(T=11), GRADIENT_RULES["traces"](net, "end"),
      ...                    consecutive_correct(10), optax.sgd, max_sequences=100)
      >>> hypers = Hyper(learning_rate=jnp.array([0.5, 0.1]), init_range=jnp.array([0.1, 0.1]))
      >>> states = jax.vmap(trial.init, (None, 0, 0))(jax.random.key(0), jnp.arange(2), hypers)
      >>> states, errors = jax.jit(trial.update_lanes)(states, jnp.int32(0))
      >>> states.sequences.tolist(), errors.shape
      ([1, 1], (2, 1))
    """

    init: Callable[[Array, Array, Hyper], TrialState]
    update: Callable[[TrialState, Array], tuple[TrialState, Array]]
    update_lanes: Callable[..., tuple[TrialState, Array]]
    examine_lanes: Callable[[TrialState], TrialState] | None
    evaluate: Callable[..., Evaluation]
    test_key: Callable[[TrialState], Array]
    max_sequences: int
    batch_size: int
    network: Network
    task: Task
    exam: Exam | None
    lane_axis: int = 0


def make_trial(
    network: Network,
    task: Task,
    rule: GradientRule,
    stop_rule: StopRule | Exam,
    optimizer: Callable[..., optax.GradientTransformation],
    *,
    max_sequences: int,
    batch_size: int = 1,
    update_every: str = "sequence",
    grows: Growth | None = None,
    kernel: Callable[..., Callable] | None = None,
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
        order, the whole batch having been answered with the same weights. Or an `Exam`, held
        after every so many sequences.
      optimizer: a factory like ``optax.sgd`` with a `learning_rate`.
      max_sequences: the cap in training sequences.
      batch_size: sequences per update; their gradients are averaged.
      update_every: "sequence", or "step": the weights change after each time step with a target
        (`traces` with timing "every_step" and plain SGD only).
      grows: the net starts without its cells, which are added by this rule.
      kernel: a transformation of the rule used in place of `jax.vmap` over lanes.

    Raises:
      ValueError: for a cap or batch size below 1, sizes of network and task that differ, or a
        cap that is no multiple of the training sequences between exams.

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
    exam = stop_rule if isinstance(stop_rule, Exam) else None
    rule_after_each = stop_rule if isinstance(stop_rule, StopRule) else None
    if exam is not None and (batch_size != 1 or max_sequences % exam.every):
        raise ValueError(
            f"max_sequences: {max_sequences} is not valid; with an exam every {exam.every} "
            "sequences it must be a multiple of that, and batch_size 1"
        )
    if update_every not in UPDATES:
        raise ValueError(f"update_every: {update_every!r} is not one of {', '.join(UPDATES)}")
    plain = batch_size == 1 and task.timing == "every_step" and optimizer is optax.sgd
    if update_every == "step" and not plain:
        raise ValueError(
            "update_every: 'step' needs a task with targets at every step, optax.sgd and "
            "batch_size 1"
        )
    if grows is not None and batch_size != 1:
        raise ValueError(
            f"batch_size: {batch_size} is not valid; it must be 1 for a net that grows"
        )
    lanes_are_last = kernel is not None and batch_size == 1
    num_cells = network.cell.output_size
    answer_many = many_answers(network, task.timing)
    injected = optax.inject_hyperparams(optimizer)
    # The rate in the state is what counts; this one only shapes the state.
    descend = injected(learning_rate=1.0)

    def init(key: Array, trial: Array, hyper: Hyper) -> TrialState:
        trial_key = draws.fold_in(key, trial)
        params: Params = network.init(draws.wrap(draws.fold_in(trial_key, _INIT)), hyper.init_range)
        grown = None
        if grows is not None:
            params, grown = growth.begin(params, num_cells)
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
            stop=None if rule_after_each is None else rule_after_each.init(),
            passed=None if exam is None else jnp.full(len(exam.stages), -1, jnp.int32),
            growth=grown,
        )

    def draw(state: TrialState) -> Example:
        key = draws.fold_in(state.key, _TRAIN)

        def one(number: Array) -> Example:
            return task.sample(draws.wrap(draws.fold_in(key, number)), state.trial)

        if batch_size == 1:
            return one(state.sequences)
        return jax.vmap(one)(state.sequences + jnp.arange(batch_size, dtype=jnp.int32))

    def rates(state: TrialState) -> tuple[Any, ...]:
        """What the rule needs beyond weights and example to update after every time step."""
        if update_every == "sequence":
            return ()
        rate = state.opt_state.hyperparams["learning_rate"]
        if grows is None:
            return None, rate
        # Within a sequence too, nothing reaches cells that are not there yet.
        each: Any = jax.tree.map(lambda w: jnp.full_like(w, rate), state.params)
        return None, growth.hold(each, state.growth)

    def answer(params: Params, example: Example, *rest: Any) -> tuple[Array, Params]:
        if batch_size == 1:
            return rule(params, example, *rest)
        outputs, grads = jax.vmap(rule, in_axes=(None, 0))(params, example)
        return outputs, jax.tree.map(lambda grad: grad.mean(axis=0), grads)

    def judge(outputs: Array, example: Example) -> Outcome:
        return Outcome(
            task.error(outputs, example),
            task.squared_error(outputs, example),
            task.correct(outputs, example),
        )

    def descent(state: TrialState, grads: Params) -> tuple[Params, Any]:
        """The weights after a step, and the optimizer's state."""
        if grows is not None:
            grads = growth.hold(grads, state.growth)
        updates, opt_state = descend.update(grads, state.opt_state, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        return params, opt_state

    def settle(
        state: TrialState,
        params: Params,
        opt_state: Any,
        errors: Array,
        done: Array,
        used: Array,
        finite: Array,
    ) -> TrialState:
        """The state with new weights, if they are `finite`, and with its new status."""
        # A batch may reach past the cap; what it shows there no longer counts.
        done = done & (state.sequences + used <= max_sequences)
        sequences = jnp.minimum(state.sequences + used, max_sequences)
        # With an exam the last one decides, at the cap itself.
        capped = jnp.bool_(False) if exam is not None else sequences >= max_sequences
        status = jnp.where(done, SOLVED, jnp.where(capped, EXHAUSTED, RUNNING))
        status = jnp.where(finite, status, DIVERGED).astype(jnp.int32)
        grown = state.growth
        if grows is not None:
            params, grown = growth.grow(grows, params, state.growth, errors[0], sequences)
        running = state.status == RUNNING

        def keep(new: Any, old: Any, when: Array) -> Any:
            return jax.tree.map(lambda new, old: jnp.where(when, new, old), new, old)

        # The weights before a divergence are kept: they can be looked at, NaNs cannot.
        params, opt_state, grown = keep(
            (params, opt_state, grown),
            (state.params, state.opt_state, state.growth),
            running & finite,
        )
        step, sequences, status = keep(
            (state.step + 1, sequences, status),
            (state.step, state.sequences, state.status),
            running,
        )
        return state._replace(
            step=step,
            sequences=sequences,
            status=status,
            params=params,
            opt_state=opt_state,
            growth=grown,
        )

    def learn(
        state: TrialState, outcome: Outcome, grads: Params, clock: Array, each: Callable = _itself
    ) -> tuple[TrialState, Array]:
        """The state after an update; `each` makes what is written for one trial serve all lanes."""
        stop, met, used = state.stop, jnp.zeros_like(state.status, bool), jnp.ones_like(state.step)
        if batch_size > 1:
            assert rule_after_each is not None
            stop, met, used = _fold_outcomes(rule_after_each, stop, outcome, clock)
        elif rule_after_each is not None:
            stop, met = rule_after_each.update(stop, outcome, clock)
        errors = outcome.error if batch_size > 1 else outcome.error[None]
        # The stop state of a finished trial runs on: nobody reads it again, and selecting
        # over its window would cost more than the update.
        state = state._replace(stop=None)
        params, opt_state = each(descent)(state, grads)
        finite = _all_finite((params, errors), met.shape)
        new = each(settle)(state, params, opt_state, errors, met, used, finite)
        return new._replace(stop=stop), errors

    def update(state: TrialState, clock: Array) -> tuple[TrialState, Array]:
        example = draw(state)
        outputs, grads = answer(state.params, example, *rates(state))
        judge_all = judge if batch_size == 1 else jax.vmap(judge)
        return learn(state, judge_all(outputs, example), grads, clock)

    def update_lanes(states: TrialState, clock: Array, axis: int = 0) -> tuple[TrialState, Array]:
        if not lanes_are_last:
            return jax.vmap(update, in_axes=(axis, None), out_axes=axis)(states, clock)
        if axis == 0:
            return move_lanes(update_lanes(move_lanes(states, 0, -1), clock, -1), -1, 0)
        assert kernel is not None

        def each(function: Callable) -> Callable:
            return jax.vmap(function, in_axes=-1, out_axes=-1)

        examples = draw(states) if task.lanes else each(draw)(states)
        outputs, grads = kernel(rule, axis)(states.params, examples, *each(rates)(states))
        # An error is a sum over the lane's own numbers, in the order they have in one lane.
        outcome = jax.vmap(judge)(*move_lanes((outputs, examples), -1, 0))
        outcome = outcome._replace(error=stored(outcome.error[None])[0])
        return learn(states, outcome, grads, clock, each)

    def examine_lanes(states: TrialState) -> TrialState:
        assert exam is not None
        drawn_at = jnp.zeros_like(states.sequences) if exam.fixed else states.sequences
        keys = jax.vmap(lambda key, s: draws.wrap(draws.fold_in(draws.fold_in(key, _EXAM), s)))(
            states.key, drawn_at
        )
        running = states.status == RUNNING
        needed = (states.passed < 0) & running[:, None]
        now = exams.take(exam, task, answer_many, states.params, keys, states.trial, needed)
        passed = jnp.where(now, states.sequences[:, None], states.passed)
        solved = running & (passed[:, -1] >= 0)
        capped = running & (states.sequences >= max_sequences)
        status = jnp.where(solved, SOLVED, jnp.where(capped, EXHAUSTED, states.status))
        return states._replace(passed=passed, status=status.astype(jnp.int32))

    def evaluate(
        params: NetworkParams, key: Array, num_test: int, trial: Array | int = 0
    ) -> Evaluation:
        block = min(num_test, _TEST_BLOCK)
        one = jax.tree.map(lambda leaf: leaf[None], params)

        def test(numbers: Array) -> Outcome:
            examples = jax.vmap(lambda number: task.test(key, number, trial))(numbers)
            lane = jax.tree.map(lambda leaf: leaf[None], examples)
            return jax.vmap(judge)(answer_many(one, lane)[0], examples)

        numbers = jnp.arange(-(-num_test // block) * block, dtype=jnp.int32).reshape(-1, block)
        blocks = jax.lax.map(test, jnp.minimum(numbers, num_test - 1))
        outcomes = jax.tree.map(lambda leaf: leaf.reshape(-1)[:num_test], blocks)
        return Evaluation(
            num_wrong=jnp.sum(~outcomes.correct, dtype=jnp.int32),
            mean_error=outcomes.error.mean(),
            max_error=outcomes.error.max(),
        )

    def test_key(state: TrialState) -> Array:
        return draws.wrap(draws.fold_in(state.key, _TEST))

    return Trial(
        init,
        update,
        update_lanes,
        None if exam is None else examine_lanes,
        evaluate,
        test_key,
        max_sequences,
        batch_size,
        network,
        task,
        exam,
        -1 if lanes_are_last else 0,
    )


def move_lanes(tree: Any, source: int, target: int) -> Any:
    """Every leaf with its axis of lanes moved, between the first place and the last."""
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, source, target), tree)


def _itself(function: Callable) -> Callable:
    return function


def _all_finite(tree: Any, lanes: tuple[int, ...]) -> Array:
    """Whether all numbers are finite; with lanes, which the leaves have last, those of each."""
    leaves = jax.tree.leaves(tree)
    if not lanes:
        return jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]).all()
    # Row by row: a reduction that leaves the lanes would go through them one by one.
    zero = jnp.zeros(lanes)
    for leaf in leaves:
        zero, _ = jax.lax.scan(
            lambda zero, row: (zero + 0 * row, None), zero, leaf.reshape(-1, *lanes)
        )
    return zero == 0  # 0 times infinity or NaN is NaN


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
