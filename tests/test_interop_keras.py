"""Keras 3's LSTM, GRU, SimpleRNN and Bidirectional, weights in and out, against Keras itself."""

import importlib.util
import os

import jax
import numpy as np
import pytest

from lstm_jax.cells import CELLS
from lstm_jax.cells.wrappers import layer_norm
from lstm_jax.interop.keras import from_keras, to_keras
from lstm_jax.structures import bidirectional, layer, stack
from lstm_jax.unroll import unroll
from tests.loops import random_case
from tests.peers import exchanged, lenient, states_of
from tests.variants import randomised

# Keras works in float32 inside, whatever a layer's dtype (products on torch, tanh on JAX), but for
# what torch itself runs for it: there the comparison is one in float64.
HAS_TORCH = importlib.util.find_spec("torch") is not None
os.environ.setdefault("KERAS_BACKEND", "torch" if HAS_TORCH else "jax")
keras = pytest.importorskip("keras", reason="keras is what its weights are tried on")

# Keras's Variable.__array__ has not followed NumPy 2
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning:keras"
)

ON_TORCH = os.environ["KERAS_BACKEND"] == "torch"
DTYPE, BOUND = "float64" if ON_TORCH else "float32", 1e-6
D, H, T = 3, 4, 6

# our kind, Keras's layer, its options that the weights do not tell (ours too), and its others
CASES = {
    "lstm": ("lstm", "LSTM", {}, {}),
    "lstm, no bias": ("lstm", "LSTM", {}, {"use_bias": False}),
    "lstm, other functions": (
        "lstm",
        "LSTM",
        {"activation": "softsign", "recurrent_activation": "hard_sigmoid"},
        {},
    ),
    "gru": ("gru", "GRU", {}, {}),
    "gru, reset before": ("gru", "GRU", {"reset_after": False}, {}),
    "gru, no bias": ("gru", "GRU", {}, {"use_bias": False}),
    "gru, reset before, no bias": ("gru", "GRU", {"reset_after": False}, {"use_bias": False}),
    "gru, other functions": (
        "gru",
        "GRU",
        {"activation": "elu", "recurrent_activation": "hard_sigmoid"},
        {},
    ),
    "rnn": ("rnn", "SimpleRNN", {}, {}),
    "rnn relu, no bias": ("rnn", "SimpleRNN", {"activation": "relu"}, {"use_bias": False}),
    "lstm both ways": ("lstm", "LSTM", {"merge_mode": "concat"}, {}),
    "lstm both ways, no bias": ("lstm", "LSTM", {"merge_mode": "concat"}, {"use_bias": False}),
    "gru both ways, sum": ("gru", "GRU", {"merge_mode": "sum"}, {}),
    "gru before both ways, mean": ("gru", "GRU", {"merge_mode": "ave", "reset_after": False}, {}),
    "rnn both ways, product": ("rnn", "SimpleRNN", {"merge_mode": "mul"}, {}),
}
every_case = pytest.mark.parametrize("name", CASES)


def bound(name):
    kind, _, options, _ = CASES[name]
    plain = kind != "rnn" and not {"reset_after", "activation"} & set(options)
    return 1e-12 if ON_TORCH and plain else BOUND


@pytest.fixture
def widest():
    """Float64, where Keras takes it as well."""
    with jax.enable_x64(DTYPE == "float64"):
        yield


def build(name, dtype=DTYPE, **more):
    """The layer with random weights, biases included."""
    _, kind, options, others = CASES[name]
    options = {**options, **others, **more}
    merge = options.pop("merge_mode", None)
    with lenient():
        made = getattr(keras.layers, kind)(
            H, return_sequences=True, return_state=True, dtype=dtype, **options
        )
        if merge is not None:
            made = keras.layers.Bidirectional(made, merge_mode=merge, dtype=dtype)
        made.build((1, T, D))
        rng = np.random.default_rng(0)
        made.set_weights([rng.normal(size=w.shape) * 0.7 for w in made.get_weights()])
    return made


