"""Stacks, directions, resets, dropout and truncated BPTT against plain loops and other libraries.

Sizes are all different, and states start away from zero, so that nothing can be mixed up unseen.
"""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import CELLS
from lstm_jax.cells.elman import ElmanParams
from lstm_jax.gradients import GRADIENT_RULES
from lstm_jax.network import network
from lstm_jax.readout import readout
from lstm_jax.structures import bidirectional, layer, stack, stacked_cell
from lstm_jax.tasks import Example
from lstm_jax.unroll import unroll
from tests.compiling import quick
from tests.loops import (
    close,
    padded_with,
    random_case,
    run_both_ways,
    run_cell,
    run_stack,
    weighted_sum,
)
from tests.tolerances import assert_close
from tests.variants import D, T, randomised

LENGTHS = (0, 1, 4, T)
RESETS = np.array([False, True, False, True, True, False, True])


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def lstm_gru_elman():
    return (CELLS["lstm"](D, 5), CELLS["gru"](5, 4), CELLS["elman"](4, 6))


def same_sizes():
    """The first layer changes the size, so nothing is added to it; the others keep it."""
    return (CELLS["lstm"](D, 4), CELLS["gru"](4, 4), CELLS["elman"](4, 4))


def identity_cell(size, scale=1.0):
    """(cell, params) with y = scale * x: what comes between such layers can be seen."""
    cell = CELLS["elman"](size, size, activation="identity", bias=False)
    eye = np.eye(size, dtype=np.float32)
    return cell, ElmanParams(w=scale * eye, r=0 * eye, b=None)


STRUCTURES = {
    "layer": lambda: layer(CELLS["lstm"](D, 5)),
    "layer backward": lambda: layer(CELLS["lstm"](D, 5), reverse=True),
    "both ways": lambda: bidirectional(CELLS["lstm"](D, 5), CELLS["gru"](D, 4)),
    "stack": lambda: stack(*lstm_gru_elman()),
    "residual": lambda: stack(*same_sizes(), residual=True),
    "stack of both ways": lambda: stack(
        bidirectional(CELLS["gru"](D, 2), CELLS["lstm"](D, 3)), CELLS["elman"](5, 4)
    ),
}
every_structure = pytest.mark.parametrize("name", STRUCTURES)


@lru_cache
def make_structure(name):
    return STRUCTURES[name]()


@lru_cache
def compiled(name):
    """One compiled program per structure, shared by the tests (length and resets are traced)."""
    apply = make_structure(name).apply

    @quick
    def run(params, xs, state, length, resets):
        return apply(params, xs, state, length=length, resets=resets)

    return run


def by_loops(name, params, xs, state, length, resets):
    """The same structure as plain loops over its cells' steps."""
    how = {"length": length, "begins": resets}
    lstm, gru = CELLS["lstm"](D, 5), CELLS["gru"](D, 4)
    if name.startswith("layer"):
        return run_cell(lstm, params, xs, state, reverse=name != "layer", **how)
    if name == "both ways":
        (one, ahead), (other, back) = run_both_ways((lstm, gru), params, xs, state, **how)
        return (one, other), np.concatenate([ahead, back], axis=1)
    if name == "stack":
        return run_stack(lstm_gru_elman(), params, xs, state, **how)
    if name == "residual":
        return run_stack(same_sizes(), params, xs, state, residual=True, **how)
    cells = CELLS["gru"](D, 2), CELLS["lstm"](D, 3)
    (one, ahead), (other, back) = run_both_ways(cells, params[0], xs, state[0], **how)
    middle = np.concatenate([ahead, back], axis=1)
    last, ys = run_cell(CELLS["elman"](5, 4), params[1], middle, state[1], **how)
    return ((one, other), last), ys


NO_RESETS = np.zeros(T, bool)


