"""Truncated BPTT (Williams & Peng 1990) against the chain rule written out, step by step."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import CELLS
from lstm_jax.structures import bidirectional, layer, stack, truncated_bptt
from lstm_jax.unroll import unroll
from tests.compiling import quick
from tests.loops import padded_with, random_case
from tests.tolerances import assert_close

D, STEPS = 3, 6
LSTM = CELLS["lstm"](D, 4)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def squares(ys, targets):
    """A loss in which the steps of a segment are not exchangeable."""
    weights = jnp.arange(1.0, len(ys) + 1)[:, None]
    return jnp.sum(weights * (ys - targets) ** 2)


def problem(structure, seed=60):
    params, state, xs = random_case(structure, seed, num_steps=STEPS)
    targets = np.random.default_rng(seed).normal(size=(STEPS, structure.output_size))
    return params, xs, jnp.asarray(targets), state


@lru_cache
def step_and_pull(cell):
    """One step, and what gradients by its new state and its output are by params and old state."""

    @quick
    def pull(params, state, x, by_state, by_y):
        _, back = jax.vjp(lambda p, s: cell.step(p, s, x), params, state)
        return back((by_state, by_y))

    return quick(cell.step), pull


def written_out(cell, params, xs, targets, state, length, k1, k2):
    """(loss, gradient, final state): each segment's errors go back to k2 steps before its end."""
    step, pull = step_and_pull(cell)
    states, ys = [state], np.zeros((STEPS, cell.output_size))
    for t in range(length):
        state, ys[t] = step(params, states[-1], xs[t])
        states.append(state)
    total, grads = 0.0, jax.tree.map(jnp.zeros_like, params)
    for end in range(k1, STEPS + 1, k1):
        due = np.arange(end - k1, end)
        errors = ys[due] - np.asarray(targets)[due]
        weights = np.arange(1.0, k1 + 1)[:, None]
        total += (weights * errors**2).sum()
        by_ys = dict(zip(due, 2 * weights * errors, strict=True))
        by_state = jax.tree.map(jnp.zeros_like, state)
        for t in reversed(range(max(0, end - k2), min(end, length))):
            by_y = jnp.asarray(by_ys.get(t, np.zeros(cell.output_size)))
            by_params, by_state = pull(params, states[t], xs[t], by_state, by_y)
            grads = jax.tree.map(jnp.add, grads, by_params)
    return jnp.asarray(total), grads, states[-1]


@lru_cache
def compiled(k1, k2):
    return quick(truncated_bptt(LSTM, squares, k1=k1, k2=k2))


@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (1, 3), (2, 2), (2, 4), (3, 3), (2, 8)])
def test_is_the_chain_rule_cut_at_k2(k1, k2, float64):
    params, xs, targets, state = problem(LSTM)
    for length in (STEPS, 3, 0):
        got = compiled(k1, k2)(params, xs, targets, state, length)
        expected = written_out(LSTM, params, xs, targets, state, length, k1, k2)
        assert_close(got, expected)


@pytest.mark.parametrize("which", ["cell", "stack"])
def test_one_segment_is_full_bptt(which, float64):
    structure = LSTM if which == "cell" else stack(LSTM, CELLS["elman"](4, 2))
    params, xs, targets, state = problem(structure)

    def whole(params):
        final, ys = unroll(structure, params, xs, state)
        return squares(ys, targets), final

    (value, final), grads = quick(jax.value_and_grad(whole, has_aux=True))(params)
    gradients = quick(truncated_bptt(structure, squares, k1=STEPS, k2=STEPS))
    assert_close(gradients(params, xs, targets, state), (value, grads, final))


def test_reaching_back_to_the_start_is_full_bptt_and_less_is_not(float64):
    params, xs, targets, state = problem(LSTM)

    def whole(params):
        _, ys = unroll(LSTM, params, xs, state)
        return sum(squares(ys[t : t + 2], targets[t : t + 2]) for t in (0, 2, 4))

    full = quick(jax.grad(whole))(params)
    cut = {k2: compiled(2, k2)(params, xs, targets, state, STEPS)[1] for k2 in (2, 4, 8)}
    assert_close(cut[8], full)
    off = {k2: float(abs(grads.r_f - full.r_f).max()) for k2, grads in cut.items()}
    assert off[2] > 1e-3 and off[4] > 1e-4


def test_without_a_state_or_a_length(float64):
    params, xs, targets, _ = problem(LSTM)
    start = LSTM.initial_state()
    gradients = quick(truncated_bptt(LSTM, squares, k1=2, k2=4))
    assert_close(gradients(params, xs, targets), compiled(2, 4)(params, xs, targets, start, STEPS))


def test_the_state_is_carried_from_call_to_call(float64):
    """Streams: with k2 = k1 two calls are one call over the whole."""
    params, xs, targets, state = problem(LSTM)
    whole = compiled(3, 3)(params, xs, targets, state, STEPS)
    first = compiled(3, 3)(params, xs[:3], targets[:3], state, 3)
    second = compiled(3, 3)(params, xs[3:], targets[3:], first[2], 3)
    assert_close(jax.tree.map(jnp.add, first[:2], second[:2]), whole[:2])
    assert_close(second[2], whole[2])


def test_targets_may_be_a_tree(float64):
    params, xs, targets, state = problem(LSTM)
    gradients = truncated_bptt(
        LSTM, lambda ys, both: squares(ys, both["a"]) + squares(ys, both["b"]), k1=3, k2=3
    )
    got = quick(gradients)(params, xs, {"a": targets, "b": targets}, state)
    once = compiled(3, 3)(params, xs, targets, state, STEPS)
    assert_close(got[:2], jax.tree.map(lambda leaf: 2 * leaf, once[:2]))


def test_padding_leaks_nowhere(float64):
    params, xs, targets, state = problem(LSTM)
    clean, *dirty = (
        compiled(2, 4)(params, padded_with(xs, 3, fill), targets, state, 3)
        for fill in (0.0, np.nan, np.inf)
    )
    for other in dirty:
        jax.tree.map(np.testing.assert_array_equal, other, clean)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(clean))


@pytest.mark.parametrize(
    ("k1", "k2", "field"),
    [(0, 2, "k1"), (2, 1, "k2"), (2, 3, "k2"), (1.5, 3, "k1"), (2, 0, "k2"), (True, 2, "k1")],
)
def test_bad_steps_are_refused(k1, k2, field):
    with pytest.raises(ValueError, match=field) as caught:
        truncated_bptt(LSTM, squares, k1=k1, k2=k2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layer(LSTM, reverse=True),
        lambda: bidirectional(LSTM, LSTM),
        lambda: stack(LSTM, stack(bidirectional(CELLS["elman"](4, 2), CELLS["elman"](4, 2)))),
    ],
)
def test_what_runs_backwards_has_no_state_to_hand_on(make):
    with pytest.raises(ValueError, match="backwards") as caught:
        truncated_bptt(make(), squares, k1=2, k2=2)
    assert "\n" not in str(caught.value)


def test_a_sequence_that_k1_does_not_divide_is_refused():
    params, xs, targets, state = problem(LSTM)
    with pytest.raises(ValueError, match="6.*k1 = 4") as caught:
        truncated_bptt(LSTM, squares, k1=4, k2=4)(params, xs, targets, state)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="targets"):
        truncated_bptt(LSTM, squares, k1=3, k2=3)(params, xs, targets[:3], state)
