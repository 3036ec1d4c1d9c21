"""What the options of the cells are: weight counts, fresh weights, refusals, forms of one cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import CELLS
from lstm_jax.network import num_weights
from lstm_jax.unroll import unroll
from tests.compiling import quick
from tests.oracles import adapters
from tests.tolerances import assert_close
from tests.variants import LSTM97_VARIANTS, VARIANTS, D, T, make_cell, random_case


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


every_variant = pytest.mark.parametrize("variant", VARIANTS)

H, P = 5, 2
UNIT = D * H + H * H + H  # input weights, recurrent weights and bias of a gate or candidate
SEES_P = D * H + P * H + H  # the same where the recurrent source is a projection
# variant -> number of weights, by arithmetic
COUNTS = {
    "lstm97": (2 + 2 + 8) * (D + 2 + 2 + 8 + 1),
    "lstm97_gate_bias_only": (2 + 2 + 8) * (D + 2 + 2 + 8) + 2 + 2,
    "lstm97_no_bias": (5 + 5 + 5) * (D + 5 + 5 + 5),
    "lstm97_no_output_gate": (2 + 8) * (D + 2 + 8 + 1),
    "lstm97_g1_id": (1 + 2) * (D + 1 + 2) + 1,
    "lstm97_gates_unseen": (2 + 2 + 8) * (D + 8 + 1),
    "lstm97_silent": (2 + 2 + 8) * (D + 2 + 2 + 8 + 1),
    "lstm97_ranges_swapped": (2 + 2 + 8) * (D + 2 + 2 + 8 + 1),
    "lstm97_not_recurrent": (2 + 2 + 8) * (D + 1),
    "lstm97_experiment_2a": 2 * D,
    "lstm": 4 * UNIT,
    "lstm_v": 4 * UNIT + 3 * H,
    "lstm_nig": 3 * UNIT + 2 * H,
    "lstm_nfg": 3 * UNIT + 2 * H,
    "lstm_nog": 3 * UNIT + 2 * H,
    "lstm_niaf": 4 * UNIT + 3 * H,
    "lstm_noaf": 4 * UNIT + 3 * H,
    "lstm_cifg": 3 * UNIT + 2 * H,
    "lstm_fgr": 4 * UNIT + 3 * H + 9 * H * H,
    "lstm_cifg_np": 3 * UNIT,
    "lstm_nig_nog_np": 2 * UNIT,
    "lstm_np_fgr": 4 * UNIT + 9 * H * H,
    "lstm_nfg_fgr": 3 * UNIT + 2 * H + 4 * H * H,
    "lstm_niaf_noaf": 4 * UNIT + 3 * H,
    "lstm_no_gates": UNIT,
    "lstm_projected": 4 * SEES_P + P * H,
    "lstm_cifg_fgr_projected_clipped": 3 * SEES_P + 2 * H + 4 * H * H + P * H,
    "lstm_clipped": 4 * UNIT + 3 * H,
    "lstm_squashers": 4 * UNIT + 3 * H,
    "gru": 3 * UNIT + H,
    "gru_before": 3 * UNIT,
    "gru_one_bias": 3 * UNIT,
    "gru_clipped": 3 * UNIT + H,
    "gru_before_clipped_squashers": 3 * UNIT,
    "mut1": 3 * D * H + 2 * H * H + 3 * H,
    "mut2": 3 * D * H + 3 * H * H + 3 * H,
    "mut3": 3 * UNIT,
    "mgu": 2 * UNIT,
    "min_gru": 2 * (D * H + H),
    "min_lstm": 3 * (D * H + H),
    "slstm": 4 * UNIT,
    "slstm_exp": 4 * UNIT,
    "slstm_heads": 4 * (D * 8 + 2 * 4 * 4 + 8),
    "slstm_exp_heads": 4 * (D * 8 + 4 * 2 * 2 + 8),
    "elman": UNIT,
    "elman_logistic": UNIT,
    "elman_relu": UNIT,
    "elman_no_bias": UNIT - H,
    "elman_softplus": UNIT,
    "irnn": UNIT,
}


@every_variant
def test_number_of_weights(variant):
    params = jax.eval_shape(make_cell(variant).init, jax.random.key(0))
    assert num_weights(params) == COUNTS[variant]


@pytest.fixture
def quick_draws(monkeypatch):
    """Uniform numbers that need no compiling."""

    def uniform(key, num):
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        return jnp.asarray(rng.uniform(size=num), jnp.float32)

    monkeypatch.setattr("lstm_jax.draws.uniform", uniform)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name not in LSTM97_VARIANTS])
def test_fresh_weights_are_uniform_and_fresh_biases_zero(variant, quick_draws):
    cell = make_cell(variant)
    size = VARIANTS[variant][1]["hidden_size"]
    for range_given in (None, 0.01):
        given = () if range_given is None else (range_given,)
        limit = range_given or (0.001 * 3**0.5 if cell.name == "irnn" else size**-0.5)
        drawn = []
        for name, leaf in cell.init(jax.random.key(0), *given)._asdict().items():
            if leaf is None:
                continue
            assert leaf.dtype == np.float32
            leaf = np.asarray(leaf)
            if name == "r" and cell.name == "irnn":
                np.testing.assert_array_equal(leaf, 0.5 * np.eye(size, dtype=np.float32))
            elif name.startswith("b"):
                assert (leaf == (1.0 if (cell.name, name) == ("lstm", "b_f") else 0.0)).all()
            else:
                assert limit / 2 < np.abs(leaf).max() <= limit, name
                assert leaf.size < 10 or leaf.min() < 0 < leaf.max(), name
                drawn.append(leaf.ravel())
        drawn = np.concatenate(drawn)
        assert len(np.unique(drawn)) > 0.99 * drawn.size  # no weight is a copy of another


def test_fresh_options(quick_draws):
    key = jax.random.key(0)
    params = CELLS["lstm"](D, 5, forget_bias=1.5, switches=("NIG",)).init(key)
    assert (params.b_f == 1.5).all() and not params.b_o.any() and not params.b_z.any()
    assert CELLS["lstm"](D, 5, forget_bias=1.5, switches=("CIFG",)).init(key).b_f is None
    np.testing.assert_array_equal(CELLS["irnn"](D, 5).init(key).r, np.eye(5))
    with jax.enable_x64(True):
        wide = CELLS["gru"](D, 5).init(key)
    assert all(leaf.dtype == np.float64 for leaf in wide)
    assert_close(jax.tree.map(np.float32, wide), CELLS["gru"](D, 5).init(key))


OTHER_CELLS = ("mut1", "mut2", "mut3", "mgu", "irnn", "min_gru", "min_lstm", "slstm")


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: CELLS["lstm97"](0, 2, 2), "input_size"),
        (lambda: CELLS["lstm97"](2, 0, 2), "num_blocks"),
        (lambda: CELLS["lstm97"](2, 2, -1), "block_size"),
        (lambda: CELLS["lstm97"](2, 2, 1.5), "block_size"),
        (lambda: CELLS["lstm97"](2, 2, 2, bias="cells"), "bias.*hidden.*gates.*none"),
        (lambda: CELLS["lstm97"](2, 2, 2, g="tanh"), "g.*g2.*g1|g.*g1.*g2"),
        (lambda: CELLS["lstm97"](2, 2, 2, h="h2"), "h.*h1.*id"),
        (lambda: CELLS["lstm97"](2, 2, 2, gate_bias="drawn"), "gate_bias.*stated.*added"),
        (lambda: CELLS["lstm97"](2, 2, 2, input_gate_bias=(-3.0,)), "input_gate_bias"),
        (lambda: CELLS["lstm97"](2, 2, 2, output_gate_bias=(1.0, 2.0, 3.0)), "output_gate_bias"),
        (
            lambda: CELLS["lstm97"](2, 2, 2, bias="none", input_gate_bias=(-3.0, -6.0)),
            "input_gate_bias",
        ),
        (
            lambda: CELLS["lstm97"](2, 2, 2, output_gate=False, output_gate_bias=(-1.0, -2.0)),
            "output_gate_bias",
        ),
        (lambda: CELLS["lstm"](2, 0), "hidden_size"),
        (lambda: CELLS["lstm"](True, 3), "input_size"),
        (lambda: CELLS["lstm"](2, 3, switches=("NPX",)), "switches.*NPX.*NIG.*CIFG.*FGR"),
        (lambda: CELLS["lstm"](2, 3, switches=("NP", "NIG", "NP")), "switches.*twice"),
        (lambda: CELLS["lstm"](2, 3, switches=("CIFG", "NIG")), "switches.*CIFG.*NIG"),
        (lambda: CELLS["lstm"](2, 3, switches=("NFG", "NP", "CIFG")), "switches.*CIFG.*NFG"),
        (lambda: CELLS["lstm"](2, 3, switches="NP"), "switches.*NP.*tuple"),
        (lambda: CELLS["lstm"](2, 3, projection_size=0), "projection_size"),
        (lambda: CELLS["lstm"](2, 3, clip=0.0), "clip"),
        (lambda: CELLS["lstm"](2, 3, clip=-1.0), "clip"),
        (lambda: CELLS["lstm"](2, 3, gate_activation="sigmoid"), "gate_activation.*logistic"),
        (lambda: CELLS["lstm"](2, 3, g="sin"), "g: 'sin'.*tanh"),
        (lambda: CELLS["lstm"](2, 3, h=3), "h: 3.*tanh"),
        (lambda: CELLS["gru"](2, 0), "hidden_size"),
        (lambda: CELLS["gru"](2, 3, reset="never"), "reset.*never.*after.*before"),
        (lambda: CELLS["gru"](2, 3, clip=0.0), "clip"),
        (lambda: CELLS["gru"](2, 3, g="sin"), "g: 'sin'.*tanh"),
        (lambda: CELLS["gru"](2, 3, gate_activation="sin"), "gate_activation: 'sin'.*tanh"),
        *((lambda n=n: CELLS[n](2, 0), "hidden_size") for n in OTHER_CELLS),
        *((lambda n=n: CELLS[n](2.0, 3), "input_size") for n in OTHER_CELLS),
        (lambda: CELLS["slstm"](2, 3, forget="relu"), "forget.*relu.*logistic.*exp"),
        (lambda: CELLS["slstm"](2, 3, num_heads=0), "num_heads"),
        (lambda: CELLS["slstm"](2, 6, num_heads=4), "num_heads.*4.*6|6.*num_heads.*4"),
        (lambda: CELLS["elman"](0, 3), "input_size"),
        (lambda: CELLS["elman"](2, 3, activation="sigmoid"), "activation.*tanh.*logistic.*relu"),
    ],
)
def test_bad_arguments_name_the_field(make, field):
    with pytest.raises(ValueError, match=field) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in CELLS if name != "lstm97"])
def test_an_option_that_is_not_there_is_no_option(name):
    with pytest.raises(TypeError, match="peephole"):
        CELLS[name](2, 3, peephole=True)


@pytest.mark.parametrize(
    ("switch", "gone"),
    [
        ("NIG", "w_i r_i b_i p_i r_ii r_if r_io r_fi r_oi"),
        ("NFG", "w_f r_f b_f p_f r_ff r_fi r_fo r_if r_of"),
        ("CIFG", "w_f r_f b_f p_f r_ff r_fi r_fo r_if r_of"),
        ("NOG", "w_o r_o b_o p_o r_oo r_oi r_of r_io r_fo"),
        ("NP", "p_i p_f p_o"),
    ],
)
def test_a_switch_removes_these_weights_and_no_others(switch, gone):
    def fields(*switches):
        cell = CELLS["lstm"](D, H, switches=switches)
        params = jax.eval_shape(cell.init, jax.random.key(0))
        return {name for name, leaf in params._asdict().items() if leaf is not None}

    assert fields("FGR") - fields("FGR", switch) == set(gone.split())
    state = CELLS["lstm"](D, H, switches=("FGR", switch)).initial_state()
    held = {name for name in "ifo" if getattr(state, name) is not None}
    assert held == {"i", "f", "o"} - {field[2:] for field in gone.split() if field[0] == "w"}
    assert CELLS["lstm"](D, H, switches=(switch,)).initial_state()[2:] == (None, None, None)


def test_switches_come_in_any_order():
    one, other = (CELLS["lstm"](D, H, switches=s) for s in (("NIG", "NOG"), ("NOG", "NIG")))
    params, state, xs = random_case(one, seed=1)
    assert_close(unroll(one, params, xs, state), unroll(other, params, xs, state))


def test_the_1997_cell_is_the_lstm_without_forget_gate_and_with_gate_recurrence(float64):
    """Blocks of one cell whose input sees no gates: NFG, NP, FGR, with the squashers of 1997."""
    cell = CELLS["lstm97"](D, 4, 1)
    params, state, xs = random_case(cell, seed=2)
    r = {a: np.split(np.asarray(getattr(params, "r_" + a)), 3, axis=1) for a in "zio"}
    params = params._replace(r_z=np.concatenate([0 * r["z"][0], 0 * r["z"][1], r["z"][2]], axis=1))
    modern = CELLS["lstm"](
        D,
        4,
        switches=("NFG", "NP", "FGR"),
        g=lambda x: 2 * jnp.tanh(x / 2),
        h=lambda x: jnp.tanh(x / 2),
    )
    given = {f"{kind}_{a}": getattr(params, f"{kind}_{a}") for kind in "wb" for a in "zio"}
    given |= {f"r_{a}": r[a][2] for a in "zio"}
    given |= {f"r_{a}{b}": r[a][n] for a in "io" for n, b in enumerate("io")}
    shapes = jax.eval_shape(modern.init, jax.random.key(0))
    start = modern.initial_state()._replace(c=state.c, h=state.h, i=state.i, o=state.o)
    final, ys = unroll(modern, shapes._replace(**given), xs, start)
    expected, expected_ys = unroll(cell, params, xs, state)
    assert_close(ys, expected_ys)
    assert_close(
        [getattr(final, name) for name in "cioh"], [getattr(expected, name) for name in "cioh"]
    )


ASSOCIATIVE = ("min_gru", "min_lstm")


def test_the_cells_with_an_associative_form():
    assert {name for name in CELLS if make_cell(name).associative is not None} == {*ASSOCIATIVE}


@pytest.mark.parametrize("num_steps", [T, 1])
@pytest.mark.parametrize("variant", ASSOCIATIVE)
def test_associative_form_is_the_scan(variant, num_steps, float64):
    """Outputs, final state, and gradients in weights, state and inputs, from a non-zero state."""
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=3, num_steps=num_steps)

    @quick
    def both(params, state, xs):
        def scan(params, state, xs):
            return unroll(cell, params, xs, state)

        def associative(params, state, xs):
            return cell.associative(params, xs, state)

        results = []
        for form in (scan, associative):
            (final, ys), pull = jax.vjp(form, params, state, xs)
            weights = jnp.cos(1.0 + jnp.arange(ys.size, dtype=ys.dtype)).reshape(ys.shape)
            results.append((final, ys, pull((jax.tree.map(jnp.ones_like, final), weights))))
        return results

    scan, associative = both(params, state, xs)
    assert jax.tree.structure(scan) == jax.tree.structure(associative)
    assert associative[1].shape == (num_steps, H)
    assert_close(associative, scan)
    expected = adapters.steps(*VARIANTS[variant], params, state, xs)
    assert_close(associative[1], np.array([now["h"] for now in expected]), "oracle")


@pytest.mark.parametrize("variant", ASSOCIATIVE)
def test_associative_form_over_many_steps_in_float32(variant):
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=4, num_steps=500)
    _, ys = quick(cell.associative)(params, xs, state)
    _, expected = quick(lambda *args: unroll(cell, *args))(params, xs, state)
    assert ys.dtype == np.float32
    assert_close(ys, expected)


@pytest.mark.parametrize("variant", ["min_lstm", "slstm", "slstm_exp", "slstm_exp_heads"])
def test_net_inputs_beyond_the_exponential_of_float32(variant):
    """exp(90) is no float32: f / (f + i) and c / n must not be formed from such numbers."""
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=5)

    @quick
    def run(params, state):
        def outputs(params, state):
            return unroll(cell, params, xs, state)

        (final, ys), pull = jax.vjp(outputs, params, state)
        return final, ys, pull((jax.tree.map(jnp.ones_like, final), jnp.ones_like(ys)))

    # open, closed, and closed to the input while there is nothing to keep
    for open_i, open_f in ((90.0, 90.0), (-90.0, -90.0), (-200.0, 0.0)):
        moved = {"b_i": params.b_i + open_i, "b_f": params.b_f + open_f}
        extreme = params._replace(**moved)
        for start in (state, cell.initial_state()):
            final, ys, gradient = run(extreme, start)
            for leaf in jax.tree.leaves((final, ys, gradient)):
                assert np.isfinite(leaf).all()
            expected = adapters.steps(*VARIANTS[variant], extreme, start, xs)
            # a net input of 200 is known to 1e-5, and the exponential of it no better
            np.testing.assert_allclose(
                ys, np.array([now["h"] for now in expected]), rtol=1e-3, atol=1e-4
            )


@pytest.mark.parametrize("forget", ["logistic", "exp"])
def test_slstm_from_zero_by_hand(forget):
    """Weights and biases 1, x = 2: every net input is 3, and the first step forgets nothing."""
    cell = CELLS["slstm"](1, 1, forget=forget)
    shapes = jax.eval_shape(cell.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)
    state, y = quick(cell.step)(params, cell.initial_state(), np.float32([2.0]))
    one = np.ones(1)
    o = 1 / (1 + np.exp(-3.0))
    assert_close(state, (np.tanh(3.0) * one, one, 3.0 * one, o * np.tanh(3.0) * one))
    assert_close(y, o * np.tanh(3.0) * one)
