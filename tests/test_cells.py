"""Every registered cell, and every option of each, against the same properties and oracles.

Properties run in float64, where a wrong term cannot hide in the rounding; float32 is checked
against it. Compiled functions are shared between the tests: compiling is most of their time.
"""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_vjp

from lstm_jax.cells import CELLS
from lstm_jax.kernels import many_answers
from lstm_jax.network import network
from lstm_jax.readout import readout
from lstm_jax.structures import bidirectional
from lstm_jax.tasks import Example
from lstm_jax.unroll import unroll
from tests import golden
from tests.oracles import adapters
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
SEVERAL = (
    "lstm97",
    "lstm97_g1_id",
    "lstm_v",
    "lstm_cifg_fgr_projected_clipped",
    "gru",
    "gru_before",
    "mut1",
    "mut2",
    "mut3",
    "mgu",
    "min_gru",
    "min_lstm",
    "slstm",
    "slstm_exp_heads",
    "elman",
)
several_variants = pytest.mark.parametrize("variant", SEVERAL)
one_of_each_cell = pytest.mark.parametrize("variant", CELLS)  # the row of that name
a_few_variants = pytest.mark.parametrize("variant", ["lstm97", "lstm", "elman"])


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
    missing = [name for name in CELLS if VARIANTS.get(name, ("",))[0] != name]
    assert not missing, f"add rows of these names to tests/variants.py: {missing}"


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
def test_no_two_arrays_share_a_buffer(variant):
    """Each array of fresh weights and states is a result of its own: none is handed out twice."""
    cell = make_cell(variant)
    for part in (cell, bidirectional(cell, cell)):
        for make, *given in ((part.init, jax.random.key(0)), (part.initial_state,)):
            made = jax.make_jaxpr(make)(*given).jaxpr.outvars
            assert len(set(made)) == len(made)


@pytest.mark.parametrize("variant", ["mgu", "lstm97"])
def test_fresh_weights_and_states_can_be_donated(variant):
    """XLA takes no buffer twice."""
    cell = make_cell(variant)
    made = cell.init(jax.random.key(0)), cell.initial_state()
    moved = jax.jit(partial(jax.tree.map, lambda leaf: leaf - 0.5), donate_argnums=0)(made)
    assert_close(moved[1], jax.tree.map(lambda leaf: leaf - 0.5, cell.initial_state()))


def test_biases_stated_as_an_array_outlive_the_weights():
    stated = jnp.array([-1.0, -2.0])
    params = CELLS["lstm97"](3, 2, 2, input_gate_bias=stated, output_gate_bias=stated).init(
        jax.random.key(0)
    )
    pointers = {a.unsafe_buffer_pointer() for a in (stated, params.b_i, params.b_o)}
    assert len(pointers) == 3


@every_variant
def test_scan_equals_python_loop(variant, float64):
    case = random_case(make_cell(variant), seed=2)
    assert_close(compiled(variant)(*case, T), python_loop(variant, *case))


@a_few_variants
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


@a_few_variants
def test_no_state_means_the_initial_state(variant):
    cell = make_cell(variant)
    params, _, xs = random_case(cell, seed=4)
    assert_close(unroll(cell, params, xs), compiled(variant)(params, cell.initial_state(), xs, T))


@several_variants
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
def test_the_state_that_comes_out_compiles_nothing_again(variant, float64):
    params, _, xs = random_case(make_cell(variant), seed=3)
    run = compiled(variant)
    state, _ = run(params, make_cell(variant).initial_state(), xs, T)
    programs = run._cache_size()
    run(params, state, xs, 4)
    assert run._cache_size() == programs


@every_variant
def test_gates_are_what_step_uses(variant, float64):
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=7)
    (after, y), gates = compiled_step(variant)(params, state, np.asarray(xs)[0])
    assert_close(gates["h"], y)
    for name, leaf in after._asdict().items():
        assert leaf is None or (np.asarray(leaf) == np.asarray(gates[name])).all()


@every_variant
def test_agrees_with_numpy_in_float64(variant, float64):
    """The outputs, the final state, and every gate of a step, and no other names."""
    params, state, xs = random_case(make_cell(variant), seed=8)
    final, ys = compiled(variant)(params, state, xs, T)
    _, gates = compiled_step(variant)(params, state, np.asarray(xs)[0])
    expected = adapters.steps(*VARIANTS[variant], params, state, xs)
    assert_close(ys, np.array([now["h"] for now in expected]), "oracle")
    assert_close(gates, expected[0], "oracle")
    for name, leaf in final._asdict().items():
        assert_close(leaf, None if leaf is None else expected[-1][name], "oracle")


