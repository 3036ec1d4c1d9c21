"""ONNX's LSTM, GRU and RNN nodes, in and out, against onnx's own cases and against onnxruntime."""

import importlib
import warnings

import jax
import numpy as np
import pytest

from lstm_jax.cells import CELLS
from lstm_jax.cells.wrappers import layer_norm
from lstm_jax.interop.onnx import from_node, node_state, run_node, to_node
from lstm_jax.interop.onnx_functions import NodeFunction
from lstm_jax.structures import bidirectional, layer, stack
from lstm_jax.unroll import unroll
from tests.loops import random_case
from tests.onnx_nodes import OUTPUTS, SLOTS
from tests.onnx_nodes import run_node as by_onnxruntime
from tests.peers import exchanged, states_of
from tests.variants import randomised

onnx = pytest.importorskip("onnx", reason="onnx has the nodes and their cases")
pytest.importorskip("onnxruntime", reason="onnxruntime is what the nodes are tried on")

D, H, T, LENGTHS = 3, 4, 6, (6, 1, 4)
NUM_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
NUM_FUNCTIONS = {"LSTM": 3, "GRU": 2, "RNN": 1}


# ---- the cases of onnx itself


@pytest.fixture(scope="module")
def cases():
    """The node test cases of the three operators, by name.

    `collect_testcases` imports the cases of all operators, for 20 seconds: here of these alone.
    """
    from onnx.backend.test.case import node

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, at the making of cases
        names = ("lstm", "gru", "rnn")
        patch.setattr(
            node,
            "import_recursive",
            lambda package: [importlib.import_module(f"{package.__name__}.{n}") for n in names],
        )
        return {case.name: case for case in node.collect_testcases()}


def case_names():
    kinds = ("defaults", "with_initial_bias", "batchwise", "reverse", "bidirectional")
    names = [f"test_{op}_{kind}" for op in ("lstm", "gru", "simple_rnn") for kind in kinds]
    return [*names, "test_lstm_with_peepholes", "test_gru_seq_length", "test_rnn_seq_length"]


def test_no_case_of_onnx_is_left_out(cases):
    ours = {name for name, case in cases.items() if case.model.graph.node[0].op_type in SLOTS}
    assert ours == set(case_names()) and len(ours) == len(cases)


@pytest.mark.parametrize("name", case_names())
def test_cases_of_onnx(name, cases):
    """The formulas that onnx wrote down in NumPy, for every case that it has of them."""
    case = cases[name]
    (node,) = case.model.graph.node
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    ((inputs, outputs),) = case.data_sets
    given = dict(zip([i.name for i in case.model.graph.input], inputs, strict=True))
    slots = {
        slot: given[name]
        for slot, name in zip(SLOTS[node.op_type], node.input, strict=False)
        if name
    }
    got = dict(zip(OUTPUTS[node.op_type], run_node(node.op_type, attributes, **slots), strict=True))
    expected = dict(zip([name for name in node.output if name], outputs, strict=True))
    assert expected
    for name, value in expected.items():
        assert got[name].dtype == np.float32
        np.testing.assert_allclose(got[name], value, rtol=1e-6, atol=1e-6)


# ---- random nodes against onnxruntime


def random_node(op_type, attributes, rng, *, bias=True, peepholes=False, lengths=None, state=True):
    """(attributes, inputs) with normal numbers in everything that is given."""
    num = 2 if attributes.get("direction") == "bidirectional" else 1
    rows, batch = NUM_GATES[op_type] * H, len(LENGTHS)

    def normal(*shape):
        return (rng.normal(size=shape) * 0.7).astype(np.float32)

    inputs = {"X": normal(T, batch, D), "W": normal(num, rows, D), "R": normal(num, rows, H)}
    if bias:
        inputs["B"] = normal(num, 2 * rows)
    if peepholes:
        inputs["P"] = normal(num, 3 * H)
    if lengths is not None:
        inputs["sequence_lens"] = np.array(lengths, np.int32)
    if state:
        inputs["initial_h"] = normal(num, batch, H)
        if op_type == "LSTM":
            inputs["initial_c"] = normal(num, batch, H)
    return {"hidden_size": H, **attributes}, inputs


