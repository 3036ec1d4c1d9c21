"""Layer normalisation, variational dropout and zoneout, against the papers' formulas in NumPy."""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import CELLS, Cell
from lstm_jax.cells.elman import ElmanParams
from lstm_jax.cells.wrappers import layer_norm, variational_dropout, zoneout
from lstm_jax.gradients import GRADIENT_RULES
from lstm_jax.network import network
from lstm_jax.readout import readout
from lstm_jax.structures import stack, stacked_cell
from lstm_jax.tasks import Example
from lstm_jax.unroll import unroll
from tests.compiling import quick
from tests.loops import close, padded_with, random_case, run_cell, weighted_sum
from tests.tolerances import assert_close
from tests.variants import VARIANTS, D, T, make_cell, randomised

H = 5
KEY = jax.random.key(7)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def identity_cell(size, scale=1.0, recurrent=0.0):
    """(cell, params) with h = scale * x + recurrent * h', unit by unit."""
    cell = CELLS["elman"](size, size, activation="identity", bias=False)
    eye = np.eye(size, dtype=np.float32)
    return cell, ElmanParams(w=scale * eye, r=recurrent * eye, b=None)


class State(NamedTuple):
    """A matrix, a number, a truth value."""

    C: Any  # [3, 3]
    a: Any  # []
    seen: Any  # [] bool


def outer_cell():
    """A cell without weights, of 3 inputs, whose state has fields of several shapes."""

    def step(params, state, x):
        now = State(state.C + x[:, None] * x[None], state.a + x[0], state.seen | (x[0] > 0))
        return now, now.C @ x

    return Cell(
        "outer",
        3,
        3,
        init=lambda key, init_range=1.0: (),
        initial_state=lambda: State(jnp.zeros((3, 3)), jnp.float32(0), jnp.bool_(False)),
        step=step,
        gates=lambda params, state, x: {"h": step(params, state, x)[1]},
        truncate=lambda state: state,
    )


WRAPPED = {
    "layer_norm": layer_norm,
    "variational_dropout": lambda cell: variational_dropout(
        cell, KEY, input_rate=0.25, recurrent_rate=0.5
    ),
    "zoneout": lambda cell: zoneout(cell, KEY, rates={"h": 0.5}),
    "zoneout without a key": lambda cell: zoneout(cell, None, rates={"h": 0.5}),
}
FIRST_VARIANTS = list({cell: name for name, (cell, _) in reversed(VARIANTS.items())}.values())


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("layer_norm", "lstm"),
        ("layer_norm", "gru"),
        ("variational_dropout", "gru"),
        ("zoneout", "lstm"),
        ("zoneout without a key", "gru"),
    ],
)
class TestAnyWrapper:
    def test_is_a_cell_like_another(self, name, base, float64):
        """Scan, gates, sizes, the state carried, length and resets."""
        cell = WRAPPED[name](CELLS[base](D, H))
        params, state, xs = random_case(cell, seed=1)
        start, none = cell.initial_state(), np.zeros(T, bool)
        assert (cell.input_size, cell.output_size) == (D, H)
        assert jax.tree.structure(state) == jax.tree.structure(start)
        run = quick(
            lambda xs, state, length, resets: unroll(
                cell, params, xs, state, length=length, resets=resets
            )
        )
        for length, resets in ((T, none), (4, np.arange(T) == 2), (0, none)):
            got = run(padded_with(xs, length, np.nan), state, length, resets)
            close(got, run_cell(cell, params, xs, state, length=length, resets=resets))
        whole_state, whole = run(xs, state, T, none)
        middle, first = run(xs, state, 3, none)
        final, second = run(np.roll(xs, -3, axis=0), middle, T - 3, none)
        close((final, np.concatenate([first[:3], second[: T - 3]])), (whole_state, whole))
        assert_close(quick(cell.gates)(params, state, xs[0])["h"], whole[0])

    def test_truncate_keeps_what_the_cell_keeps(self, name, base):
        cell, inner = WRAPPED[name](CELLS[base](D, H)), CELLS[base](D, H)
        state = cell.initial_state()
        jax.tree.map(np.testing.assert_array_equal, cell.truncate(state), state)
        _, pull = jax.vjp(lambda s: weighted_sum(cell.truncate(s)), state)
        _, inner_pull = jax.vjp(lambda s: weighted_sum(inner.truncate(s)), inner.initial_state())
        got = jax.tree.leaves(getattr(pull(1.0)[0], "cell", pull(1.0)[0]))
        for one, other in zip(got, jax.tree.leaves(inner_pull(1.0)[0]), strict=True):
            assert (one != 0).any() == (other != 0).any()

    def test_says_that_it_is_not_the_cell_itself(self, name, base):
        """Kernels and converters go by `spec` and name: neither may claim the plain cell."""
        wrapped, inner = WRAPPED[name](CELLS[base](D, H)), CELLS[base](D, H)
        assert wrapped.spec is None or wrapped.spec != inner.spec
        assert wrapped.associative is None


