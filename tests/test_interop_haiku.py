"""dm-haiku's LSTM, GRU and VanillaRNN, weights in and out, against haiku itself in float64."""

import jax
import numpy as np
import pytest

from lstm_jax.cells import CELLS
from lstm_jax.cells.wrappers import layer_norm
from lstm_jax.interop.haiku import from_haiku, to_haiku
from lstm_jax.structures import bidirectional
from lstm_jax.unroll import unroll
from tests.loops import random_case
from tests.peers import exchanged, lenient
from tests.variants import randomised

haiku = pytest.importorskip("haiku", reason="dm-haiku is what its weights are tried on")

D, H, T = 3, 4, 6

CORES = {
    "lstm": lambda: haiku.LSTM(H),
    "gru": lambda: haiku.GRU(H),
    "rnn": lambda: haiku.VanillaRNN(H),
    "rnn, one bias": lambda: haiku.VanillaRNN(H, double_bias=False),
}
every_core = pytest.mark.parametrize("name", CORES)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def kind_of(name):
    return name.partition(",")[0]


def transformed(name):
    def run(xs):
        core = CORES[name]()
        return haiku.dynamic_unroll(core, xs, core.initial_state(None))

    return haiku.without_apply_rng(haiku.transform(run))


def by_haiku(name, params, xs):
    """Outputs, final h, final c (None without one)."""
    with lenient():
        ys, state = transformed(name).apply(params, xs)
    return ys, getattr(state, "hidden", state), getattr(state, "cell", None)


def problem(name, seed=0):
    """Random weights, biases included, in haiku's own tree; random inputs."""
    rng = np.random.default_rng(seed)
    xs = rng.normal(size=(T, D))
    with lenient():
        shapes = jax.eval_shape(transformed(name).init, jax.random.key(0), xs)
    return randomised(shapes, rng), xs


def agree(cell, params, xs, expected, tolerance=1e-12):
    state, ys = jax.jit(lambda params, xs: unroll(cell, params, xs))(params, xs)
    bounds = {"rtol": tolerance, "atol": tolerance}  # the relu net's numbers grow
    np.testing.assert_allclose(ys, expected[0], **bounds)
    np.testing.assert_allclose(state.h, expected[1], **bounds)
    if expected[2] is not None:
        np.testing.assert_allclose(state.c, expected[2], **bounds)


@every_core
def test_gives_what_haiku_gives(name, float64):
    theirs, xs = problem(name)
    agree(*from_haiku(theirs, kind=kind_of(name)), xs, by_haiku(name, theirs, xs))


@every_core
def test_in_float32(name):
    theirs, xs = problem(name)
    cell, params = from_haiku(theirs, kind=kind_of(name))
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(params))
    xs = xs.astype(np.float32)
    agree(cell, params, xs, by_haiku(name, theirs, xs), 1e-6)


@every_core
def test_back_in_haiku_it_gives_the_same(name, float64):
    theirs, xs = problem(name)
    cell, params = from_haiku(theirs, kind=kind_of(name))
    out = to_haiku(cell, params)
    # no second bias comes back as a zero one
    back = "rnn" if name == "rnn, one bias" else name
    for one, other in zip(by_haiku(back, out, xs), by_haiku(name, theirs, xs), strict=True):
        if other is not None:
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-14)
    for module in theirs:
        for field, value in theirs[module].items():
            if field == "b" and kind_of(name) in ("lstm", "rnn"):
                continue  # the LSTM's 1 is rounded; the net's two biases have become one
            np.testing.assert_array_equal(out[module][field], value)


@pytest.mark.parametrize("name", ["lstm", "gru", "elman relu", "elman relu, no bias", "irnn"])
def test_ours_in_haiku(name, float64):
    cell = {
        "lstm": CELLS["lstm"](D, H),
        "gru": CELLS["gru"](D, H, reset="before"),
        "elman relu": CELLS["elman"](D, H, activation="relu"),
        "elman relu, no bias": CELLS["elman"](D, H, activation="relu", bias=False),
        "irnn": CELLS["irnn"](D, H),
    }[name]
    params, _, xs = random_case(cell, seed=1, num_steps=T)
    kind = name if name in CORES else "rnn"
    out = to_haiku(cell, params)
    agree(cell, params, xs, by_haiku(kind, out, xs))
    _, back = from_haiku(out, kind=kind)
    if name == "lstm":  # to the last bit but for b_f, from which 1 was taken and added again
        np.testing.assert_allclose(back.b_f, params.b_f, rtol=0, atol=1e-15)
        back = back._replace(b_f=params.b_f)
    if name == "elman relu, no bias":
        assert not back.b.any()
        back = back._replace(b=None)
    jax.tree.map(np.testing.assert_array_equal, back, params)