@pytest.mark.parametrize("variant", [*CELLS, "lstm_v", "lstm_fgr", "lstm_projected", "gru_before"])
def test_a_step_is_its_three_parts(variant, float64):
    """project is linear in x alone and recur nothing without the state: no biases in either."""
    cell = make_cell(variant)
    if cell.parts is None:
        pytest.skip(f"{cell.name} is not cut into parts")
    params, state, xs = random_case(cell, seed=19)
    x, other = np.asarray(xs)[:2]

    @jax.jit
    def parts(params, state, x):
        from_x, from_h = cell.parts.project(params, x), cell.parts.recur(params, state)
        return from_x, from_h, cell.parts.combine(params, state, from_x, from_h)

    from_x, from_h, gates = parts(params, state, x)
    nets = {name: gates.pop(name) for name in list(gates) if name.startswith("net_")}
    assert_close(gates, compiled_step(variant)(params, state, x)[1])
    assert_close(nets, {n: v for n, v in cell.observe(params, state, x)[2].items() if n in nets})
    from_other, _, _ = parts(params, state, other)
    from_both, still, _ = parts(params, jax.tree.map(np.zeros_like, state), x + other)
    assert_close(from_both, {gate: from_x[gate] + from_other[gate] for gate in from_x})
    assert not any(np.asarray(net).any() for net in still.values())
    for gate, net in (*from_x.items(), *from_h.items()):
        assert net.shape == gates[gate].shape


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


@lru_cache
def compiled_gradient(variant, reverse=False):
    """The gradient of the weighted sum of final state and outputs, in weights, state, inputs."""

    def scalar(params, state, xs, length):
        return weighted_sum(compiled(variant, reverse)(params, state, xs, length))

    return jax.jit(jax.grad(scalar, argnums=(0, 1, 2)))


@several_variants
def test_gradients_from_a_nonzero_state_in_float64(variant, float64):
    """By `jax.test_util.check_grads`' own check, in weights, state and inputs at once."""
    case = random_case(make_cell(variant), seed=10)

    def scalar(*case):
        return weighted_sum(compiled(variant)(*case, 4))

    def scalar_and_pullback(*case):
        grads = compiled_gradient(variant)(*case, 4)
        return scalar(*case), lambda factor: jax.tree.map(lambda leaf: factor * leaf, grads)

    check_vjp(scalar, scalar_and_pullback, case, **CHECK_GRADS)


# what leads from step to step without a weight; all else that a state holds enters as activation
CAROUSEL = {"lstm97": "c", "lstm": "c", "slstm": "cnm", "min_gru": "h", "min_lstm": "h"}


@every_variant
def test_truncate_cuts_recurrent_activations_and_keeps_the_carousel(variant):
    cell = make_cell(variant)
    _, state, _ = random_case(cell, seed=12)
    assert_close(cell.truncate(state), state)
    _, pull = jax.vjp(cell.truncate, state)
    (passed,) = pull(jax.tree.map(np.ones_like, state))
    for name, leaf in passed._asdict().items():
        if leaf is not None:
            kept = name in CAROUSEL.get(cell.name, "")
            assert (np.asarray(leaf) == (1.0 if kept else 0.0)).all(), name


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


@a_few_variants
def test_reverse_runs_from_the_last_valid_step_to_the_first(variant, float64):
    params, state, xs = random_case(make_cell(variant), seed=14)
    for length in (0, 4, T):
        back_state, back = python_loop(variant, params, state, xs[:length][::-1])
        padded = with_nan_after(xs, length)
        final, ys = compiled(variant, reverse=True)(params, state, padded, length)
        assert_close(ys[:length], back[::-1])  # outputs keep their positions
        assert not np.asarray(ys)[length:].any()
        assert_close(final, back_state)


@a_few_variants
def test_reverse_without_a_length(variant):
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=15)
    expected_state, expected = compiled(variant)(params, state, np.asarray(xs)[::-1], T)
    final, ys = unroll(cell, params, xs, state, reverse=True)
    assert_close(final, expected_state)
    assert_close(ys, np.asarray(expected)[::-1])


def zeros_after(xs, length):
    clean = np.array(xs)
    clean[length:] = 0.0
    return clean


@pytest.mark.parametrize(
    ("variant", "reverse"),
    [*((variant, False) for variant in SEVERAL), ("lstm97", True), ("elman", True)],
)
def test_padding_leaves_gradients_alone(variant, reverse, float64):
    """NaN in the padding reaches no gradient, and the padding gets zero."""
    params, state, xs = random_case(make_cell(variant), seed=16)
    backward = compiled_gradient(variant, reverse)
    for length in (0, 4):
        grads = backward(params, state, with_nan_after(xs, length), length)
        assert_close(grads, backward(params, state, zeros_after(xs, length), length))
        assert not np.asarray(grads[2])[length:].any()
        if length == 0:
            assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(grads[0]))


@pytest.mark.parametrize("variant", ["lstm97", "lstm_fgr", "slstm"])
def test_padding_leaves_forward_derivatives_alone(variant, float64):
    params, state, xs = random_case(make_cell(variant), seed=16)

    @jax.jit
    def forward(params, state, xs, length):
        run = compiled(variant)
        return jax.jvp(lambda p: run(p, state, xs, length), (params,), (params,))[1]

    for length in (0, 4):
        dirty, clean = (blank(xs, length) for blank in (with_nan_after, zeros_after))
        assert_close(forward(params, state, dirty, length), forward(params, state, clean, length))


@every_variant
def test_golden_trees(variant):
    recorded = golden.read()
    assert variant in recorded, REGENERATE.format(variant)
    assert golden.structures()[variant] == recorded[variant], REGENERATE.format(variant)


