"""Gradient rules: the 1997 truncation three times over, and full backpropagation.

The truncated gradient by autodiff (the definition), by forward traces (the paper's algorithm), and
by tests/oracles/lstm97.py (the paper's formulas in NumPy loops) must agree to float64 rounding.
The full gradient must agree with finite differences of the loss, computed by the NumPy forward
passes alone.
"""

from functools import lru_cache, partial

import jax
import numpy as np
import pytest

from lstm_jax.cells import CELLS, elman, lstm97
from lstm_jax.gradients import GRADIENT_RULES, trailing_bptt
from lstm_jax.kernels import lanes_last
from lstm_jax.network import NetworkParams, network
from lstm_jax.readout import readout
from lstm_jax.tasks import Example
from tests.compiling import quick
from tests.networks import (
    CASES,
    Case,
    D,
    K,
    T,
    as_vectors,
    make_network,
    paper_gradient,
    random_example,
    random_problem,
    row,
    stack,
)
from tests.oracles import adapters
from tests.oracles import lstm97 as paper
from tests.tolerances import FINITE_DIFFERENCES, TOLERANCES, assert_close
from tests.variants import random_state, randomised

# full backpropagation is plain autodiff: a part of the cases will do
FULL_CASES = (
    "hidden biases, end, logistic",
    "hidden biases, every step, identity",
    "gate biases, no output gate, end, no derivative",
    "Experiment 2a",
)
SEEDS = (0, 1, 2)


@lru_cache
def compiled(name, rule):
    """A rule over the seeds at once: one program for all tests, compiling is what takes time."""
    return quick(jax.vmap(GRADIENT_RULES[rule](make_network(name), CASES[name].timing)))


@lru_cache
def problems_of(name):
    with jax.enable_x64(True):
        return stack([random_problem(name, seed) for seed in SEEDS])


@lru_cache
def result_of(name, rule):
    """What a rule makes of the case's problems, in float64."""
    with jax.enable_x64(True):
        return compiled(name, rule)(*problems_of(name))


@pytest.mark.parametrize("rule", ["truncated", "traces"])
@pytest.mark.parametrize("name", CASES)
def test_truncated_gradient_is_the_papers(name, rule):
    for n in range(len(SEEDS)):
        params, example, state = row(problems_of(name), n)
        outputs, grads = row(result_of(name, rule), n)
        ys, expected = paper_gradient(name, params, example, state)
        assert_close(as_vectors(grads), expected, "oracle")
        if CASES[name].timing == "end":
            assert_close(outputs, ys[-1], "oracle")
        else:
            assert outputs.shape == (T, K)
            assert_close(outputs[: len(ys)], ys, "oracle")


@pytest.mark.parametrize("name", CASES)
def test_traces_are_the_definition(name):
    (_, grads), (_, definition) = (result_of(name, rule) for rule in ("traces", "truncated"))
    assert jax.tree.structure(grads) == jax.tree.structure(definition)
    assert_close(grads, definition)


@pytest.mark.parametrize("rule", GRADIENT_RULES)
def test_no_state_is_the_zero_state(rule):
    name = "hidden biases, end, logistic"
    with jax.enable_x64(True):
        problems = stack([random_problem(name, seed, zero_state=True) for seed in SEEDS])
        assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(problems[2]))
        with_state = compiled(name, rule)(*problems)
        params, example, _ = row(problems, 0)
        without = quick(GRADIENT_RULES[rule](make_network(name), "end"))(params, example)
    assert_close(without, row(with_state, 0))


def numpy_outputs(name, params, example, state):
    case, length = CASES[name], int(example.length)
    activation = case.readout.get("activation", "logistic")
    net = adapters.paper_net(params.cell, case.cell, params.readout, activation, case.direct)
    steps = paper.forward(net, example.inputs[:length], adapters.paper_state(state))
    return np.array([now.y_k for now in steps])


def loss_of(case, outputs, example):
    """The loss whose negative slope in net is the rule's e_k; by facts of calculus."""
    if case.timing == "end":
        y, t = outputs[-1], example.targets
    else:
        mask = example.mask[: len(outputs)]
        y, t = outputs[mask], example.targets[: len(outputs)][mask]
    factor = case.readout.get("factor", 1.0)
    if case.readout.get("delta") == "no_derivative":  # logistic: the cross-entropy
        return -factor * np.sum(t * np.log(y) + (1 - t) * np.log(1 - y))
    return factor * 0.5 * np.sum((t - y) ** 2)


