"""torch's nn.LSTM, nn.GRU and nn.RNN, weights in and out, against torch itself in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import CELLS
from lstm_jax.cells.wrappers import layer_norm, zoneout
from lstm_jax.interop.torch import from_torch, to_torch
from lstm_jax.structures import bidirectional, layer, stack, stacked_cell
from lstm_jax.unroll import unroll
from tests.loops import random_case
from tests.peers import exchanged, states_of
from tests.variants import randomised

torch = pytest.importorskip("torch", reason="torch is what its weights are tried on")

D, H, T = 3, 4, 6

CASES = {
    "lstm": ("LSTM", {}),
    "lstm, 2 layers": ("LSTM", {"num_layers": 2}),
    "lstm, both ways": ("LSTM", {"bidirectional": True}),
    "lstm, 2 layers both ways": ("LSTM", {"num_layers": 2, "bidirectional": True}),
    "lstm, no bias": ("LSTM", {"bias": False}),
    "lstm, projection": ("LSTM", {"proj_size": 2}),
    "lstm, projection, 3 layers both ways": (
        "LSTM",
        {"proj_size": 2, "num_layers": 3, "bidirectional": True},
    ),
    "gru": ("GRU", {}),
    "gru, 2 layers both ways": ("GRU", {"num_layers": 2, "bidirectional": True}),
    "gru, no bias": ("GRU", {"bias": False}),
    "rnn": ("RNN", {}),
    "rnn relu, 2 layers both ways": (
        "RNN",
        {"nonlinearity": "relu", "num_layers": 2, "bidirectional": True},
    ),
    "rnn, no bias": ("RNN", {"bias": False}),
}
every_case = pytest.mark.parametrize("name", CASES)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def make_module(name, seed=0, dtype=torch.float64):
    kind, options = CASES[name]
    torch.manual_seed(seed)
    return getattr(torch.nn, kind)(D, H, dtype=dtype, **options)


def weights_of(module):
    return {name: value.numpy() for name, value in module.state_dict().items()}


def arguments(name):
    kind, options = CASES[name]
    given = {"nonlinearity": options["nonlinearity"]} if "nonlinearity" in options else {}
    return {"kind": kind.lower(), **given}


def by_torch(module, xs):
    """Outputs [T, H] and final states, h before c: each [layers * directions, H]."""
    with torch.no_grad():
        ys, finals = module(torch.tensor(np.array(xs)))
    finals = finals if isinstance(finals, tuple) else (finals,)
    return ys.numpy(), [f.numpy() for f in finals]


def by_us(network, params, xs):
    state, ys = jax.jit(lambda params, xs: unroll(network, params, xs))(params, xs)
    parts = states_of(state)
    fields = "hc" if hasattr(parts[0], "c") else "h"
    return np.asarray(ys), [np.stack([getattr(part, f) for part in parts]) for f in fields]


def inputs(seed=1):
    return np.random.default_rng(seed).normal(size=(T, D))


@every_case
def test_gives_what_torch_gives(name, float64):
    module = make_module(name)
    network, params = from_torch(weights_of(module), **arguments(name))
    assert all(leaf.dtype == np.float64 for leaf in jax.tree.leaves(params))
    (ys, finals), (expected, expected_finals) = (
        by_us(network, params, inputs()),
        by_torch(module, inputs()),
    )
    np.testing.assert_allclose(ys, expected, rtol=0, atol=1e-12)
    for one, other in zip(finals, expected_finals, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


@every_case
def test_back_in_torch_it_gives_the_same(name, float64):
    """What comes out loads strictly into a module of the same options and gives the same."""
    module = make_module(name)
    network, params = from_torch(weights_of(module), **arguments(name))
    kind, options = CASES[name]
    out = to_torch(network, params, bias=options.get("bias", True))
    assert all(type(value) is np.ndarray for value in out.values())
    fresh = getattr(torch.nn, kind)(D, H, dtype=torch.float64, **options)
    fresh.load_state_dict({key: torch.tensor(value) for key, value in out.items()}, strict=True)
    np.testing.assert_allclose(
        by_torch(fresh, inputs())[0], by_torch(module, inputs())[0], rtol=0, atol=1e-15
    )
    again, params_again = from_torch(out, **arguments(name))
    assert again.name == network.name
    jax.tree.map(np.testing.assert_array_equal, params_again, params)  # exact


def ours(name):
    cells = {
        "lstm": CELLS["lstm"](D, H),
        "lstm, projection": CELLS["lstm"](D, H, projection_size=2),
        "gru": CELLS["gru"](D, H),
        "gru, one bias": CELLS["gru"](D, H, recurrent_bias=False),
        "elman": CELLS["elman"](D, H),
        "elman relu": CELLS["elman"](D, H, activation="relu"),
        "elman, no bias": CELLS["elman"](D, H, bias=False),
        "irnn": CELLS["irnn"](D, H),
        "layer": layer(CELLS["lstm"](D, H)),
        "both ways": bidirectional(CELLS["gru"](D, H), CELLS["gru"](D, H)),
        "stack": stack(CELLS["lstm"](D, H), CELLS["lstm"](H, H)),
        "stacked cell": stacked_cell(CELLS["lstm"](D, H), CELLS["lstm"](H, H)),
        "stack with dropout": stack(CELLS["lstm"](D, H), CELLS["lstm"](H, H), dropout=0.3),
        "stack of both ways": stack(
            bidirectional(CELLS["elman"](D, H), CELLS["elman"](D, H)),
            bidirectional(CELLS["elman"](2 * H, H), CELLS["elman"](2 * H, H)),
        ),
    }
    return cells[name]


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("lstm", "LSTM", {}),
        ("lstm, projection", "LSTM", {"proj_size": 2}),
        ("gru", "GRU", {}),
        ("gru, one bias", "GRU", {}),
        ("elman", "RNN", {}),
        ("elman relu", "RNN", {"nonlinearity": "relu"}),
        ("elman, no bias", "RNN", {"bias": False}),
        ("irnn", "RNN", {"nonlinearity": "relu"}),
        ("layer", "LSTM", {}),
        ("both ways", "GRU", {"bidirectional": True}),
        ("stack", "LSTM", {"num_layers": 2}),
        ("stacked cell", "LSTM", {"num_layers": 2}),
        ("stack with dropout", "LSTM", {"num_layers": 2}),
        ("stack of both ways", "RNN", {"num_layers": 2, "bidirectional": True}),
    ],
)
def test_ours_in_torch(name, kind, options, float64):
    """Made here with random weights, biases included, and run there."""
    network = ours(name)
    params, _, xs = random_case(network, seed=2, num_steps=T)
    module = getattr(torch.nn, kind)(D, H, dtype=torch.float64, **options)
    out = to_torch(network, params, bias=options.get("bias", True))
    module.load_state_dict({key: torch.tensor(value) for key, value in out.items()}, strict=True)
    ys, finals = by_us(network, params, xs)
    expected, expected_finals = by_torch(module, xs)
    np.testing.assert_allclose(ys, expected, rtol=0, atol=1e-12)
    for one, other in zip(finals, expected_finals, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    extra = {"nonlinearity": options["nonlinearity"]} if "nonlinearity" in options else {}
    _, back = from_torch(out, kind=kind.lower(), **extra)
    if name == "gru, one bias":  # torch has two: zeros come back for the one not there
        assert not back.b_rn.any()
        back = back._replace(b_rn=None)
    jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(back), jax.tree.leaves(params))


@pytest.mark.parametrize("name", ["lstm", "gru, 2 layers both ways", "rnn"])
def test_in_float32(name):
    module = make_module(name, dtype=torch.float32)
    network, params = from_torch(weights_of(module), **arguments(name))
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(params))
    xs = inputs().astype(np.float32)
    np.testing.assert_allclose(
        by_us(network, params, xs)[0], by_torch(module, xs)[0], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("name", ["lstm, projection", "gru, 2 layers both ways", "rnn"])
def test_bfloat16_is_the_same_bits_both_ways(name):
    """There, back by the call that `to_torch` names, and into a module of the same type."""
    module = make_module(name, dtype=torch.bfloat16)
    with torch.no_grad():  # one bias of two: their sum is rounded
        for key, value in module.named_parameters():
            value.mul_(0 if "bias_hh" in key else 1)
    part, params = from_torch(module.state_dict(), **arguments(name))
    assert all(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(params))
    arrays = to_torch(part, params)
    again = make_module(name, seed=1, dtype=torch.bfloat16)
    again.load_state_dict({key: torch.from_numpy(array) for key, array in arrays.items()})
    for key, value in module.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    w = module.state_dict()["weight_ih_l0"].view(torch.int16).numpy()
    first = jax.tree.leaves(params)[0]  # rows of the first field are among those of the matrix
    ours = {row.tobytes() for row in np.asarray(first).view(np.int16)}
    assert ours <= {row.tobytes() for row in w}


@pytest.mark.parametrize(("name", "gates"), [("lstm", 4), ("gru", 3)])
def test_no_two_gates_can_be_mixed_up_unseen(name, gates, float64):
    """The comparison above tells every exchange of two gates' rows, in either matrix or bias."""
    module = make_module(name)
    weights, (expected, _) = weights_of(module), by_torch(module, inputs())
    network, _ = from_torch(weights, **arguments(name))
    run = jax.jit(lambda params: unroll(network, params, inputs())[1])
    for key in weights:
        for gates_mixed, mixed in exchanged(weights[key], gates, axis=0):
            _, params = from_torch({**weights, key: mixed}, **arguments(name))
            assert abs(run(params) - expected).max() > 1e-4, (key, gates_mixed)