@pytest.mark.parametrize("name", ["layer_norm", "zoneout"])
def test_wrapped_cells_go_wherever_cells_go(name, float64):
    """In a stack, as a stacked cell, and under BPTT in a network."""
    cells = [WRAPPED[name](CELLS["lstm"](D, 4)), WRAPPED[name](CELLS["gru"](4, 3))]
    structure, cell = stack(*cells), stacked_cell(*cells)
    params, _, xs = random_case(structure, seed=3)
    run = quick(lambda params, xs: (unroll(cell, params, xs), structure.apply(params, xs)))
    one, other = run(params, xs)
    close(one, other)
    net = network(cell, readout(3, 1))
    weights = randomised(jax.eval_shape(net.init, jax.random.key(0)), np.random.default_rng(3))
    example = Example(np.asarray(xs), np.ones(1), np.int32(T), None)
    _, grads = quick(GRADIENT_RULES["bptt"](net, "end"))(weights, example)
    assert all(np.asarray(leaf).any() for leaf in jax.tree.leaves(grads))


@pytest.mark.parametrize("variant", FIRST_VARIANTS)
def test_a_cell_without_parts_is_refused_and_the_others_are_wrapped(variant):
    cell = make_cell(variant)
    for wrap in (layer_norm, WRAPPED["variational_dropout"]):
        if cell.parts is None:
            with pytest.raises(ValueError, match=cell.name) as caught:
                wrap(cell)
            assert "\n" not in str(caught.value)
            continue
        wrapped = wrap(cell)
        params, state, xs = random_case(wrapped, seed=4, num_steps=1)
        after, y = jax.eval_shape(wrapped.step, params, state, xs[0])
        assert y.shape == (cell.output_size,)
        assert jax.tree.structure(after) == jax.tree.structure(cell.initial_state())


# ---- layer normalisation (Ba, Kiros & Hinton 2016)


def normalised(a, gain, epsilon):
    """Their eq. 4 without a bias: over the units of one gate."""
    return gain * (a - a.mean()) / np.sqrt(((a - a.mean()) ** 2).mean() + epsilon)


def by_ba_et_al(base, params, x, state, epsilon):
    """Their eqs 20 to 22 (the LN of c left out) and 23 to 27: a plain NumPy statement."""
    p = {k: np.asarray(v) for k, v in params.cell._asdict().items() if v is not None}

    def net(gate):
        from_x = normalised(p["w_" + gate] @ x, np.asarray(params.gain_x[gate]), epsilon)
        from_h = normalised(p["r_" + gate] @ state["h"], np.asarray(params.gain_h[gate]), epsilon)
        return from_x, from_h, p["b_" + gate]

    if base == "lstm":
        i, f, o = (sigmoid(sum(net(gate))) for gate in "ifo")
        c = i * np.tanh(sum(net("z"))) + f * state["c"]
        return {"c": c, "h": o * np.tanh(c)}
    r, z = (sigmoid(sum(net(gate))) for gate in "rz")
    from_x, from_h, b = net("n")
    n = np.tanh(from_x + b + r * (from_h + p["b_rn"]))
    return {"h": (1 - z) * n + z * state["h"]}


@pytest.mark.parametrize("base", ["lstm", "gru"])
@pytest.mark.parametrize("epsilon", [1e-5, 0.1])
def test_layer_norm_is_ba_kiros_and_hinton(base, epsilon, float64):
    inner = CELLS[base](D, H)
    cell = layer_norm(inner) if epsilon == 1e-5 else layer_norm(inner, epsilon=epsilon)
    params, state, xs = random_case(cell, seed=5)  # gains and biases are random as well
    final, ys = unroll(cell, params, xs, state)
    now = {k: np.asarray(v) for k, v in state._asdict().items() if v is not None}
    for t, x in enumerate(np.asarray(xs)):
        now = by_ba_et_al(base, params, x, now, epsilon)
        assert_close(ys[t], now["h"])
    assert_close({k: v for k, v in final._asdict().items() if v is not None}, now)