def agrees_with_onnxruntime(op_type, attributes, inputs, tolerance=2e-6):
    expected = by_onnxruntime(op_type, attributes, **inputs)
    got = dict(zip(OUTPUTS[op_type], run_node(op_type, attributes, **inputs), strict=True))
    for name, value in expected.items():
        assert got[name].shape == value.shape
        np.testing.assert_allclose(got[name], value, rtol=0, atol=tolerance, err_msg=name)
    return expected


RANDOM = {
    "lstm": ("LSTM", {}, {}),
    "lstm, no bias, no state": ("LSTM", {}, {"bias": False, "state": False}),
    "lstm, peepholes": ("LSTM", {}, {"peepholes": True}),
    "lstm, lengths": ("LSTM", {}, {"lengths": LENGTHS}),
    "lstm, reverse, lengths": ("LSTM", {"direction": "reverse"}, {"lengths": LENGTHS}),
    "lstm, both ways, peepholes, lengths": (
        "LSTM",
        {"direction": "bidirectional"},
        {"peepholes": True, "lengths": LENGTHS},
    ),
    "lstm, coupled gates": ("LSTM", {"input_forget": 1}, {}),
    "lstm, coupled gates, peepholes": ("LSTM", {"input_forget": 1}, {"peepholes": True}),
    "lstm, clip": ("LSTM", {"clip": 0.4}, {}),
    "lstm, clip, peepholes": ("LSTM", {"clip": 0.4}, {"peepholes": True}),
    "lstm, all at once": (
        "LSTM",
        {
            "direction": "bidirectional",
            "input_forget": 1,
            "clip": 0.7,
            "activations": ["HardSigmoid", "Elu", "ScaledTanh", "Sigmoid", "Affine", "Softsign"],
            "activation_alpha": [0.3, 0.8, 1.7, 0.9],
            "activation_beta": [0.4, 0.6, 0.1],
        },
        {"peepholes": True, "lengths": LENGTHS},
    ),
    "gru": ("GRU", {}, {}),
    "gru, no bias": ("GRU", {}, {"bias": False}),
    "gru, reset after": ("GRU", {"linear_before_reset": 1}, {}),
    "gru, reset after, no bias": ("GRU", {"linear_before_reset": 1}, {"bias": False}),
    "gru, both ways, lengths": (
        "GRU",
        {"direction": "bidirectional", "linear_before_reset": 1},
        {"lengths": LENGTHS},
    ),
    "gru, reverse, lengths": ("GRU", {"direction": "reverse"}, {"lengths": LENGTHS}),
    "gru, clip": ("GRU", {"clip": 0.4}, {}),
    "gru, clip, reset after": ("GRU", {"clip": 0.4, "linear_before_reset": 1}, {}),
    "gru, functions": (
        "GRU",
        {
            "activations": ["HardSigmoid", "ScaledTanh"],
            "activation_alpha": [0.3, 1.7],
            "activation_beta": [0.4, 0.6],
        },
        {},
    ),
    "rnn": ("RNN", {}, {}),
    "rnn, no bias": ("RNN", {}, {"bias": False}),
    "rnn, reverse, lengths": ("RNN", {"direction": "reverse"}, {"lengths": LENGTHS}),
    "rnn, both ways, two functions": (
        "RNN",
        {
            "direction": "bidirectional",
            "activations": ["LeakyRelu", "Affine"],
            "activation_alpha": [0.2, 0.5],
            "activation_beta": [0.1],
        },
        {"lengths": LENGTHS},
    ),
    "rnn, clip": ("RNN", {"clip": 0.4}, {}),
}