def test_the_two_biases_are_summed_and_come_back_as_b_and_zero(float64):
    weights = weights_of(make_module("lstm"))
    cell, params = from_torch(weights, kind="lstm")
    both = weights["bias_ih_l0"] + weights["bias_hh_l0"]
    total = dict(zip("ifzo", np.split(both, 4), strict=True))
    for gate, b in total.items():
        np.testing.assert_array_equal(getattr(params, f"b_{gate}"), b)
    out = to_torch(cell, params)
    np.testing.assert_array_equal(out["bias_ih_l0"], np.concatenate(list(total.values())))
    assert not out["bias_hh_l0"].any()


def test_the_bias_inside_the_reset_of_the_gru_stays_apart(float64):
    weights = weights_of(make_module("gru"))
    cell, params = from_torch(weights, kind="gru")
    b_in, b_rec = (np.split(weights[f"bias_{part}_l0"], 3) for part in ("ih", "hh"))
    np.testing.assert_array_equal(params.b_r, b_in[0] + b_rec[0])
    np.testing.assert_array_equal(params.b_z, b_in[1] + b_rec[1])
    np.testing.assert_array_equal(params.b_n, b_in[2])
    np.testing.assert_array_equal(params.b_rn, b_rec[2])
    out = to_torch(cell, params)["bias_hh_l0"]
    np.testing.assert_array_equal(out, np.concatenate([0 * b_rec[0], 0 * b_rec[1], b_rec[2]]))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_cell_of_torch_and_part_of_a_larger_module(kind, float64):
    """Names without a layer; names under a prefix, among others; tensors as they are."""
    torch.manual_seed(0)
    single = getattr(torch.nn, f"{kind}Cell")(D, H, dtype=torch.float64)
    names = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}
    assert set(single.state_dict()) == names
    cell, params = from_torch(dict(single.named_parameters()), kind=kind.lower())
    x = inputs()[0]
    with torch.no_grad():
        expected = single(torch.tensor(x[None]))
    expected = (expected[0] if kind == "LSTM" else expected).numpy()[0]
    _, y = jax.jit(cell.step)(params, cell.initial_state(), x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-14)
    larger = {f"encoder.rnn.{name}_l0": value for name, value in single.state_dict().items()}
    larger["decoder.weight"] = torch.ones(2)
    _, again = from_torch(larger, kind=kind.lower(), prefix="encoder.rnn.")
    jax.tree.map(np.testing.assert_array_equal, again, params)
    with pytest.raises(ValueError, match="'decoder.weight_ih_l0'.*missing"):
        from_torch(larger, kind=kind.lower(), prefix="decoder.")