@a_few_variants
def test_fresh_weights_differ_by_key_and_repeat_for_the_same_key(variant):
    init = jax.jit(make_cell(variant).init)
    first, again, other = (jax.tree.leaves(init(jax.random.key(k))) for k in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not all((a == b).all() for a, b in zip(first, other, strict=True))
    if any(np.ptp(a) and (a == b).any() for a, b in zip(first, other, strict=True)):
        pytest.fail("two keys share a drawn weight")


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


@pytest.mark.parametrize(
    ("xs", "words"),
    [
        (np.ones((7, 3)).tolist(), "inputs are list, where an array is needed"),
        (np.ones((7, 3), np.uint8), r"uint8 and shape \(7, 3\); whole numbers are symbols"),
        (np.int32(2), r"int32 and shape \(\); whole numbers are symbols"),
    ],
)
def test_what_is_no_sequence_is_told_in_its_own_shape(xs, words):
    cell = CELLS["elman"](3, 5)
    with pytest.raises(ValueError, match=f"unroll: .*{words}") as caught:
        unroll(cell, cell.init(jax.random.key(0)), xs)
    assert "\n" not in str(caught.value)


def test_sizes_may_be_whole_numbers_of_numpy():
    cell, plain = CELLS["lstm"](np.int64(3), np.int32(5)), CELLS["lstm"](3, 5)
    key = jax.random.key(0)
    shapes = jax.eval_shape(plain.init, key)
    assert jax.eval_shape(cell.init, key) == shapes
    assert_close(cell.init(key), plain.init(key))
    for wrong in (np.float32(3), np.bool_(True), True, 3.0, np.int64(0), "3", np.array([3])):
        with pytest.raises(ValueError, match="hidden_size: .* whole number >= 1"):
            CELLS["lstm"](3, wrong)


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


@pytest.mark.parametrize("length", [-3, 8, np.int64(8), np.int32(-2), np.array(9)])
def test_a_length_outside_the_sequence_is_refused(length):
    cell = CELLS["elman"](input_size=3, hidden_size=5)
    with pytest.raises(ValueError, match=rf"length {length} is not within 0 \.\. 7"):
        unroll(cell, cell.init(jax.random.key(0)), jnp.zeros((7, 3)), length=length)


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (np.array([7, 3, 7, 0, 2, 1, 5]), r"shape \(7,\) where one whole number.*jax\.vmap"),
        (jnp.array([3]), r"shape \(1,\)"),
        (3.7, "type float32 where a whole number"),
        (jnp.float32(3), "type float32"),
    ],
)
def test_a_length_is_one_whole_number(length, said):
    """Seven lengths for seven steps, say of a batch, would be taken as one for each step."""
    cell = CELLS["elman"](2, 3)
    with pytest.raises(ValueError, match=said) as caught:
        unroll(cell, cell.init(jax.random.key(0)), jnp.ones((7, 2)), length=length)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("output_gate", [True, False])
def test_the_first_step_of_lstm97_sees_gates_at_their_initial_activation(output_gate, float64):
    """In the definition, and in the kernel that answers exams, without a state given."""
    options = {"num_blocks": 2, "block_size": 2, "output_gate": output_gate, "initial_gate": 0.5}
    cell = CELLS["lstm97"](3, **options)
    net = network(cell, readout(4, 2))
    rng = np.random.default_rng(0)
    params = randomised(jax.eval_shape(net.init, jax.random.key(0)), rng)
    xs = rng.normal(size=(3, 3))
    oracle = adapters.paper_net(params.cell, options, params.readout)
    steps = paper.forward(oracle, xs)
    hs = unroll(cell, params.cell, xs)[1]
    assert_close(hs, np.array([now.state.y_c for now in steps]))
    lanes = jax.tree.map(lambda leaf: np.asarray(leaf)[None], params)
    example = Example(xs[None, None], None, np.full((1, 1), 3, np.int32))
    assert_close(
        many_answers(net, "every_step")(lanes, example)[0, 0], np.array([now.y_k for now in steps])
    )
    zero = paper.forward(oracle._replace(initial_gate=0.0), xs)
    assert np.abs(hs[0] - zero[0].state.y_c).max() > 0.01, "the option has to matter here"


def test_added_gate_biases_are_the_drawn_ones_and_the_stated_ones():
    """And no other weight differs."""
    stated = {"input_gate_bias": (-1.0, -2.0), "output_gate_bias": (3.0, -5.0)}
    key, made = jax.random.key(0), partial(CELLS["lstm97"], 3, 2, 2)
    drawn, given = made().init(key), made(**stated).init(key)
    added = made(**stated, gate_bias="added").init(key)
    assert_close(added.b_i, drawn.b_i + np.float32(stated["input_gate_bias"]))
    assert_close(added.b_o, drawn.b_o + np.float32(stated["output_gate_bias"]))
    assert np.abs(drawn.b_i).min() > 0
    for name in set(added._fields) - {"b_i", "b_o"}:
        np.testing.assert_array_equal(getattr(added, name), getattr(given, name))