def test_layer_norm_starts_with_gains_of_one():
    inner = CELLS["lstm"](D, H)
    params = layer_norm(inner).init(jax.random.key(0))
    assert set(params.gain_x) == set(params.gain_h) == set("zifo")
    for gain in (*params.gain_x.values(), *params.gain_h.values()):
        np.testing.assert_array_equal(gain, np.ones(H, np.float32))
    jax.tree.map(
        np.testing.assert_array_equal, params.cell, inner.init(jax.random.key(0))
    )  # the cell's own start, forget bias included


@pytest.mark.parametrize("base", ["lstm", "gru"])
@pytest.mark.parametrize("part", ["w_", "r_"])
def test_layer_norm_does_not_see_scale_or_shift_of_the_weights(base, part, float64):
    """Table 1 of the paper: invariant to re-scaling and re-centring of the weight matrix."""
    cell = layer_norm(CELLS[base](D, H), epsilon=1e-14)
    params, state, xs = random_case(cell, seed=6)
    names = [name for name in params.cell._fields if name.startswith(part)]
    rng = np.random.default_rng(6)
    moved = {}
    for name in names:
        weights = getattr(params.cell, name)
        if weights is not None and weights.ndim == 2:
            row = rng.normal(size=weights.shape[1])
            moved[name] = rng.uniform(0.5, 3) * weights + np.broadcast_to(row, weights.shape)
    assert moved
    other = params._replace(cell=params.cell._replace(**moved))
    one, two = (unroll(cell, p, xs, state)[1] for p in (params, other))
    np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-10)
    plain = [unroll(CELLS[base](D, H), p.cell, xs, state)[1] for p in (params, other)]
    assert not np.allclose(*plain, atol=1e-3)


def test_layer_norm_of_a_projected_lstm_and_of_other_gate_sets(float64):
    """Gains follow the gates that there are: no f under CIFG, and [H] over a projection of P."""
    for options, gates in (({"projection_size": 2}, "zifo"), ({"switches": ("NP", "CIFG")}, "zio")):
        cell = layer_norm(CELLS["lstm"](D, H, **options))
        params, state, xs = random_case(cell, seed=7)
        assert set(params.gain_x) == set(params.gain_h) == set(gates)
        assert all(gain.shape == (H,) for gain in params.gain_h.values())
        _, ys = unroll(cell, params, xs, state)
        assert ys.shape == (T, cell.output_size) and np.isfinite(ys).all()


def test_layer_norm_at_zero_is_finite_with_its_gradients():
    """All projections equal, as at x = 0 and h = 0: the variance is zero there."""
    cell = layer_norm(CELLS["lstm"](D, H))
    params = cell.init(jax.random.key(0))
    gradient = jax.value_and_grad(lambda *args: weighted_sum(cell.step(*args)), argnums=(0, 1, 2))
    value, grads = quick(gradient)(params, cell.initial_state(), jnp.zeros(D))
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


# ---- variational dropout (Gal & Ghahramani 2016)