@pytest.mark.parametrize("name", ["lstm", "rnn"])
def test_no_memory_is_shared(name):
    """torch trains in place: neither side may see the other's changes."""
    weights = weights_of(make_module(name, dtype=torch.float32))
    cell, params = from_torch(weights, **arguments(name))
    kept = jax.tree.map(np.array, params)
    for array in weights.values():
        array[...] = 0
    jax.tree.map(np.testing.assert_array_equal, params, kept)
    for array in to_torch(cell, params).values():
        array[...] = 0
    jax.tree.map(np.testing.assert_array_equal, params, kept)


def test_squashers_given_as_functions_are_known():
    cell = CELLS["lstm"](D, H, g=jnp.tanh, gate_activation=jax.nn.sigmoid)
    params, _, _ = random_case(cell, seed=4)
    expected = to_torch(CELLS["lstm"](D, H), params)
    jax.tree.map(np.testing.assert_array_equal, to_torch(cell, params), expected)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda w: {}, "lstm", "weight_ih_l0"),
        (lambda w: {**w, "weight_xx_l0": w["weight_ih_l0"]}, "lstm", "weight_xx_l0"),
        (lambda w: {k: v for k, v in w.items() if k != "weight_hh_l0"}, "lstm", "weight_hh_l0"),
        (lambda w: {k: v for k, v in w.items() if k != "bias_hh_l0"}, "lstm", "bias_hh_l0"),
        (lambda w: {**w, "weight_hh_l0": w["weight_hh_l0"][:-1]}, "lstm", "weight_hh_l0"),
        (lambda w: {**w, "bias_ih_l0": w["bias_ih_l0"][:-1]}, "lstm", "bias_ih_l0"),
        (lambda w: {**w, "weight_ih_l1": w["weight_ih_l0"]}, "lstm", "l1"),
        (lambda w: {k.replace("l0", "l1"): v for k, v in w.items()}, "lstm", "l0"),
        (lambda w: w, "gru", r"shape .* are those of a lstm.*kind='lstm'"),
        (
            lambda w: {f"rnn.{k}": v for k, v in w.items()},
            "lstm",
            "'weight_ih_l0' is missing; there is 'rnn.weight_ih_l0'.*prefix",
        ),
        (lambda w: w, "lstm2", "kind.*lstm2.*lstm.*gru.*rnn"),
        (lambda w: w, "LSTM", "kind.*LSTM.*lstm.*gru.*rnn"),
    ],
)
def test_a_state_dict_that_does_not_fit_is_one_clear_line(change, kind, words):
    weights = change(weights_of(make_module("lstm", dtype=torch.float32)))
    with pytest.raises(ValueError, match=words) as caught:
        from_torch(weights, kind=kind)
    assert "\n" not in str(caught.value)


