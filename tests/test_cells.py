"""Every registered cell, and every option of lstm97, against the same properties and oracles.

Properties run in float64, where a wrong term cannot hide in the rounding; float32 is checked
against it. Compiled functions are shared between the tests: compiling is most of their time.
"""

from functools import lru_cache

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from lstm_jax.cells import CELLS
from lstm_jax.unroll import unroll
from tests import golden
from tests.oracles import adapters
from tests.oracles import cells as oracle
from tests.oracles import lstm97 as paper
from tests.tolerances import CHECK_GRADS, assert_close
from tests.variants import LSTM97_VARIANTS, VARIANTS, D, T, make_cell, random_case, randomised

REGENERATE = (
    "the parameter or state tree of {0!r} is not the recorded one. If the change is meant, run "
    "`python -m tests.golden`, look at the difference of tests/golden/params.json, and say in "
    "CHANGELOG.md what becomes of saved weights"
)

every_variant = pytest.mark.parametrize("variant", VARIANTS)
# where a property costs a compilation of its own and rests on code that the variants share
several_variants = pytest.mark.parametrize("variant", ["lstm97", "lstm97_g1_id", "lstm", "elman"])
one_of_each_cell = pytest.mark.parametrize("variant", ["lstm97", "lstm", "elman"])


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


@lru_cache
def compiled(variant, reverse=False):
    """One compiled unroll per variant, shared by the tests (length is traced)."""
    cell = make_cell(variant)

    @jax.jit
    def run(params, state, xs, length):
        return unroll(cell, params, xs, state, length=length, reverse=reverse)

    return run


@lru_cache
def compiled_step(variant):
    """(state, y) and the gates of one step."""
    cell = make_cell(variant)
    return jax.jit(lambda *args: (cell.step(*args), cell.gates(*args)))


def python_loop(variant, params, state, xs):
    ys = [np.zeros((0, make_cell(variant).output_size))]
    for x in np.asarray(xs):
        (state, y), _ = compiled_step(variant)(params, state, x)
        ys.append(y[None])
    return state, np.concatenate(ys)


def with_nan_after(xs, length):
    padded = np.array(xs)
    padded[length:] = np.nan
    return padded


def test_every_registered_cell_has_a_row_here():
    missing = set(CELLS) - {name for name, _ in VARIANTS.values()}
    assert not missing, f"add rows for {sorted(missing)} to tests/variants.py"


@every_variant
def test_cell_says_its_name_and_sizes(variant):
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=1)
    assert (cell.name, cell.input_size) == (VARIANTS[variant][0], D)
    after, y = jax.eval_shape(cell.step, params, state, xs[0])
    assert y.shape == (cell.output_size,)
    start = cell.initial_state()
    assert jax.tree.structure(after) == jax.tree.structure(start)
    for leaf in jax.tree.leaves(start):
        assert not leaf.any()  # the paper resets activations and internal states to zero


@every_variant
def test_scan_equals_python_loop(variant, float64):
    case = random_case(make_cell(variant), seed=2)
    assert_close(compiled(variant)(*case, T), python_loop(variant, *case))


@one_of_each_cell
def test_jit_equals_eager(variant, float64):
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=2)
    expected = compiled(variant)(params, state, xs, T)
    assert_close(unroll(cell, params, xs, state), expected)  # without a length: another program
    for x in xs:
        state, y = cell.step(params, state, x)
    assert_close((state, y), (expected[0], expected[1][-1]))


@several_variants
def test_float32_is_float64_to_its_own_rounding(variant):
    case = random_case(make_cell(variant), seed=2)
    single = compiled(variant)(*case, T)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), case)
        double = compiled(variant)(*wide, T)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(single))
    assert all(leaf.dtype == np.float64 for leaf in jax.tree.leaves(double))
    assert_close(single, double)


@every_variant
def test_two_parts_with_the_state_carried_equal_the_whole(variant, float64):
    params, state, xs = random_case(make_cell(variant), seed=3)
    run = compiled(variant)
    whole_state, whole = run(params, state, xs, T)
    middle, first = run(params, state, xs, 4)
    rest = np.concatenate([xs[4:], np.full((4, D), 9.0)])  # same shape: no second compilation
    final, second = run(params, middle, rest, T - 4)
    assert_close(final, whole_state)
    assert_close(np.concatenate([first[:4], second[: T - 4]]), whole)