class TestVariationalDropout:
    def test_one_mask_for_all_steps(self):
        size = 16
        cell, params = identity_cell(size)
        xs = np.eye(size, dtype=np.float32)[np.arange(3 * size) % size]  # each unit three times
        _, ys = unroll(variational_dropout(cell, KEY, input_rate=0.5), params, xs)
        mask = np.asarray(ys).sum(axis=1)
        np.testing.assert_array_equal(mask[:size], mask[size : 2 * size])
        np.testing.assert_array_equal(mask[:size], mask[2 * size :])
        assert set(mask) == {0.0, 2.0}
        np.testing.assert_array_equal(ys, xs * np.tile(mask[:size], (3 * size, 1)))

    def test_recurrent_mask_is_the_same_at_all_steps_too(self, float64):
        size, rate = 12, 0.25
        cell, params = identity_cell(size, recurrent=0.9)
        wrapped = variational_dropout(cell, KEY, recurrent_rate=rate)
        xs = np.random.default_rng(8).normal(size=(T, size))
        _, start, _ = random_case(cell, seed=8)
        _, ys = unroll(wrapped, jax.tree.map(np.float64, params), xs, start)
        h, r = np.asarray(start.h), np.float64(np.float32(0.9))
        mask = np.round((np.asarray(ys[0]) - xs[0]) / (r * h), 9)
        assert set(mask) == {0.0, np.round(1 / (1 - rate), 9)}
        for t, x in enumerate(xs):
            h = x + r * np.sign(mask) / (1 - rate) * h
            assert_close(ys[t], h)

    @pytest.mark.parametrize("base", ["lstm", "gru", "slstm"])
    def test_no_key_or_no_rate_is_the_cell_itself(self, base):
        cell = CELLS[base](D, H)
        params, state, xs = random_case(cell, seed=9, num_steps=1)
        expected = quick(cell.step)(params, state, xs[0])
        for wrapped in (
            variational_dropout(cell, None, input_rate=0.5, recurrent_rate=0.5),
            variational_dropout(cell, KEY),
        ):
            got = quick(wrapped.step)(params, state, xs[0])
            jax.tree.map(np.testing.assert_array_equal, got, expected)

    def test_the_expected_input_is_the_input(self):
        cell, params = identity_cell(4)
        x = np.random.default_rng(10).normal(size=(1, 4)).astype(np.float32)
        rate, num = 0.3, 4000

        def masked(key):
            return unroll(variational_dropout(cell, key, input_rate=rate), params, x)[1][0]

        ys = np.asarray(quick(jax.vmap(masked))(jax.random.split(KEY, num)))
        np.testing.assert_allclose(
            ys[ys != 0], np.broadcast_to(x[0] / 0.7, ys.shape)[ys != 0], 1e-6
        )
        spread = abs(x[0]) * np.sqrt(rate / (1 - rate) / num)
        assert (abs(ys.mean(axis=0) - x[0]) < 5 * spread).all()

    def test_masks_of_inputs_and_of_h_are_drawn_apart_and_by_the_key(self):
        size = 64
        cell, params = identity_cell(size, recurrent=1.0)

        @quick
        def masks(key):
            cell_in_noise = variational_dropout(cell, key, input_rate=0.5, recurrent_rate=0.5)
            start = cell.initial_state()
            return (
                cell_in_noise.step(params, start, jnp.ones(size))[1],
                cell_in_noise.step(params, start._replace(h=jnp.ones(size)), jnp.zeros(size))[1],
            )

        (x, h), (again, _), (other, _) = (masks(jax.random.key(k)) for k in (0, 0, 1))
        np.testing.assert_array_equal(x, again)
        assert (x != other).any() and (x != h).any()

    @pytest.mark.parametrize(
        ("base", "gate", "shift"),
        [
            ("gru", "b_z", 200),  # z = 1 keeps
            ("mut1", "b_z", -200),  # z = 0 keeps
            ("mut2", "b_z", -200),
            ("mut3", "b_z", -200),
            ("mgu", "b_f", -200),  # f = 0 keeps
        ],
    )
    def test_the_memory_path_is_not_masked(self, base, gate, shift):
        """The state is kept exactly, however much of it the gates do not see."""
        cell = CELLS[base](D, H)
        params, state, xs = random_case(cell, seed=11)
        step = quick(variational_dropout(cell, KEY, recurrent_rate=0.9).step)
        keep = params._replace(**{gate: getattr(params, gate) + shift})
        np.testing.assert_array_equal(step(keep, state, xs[0])[1], state.h)
        masked, plain = step(params, state, xs[0])[1], quick(cell.step)(params, state, xs[0])[1]
        assert not np.allclose(masked, plain, atol=1e-2)

    def test_what_the_gates_of_the_lstm_see(self, float64):
        """One step by hand: x and h' masked, c' not."""
        cell = CELLS["lstm"](D, H)
        params, state, xs = random_case(cell, seed=12)
        wrapped = variational_dropout(cell, KEY, input_rate=0.4, recurrent_rate=0.4)
        gates = quick(wrapped.gates)(params, state, xs[0])
        # which masks were drawn is told by the gates: one of the 2^(D + H) candidates fits
        masks = np.array(list(np.ndindex(*(2,) * (D + H)))) / 0.6
        candidates = quick(
            jax.vmap(
                lambda mask: cell.gates(
                    params, state._replace(h=mask[D:] * state.h), mask[:D] * xs[0]
                )
            )
        )(masks)
        fits = np.isclose(candidates["i"], gates["i"], rtol=1e-9).all(axis=1)
        assert fits.sum() == 1
        assert_close(gates, {name: leaf[fits][0] for name, leaf in candidates.items()})
        (mask,) = masks[fits] != 0
        assert 0 < mask.sum() < D + H

    @pytest.mark.parametrize("field", ["input_rate", "recurrent_rate"])
    @pytest.mark.parametrize("rate", [-0.1, 1.0, 2.0, float("nan")])
    def test_a_rate_outside_is_refused(self, field, rate):
        for key in (KEY, None):
            with pytest.raises(ValueError, match=field) as caught:
                variational_dropout(CELLS["lstm"](D, H), key, **{field: rate})
            assert "\n" not in str(caught.value)