def assert_slopes(loss, params, grads):
    """Central differences of `loss(params)` in every single weight."""
    leaves, tree = jax.tree.flatten(jax.tree.map(lambda leaf: np.array(leaf), params))
    h = FINITE_DIFFERENCES["step"]
    for leaf, grad in zip(leaves, jax.tree.leaves(grads), strict=True):
        slope = np.zeros_like(leaf)
        for index in np.ndindex(leaf.shape):
            here = leaf[index]
            values = []
            for shift in (h, -h):
                leaf[index] = here + shift
                values.append(loss(jax.tree.unflatten(tree, leaves)))
            leaf[index] = here
            slope[index] = (values[0] - values[1]) / (2 * h)
        np.testing.assert_allclose(
            grad, slope, rtol=FINITE_DIFFERENCES["rtol"], atol=FINITE_DIFFERENCES["atol"]
        )


@pytest.mark.parametrize("name", FULL_CASES)
def test_full_gradient_is_the_slope_of_the_loss(name):
    n = 2  # length 4 of 6
    params, example, state = row(problems_of(name), n)
    outputs, grads = row(result_of(name, "bptt"), n)
    ys = numpy_outputs(name, params, example, state)
    assert_close(outputs if CASES[name].timing == "end" else outputs[: len(ys)],
                 ys[-1] if CASES[name].timing == "end" else ys, "oracle")  # fmt: skip

    def loss(params):
        return loss_of(CASES[name], numpy_outputs(name, params, example, state), example)

    assert_slopes(loss, params, grads)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@pytest.mark.parametrize("name", FULL_CASES)
def test_truncated_and_full_gradients_differ(name):
    """Clearly, where there are recurrent weights to flow back through; not at all without them."""
    for n in range(len(SEEDS)):
        _, example, _ = row(problems_of(name), n)
        full, cut = (flat(row(result_of(name, rule)[1], n)) for rule in ("bptt", "truncated"))
        relative = np.linalg.norm(full - cut) / np.linalg.norm(full)
        options = CASES[name].cell
        hears = options.get("recurrent", True) and not options.get("silent", False)
        if hears and example.length > 1:
            assert relative > 0.01
        else:
            assert relative < 1e-12


def test_truncated_and_full_gradient_by_hand():
    """One cell, gates fixed at 1/2, two steps with x = (1, 0): worked out with pencil and paper.

    c_1 = g(w)/2, h_1 = h(c_1)/2, c_2 = c_1 + g(r h_1)/2, net = v h(c_2)/2, target at step 2.
    Truncated, dc_2/dw = g'(w)/2. Full, there is also the way through r: the error that enters the
    cell's input at step 2 and goes back along the recurrent connection.
    """
    cell = lstm97(1, 1, 1, bias="none")
    net = network(cell, readout(1, 1, activation="identity", bias=False))
    w, r, v, target = 0.8, 1.7, 1.3, 2.0
    with jax.enable_x64(True):
        shapes = jax.eval_shape(net.init, jax.random.key(0))
        params = jax.tree.map(lambda leaf: np.zeros(leaf.shape), shapes)
        params.cell.w_z[0, 0] = w
        params.cell.r_z[0, 2] = r  # sources: input gate, output gate, cell
        params.readout.v[0, 0] = v
        example = Example(np.array([[1.0], [0.0]]), np.array([target]), np.int32(2))
        got = {
            name: float(quick(rule(net, "end"))(params, example)[1].cell.w_z[0, 0])
            for name, rule in GRADIENT_RULES.items()
        }

    def g(x):
        return 2 * np.tanh(x / 2)

    def h(x):
        return np.tanh(x / 2)

    def g_slope(x):
        return 1 - np.tanh(x / 2) ** 2

    def h_slope(x):
        return (1 - np.tanh(x / 2) ** 2) / 2

    c_1 = g(w) / 2
    h_1 = h(c_1) / 2
    c_2 = c_1 + g(r * h_1) / 2
    e = target - v * h(c_2) / 2
    kept = g_slope(w) / 2
    through_r = g_slope(r * h_1) / 2 * r * h_slope(c_1) / 2 * kept
    e_s = e * v * h_slope(c_2) / 2
    np.testing.assert_allclose(got["truncated"], -e_s * kept, rtol=1e-12)
    np.testing.assert_allclose(got["traces"], -e_s * kept, rtol=1e-12)
    np.testing.assert_allclose(got["bptt"], -e_s * (kept + through_r), rtol=1e-12)
    assert abs(got["bptt"] / got["truncated"] - 1) > 0.1