def by_keras(made, xs):
    """Outputs [T, H] and the final states as Keras orders them."""
    with lenient():
        outs = made(np.asarray(xs)[None])
    ys, *finals = (keras.ops.convert_to_numpy(out)[0] for out in outs)
    return ys, finals


def by_us(network, params, xs):
    state, ys = jax.jit(lambda params, xs: unroll(network, params, xs))(params, xs)
    fields = ("h", "c") if hasattr(states_of(state)[0], "c") else ("h",)
    return np.asarray(ys), [getattr(part, f) for part in states_of(state) for f in fields]


def inputs():
    return np.random.default_rng(1).normal(size=(T, D)).astype(DTYPE)


def agree(one, other, tolerance=BOUND):
    np.testing.assert_allclose(one[0], other[0], rtol=0, atol=tolerance)
    for a, b in zip(one[1], other[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@every_case
def test_gives_what_keras_gives(name, widest):
    kind, _, options, _ = CASES[name]
    made = build(name)
    network, params = from_keras(made.get_weights(), kind=kind, **options)
    assert all(leaf.dtype == DTYPE for leaf in jax.tree.leaves(params))
    agree(by_us(network, params, inputs()), by_keras(made, inputs()), bound(name))


@every_case
def test_back_in_keras_it_gives_the_same(name, widest):
    kind, _, options, others = CASES[name]
    made, fresh = build(name), build(name)
    network, params = from_keras(made.get_weights(), kind=kind, **options)
    told = {key: value for key, value in options.items() if key != "reset_after"}
    out = to_keras(network, params, **told, **others)
    assert all(type(array) is np.ndarray for array in out)
    fresh.set_weights([0 * array for array in out])
    fresh.set_weights(out)
    agree(by_keras(fresh, inputs()), by_keras(made, inputs()), bound(name))
    again, params_again = from_keras(out, kind=kind, **options)
    assert again.name == network.name
    jax.tree.map(np.testing.assert_array_equal, params_again, params)
    if "gru" not in name:  # one bias there as here: the arrays themselves come back
        for one, other in zip(out, made.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["lstm", "gru", "gru, reset before", "rnn"])
def test_in_float32(name):
    kind, _, options, _ = CASES[name]
    made = build(name, dtype="float32")
    network, params = from_keras(made.get_weights(), kind=kind, **options)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(params))
    xs = inputs().astype(np.float32)
    agree(by_us(network, params, xs), by_keras(made, xs), 1e-6)


def ours(name):
    lstm, gru, elman = CELLS["lstm"], CELLS["gru"], CELLS["elman"]
    return {
        "lstm": lambda: lstm(D, H),
        "gru": lambda: gru(D, H),
        "gru, one bias": lambda: gru(D, H, recurrent_bias=False),
        "gru, reset before": lambda: gru(D, H, reset="before"),
        "rnn": lambda: elman(D, H),
        "rnn relu, no bias": lambda: elman(D, H, activation="relu", bias=False),
        "gru both ways, sum": lambda: bidirectional(gru(D, H), gru(D, H), merge="sum"),
        "rnn both ways, product": lambda: bidirectional(elman(D, H), elman(D, H), merge="mul"),
    }[name]()


@pytest.mark.parametrize(
    "name",
    [
        "lstm",
        "gru",
        "gru, one bias",
        "gru, reset before",
        "rnn",
        "rnn relu, no bias",
        "gru both ways, sum",
        "rnn both ways, product",
    ],
)
def test_ours_in_keras(name, widest):
    network = ours(name)
    params, _, xs = random_case(network, seed=2, num_steps=T)
    case = "gru" if name == "gru, one bias" else name
    kind, _, options, others = CASES[case]
    told = {key: value for key, value in options.items() if key != "reset_after"}
    made = build(case)
    made.set_weights(to_keras(network, params, **told, **others))
    agree(by_us(network, params, xs), by_keras(made, xs), bound(case))
    _, back = from_keras(to_keras(network, params, **told, **others), kind=kind, **options)
    if name == "gru, one bias":
        assert not back.b_rn.any()
        back = back._replace(b_rn=None)
    jax.tree.map(np.testing.assert_array_equal, back, params)


def test_a_layer_backwards_is_go_backwards(widest):
    """Keras leaves those outputs in the order of running."""
    part = layer(CELLS["lstm"](D, H), reverse=True)
    params, _, xs = random_case(part, seed=3, num_steps=T)
    made = build("lstm", go_backwards=True)
    made.set_weights(to_keras(part, params))
    ys, finals = by_keras(made, xs)
    agree(by_us(part, params, xs), (ys[::-1], finals))


def test_unit_forget_bias_is_in_the_weights_and_not_added_again():
    with lenient():
        made = keras.layers.LSTM(H)
        made.build((1, T, D))
    _, params = from_keras(made.get_weights(), kind="lstm")
    np.testing.assert_array_equal(params.b_f, np.ones(H))
    assert not any(getattr(params, f"b_{gate}").any() for gate in "zio")


def test_the_two_biases_of_the_gru(widest):
    made = build("gru")
    b_in, b_rec = (np.split(b, 3) for b in made.get_weights()[2])  # z, r, candidate
    cell, params = from_keras(made.get_weights(), kind="gru")
    np.testing.assert_array_equal(params.b_z, b_in[0] + b_rec[0])
    np.testing.assert_array_equal(params.b_r, b_in[1] + b_rec[1])
    np.testing.assert_array_equal(params.b_n, b_in[2])
    np.testing.assert_array_equal(params.b_rn, b_rec[2])
    out = to_keras(cell, params)[2]
    assert out.shape == (2, 3 * H)
    np.testing.assert_array_equal(out[1], np.concatenate([0 * b_rec[0], 0 * b_rec[1], b_rec[2]]))


@pytest.mark.parametrize(("name", "gates"), [("lstm", 4), ("gru", 3), ("gru, reset before", 3)])
def test_no_two_gates_can_be_mixed_up_unseen(name, gates, widest):
    kind, _, options, _ = CASES[name]
    made = build(name)
    weights, (expected, _) = made.get_weights(), by_keras(made, inputs())
    cell, _ = from_keras(weights, kind=kind, **options)
    run = jax.jit(lambda params: unroll(cell, params, inputs())[1])
    for n, array in enumerate(weights):
        for gates_mixed, mixed in exchanged(array, gates):
            changed = [*weights[:n], mixed, *weights[n + 1 :]]
            _, params = from_keras(changed, kind=kind, **options)
            assert abs(run(params) - expected).max() > 1e-4, (n, gates_mixed)


def test_where_the_reset_is_matters(widest):
    """The same arrays read as the other kind: refused by the bias, or seen in the outputs."""
    made = build("gru, reset before, no bias")
    expected, _ = by_keras(made, inputs())
    _, ys = unroll(*from_keras(made.get_weights(), kind="gru", reset_after=True), inputs())
    assert abs(np.asarray(ys) - expected).max() > 1e-3
    for name, wrong in (("gru", False), ("gru, reset before", True)):
        with pytest.raises(ValueError, match=f"reset_after={wrong}"):
            from_keras(build(name).get_weights(), kind="gru", reset_after=wrong)


K, R, B = np.ones((3, 16)), np.ones((4, 16)), np.ones(16)


@pytest.mark.parametrize(
    ("weights", "options", "words"),
    [
        ([K], {}, "1 arrays"),
        ([K, R, B, B, B], {}, "5 arrays"),
        ([K, R[:3], B], {}, "kernel.*shape"),
        ([K[:, :15], R, B], {}, "kernel.*shape"),
        ([K, R, B[:15]], {}, "bias.*shape"),
        ([K, R, B], {"kind": "gru"}, "kernel.*shape"),
        ([K, R, B], {"kind": "lstm2"}, "kind.*lstm2.*lstm.*gru.*rnn"),
        ([K, R, B], {"activation": "gelu"}, "^activation.*gelu.*tanh"),
        ([K, R, B], {"recurrent_activation": "logistic"}, "recurrent_activation.*sigmoid"),
        ([K, R, B], {"merge_mode": None}, "merge_mode.*concat"),
    ],
)
def test_arrays_that_do_not_fit_are_one_clear_line(weights, options, words):
    with pytest.raises(ValueError, match=words) as caught:
        from_keras(weights, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (lambda: CELLS["lstm"](D, H, switches=()), {}, "switches"),
        (lambda: CELLS["lstm"](D, H, switches=("NP", "CIFG")), {}, "switches.*CIFG"),
        (lambda: CELLS["lstm"](D, H, projection_size=2), {}, "projection_size"),
        (lambda: CELLS["lstm"](D, H, clip=1.0), {}, "clip"),
        (lambda: CELLS["lstm"](D, H, g="relu"), {}, "g='relu'"),
        (lambda: CELLS["lstm"](D, H, h="relu"), {}, "h='relu'"),
        (lambda: CELLS["lstm"](D, H), {"recurrent_activation": "hard_sigmoid"}, "gate_activation"),
        # not the same slope: 0.2 here, 1/6 there
        (
            lambda: CELLS["lstm"](D, H, gate_activation="hard_logistic"),
            {"recurrent_activation": "hard_sigmoid"},
            "hard_logistic",
        ),
        (lambda: CELLS["gru"](D, H, clip=1.0), {}, "clip"),
        (lambda: CELLS["elman"](D, H, activation="relu"), {}, "relu"),
        (lambda: CELLS["mgu"](D, H), {}, "mgu"),
        (lambda: layer_norm(CELLS["lstm"](D, H)), {}, "lstm"),
        (lambda: stack(CELLS["lstm"](D, H), CELLS["lstm"](H, H)), {}, "stack"),
        (
            lambda: bidirectional(CELLS["lstm"](D, H), CELLS["lstm"](D, H), merge="sum"),
            {},
            "merge.*sum",
        ),
        (lambda: bidirectional(CELLS["lstm"](D, H), CELLS["gru"](D, H)), {}, "lstm|gru"),
        (lambda: bidirectional(CELLS["lstm"](D, H), CELLS["lstm"](D, 5)), {}, "4.*5|5.*4"),
        (
            lambda: bidirectional(
                CELLS["gru"](D, H, reset="before"), CELLS["gru"](D, H, reset="after")
            ),
            {},
            "reset|before|alike",
        ),
        (lambda: CELLS["lstm"](D, H), {"use_bias": False}, "use_bias=False"),
        (lambda: CELLS["lstm"](D, H), {"activation": "gelu"}, "activation.*gelu"),
    ],
)
def test_what_keras_does_not_have_is_refused_by_name(make, options, words):
    network = make()
    params = jax.eval_shape(network.init, jax.random.key(0))
    with pytest.raises(ValueError, match=words) as caught:
        to_keras(network, randomised(params, np.random.default_rng(4)), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["lstm", "gru", "elman"])
def test_one_bias_is_enough_to_be_refused_by_a_layer_without(kind):
    """Whichever it is, the GRU's inside the reset too; weights without one go through."""
    cell = CELLS[kind](D, H)
    shapes = jax.eval_shape(cell.init, jax.random.key(0))
    none = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
    assert len(to_keras(cell, none, use_bias=False)) == 2
    there = none._asdict().items()
    for name, bias in [(n, b) for n, b in there if n.startswith("b") and b is not None]:
        one = np.append(bias[:-1], np.float32(1e-3))
        with pytest.raises(ValueError, match="use_bias=False"):
            to_keras(cell, none._replace(**{name: one}), use_bias=False)