@one_of_each_cell
def test_no_state_means_the_initial_state(variant):
    cell = make_cell(variant)
    params, _, xs = random_case(cell, seed=4)
    assert_close(unroll(cell, params, xs), compiled(variant)(params, cell.initial_state(), xs, T))


@every_variant
def test_vmap_over_networks_and_sequences_equals_loop(variant, float64):
    cases = [random_case(make_cell(variant), seed) for seed in (5, 6)]
    lengths = np.array([T, 4])
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *cases)
    states, ys = jax.vmap(compiled(variant))(*stacked, lengths)
    for n, case in enumerate(cases):
        state, y = compiled(variant)(*case, lengths[n])
        assert_close(ys[n], y)
        assert_close(jax.tree.map(lambda leaf, n=n: leaf[n], states), state)


@every_variant
def test_gates_are_what_step_uses(variant, float64):
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=7)
    x = np.asarray(xs)[0]
    (after, y), gates = compiled_step(variant)(params, state, x)
    assert_close(gates["h"], y)
    for name, leaf in after._asdict().items():
        assert_close(gates.get(name), leaf)
    names = {"elman": {"h"}, "lstm": set("zifoch"), "lstm97": set("zioch")}[cell.name]
    assert set(gates) == (names - {"o"} if getattr(after, "o", 0) is None else names)
    if "i" in gates:
        block = len(gates["c"]) // len(gates["i"])  # lstm97: a block's cells share its gates
        i, z, forget = (np.asarray(gates.get(name, 1.0)) for name in "izf")
        assert_close(gates["c"], forget * np.asarray(state.c) + np.repeat(i, block) * z)


@every_variant
def test_agrees_with_numpy_in_float64(variant, float64):
    name, arguments = VARIANTS[variant]
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=8)
    final, ys = compiled(variant)(params, state, xs, T)
    _, gates = compiled_step(variant)(params, state, np.asarray(xs)[0])
    p, s, xs = adapters.as_float64(params), adapters.as_float64(state), np.asarray(xs)
    if name == "lstm97":
        net = adapters.paper_net(params, arguments)
        steps = paper.forward(net, xs, adapters.paper_state(state))
        last, first = steps[-1].state, steps[0]
        assert_close(ys, np.array([now.state.y_c for now in steps]), "oracle")
        assert_close(final, (last.s, last.y_in, last.y_out, last.y_c), "oracle")
        assert_close(gates["z"], paper.SQUASHERS[net.g][0](first.net_c), "oracle")
        assert_close(gates["i"], first.state.y_in, "oracle")
    elif name == "lstm":
        c, h, expected = oracle.lstm(p, xs, s["c"], s["h"])
        assert_close(ys, expected, "oracle")
        assert_close(final, (c, h), "oracle")
    elif name == "elman":
        h, expected = oracle.elman(p, xs, s["h"], arguments.get("activation", "tanh"))
        assert_close(ys, expected, "oracle")
        assert_close(final, (h,), "oracle")
    else:
        pytest.fail(f"write a NumPy oracle for {name!r} in tests/oracles/cells.py")


@pytest.mark.parametrize(("bias", "cell_sees_one"), [("hidden", True), ("gates", False)])
def test_lstm97_first_step_from_zero_by_hand(bias, cell_sees_one):
    """One block of two cells, weights 1, biases 1, x = 2: written out with pencil and paper."""
    cell = CELLS["lstm97"](1, 1, 2, bias=bias)
    shapes = jax.eval_shape(cell.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)
    state, y = jax.jit(cell.step)(params, cell.initial_state(), np.float32([2.0]))
    gate = 1 / (1 + np.exp(-3.0))
    net_c = 3.0 if cell_sees_one else 2.0
    c = gate * 2 * np.tanh(net_c / 2)
    assert_close(state.c, np.array([c, c]))
    assert_close(state.i, np.array([gate]))
    assert_close(y, np.array([gate * np.tanh(c / 2)] * 2))