@every_structure
@pytest.mark.parametrize("length", LENGTHS)
def test_a_structure_is_its_loops(name, length, float64):
    params, state, xs = random_case(make_structure(name), seed=length)
    final, ys = compiled(name)(params, padded_with(xs, length, np.nan), state, length, NO_RESETS)
    expected_state, expected = by_loops(name, params, xs, state, length, NO_RESETS)
    close(ys, expected)
    close(final, expected_state)
    assert not np.asarray(ys)[length:].any()
    if length == 0:
        close(final, state)


@every_structure
@pytest.mark.parametrize("length", [4, T])
def test_resets_mark_where_sequences_begin(name, length, float64):
    params, state, xs = random_case(make_structure(name), seed=20 + length)
    # the resets at and after `length` 4 lie in the padding and must touch nothing
    final, ys = compiled(name)(params, xs, state, length, RESETS)
    expected_state, expected = by_loops(name, params, xs, state, length, RESETS)
    close(ys, expected)
    close(final, expected_state)
    _, without = compiled(name)(params, xs, state, length, NO_RESETS)
    assert not np.allclose(ys[:length], without[:length])


@pytest.mark.parametrize("name", ["layer backward", "residual", "stack of both ways"])
def test_without_length_resets_or_state(name, float64):
    """As by `unroll`, which hands a structure all that it is given."""
    structure = make_structure(name)
    params, state, xs = random_case(structure, seed=30)
    expected = compiled(name)(params, xs, structure.initial_state(), T, NO_RESETS)
    assert_close(unroll(structure, params, xs), expected)
    given = {"length": 4, "resets": jnp.asarray(RESETS)}
    expected = compiled(name)(params, xs, state, 4, RESETS)
    assert_close(unroll(structure, params, xs, state, **given), expected)
    for leaf in jax.tree.leaves(structure.initial_state()):
        assert not np.asarray(leaf).any()