# Cells other than lstm97, with the gradient that the truncation leaves:
LAST_STEP = ("elman", "irnn", "gru", "mgu", "mut1", "mut2", "mut3")  # of the last step alone
CAROUSEL = ("lstm", "slstm")  # the full one, once nothing recurs through weights
FULL = ("min_gru", "min_lstm")  # the full one: nothing else recurs
OTHERS = {name: CELLS[name](D, 4) for name in (*LAST_STEP, *CAROUSEL, *FULL)}


def random_case(name, seed, timing):
    cell = OTHERS[name]
    net = network(cell, readout(4, K))
    rng = np.random.default_rng(seed)
    params = randomised(jax.eval_shape(net.init, jax.random.key(0)), rng)
    return net, params, random_state(cell, rng), random_example(rng, timing, length=4)


def numpy_hs(name, params, xs, state):
    return np.array([now["h"] for now in adapters.steps(name, {}, params, state, xs)])


@pytest.mark.parametrize("timing", ["end", "every_step"])
@pytest.mark.parametrize("name", OTHERS)
def test_full_gradient_of_the_other_cells(name, timing):
    with jax.enable_x64(True):
        net, params, state, example = random_case(name, 7, timing)
        outputs, grads = quick(GRADIENT_RULES["bptt"](net, timing))(params, example, state)

    def numpy_outputs(params):
        hs = numpy_hs(name, params.cell, example.inputs[:4], state)
        return paper.f(hs @ params.readout.v.T + params.readout.b)

    ys = numpy_outputs(jax.tree.map(np.asarray, params))
    assert_close(outputs if timing == "end" else outputs[:4], ys[-1] if timing == "end" else ys)
    case = Case({}, {}, timing)
    assert_slopes(lambda params: loss_of(case, numpy_outputs(params), example), params, grads)


@pytest.mark.parametrize("name", OTHERS)
def test_truncation_of_the_other_cells(name):
    with jax.enable_x64(True):
        net, params, state, example = random_case(name, 8, "end")
        full, cut = (quick(GRADIENT_RULES[rule](net, "end")) for rule in ("bptt", "truncated"))
        outputs, grads = cut(params, example, state)
        full_outputs, full_grads = full(params, example, state)
        assert_close(full_outputs, outputs)
        if name in FULL:
            assert_close(grads, full_grads)
            return
        assert np.linalg.norm(flat(grads) - flat(full_grads)) > 0.001
        if name in LAST_STEP:
            hs = numpy_hs(name, params.cell, example.inputs[:4], state)
            last = example._replace(inputs=np.roll(example.inputs, -3, axis=0), length=np.int32(1))
            assert_close(grads, full(params, last, state._replace(h=hs[2]))[1])
        else:
            recurrent = {k: v for k, v in params.cell._asdict().items() if k.startswith("r_")}
            still = jax.tree.map(np.zeros_like, recurrent)
            params = params._replace(cell=params.cell._replace(**still))
            kept = dict.fromkeys(still)  # r itself still gets a gradient, from h as it was
            pair = [rule(params, example, state)[1] for rule in (full, cut)]
            assert_close(*(p._replace(cell=p.cell._replace(**kept)) for p in pair))


def with_bad_padding(what, example):
    """NaN wherever nothing may be read, or a mask that is true after the sequence's end."""
    inputs, targets = example.inputs.copy(), example.targets.copy()
    if what == "inputs":
        inputs[example.length :] = np.nan
        return example._replace(inputs=inputs)
    if what == "targets":
        targets[~example.mask] = np.nan
        return example._replace(targets=targets)
    return example._replace(mask=example.mask | (np.arange(T) >= example.length))


@pytest.mark.parametrize("rule", GRADIENT_RULES)
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("hidden biases, end, logistic", "inputs"),
        ("hidden biases, every step, identity", "inputs"),
        ("hidden biases, every step, identity", "targets"),
        ("hidden biases, every step, identity", "mask"),
        ("Experiment 2a", "inputs"),
        ("Experiment 2a", "targets"),
    ],
)
def test_padding_reaches_no_gradient(name, what, rule):
    params, examples, states = problems_of(name)
    with jax.enable_x64(True):
        dirty = stack([with_bad_padding(what, row(examples, n)) for n in range(len(SEEDS))])
        _, grads = compiled(name, rule)(params, dirty, states)
    assert_close(grads, result_of(name, rule)[1])