@pytest.mark.parametrize("variant", ["lstm97", "lstm97_no_output_gate"])
def test_lstm97_recurrent_sources_are_i_then_o_then_h(variant, float64):
    """Moving one source moves the units through exactly its own column of r."""
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=9)
    x = np.asarray(xs)[0]
    names = [name for name in "ioh" if getattr(state, name) is not None]
    column = 0
    for name in names:
        for unit in range(len(getattr(state, name))):
            source = np.array(getattr(state, name))
            source[unit] += 0.5
            moved = state._replace(**{name: source})
            before, after = (
                np.asarray(compiled_step(variant)(params, s, x)[1]["i"]) for s in (state, moved)
            )
            shift = np.log(after / (1 - after)) - np.log(before / (1 - before))
            np.testing.assert_allclose(shift, 0.5 * params.r_i[:, column], rtol=1e-9, atol=1e-12)
            column += 1
    assert column == params.r_i.shape[1]


def weighted_sum(tree):
    """A scalar in which every element counts, each with its own weight."""
    total = 0.0
    for leaf in jax.tree.leaves(tree):
        weights = np.cos(1.0 + np.arange(leaf.size)).reshape(leaf.shape)
        total += jnp.sum(leaf * weights.astype(leaf.dtype))
    return total


@several_variants
def test_gradients_from_a_nonzero_state_in_float64(variant, float64):
    params, state, xs = random_case(make_cell(variant), seed=10)

    @jax.jit
    def scalar(params, state, xs):
        return weighted_sum(compiled(variant)(params, state, xs, 4))

    # forward mode has its test below, with the padding
    jax.test_util.check_grads(scalar, (params, state, xs), 1, modes=["rev"], **CHECK_GRADS)


@every_variant
def test_truncate_cuts_recurrent_activations_and_keeps_the_carousel(variant):
    cell = make_cell(variant)
    _, state, _ = random_case(cell, seed=12)
    assert_close(cell.truncate(state), state)
    _, pull = jax.vjp(cell.truncate, state)
    (passed,) = pull(jax.tree.map(np.ones_like, state))
    for name, leaf in passed._asdict().items():
        if leaf is not None:
            assert (np.asarray(leaf) == (1.0 if name == "c" else 0.0)).all(), name


@every_variant
def test_length_stops_the_sequence(variant, float64):
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=13)
    for length in (0, 1, 4, T):
        short_state, short = python_loop(variant, params, state, xs[:length])
        padded = with_nan_after(xs, length)
        final, ys = compiled(variant)(params, state, padded, length)
        assert ys.shape == (T, cell.output_size)
        assert_close(ys[:length], short)
        assert not np.asarray(ys)[length:].any()
        assert_close(final, short_state)


@several_variants
def test_reverse_runs_from_the_last_valid_step_to_the_first(variant, float64):
    params, state, xs = random_case(make_cell(variant), seed=14)
    for length in (0, 4, T):
        back_state, back = python_loop(variant, params, state, xs[:length][::-1])
        padded = with_nan_after(xs, length)
        final, ys = compiled(variant, reverse=True)(params, state, padded, length)
        assert_close(ys[:length], back[::-1])  # outputs keep their positions
        assert not np.asarray(ys)[length:].any()
        assert_close(final, back_state)


@one_of_each_cell
def test_reverse_without_a_length(variant):
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=15)
    expected_state, expected = compiled(variant)(params, state, np.asarray(xs)[::-1], T)
    final, ys = unroll(cell, params, xs, state, reverse=True)
    assert_close(final, expected_state)
    assert_close(ys, np.asarray(expected)[::-1])


@pytest.mark.parametrize(
    ("variant", "reverse"), [("lstm97", False), ("lstm97", True), ("lstm", False), ("elman", True)]
)
def test_padding_leaves_gradients_alone(variant, reverse, float64):
    """NaN in the padding reaches no gradient, backward or forward, and the padding gets zero."""
    params, state, xs = random_case(make_cell(variant), seed=16)
    run = compiled(variant, reverse)

    def scalar(params, state, xs, length):
        return weighted_sum(run(params, state, xs, length))

    backward = jax.jit(jax.grad(scalar, argnums=(0, 1, 2)))
    forward = jax.jit(lambda p, *rest: jax.jvp(lambda p: scalar(p, *rest), (p,), (p,))[1])
    for length in (0, 4):
        padded = with_nan_after(xs, length)
        clean = np.array(xs)
        clean[length:] = 0.0
        grads = backward(params, state, padded, length)
        assert_close(grads, backward(params, state, clean, length))
        assert not np.asarray(grads[2])[length:].any()
        if length == 0:
            assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(grads[0]))
        assert_close(forward(params, state, padded, length), forward(params, state, clean, length))