def test_a_module_is_no_state_dict():
    with pytest.raises(ValueError, match=r"a LSTM where a mapping.*module\.state_dict\(\)"):
        from_torch(make_module("lstm", dtype=torch.float32))


@pytest.mark.parametrize("kind", ["lstm", "gru", "elman"])
def test_one_bias_is_enough_to_be_refused_by_a_module_without(kind):
    """Whichever it is, the GRU's inside the reset too; weights without one go through."""
    cell = CELLS[kind](D, H)
    shapes = jax.eval_shape(cell.init, jax.random.key(0))
    none = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
    assert sorted(to_torch(cell, none, bias=False)) == ["weight_hh_l0", "weight_ih_l0"]
    there = none._asdict().items()
    for name, bias in [(n, b) for n, b in there if n.startswith("b") and b is not None]:
        one = np.append(bias[:-1], np.float32(1e-3))
        with pytest.raises(ValueError, match="bias=False"):
            to_torch(cell, none._replace(**{name: one}), bias=False)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_bias_that_a_cell_does_not_have_is_zeros_of_the_type_of_its_weights(dtype):
    """torch refuses to load, or to multiply, arrays of several types."""
    cell = CELLS["elman"](D, H, bias=False)
    shapes = jax.eval_shape(cell.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape, dtype), shapes)
    written = to_torch(cell, params)
    assert {name: array.dtype.name for name, array in written.items()} == dict.fromkeys(
        ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"], dtype
    )
    assert not written["bias_ih_l0"].any() and not written["bias_hh_l0"].any()


def test_an_unknown_nonlinearity_is_refused():
    weights = weights_of(make_module("rnn", dtype=torch.float32))
    with pytest.raises(ValueError, match="nonlinearity.*elu.*tanh.*relu"):
        from_torch(weights, kind="rnn", nonlinearity="elu")