LANES = [
    ("hidden biases, end, logistic", 1),
    ("hidden biases, end, logistic", 8),
    ("gate biases, every step, as Experiment 1", 3),
    ("gate biases, no output gate, end, no derivative", 3),
    ("no biases, end, factor 2", 3),
    ("Experiment 2a", 3),
]


@pytest.mark.parametrize(("name", "num_lanes"), LANES)
def test_lanes_last_is_the_vmapped_definition(name, num_lanes):
    """Other weights and another sequence in every lane, lengths mixed."""
    net, timing = make_network(name), CASES[name].timing
    with jax.enable_x64(True):
        problems = [random_problem(name, 10 + seed, zero_state=True) for seed in range(num_lanes)]
        params, examples, zero = stack(problems)
        kernel = jax.jit(lanes_last(GRADIENT_RULES["traces"](net, timing)))
        outputs, grads = kernel(params, examples)
        expected, expected_grads = compiled(name, "truncated")(params, examples, zero)
    assert isinstance(grads, NetworkParams)
    assert_close(grads, expected_grads)
    for n in range(num_lanes):
        upto = slice(None) if timing == "end" else slice(int(examples.length[n]))
        assert_close(outputs[n][upto], expected[n][upto])


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_the_full_gradient_in_lanes_is_the_vmapped_definition(name, ragged):
    """Other weights, another sequence and another state to begin with in every lane."""
    net, timing = make_network(name), CASES[name].timing
    params, examples, states = problems_of(name)
    with jax.enable_x64(True):
        # As experiments train; without `ragged` the equations alone are compared.
        kernel = (jax.jit if ragged else quick)(
            lanes_last(trailing_bptt(net, timing, ragged=ragged))
        )
        outputs, grads = kernel(params, examples, states)
        expected, expected_grads = compiled(name, "bptt")(params, examples, states)
    assert jax.tree.structure(grads) == jax.tree.structure(expected_grads)
    assert_close(grads, expected_grads)
    for n in range(len(SEEDS)):
        upto = slice(None) if timing == "end" else slice(int(examples.length[n]))
        assert_close(outputs[n][upto], expected[n][upto])


@pytest.mark.parametrize("what", ["inputs", "targets", "mask"])
def test_padding_reaches_no_full_gradient_in_lanes(what):
    name = "hidden biases, every step, identity"
    params, examples, states = problems_of(name)
    kernel = quick(lanes_last(trailing_bptt(make_network(name), "every_step")))
    with jax.enable_x64(True):
        dirty = stack([with_bad_padding(what, row(examples, n)) for n in range(len(SEEDS))])
        _, grads = kernel(params, dirty, states)
    assert_close(grads, result_of(name, "bptt")[1])


def test_float32_is_float64_to_its_own_rounding():
    """At the size of the adding problem: 100 steps, the network of 93 weights."""
    net = network(lstm97(2, 2, 2), readout(4, 1, activation="identity"))
    rng = np.random.default_rng(3)
    inputs = rng.uniform(-1, 1, size=(100, 2))
    case = Example(inputs, np.array([0.7]), np.int32(100))
    rule = jax.jit(GRADIENT_RULES["traces"](net, "end"))
    with jax.enable_x64(True):
        params = randomised(jax.eval_shape(net.init, jax.random.key(0)), rng, 0.3)
        wide = rule(params, case)
    single = partial(jax.tree.map, lambda x: x if x.dtype == np.int32 else np.float32(x))
    narrow = rule(single(params), single(case))
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(narrow))
    one, other = flat(narrow), flat(wide)
    # sums of 100 steps: ten times the bound of one step, relative to the whole gradient
    bound = 10 * TOLERANCES["float32"]["rtol"] * np.linalg.norm(other)
    assert np.linalg.norm(one - other) < bound


def test_bad_arguments_name_the_field():
    net = network(elman(2, 3), readout(3, 1))
    for rule in GRADIENT_RULES.values():
        with pytest.raises(ValueError, match="timing.*end.*every_step"):
            rule(make_network("hidden biases, end, logistic"), "start")
    with pytest.raises(ValueError, match="traces.*lstm97.*elman"):
        GRADIENT_RULES["traces"](net, "end")