def test_the_one_that_haiku_adds_is_in_b_f(float64):
    """A fresh haiku LSTM has zero biases; ours then has b_f = 1, and the other way round."""
    theirs, _ = problem("lstm")
    theirs["lstm/linear"]["b"] = np.zeros(4 * H)
    cell, params = from_haiku(theirs, kind="lstm")
    np.testing.assert_array_equal(params.b_f, np.ones(H))
    assert not any(getattr(params, f"b_{gate}").any() for gate in "zio")
    assert not to_haiku(cell, params)["lstm/linear"]["b"].any()


def test_the_gru_resets_before_the_product():
    cell, _ = from_haiku(problem("gru")[0], kind="gru")
    assert cell.spec.reset == "before"


@pytest.mark.parametrize(("name", "gates"), [("lstm", 4), ("gru", 3)])
def test_no_two_gates_can_be_mixed_up_unseen(name, gates, float64):
    theirs, xs = problem(name)
    expected = by_haiku(name, theirs, xs)[0]
    cell, _ = from_haiku(theirs, kind=name)
    run = jax.jit(lambda params: unroll(cell, params, xs)[1])
    for module, own in theirs.items():
        for field in own:
            for gates_mixed, mixed in exchanged(own[field], gates):
                _, params = from_haiku({**theirs, module: {**own, field: mixed}}, kind=name)
                assert abs(run(params) - expected).max() > 1e-4, (field, gates_mixed)


def test_a_module_by_another_name():
    theirs, _ = problem("lstm")
    renamed = {"net/~/rnn/linear": theirs["lstm/linear"], "net/other": {"w": np.ones(1)}}
    cell, params = from_haiku(renamed, kind="lstm", name="net/~/rnn")
    expected = from_haiku(theirs, kind="lstm")[1]
    jax.tree.map(np.testing.assert_array_equal, params, expected)
    assert set(to_haiku(cell, params, name="net/~/rnn")) == {"net/~/rnn/linear"}


def test_a_vanilla_net_of_one_bias_by_another_name(float64):
    theirs, xs = problem("rnn, one bias")
    renamed = {name.replace("vanilla_rnn", "net/~/mine"): own for name, own in theirs.items()}
    assert set(renamed) == {"net/~/mine/linear", "net/~/mine/linear_1"}
    cell, params = from_haiku(renamed, kind="rnn", name="net/~/mine")
    agree(cell, params, xs, by_haiku("rnn, one bias", theirs, xs))


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("lstm", lambda p: {}, "lstm/linear"),
        ("lstm", lambda p: {"lstm/linear": {"w": p["lstm/linear"]["w"]}}, "b"),
        ("lstm", lambda p: {"lstm/linear": {**p["lstm/linear"], "x": np.ones(1)}}, "x"),
        ("lstm", lambda p: {"lstm/linear": {**p["lstm/linear"], "b": np.ones(3)}}, "shape|b"),
        (
            "lstm",
            lambda p: {"lstm/linear": {"w": np.ones((3, 16)), "b": np.ones(16)}},
            "shape|inputs|rows|w",
        ),
        ("lstm", lambda p: {"lstm/linear": {"w": np.ones((7, 15)), "b": np.ones(15)}}, "15"),
        ("gru", lambda p: p, "gru"),
        ("rnn", lambda p: p, "vanilla_rnn"),
        ("LSTM", lambda p: p, "kind.*LSTM"),
    ],
)
def test_params_that_do_not_fit_are_one_clear_line(kind, change, words):
    theirs, _ = problem("lstm")
    with pytest.raises(ValueError, match=words) as caught:
        from_haiku(change(theirs), kind=kind)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CELLS["lstm"](D, H, switches=()), "switches"),
        (lambda: CELLS["lstm"](D, H, projection_size=2), "projection_size"),
        (lambda: CELLS["lstm"](D, H, clip=1.0), "clip"),
        (lambda: CELLS["gru"](D, H), "reset"),
        (lambda: CELLS["elman"](D, H), "tanh"),
        (lambda: CELLS["mgu"](D, H), "mgu"),
        (lambda: layer_norm(CELLS["lstm"](D, H)), "lstm"),
        (lambda: bidirectional(CELLS["lstm"](D, H), CELLS["lstm"](D, H)), "bidirectional"),
    ],
)
def test_what_haiku_does_not_have_is_refused_by_name(make, words):
    network = make()
    params = jax.eval_shape(network.init, jax.random.key(0))
    with pytest.raises(ValueError, match=words) as caught:
        to_haiku(network, randomised(params, np.random.default_rng(2)))
    assert "\n" not in str(caught.value) and "haiku" in str(caught.value)