# ---- zoneout (Krueger et al. 2017)


class TestZoneout:
    SIZE, STEPS, RATE = 40, 60, 0.3

    @staticmethod
    @lru_cache
    def compiled():
        cell, params = identity_cell(TestZoneout.SIZE)
        return quick(
            lambda xs, key: unroll(zoneout(cell, key, rates={"h": TestZoneout.RATE}), params, xs)[1]
        )

    def kept(self, key):
        """Which units kept their old value, from a cell whose new value never repeats."""
        shape = (self.STEPS, self.SIZE)
        xs = 1 + np.arange(self.STEPS * self.SIZE, dtype=np.float32).reshape(shape)
        ys = np.asarray(self.compiled()(xs, key))
        before = np.concatenate([np.zeros((1, self.SIZE)), ys[:-1]])
        kept = ys != xs
        np.testing.assert_array_equal(ys[kept], before[kept])  # old or new, no other
        return kept

    def test_the_share_kept_is_the_rate(self):
        kept, rate = self.kept(KEY), self.RATE
        assert abs(kept.mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / kept.size)

    def test_masks_differ_by_step_and_by_unit(self):
        kept = self.kept(KEY)
        assert len({row.tobytes() for row in kept}) == self.STEPS
        assert len({row.tobytes() for row in kept.T}) == self.SIZE

    def test_a_key_decides(self):
        first, again, other = (self.kept(jax.random.key(k)) for k in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()

    def test_rate_zero_is_the_cell_itself(self):
        cell = CELLS["lstm"](D, H)
        params, state, xs = random_case(cell, seed=13)
        expected = quick(cell.step)(params, state, xs[0])
        for key, rates in ((KEY, {}), (KEY, {"c": 0.0, "h": 0.0}), (None, {"c": 0.0, "h": 0.0})):
            wrapped = zoneout(cell, key, rates=rates)
            start = wrapped.initial_state()._replace(cell=state)
            after, y = quick(wrapped.step)(params, start, xs[0])
            jax.tree.map(np.testing.assert_array_equal, (after.cell, y), expected)

    def test_without_a_key_it_is_the_expectation(self, float64):
        """h and c each mixed with the value before, by their own rates; by hand."""
        cell = CELLS["lstm"](D, H)
        params, state, xs = random_case(cell, seed=14)
        wrapped = zoneout(cell, None, rates={"c": 0.5, "h": 0.05})
        final, ys = unroll(wrapped, params, xs, wrapped.initial_state()._replace(cell=state))
        now, step = state, quick(cell.step)
        for t, x in enumerate(xs):
            new, _ = step(params, now, x)
            now = new._replace(c=0.5 * now.c + 0.5 * new.c, h=0.05 * now.h + 0.95 * new.h)
            assert_close(ys[t], now.h)  # the zoned h is what goes out
        assert_close(final.cell, now)

    def test_with_a_key_each_unit_is_old_or_new(self, float64):
        """As Krueger et al. eqs 1 and 2: the new h comes of the new c before that is zoned out."""
        cell = CELLS["lstm"](D, H)
        params, state, xs = random_case(cell, seed=15, num_steps=20)
        wrapped = zoneout(cell, KEY, rates={"c": 0.5, "h": 0.3})
        step, plain = quick(wrapped.step), quick(cell.step)
        now, seen = wrapped.initial_state()._replace(cell=state), []
        for x in xs:
            new, _ = plain(params, now.cell, x)
            after, y = step(params, now, x)
            for field in "ch":
                old_value, new_value = (np.asarray(getattr(s, field)) for s in (now.cell, new))
                value = np.asarray(getattr(after.cell, field))
                old, fresh = (np.isclose(value, v, rtol=1e-12) for v in (old_value, new_value))
                assert (old | fresh).all()
                seen.append(old)
            assert_close(y, after.cell.h)
            now = after
        masks_c, masks_h = np.array(seen[0::2]), np.array(seen[1::2])
        # c and h by draws of their own: neither mask holds the other
        assert (masks_c & ~masks_h).any() and (masks_h & ~masks_c).any()

    def test_the_mean_over_masks_is_the_expectation_form(self):
        cell = CELLS["gru"](D, 4)
        params, state, xs = random_case(cell, seed=16, num_steps=1)

        def one(key):
            wrapped = zoneout(cell, key, rates={"h": 0.3})
            return unroll(wrapped, params, xs, wrapped.initial_state()._replace(cell=state))[1][0]

        ys = np.asarray(quick(jax.vmap(one))(jax.random.split(KEY, 4000)))
        expected = one(None)
        spread = abs(np.ptp(ys, axis=0)) * np.sqrt(0.3 * 0.7 / 4000)
        assert (abs(ys.mean(axis=0) - expected) < 5 * spread).all()

    def test_steps_are_counted_in_the_state_and_masks_go_on_with_it(self):
        wrapped = zoneout(CELLS["gru"](D, H), KEY, rates={"h": 0.5})
        params, _, xs = random_case(wrapped, seed=17)
        start = wrapped.initial_state()
        assert start.t.dtype == jnp.int32 and int(start.t) == 0
        final, _ = unroll(wrapped, params, xs, length=4)
        assert final.t.dtype == jnp.int32 and int(final.t) == 4

    @pytest.mark.parametrize("field", ["C", "a"])
    @pytest.mark.parametrize("key", [KEY, None], ids=["key", "mean"])
    def test_a_field_of_any_shape_stays_number_by_number(self, field, key):
        cell = outer_cell()
        wrapped = zoneout(cell, key, rates={field: 0.5})
        x = jnp.array([1.0, 2.0, 3.0])
        old = State(jnp.full((3, 3), 0.5), jnp.float32(0.5), jnp.bool_(True))
        new, _ = cell.step(None, old, x)
        after, y = wrapped.step(None, wrapped.initial_state()._replace(cell=old), x)
        assert y.shape == (3,)
        for name, was, fresh, value in zip(State._fields, old, new, after.cell, strict=True):
            assert (value.shape, value.dtype) == (was.shape, was.dtype)
            if name != field:
                np.testing.assert_array_equal(value, fresh)
            elif key is None:
                assert_close(value, (was + fresh) / 2)
            else:
                assert ((value == was) | (value == fresh)).all()
                if name == "C":  # each number by a draw of its own
                    assert (value == was).any() and (value == fresh).any()

    def test_a_truth_value_has_no_rate(self):
        with pytest.raises(ValueError, match="no field 'seen'; it has C, a"):
            zoneout(outer_cell(), KEY, rates={"seen": 0.5})

    @pytest.mark.parametrize(
        ("base", "rates", "words"),
        [
            ("lstm", {"x": 0.5}, "x.*c.*h"),
            ("gru", {"c": 0.5}, "c.*h"),
            ("lstm", {"i": 0.5}, "i.*c.*h"),  # there is no i in this state
            ("gru", {"h": 1.0}, "h"),
            ("gru", {"h": -0.1}, "h"),
            ("gru", {"h": float("nan")}, "h"),
            ("slstm", {"c": 0.5}, "'c'.*exp.*'h'"),
            ("slstm", {"h": 0.2, "n": 0.5}, "'n'.*exp.*'h'"),
            ("slstm", {"m": 0.0}, "'m'.*exp.*'h'"),
        ],
    )
    def test_bad_rates_are_one_clear_line(self, base, rates, words):
        for key in (KEY, None):
            with pytest.raises(ValueError, match=words) as caught:
                zoneout(CELLS[base](D, H), key, rates=rates)
            assert "\n" not in str(caught.value)


def test_wrappers_in_wrappers(float64):
    """Zoneout over layer normalisation, with dropout's masks inside."""
    inner = variational_dropout(layer_norm(CELLS["lstm"](D, H)), KEY, input_rate=0.5)
    cell = zoneout(inner, None, rates={"c": 0.5})
    params, _, xs = random_case(cell, seed=18)
    state, ys = unroll(cell, params, xs)
    expected, now, step = [], inner.initial_state(), quick(inner.step)
    for x in xs:
        new, y = step(params, now, x)
        now = new._replace(c=0.5 * now.c + 0.5 * new.c)
        expected.append(y)
    assert_close(ys, np.array(expected))
    assert_close(state.cell, now)


def test_layer_norm_starts_with_the_cells_own_weights_in_the_range_asked_for():
    base, key = CELLS["lstm"](2, 3), jax.random.key(0)
    for given in ((), (0.01,)):
        wrapped, plain = layer_norm(base).init(key, *given).cell, base.init(key, *given)
        for one, other in zip(*map(jax.tree.leaves, (wrapped, plain)), strict=True):
            np.testing.assert_array_equal(one, other)