@every_variant
def test_golden_trees(variant):
    recorded = golden.read()
    assert variant in recorded, REGENERATE.format(variant)
    assert golden.structures()[variant] == recorded[variant], REGENERATE.format(variant)


@one_of_each_cell
def test_fresh_weights_differ_by_key_and_repeat_for_the_same_key(variant):
    init = jax.jit(make_cell(variant).init)
    first, again, other = (jax.tree.leaves(init(jax.random.key(k))) for k in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not all((a == b).all() for a, b in zip(first, other, strict=True))
    if any(np.ptp(a) and (a == b).any() for a, b in zip(first, other, strict=True)):
        pytest.fail("two keys share a drawn weight")


def test_lstm_forget_bias():
    cell = CELLS["lstm"](D, 5, forget_bias=1.5)
    params = cell.init(jax.random.key(0))
    assert (params.b_f == 1.5).all()
    assert not params.b_i.any() and not params.b_o.any() and not params.b_z.any()


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
        (lambda: CELLS["elman"](0, 3), "input_size"),
        (lambda: CELLS["elman"](2, 3, activation="sigmoid"), "activation.*tanh.*logistic.*relu"),
    ],
)
def test_bad_arguments_name_the_field(make, field):
    with pytest.raises(ValueError, match=field) as caught:
        make()
    assert "\n" not in str(caught.value)


@one_of_each_cell
def test_bad_shapes_are_one_clear_line(variant):
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=17)
    xs = np.asarray(xs)
    for wrong in (xs[0], xs[:, :2], xs[None]):
        with pytest.raises(ValueError, match=r"unroll.*shape.*T.*3") as caught:
            unroll(cell, params, wrong, state)
        assert "\n" not in str(caught.value)
    for wrong in (xs[0, :2], xs[:2]):
        with pytest.raises(ValueError, match=rf"{cell.name}.*shape.*3"):
            cell.step(params, state, wrong)


@pytest.mark.parametrize("variant", LSTM97_VARIANTS)
def test_lstm97_squashers_keep_their_ranges(variant, float64):
    """Gates in [0, 1], g2 in [-2, 2], g1 in [0, 1], h1 in [-1, 1], however large the weights."""
    arguments = VARIANTS[variant][1]
    ranges = {"g2": (-2, 2), "g1": (0, 1), "h1": (-1, 1), "id": (-np.inf, np.inf)}
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=18)
    low, high = ranges[arguments.get("g", "g2")]
    z, h = [], []
    for seed in range(5):
        large = randomised(params, np.random.default_rng(seed), 50.0)
        _, now = compiled_step(variant)(large, state, np.asarray(xs)[0])
        now = jax.tree.map(np.asarray, now)
        z.append(now["z"])
        h.append(now["h"])
        assert all((now[name] >= 0).all() and (now[name] <= 1).all() for name in set(now) & {*"io"})
    assert abs(np.min(z) - low) < 1e-3 and abs(np.max(z) - high) < 1e-3
    assert np.min(z) >= low and np.max(z) <= high
    low, high = ranges[arguments.get("h", "h1")]
    assert np.min(h) >= low and np.max(h) <= high
    assert high != 2 or np.max(np.abs(h)) > 1  # the wider range is made use of


@pytest.mark.parametrize("length", [-3, 8])
def test_a_length_outside_the_sequence_is_refused(length):
    cell = CELLS["elman"](input_size=3, hidden_size=5)
    with pytest.raises(ValueError, match=rf"length {length} is not within 0 \.\. 7"):
        unroll(cell, cell.init(jax.random.key(0)), jnp.zeros((7, 3)), length=length)