LSTM, GRU = CELLS["lstm"], CELLS["gru"]
WITHOUT_A_COUNTERPART = {
    "peepholes": (lambda: LSTM(D, H, switches=()), "peephole|NP"),
    "no input gate": (lambda: LSTM(D, H, switches=("NP", "NIG")), "NIG"),
    "no forget gate": (lambda: LSTM(D, H, switches=("NP", "NFG")), "NFG"),
    "no output gate": (lambda: LSTM(D, H, switches=("NP", "NOG")), "NOG"),
    "no input activation": (lambda: LSTM(D, H, switches=("NP", "NIAF")), "NIAF|g"),
    "no output activation": (lambda: LSTM(D, H, switches=("NP", "NOAF")), "NOAF|h"),
    "coupled gates": (lambda: LSTM(D, H, switches=("NP", "CIFG")), "CIFG"),
    "gate recurrence": (lambda: LSTM(D, H, switches=("NP", "FGR")), "FGR"),
    "another g": (lambda: LSTM(D, H, g="relu"), "g.*relu|relu"),
    "another h": (lambda: LSTM(D, H, h="identity"), "h.*identity|identity"),
    "another gate function": (lambda: LSTM(D, H, gate_activation="hard_logistic"), "hard_logistic"),
    "clipping": (lambda: LSTM(D, H, clip=1.0), "clip"),
    "reset before": (lambda: GRU(D, H, reset="before"), "reset.*before|before"),
    "clipped gru": (lambda: GRU(D, H, clip=1.0), "clip"),
    "gru with another g": (lambda: GRU(D, H, g="relu"), "relu"),
    "logistic elman": (lambda: CELLS["elman"](D, H, activation="logistic"), "logistic"),
    "mgu": (lambda: CELLS["mgu"](D, H), "mgu"),
    "lstm97": (lambda: CELLS["lstm97"](D, 2, 2), "lstm97"),
    "layer norm": (lambda: layer_norm(LSTM(D, H)), "layer_norm|lstm"),
    "zoneout": (lambda: zoneout(LSTM(D, H), None, rates={"c": 0.5}), "zoneout|lstm"),
    "backward only": (lambda: layer(LSTM(D, H), reverse=True), "reverse|backward|direction"),
    "residual": (lambda: stack(LSTM(D, H), LSTM(H, H), residual=True), "residual"),
    "merge": (lambda: bidirectional(LSTM(D, H), LSTM(D, H), merge="sum"), "merge|sum"),
    "two kinds": (lambda: stack(LSTM(D, H), GRU(H, H)), "lstm.*gru|gru.*lstm|kind"),
    "two kinds both ways": (lambda: bidirectional(LSTM(D, H), GRU(D, H)), "lstm|gru"),
    "two sizes": (lambda: stack(LSTM(D, H), LSTM(H, 5)), "4.*5|5.*4"),
    "two sizes both ways": (lambda: bidirectional(GRU(D, H), GRU(D, 5)), "4.*5|5.*4"),
    "one way over both ways": (
        lambda: stack(bidirectional(GRU(D, H), GRU(D, H)), GRU(2 * H, H)),
        "gru.*2 directions.*gru.*1 directions",
    ),
    "two projections": (
        lambda: stack(LSTM(D, H, projection_size=2), LSTM(2, H, projection_size=3)),
        "projection|proj",
    ),
    "bias here and not there": (
        lambda: stack(CELLS["elman"](D, H), CELLS["elman"](H, H, bias=False)),
        "bias",
    ),
}


@pytest.mark.parametrize("name", WITHOUT_A_COUNTERPART)
def test_what_torch_does_not_have_is_refused_by_name(name):
    make, words = WITHOUT_A_COUNTERPART[name]
    network = make()
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    params = randomised(shapes, np.random.default_rng(3))
    with pytest.raises(ValueError, match=words) as caught:
        to_torch(network, params)
    assert "\n" not in str(caught.value) and "torch" in str(caught.value)


def test_numbers_train_on_from_where_torch_left_them(float64):
    """The gradient of the imported weights is torch's own, gate by gate."""
    module = make_module("lstm")
    network, params = from_torch(weights_of(module), kind="lstm")
    xs = inputs()

    def scalar(params):
        _, ys = unroll(network, params, xs)
        return jnp.sum(jnp.square(ys))

    grads = jax.jit(jax.grad(scalar))(params)
    module(torch.tensor(xs))[0].square().sum().backward()
    rows = np.split(module.weight_hh_l0.grad.numpy(), 4)
    for gate, expected in zip("ifzo", rows, strict=True):
        np.testing.assert_allclose(getattr(grads, f"r_{gate}"), expected, rtol=1e-9, atol=1e-13)