@pytest.mark.parametrize("name", RANDOM)
def test_agrees_with_onnxruntime(name):
    op_type, attributes, given = RANDOM[name]
    rng = np.random.default_rng(sorted(RANDOM).index(name))
    attributes, inputs = random_node(op_type, attributes, rng, **given)
    agrees_with_onnxruntime(op_type, attributes, inputs)


FUNCTIONS = {
    "Relu": {},
    "Tanh": {},
    "Sigmoid": {},
    "Softsign": {},
    "Softplus": {},
    "LeakyRelu": {"alpha": 0.3},
    "ThresholdedRelu": {"alpha": 0.2},
    "Elu": {"alpha": 0.7},
    "Affine": {"alpha": 0.8, "beta": 0.3},
    "ScaledTanh": {"alpha": 1.7, "beta": 0.6},
    "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_of_onnx(name):
    """In an RNN, with its alpha and beta."""
    numbers = {f"activation_{letter}": [value] for letter, value in FUNCTIONS[name].items()}
    rng = np.random.default_rng(1)
    attributes, inputs = random_node("RNN", {"activations": [name], **numbers}, rng)
    expected = agrees_with_onnxruntime("RNN", attributes, inputs)
    tanh = by_onnxruntime("RNN", {"hidden_size": H}, **inputs)
    assert name == "Tanh" or abs(expected["Y"] - tanh["Y"]).max() > 1e-2
    # and back: the same attributes come out of the cell, or the default's absence
    part, params = from_node("RNN", attributes, *(inputs[slot] for slot in "WRB"))
    again = to_node(part, params).attributes
    if name != "Tanh":
        assert again["activations"] == [name]
        for key, value in numbers.items():
            np.testing.assert_allclose(again[key], value, rtol=1e-6)


def test_a_thresholded_relu_is_closed_at_its_threshold():
    """ONNX: x for x > alpha, and 0 otherwise."""
    given = {"activations": ["ThresholdedRelu"], "activation_alpha": [0.5]}
    attributes, inputs = random_node("RNN", given, np.random.default_rng(4))
    inputs |= {slot: np.zeros_like(inputs[slot]) for slot in inputs if slot in "XRB"}
    inputs["W"] = np.ones_like(inputs["W"])
    inputs["X"][..., 0] = np.resize([0.5, 0.75, 0.25], inputs["X"].shape[:2])
    expected = agrees_with_onnxruntime("RNN", attributes, inputs)
    assert set(np.unique(expected["Y"])) == {0.0, 0.75}


@pytest.mark.parametrize("name", ["LeakyRelu", "Elu", "HardSigmoid"])
def test_functions_without_their_numbers_have_the_defaults_of_onnx(name):
    rng = np.random.default_rng(2)
    attributes, inputs = random_node("RNN", {"activations": [name]}, rng)
    inputs["X"] *= 3
    agrees_with_onnxruntime("RNN", attributes, inputs)


def test_numbers_go_to_the_functions_that_take_one_in_order():
    """The sigmoid takes none: padding for it would be handed to the next function."""
    rng = np.random.default_rng(3)
    attributes, inputs = random_node(
        "LSTM",
        {
            "activations": ["Sigmoid", "ScaledTanh", "ScaledTanh"],
            "activation_alpha": [2.0, 1.0],
            "activation_beta": [0.5, 0.25],
        },
        rng,
    )
    agrees_with_onnxruntime("LSTM", attributes, inputs)
    with pytest.raises(ValueError, match="activation_alpha") as caught:
        run_node("LSTM", {**attributes, "activation_alpha": [1.0, 2.0, 1.0]}, **inputs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", range(10))
def test_nodes_at_random(seed):
    """Everything drawn: operator, direction, functions, clip, gates, lengths, what is given."""
    rng = np.random.default_rng(100 + seed)
    op_type = rng.choice(["LSTM", "GRU", "RNN"])
    direction = rng.choice(["forward", "reverse", "bidirectional"])
    num = NUM_FUNCTIONS[op_type] * (2 if direction == "bidirectional" else 1)
    names = [str(name) for name in rng.choice(list(FUNCTIONS), num)]
    attributes = {"direction": str(direction), "activations": names}
    for letter in ("alpha", "beta"):
        values = [FUNCTIONS[name][letter] for name in names if letter in FUNCTIONS[name]]
        if values:
            attributes[f"activation_{letter}"] = values
    if rng.random() < 0.5:
        attributes["clip"] = float(np.float32(rng.uniform(0.3, 2)))
    if op_type != "RNN":
        flag = "input_forget" if op_type == "LSTM" else "linear_before_reset"
        attributes[flag] = int(rng.integers(2))
    attributes, inputs = random_node(
        str(op_type),
        attributes,
        rng,
        bias=rng.random() < 0.7,
        peepholes=op_type == "LSTM" and rng.random() < 0.5,
        lengths=LENGTHS if rng.random() < 0.7 else None,
        state=rng.random() < 0.7,
    )
    # functions without a bound let numbers grow, so the bound is relative
    expected = by_onnxruntime(op_type, attributes, **inputs)
    got = run_node(op_type, attributes, **inputs)
    for one, other in zip(got, expected.values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_sequence_of_length_zero():
    """Zeros come out, and the final state is zeros: whatever the initial one, as of onnxruntime."""
    rng = np.random.default_rng(4)
    attributes, inputs = random_node("LSTM", {"direction": "bidirectional"}, rng, lengths=(T, 0, 2))
    got = run_node("LSTM", attributes, **inputs)
    assert inputs["initial_h"].any() and inputs["initial_c"].any()
    expected = by_onnxruntime("LSTM", attributes, **inputs).values()
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    without = {k: v for k, v in inputs.items() if not k.startswith("initial")}
    for one, other in zip(
        run_node("LSTM", attributes, **without),
        by_onnxruntime("LSTM", attributes, **without).values(),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("op_type", SLOTS)
def test_no_two_gates_can_be_mixed_up_unseen(op_type):
    rng = np.random.default_rng(5)
    attributes, inputs = random_node(op_type, {}, rng, peepholes=op_type == "LSTM")
    if op_type == "GRU":
        attributes["linear_before_reset"] = 1
    expected = by_onnxruntime(op_type, attributes, **inputs)["Y"]
    blocks = {"W": NUM_GATES[op_type], "R": NUM_GATES[op_type], "B": 2 * NUM_GATES[op_type], "P": 3}
    cell, _ = from_node(op_type, attributes, *(inputs.get(slot) for slot in "WRBP"))
    starts = {key: value[:, 0] for key, value in inputs.items() if key.startswith("initial")}
    start = node_state(cell, **starts)
    run = jax.jit(lambda params: unroll(cell, params, inputs["X"][:, 0], start)[1])
    for slot, num in blocks.items():
        for (one, other), mixed in exchanged(inputs[slot], num, 1) if slot in inputs else ():
            if slot == "B" and other - one == NUM_GATES[op_type] and (op_type, one) != ("GRU", 2):
                continue  # a gate's two biases are summed, but for the one inside the GRU's reset
            weights = {**inputs, slot: mixed}
            _, params = from_node(op_type, attributes, *(weights.get(name) for name in "WRBP"))
            assert abs(run(params) - expected[:, 0, 0]).max() > 1e-4, (slot, one, other)


# ---- from nodes to cells: what they are, and back


def test_what_a_node_becomes():
    rng = np.random.default_rng(6)
    weights = {}
    for direction in ("forward", "reverse", "bidirectional"):
        attributes, inputs = random_node("LSTM", {"direction": direction}, rng, peepholes=True)
        weights[direction] = from_node(
            "LSTM", attributes, *(inputs[slot] for slot in ("W", "R", "B", "P"))
        )
    assert weights["forward"][0].name == "lstm"
    assert weights["reverse"][0].name == "layer" and weights["reverse"][0].spec.reverse
    assert weights["bidirectional"][0].name == "bidirectional"
    params = weights["forward"][1]
    assert params.p_i is not None and weights["forward"][0].spec.switches == ()


@pytest.mark.parametrize("name", RANDOM)
def test_from_node_and_back(name):
    """The node that comes back computes the same, by onnxruntime; and its cell is this cell."""
    op_type, attributes, given = RANDOM[name]
    rng = np.random.default_rng(7)
    attributes, inputs = random_node(op_type, attributes, rng, **given)
    slots = ("W", "R", "B", "P")
    part, params = from_node(op_type, attributes, *(inputs.get(slot) for slot in slots))
    node = to_node(part, params)
    assert node.op_type == op_type
    back = {**inputs, **{slot: getattr(node, slot) for slot in slots}}
    back = {slot: value for slot, value in back.items() if value is not None}
    one = by_onnxruntime(op_type, attributes, **inputs)
    other = by_onnxruntime(op_type, node.attributes, **back)
    for key, value in one.items():
        np.testing.assert_allclose(other[key], value, rtol=0, atol=1e-6)
    again, params_again = from_node(*node)
    for a, b in zip(jax.tree.leaves(params_again), jax.tree.leaves(params), strict=False):
        np.testing.assert_array_equal(a, b)
    assert again.name == part.name


LSTM, GRU, ELMAN = CELLS["lstm"], CELLS["gru"], CELLS["elman"]
OURS = {
    "lstm": lambda: LSTM(D, H),
    **{
        f"lstm {switch}": lambda switch=switch: LSTM(D, H, switches=("NP", switch))
        for switch in ("NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG")
    },
    "lstm V": lambda: LSTM(D, H, switches=()),
    "lstm V NIG NOG": lambda: LSTM(D, H, switches=("NIG", "NOG")),
    "lstm V CIFG NOAF": lambda: LSTM(D, H, switches=("CIFG", "NOAF")),
    "lstm clip": lambda: LSTM(D, H, switches=(), clip=0.5),
    "lstm functions": lambda: LSTM(D, H, gate_activation="hard_logistic", g="softsign", h="elu"),
    "lstm both ways": lambda: bidirectional(LSTM(D, H), LSTM(D, H)),
    "lstm backwards": lambda: layer(LSTM(D, H), reverse=True),
    "lstm layer": lambda: layer(LSTM(D, H)),
    "gru": lambda: GRU(D, H),
    "gru one bias": lambda: GRU(D, H, recurrent_bias=False),
    "gru before": lambda: GRU(D, H, reset="before"),
    "gru clip": lambda: GRU(D, H, clip=0.5, g="relu"),
    "gru both ways": lambda: bidirectional(GRU(D, H), GRU(D, H)),
    "elman": lambda: ELMAN(D, H),
    "elman no bias": lambda: ELMAN(D, H, bias=False, activation="logistic"),
    "elman both ways, two functions": lambda: bidirectional(
        ELMAN(D, H, activation="relu"), ELMAN(D, H, activation="softplus")
    ),
    "irnn": lambda: CELLS["irnn"](D, H),
    "lstm97": lambda: CELLS["lstm97"](D, 2, 2, see_gates=False),
    "lstm97 no output gate": lambda: CELLS["lstm97"](
        D, 2, 2, see_gates=False, output_gate=False, g="g1", h="id"
    ),
    "lstm97 no biases": lambda: CELLS["lstm97"](D, 4, 1, see_gates=False, bias="none"),
    "lstm97 silent": lambda: CELLS["lstm97"](D, 2, 2, silent=True),
    "lstm97 silent, gates unseen": lambda: CELLS["lstm97"](D, 2, 2, silent=True, see_gates=False),
    "lstm97 not recurrent": lambda: CELLS["lstm97"](D, 2, 2, see_gates=False, recurrent=False),
}


@pytest.mark.parametrize("name", OURS)
def test_ours_in_onnxruntime(name):
    part = OURS[name]()
    params, state, xs = random_case(part, seed=8, num_steps=T)
    if name.startswith("lstm97"):  # its i and o of the step before are no state of ONNX's
        state = jax.tree.map(lambda leaf: 0 * leaf, state)
    node = to_node(part, params)
    parts = states_of(state)
    starts = {"initial_h": np.stack([s.h for s in parts])[:, None]}
    if node.op_type == "LSTM":
        starts["initial_c"] = np.stack([s.c for s in parts])[:, None]
    weights = {slot: getattr(node, slot) for slot in ("W", "R", "B", "P")}
    weights = {slot: value for slot, value in weights.items() if value is not None}
    theirs = by_onnxruntime(
        node.op_type, node.attributes, X=np.asarray(xs)[:, None], **weights, **starts
    )
    final, ys = jax.jit(lambda params, xs, state: unroll(part, params, xs, state))(
        params, xs, state
    )
    np.testing.assert_allclose(ys, theirs["Y"][:, :, 0].reshape(T, -1), rtol=0, atol=2e-6)
    for n, one in enumerate(states_of(final)):
        np.testing.assert_allclose(one.h, theirs["Y_h"][n, 0], rtol=0, atol=2e-6)
        if node.op_type == "LSTM":
            np.testing.assert_allclose(one.c, theirs["Y_c"][n, 0], rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    "name", ["lstm NIG", "lstm V CIFG NOAF", "gru one bias", "lstm97", "lstm97 silent"]
)
def test_ours_out_and_back_again(name):
    """What a node has not, a gate always open or a block's gate, comes back as what it can say."""
    part = OURS[name]()
    params, _, xs = random_case(part, seed=8, num_steps=T)
    again, params_again = from_node(*to_node(part, params))
    assert again.name == part.name.replace("97", "")
    one, other = (
        jax.jit(lambda xs, part=part, params=params: unroll(part, params, xs)[1])(xs)
        for part, params in ((part, params), (again, params_again))
    )
    np.testing.assert_allclose(one, other, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("op_type", "attributes", "words"),
    [
        ("LSTM", {"output_sequence": 1}, "'output_sequence'"),
        ("LSTM", {"linear_before_reset": 1}, "'linear_before_reset'"),
        ("GRU", {"input_forget": 1}, "'input_forget'"),
        ("RNN", {"peephole": 1}, "'peephole'"),
        ("LSTM", {"activations": ["Sigmoid", "Tanh", "Swish"]}, "'Swish'"),
        ("LSTM", {"activations": ["Sigmoid", "Tanh"]}, "2 activations.*3"),
        ("GRU", {"activations": ["Sigmoid", "Tanh", "Tanh"]}, "3 activations.*2"),
        ("RNN", {"activations": ["Affine"]}, "activation_alpha.*Affine"),
        ("RNN", {"activations": ["ScaledTanh"], "activation_alpha": [1.0]}, "activation_beta"),
        # onnx says 1, onnxruntime takes another
        ("RNN", {"activations": ["ThresholdedRelu"]}, "activation_alpha.*ThresholdedRelu"),
        ("RNN", {"activation_beta": [1.0]}, "activation_beta"),
        ("LSTM", {"direction": "backward"}, "'backward'.*forward.*reverse.*bidirectional"),
        ("LSTM", {"direction": "bidirectional"}, r"shape \(1,.*\(2,"),
        ("LSTM", {"hidden_size": 5}, r"shape \(1, 16, 3\).*\(1, 20, 3\)"),
        ("LSTM", {"layout": 2}, "layout"),
        ("LSTM", {"input_forget": 2}, "input_forget"),
        ("LSTM", {"clip": 0.0}, "clip"),
        ("LSTM", {"clip": -1.0}, "clip"),
        ("RNN", {"clip": -1.0}, "clip"),
        ("RNN", {"clip": 0.0}, "clip"),
        ("Lstm", {}, "'Lstm'.*LSTM.*GRU.*RNN"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(op_type, attributes, words):
    kind = op_type if op_type in SLOTS else "LSTM"
    given, inputs = random_node(kind, {}, np.random.default_rng(9))
    weights = (inputs[slot] for slot in "WRB")
    with pytest.raises(ValueError, match=words) as caught:
        from_node(op_type, {**given, **attributes}, *weights)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("slot", ["W", "R", "B", "P"])
def test_shapes_that_do_not_fit_are_refused_by_name(slot):
    given, inputs = random_node("LSTM", {}, np.random.default_rng(10), peepholes=True)
    inputs[slot] = inputs[slot][:, :-1]
    with pytest.raises(ValueError, match=f"{slot}.*shape") as caught:
        from_node("LSTM", given, *(inputs[name] for name in ("W", "R", "B", "P")))
    assert "\n" not in str(caught.value)


def test_peepholes_of_a_gru_are_refused():
    given, inputs = random_node("GRU", {}, np.random.default_rng(11))
    with pytest.raises(ValueError, match="P.*LSTM"):
        from_node("GRU", given, inputs["W"], inputs["R"], inputs["B"], np.ones((1, 12)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LSTM(D, H, switches=("NP", "FGR")), "FGR"),
        (lambda: LSTM(D, H, projection_size=2), "projection"),
        (lambda: LSTM(D, H, g=np.tanh), "tanh"),
        (lambda: LSTM(D, H, switches=("NP", "NIG"), clip=1.0), "clip"),
        (lambda: LSTM(D, H, switches=("NP", "NFG"), gate_activation="relu"), "logistic"),
        (lambda: LSTM(D, H, h=NodeFunction("Tanh", clip=0.5)), r"LSTM.*clip.*Tanh alone \(0\.5\)"),
        (lambda: GRU(D, H, g=NodeFunction("Tanh", clip=0.5)), "GRU.*clip.*Tanh alone"),
        (lambda: CELLS["mgu"](D, H), "mgu"),
        (lambda: CELLS["lstm97"](D, 2, 2), "see_gates"),
        (lambda: layer_norm(LSTM(D, H)), "lstm"),
        (lambda: stack(LSTM(D, H), LSTM(H, H)), "stack"),
        (lambda: bidirectional(LSTM(D, H), GRU(D, H)), "LSTM.*GRU"),
        (lambda: bidirectional(LSTM(D, H), LSTM(D, 5)), "4.*5"),
        (lambda: bidirectional(LSTM(D, H), LSTM(D, H), merge="sum"), "sum"),
        (
            lambda: bidirectional(LSTM(D, H), LSTM(D, H, switches=("NP", "CIFG"))),
            "input_forget",
        ),
        (lambda: bidirectional(GRU(D, H), GRU(D, H, reset="before")), "linear_before_reset"),
        (lambda: bidirectional(GRU(D, H), GRU(D, H, clip=1.0)), "clip"),
    ],
)
def test_what_onnx_does_not_have_is_refused_by_name(make, words):
    part = make()
    params = jax.eval_shape(part.init, jax.random.key(0))
    with pytest.raises(ValueError, match=words) as caught:
        to_node(part, randomised(params, np.random.default_rng(12)))
    assert "\n" not in str(caught.value)


def test_one_direction_with_peepholes_and_one_without():
    """A node has P for both: zeros stand for none."""
    part = bidirectional(LSTM(D, H, switches=()), LSTM(D, H))
    params, _, xs = random_case(part, seed=13, num_steps=T)
    node = to_node(part, params)
    weights = {slot: getattr(node, slot) for slot in ("W", "R", "B", "P")}
    theirs = by_onnxruntime("LSTM", node.attributes, X=np.asarray(xs)[:, None], **weights)
    _, ys = unroll(part, params, xs)
    np.testing.assert_allclose(ys, theirs["Y"][:, :, 0].reshape(T, -1), rtol=0, atol=1e-6)