def test_a_structure_has_its_own_directions():
    structure = make_structure("both ways")
    params, _, xs = random_case(structure, seed=31)
    with pytest.raises(ValueError, match="reverse") as caught:
        unroll(structure, params, xs, reverse=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reverse", [False, True])
def test_unroll_of_a_cell_takes_resets(reverse, float64):
    cell = CELLS["gru"](D, 5)
    params, state, xs = random_case(cell, seed=32)
    run = quick(
        lambda resets, length: unroll(
            cell, params, xs, state, length=length, resets=resets, reverse=reverse
        )
    )
    for resets, length in ((RESETS, T), (~RESETS, T), (RESETS, 4), (~RESETS, 4), (RESETS, 0)):
        expected = run_cell(cell, params, xs, state, length=length, resets=resets, reverse=reverse)
        close(run(resets, length), expected)
    without_length = unroll(cell, params, xs, state, resets=jnp.asarray(RESETS), reverse=reverse)
    close(without_length, run(RESETS, T))


@pytest.mark.parametrize("name", ["stack", "stack of both ways"])
def test_sequences_with_resets_between_are_runs_of_their_own(name, float64):
    """In either direction, so that sequences can be packed end to end."""
    structure, run = make_structure(name), compiled(name)
    params, _, xs = random_case(structure, seed=33)
    start = structure.initial_state()
    _, ys = run(params, xs, start, T, np.isin(np.arange(T), [0, 3]))
    for begin, end in ((0, 3), (3, T)):
        rolled = np.roll(xs, -begin, axis=0)
        _, alone = run(params, rolled, start, end - begin, NO_RESETS)
        assert_close(ys[begin:end], alone[: end - begin])


def test_a_reset_lets_no_gradient_through(float64):
    cell = CELLS["lstm"](D, 5)
    params, state, xs = random_case(cell, seed=34)

    def after_the_reset(xs, state):
        return weighted_sum(unroll(cell, params, xs, state, resets=jnp.arange(T) == 3)[1][3:])

    by_xs, by_state = quick(jax.grad(after_the_reset, argnums=(0, 1)))(xs, state)
    assert not np.asarray(by_xs)[:3].any() and np.asarray(by_xs)[3:].all()
    assert not any(np.asarray(leaf).any() for leaf in by_state if leaf is not None)


@pytest.mark.parametrize("name", ["layer", "stack", "residual"])
@pytest.mark.parametrize("cut", [1, 4])
def test_the_state_is_carried(name, cut, float64):
    params, state, xs = random_case(make_structure(name), seed=35)
    whole_state, whole = compiled(name)(params, xs, state, T, NO_RESETS)
    middle, first = compiled(name)(params, xs, state, cut, NO_RESETS)
    rest = np.roll(xs, -cut, axis=0)  # the same shape: no second compilation
    final, second = compiled(name)(params, rest, middle, T - cut, NO_RESETS)
    assert_close(np.concatenate([first[:cut], second[: T - cut]]), whole)
    assert_close(final, whole_state)


@pytest.mark.parametrize(
    ("merge", "by_hand"),
    [
        ("concat", lambda a, b: np.concatenate([a, b], axis=1)),
        ("sum", lambda a, b: a + b),
        ("mean", lambda a, b: (a + b) / 2),
        ("mul", lambda a, b: a * b),
    ],
)
def test_merges_of_two_directions(merge, by_hand, float64):
    cells = CELLS["lstm"](D, 4), CELLS["gru"](D, 4)
    structure = bidirectional(*cells, merge=merge)
    params, state, xs = random_case(structure, seed=36)
    assert structure.output_size == (8 if merge == "concat" else 4)
    run = quick(lambda length: structure.apply(params, xs, state, length=length))
    for length in (0, 5, T):
        final, ys = run(length)
        (one, ahead), (other, back) = run_both_ways(cells, params, xs, state, length=length)
        close(ys, by_hand(ahead, back))
        close(final, (one, other))
    assert params._fields == ("forward", "backward") == state._fields


@pytest.mark.parametrize("name", ["residual", "stack of both ways"])
def test_vmap_over_networks_and_lengths(name, float64):
    cases = [random_case(make_structure(name), seed) for seed in (37, 38)]
    lengths, resets = np.array([5, 0]), np.stack([RESETS, NO_RESETS])
    params, states, xs = jax.tree.map(lambda *leaves: np.stack(leaves), *cases)
    finals, ys = jax.vmap(compiled(name))(params, xs, states, lengths, resets)
    for n, (p, s, x) in enumerate(cases):
        final, y = compiled(name)(p, x, s, lengths[n], resets[n])
        assert_close(ys[n], y)
        assert_close(jax.tree.map(lambda leaf, n=n: leaf[n], finals), final)


@pytest.mark.parametrize("residual", [False, True])
def test_stacked_cell_is_the_stack(residual, float64):
    cells = same_sizes()
    cell, structure = (make(*cells, residual=residual) for make in (stacked_cell, stack))
    assert (cell.input_size, cell.output_size) == (D, 4)
    assert jax.tree.structure(cell.initial_state()) == jax.tree.structure(structure.initial_state())
    params, state, xs = random_case(structure, seed=43)
    assert jax.tree.structure(jax.eval_shape(cell.init, jax.random.key(0))) == jax.tree.structure(
        params
    )
    run = quick(
        lambda length, resets: unroll(cell, params, xs, state, length=length, resets=resets)
    )
    apply = quick(
        lambda length, resets: structure.apply(params, xs, state, length=length, resets=resets)
    )
    for length, resets in ((T, NO_RESETS), (4, RESETS), (0, RESETS)):
        assert_close(run(length, resets), apply(length, resets))
    _, y = cell.step(params, state, xs[0])
    assert_close(cell.gates(params, state, xs[0])["h"], y)


def test_stacked_cell_cuts_each_layer_as_its_own_cell_does():
    cells = lstm_gru_elman()
    cell = stacked_cell(*cells)
    _, state, _ = random_case(cell, seed=44)
    assert_close(cell.truncate(state), state)
    _, pull = jax.vjp(cell.truncate, state)
    (passed,) = pull(jax.tree.map(np.ones_like, state))
    assert (np.asarray(passed[0].c) == 1).all()  # the carousel
    assert not any(np.asarray(s.h).any() for s in passed)


def test_stacked_cell_under_every_gradient_rule_that_takes_any_cell(float64):
    cell = stacked_cell(CELLS["lstm"](2, 3), CELLS["gru"](3, 2))
    net = network(cell, readout(2, 1))
    rng = np.random.default_rng(45)
    params = randomised(jax.eval_shape(net.init, jax.random.key(0)), rng)
    state = randomised(net.cell.initial_state(), rng)
    xs = rng.normal(size=(T, 2))
    example = Example(xs, rng.uniform(size=(T, 1)), np.int32(5), np.arange(T) < 5)
    full, forward = (
        quick(GRADIENT_RULES[rule](net, "every_step"))(params, example, state)
        for rule in ("bptt", "rtrl")
    )
    assert_close(full, forward)
    _, cut = quick(GRADIENT_RULES["truncated"](net, "every_step"))(params, example, state)
    assert not np.allclose(cut.cell[0].r_i, full[1].cell[0].r_i)
    assert_close(cut.readout, full[1].readout)


def test_residual_adds_only_where_the_sizes_agree():
    (cell, params), (_, other) = identity_cell(3, scale=2.0), identity_cell(3, scale=-0.5)
    xs = np.arange(12, dtype=np.float32).reshape(4, 3) - 5
    structure = stack(cell, cell, residual=True)
    _, ys = structure.apply((params, other), xs)
    np.testing.assert_array_equal(ys, (xs + 2 * xs) * (1 - 0.5))
    with pytest.raises(ValueError, match="residual") as caught:
        stack(*lstm_gru_elman(), residual=True)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="residual"):
        stacked_cell(*lstm_gru_elman(), residual=True)


class TestDropout:
    RATE, SIZE, STEPS = 0.25, 40, 50

    @staticmethod
    @lru_cache
    def compiled(num_layers, rate):
        cell, params = identity_cell(TestDropout.SIZE)
        structure = stack(*[cell] * num_layers, dropout=rate)
        return quick(lambda xs, key: structure.apply((params,) * num_layers, xs, key=key)[1])

    def through(self, num_layers, key, rate=RATE, xs=None):
        xs = np.ones((self.STEPS, self.SIZE), np.float32) if xs is None else xs
        return np.asarray(self.compiled(num_layers, rate)(xs, key))

    def test_what_is_kept_is_scaled_and_the_share_is_right(self):
        ys = self.through(2, jax.random.key(0))
        kept = ys != 0
        np.testing.assert_array_equal(ys[kept], np.float32(1 / (1 - self.RATE)))
        num, rate = ys.size, self.RATE
        # five standard deviations of a binomial
        assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / num)

    def test_masks_differ_by_step_by_unit_and_by_layer(self):
        kept = self.through(2, jax.random.key(0)) != 0
        assert len({row.tobytes() for row in kept}) == self.STEPS
        assert len({row.tobytes() for row in kept.T}) == self.SIZE
        twice = self.through(3, jax.random.key(0))
        both = (twice != 0).mean()
        expected = (1 - self.RATE) ** 2  # the same mask in both places would give 1 - rate
        assert abs(both - expected) < 5 * np.sqrt(expected * (1 - expected) / twice.size)

    def test_a_key_decides(self):
        first, again, other = (self.through(2, jax.random.key(k)) for k in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()

    def test_no_key_no_rate_or_no_layer_above_means_no_dropout(self):
        xs = np.random.default_rng(0).normal(size=(self.STEPS, self.SIZE)).astype(np.float32)
        np.testing.assert_array_equal(self.through(2, None, xs=xs), xs)
        np.testing.assert_array_equal(self.through(2, jax.random.key(0), 0.0, xs=xs), xs)
        np.testing.assert_array_equal(self.through(1, jax.random.key(0), xs=xs), xs)

    def test_the_mean_is_preserved(self):
        xs = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
        cell, params = identity_cell(4)
        structure = stack(cell, cell, dropout=0.5)
        keys = jax.random.split(jax.random.key(2), 4000)
        run = jax.vmap(lambda key: structure.apply((params, params), xs, key=key)[1])
        ys = np.asarray(quick(run)(keys))
        # a masked and scaled x has standard deviation |x| at rate one half
        assert (abs(ys.mean(axis=0) - xs) < 5 * abs(xs) / np.sqrt(4000)).all()

    def test_gradients_pass_the_same_mask(self):
        cell, params = identity_cell(4)
        structure = stack(cell, cell, dropout=0.5)

        @quick
        def run_and_pull(xs):
            def run(xs):
                return structure.apply((params, params), xs, key=jax.random.key(3))[1]

            ys, back = jax.vjp(run, xs)
            return ys, back(jnp.ones_like(ys))[0]

        ys, grads = run_and_pull(np.ones((T, 4), np.float32))
        np.testing.assert_array_equal(grads, ys)
        assert set(np.unique(ys)) == {0.0, 2.0}

    def test_a_key_reaches_a_stack_inside_a_stack(self):
        cell, params = identity_cell(self.SIZE)
        inner = stack(cell, cell, dropout=0.5)
        outer = stack(inner, cell)
        xs = np.ones((T, self.SIZE), np.float32)
        _, ys = outer.apply(((params, params), params), xs, key=jax.random.key(5))
        assert set(np.unique(ys)) == {0.0, 2.0}

    @pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
    def test_a_rate_outside_is_refused(self, rate):
        with pytest.raises(ValueError, match="dropout") as caught:
            stack(*lstm_gru_elman(), dropout=rate)
        assert "\n" not in str(caught.value)


def test_fresh_layers_have_weights_of_their_own():
    cell = CELLS["elman"](4, 4)
    structure = stack(cell, bidirectional(cell, cell, merge="sum"), cell)
    init = quick(structure.init)
    params, again, other = (init(jax.random.key(k)) for k in (0, 0, 1))
    drawn = [params[0], params[1].forward, params[1].backward, params[2], other[0]]
    for n, one in enumerate(drawn):
        for another in drawn[n + 1 :]:
            assert not (one.w == another.w).any() and not (one.r == another.r).any()
    jax.tree.map(np.testing.assert_array_equal, params, again)
    narrow = init(jax.random.key(0), np.float32(0.01))
    assert max(float(abs(leaf).max()) for leaf in jax.tree.leaves(narrow)) <= 0.01
    np.testing.assert_allclose(narrow[1].backward.w * 50, params[1].backward.w, rtol=1e-5)


@every_structure
def test_bad_inputs_are_one_clear_line(name):
    structure = make_structure(name)
    params, state, xs = random_case(structure, seed=47)
    for wrong in (xs[0], xs[:, :2], np.asarray(xs)[None]):
        with pytest.raises(ValueError, match="shape") as caught:
            structure.apply(params, wrong, state)
        assert "\n" not in str(caught.value)
    for length in (-1, T + 1):
        with pytest.raises(ValueError, match=rf"length {length} is not within 0 \.\. {T}"):
            structure.apply(params, xs, state, length=length)
    for resets in (RESETS[:-1], RESETS[None], RESETS.astype(np.int32)):
        with pytest.raises(ValueError, match="resets") as caught:
            structure.apply(params, xs, state, resets=resets)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: stack(), "stack"),
        (lambda: stacked_cell(), "stack"),
        (lambda: stack(CELLS["lstm"](2, 3), CELLS["gru"](4, 2)), "3.*4|4.*3"),
        (lambda: stacked_cell(CELLS["lstm"](2, 3), CELLS["gru"](4, 2)), "3.*4|4.*3"),
        (lambda: bidirectional(CELLS["lstm"](2, 3), CELLS["lstm"](4, 3)), "2.*4|4.*2"),
        (
            lambda: bidirectional(CELLS["lstm"](2, 3), CELLS["lstm"](2, 4), merge="sum"),
            "sum.*3.*4|3.*4.*sum",
        ),
        (
            lambda: bidirectional(CELLS["lstm"](2, 3), CELLS["lstm"](2, 3), merge="max"),
            "merge.*max.*concat.*sum.*mean.*mul",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(make, words):
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
