"""Cells against packages that nobody here wrote: onnxruntime, and torch with its gradients.

The weights are laid out by hand, by each package's documentation; the converters of
`lstm_jax.interop` have tests of their own. A package that is not installed skips its tests.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import CELLS
from lstm_jax.unroll import unroll
from tests.compiling import quick
from tests.layouts import close_in_single, compiled, named, needs, rows
from tests.onnx_nodes import run_node
from tests.tolerances import assert_close
from tests.variants import D, T, random_case

H, P = 5, 2


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


# --- onnxruntime ---------------------------------------------------------------------------------

# our name -> their name, or with numbers (name, alpha, beta); Affine(1, 0) is the identity
ONNX_NAMES = {
    "logistic": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "identity": ("Affine", 1.0, 0.0),
    "hard_logistic": ("HardSigmoid", 0.2, 0.5),
    "softsign": "Softsign",
    "softplus": "Softplus",
    "elu": ("Elu", 1.0),
    "leaky_relu": ("LeakyRelu", 0.01),
    "g2": ("ScaledTanh", 2.0, 0.5),
    "h1": ("ScaledTanh", 1.0, 0.5),
    "g1": "Sigmoid",
    "id": ("Affine", 1.0, 0.0),
}
OPEN = 100.0  # a bias with which the logistic function of a float32 is 1


def onnx_activations(*names):
    """Attributes; alpha and beta hold entries for those functions alone that take them."""
    full = [(name,) if isinstance(name, str) else name for name in map(ONNX_NAMES.get, names)]
    alphas = [entry[1] for entry in full if len(entry) > 1]
    betas = [entry[2] for entry in full if len(entry) > 2]
    attributes = {"activations": [entry[0] for entry in full]}
    attributes |= {"activation_alpha": alphas} if alphas else {}
    return attributes | ({"activation_beta": betas} if betas else {})


def onnx_lstm(p, *, input_forget=False):
    """W, R, B, P with rows i, o, f, c, for one direction. A gate that is not there stands open.

    With `input_forget` the forget gate's weights must not matter: they are noise.
    """
    rng = np.random.default_rng(99)
    p = dict(p)
    for a in "iof":
        noise = rng.normal(size=H) if a == "f" and input_forget else np.zeros(H)
        p.setdefault(f"w_{a}", noise[:, None] + np.zeros((H, D)))
        p.setdefault(f"r_{a}", noise[:, None] + np.zeros((H, H)))
        p.setdefault(f"b_{a}", noise + (0.0 if input_forget and a == "f" else OPEN))
        p.setdefault(f"p_{a}", noise)
    order = "iofz"
    return {
        "W": rows(p, "w", order)[None],
        "R": rows(p, "r", order)[None],
        "B": np.concatenate([rows(p, "b", order), np.zeros(4 * H)])[None],
        "P": rows(p, "p", "iof")[None],
    }


def onnx_run(op_type, attributes, weights, state, xs, length=None, reverse=False):
    """(state, ys) of one sequence. Batches and directions are axes of length 1 here."""
    start = {
        f"initial_{k}": np.asarray(v)[None, None] for k, v in state._asdict().items() if k in "hc"
    }
    attributes = {"hidden_size": len(np.asarray(state.h)), **attributes}
    if reverse:
        attributes["direction"] = "reverse"
    if length is not None:
        start["sequence_lens"] = [length]
    out = run_node(op_type, attributes, X=np.asarray(xs)[:, None], **start, **weights)
    final = {"h": out["Y_h"][0, 0]} | ({"c": out["Y_c"][0, 0]} if "Y_c" in out else {})
    return final, out["Y"][:, 0, 0]


def agrees_with_onnx(cell, op_type, attributes, weights_of, seed=0):
    """Forward, reverse, and a sequence that ends early, from a non-zero state."""
    needs("onnx", "onnxruntime")
    params, state, xs = random_case(cell, seed)
    weights = weights_of(named(params))
    for length, reverse in ((T, False), (4, False), (4, True)):
        expected, expected_ys = onnx_run(op_type, attributes, weights, state, xs, length, reverse)
        final, ys = compiled(cell, reverse)(params, state, xs, length)
        close_in_single(ys, expected_ys)
        for name, leaf in expected.items():
            close_in_single(getattr(final, name), leaf)


# switches or options -> attributes; the activations of f (gates), g, h
ONNX_LSTMS = {
    "V": ({"switches": ()}, {}),
    "NP": ({}, {}),
    "CIFG": ({"switches": ("CIFG",)}, {"input_forget": 1}),
    "CIFG NP": ({"switches": ("CIFG", "NP")}, {"input_forget": 1}),
    "NIAF": ({"switches": ("NIAF",)}, onnx_activations("logistic", "identity", "tanh")),
    "NOAF": ({"switches": ("NOAF",)}, onnx_activations("logistic", "tanh", "identity")),
    "NIAF NOAF NP": (
        {"switches": ("NIAF", "NOAF", "NP")},
        onnx_activations("logistic", "identity", "identity"),
    ),
    "NIG": ({"switches": ("NIG",)}, {}),
    "NFG": ({"switches": ("NFG",)}, {}),
    "NOG": ({"switches": ("NOG",)}, {}),
    "NIG NOG NP": ({"switches": ("NIG", "NOG", "NP")}, {}),
    "V clipped": ({"switches": (), "clip": 0.6}, {"clip": 0.6}),
    "CIFG clipped": ({"switches": ("CIFG",), "clip": 0.6}, {"clip": 0.6, "input_forget": 1}),
    "V hard_logistic softsign elu": (
        {"switches": (), "gate_activation": "hard_logistic", "g": "softsign", "h": "elu"},
        onnx_activations("hard_logistic", "softsign", "elu"),
    ),
    "NP relu leaky_relu": (
        {"g": "relu", "h": "leaky_relu"},
        onnx_activations("logistic", "relu", "leaky_relu"),
    ),
    "NP softplus clipped": (
        {"g": "softplus", "clip": 0.6},
        {"clip": 0.6, **onnx_activations("logistic", "softplus", "tanh")},
    ),
}


@pytest.mark.parametrize("name", ONNX_LSTMS)
def test_lstm_in_onnxruntime(name):
    options, attributes = ONNX_LSTMS[name]
    cell = CELLS["lstm"](D, H, **options)
    coupled = "CIFG" in options.get("switches", ())
    agrees_with_onnx(cell, "LSTM", attributes, lambda p: onnx_lstm(p, input_forget=coupled))


ONNX_GRUS = {
    "after": ({}, {"linear_before_reset": 1}),
    "after, one bias": ({"recurrent_bias": False}, {"linear_before_reset": 1}),
    "before": ({"reset": "before"}, {"linear_before_reset": 0}),
    "after, clipped": ({"clip": 0.6}, {"clip": 0.6, "linear_before_reset": 1}),
    "before, hard_logistic softsign": (
        {"reset": "before", "gate_activation": "hard_logistic", "g": "softsign"},
        {"linear_before_reset": 0, **onnx_activations("hard_logistic", "softsign")},
    ),
}


def onnx_gru(p):
    """W, R, B with rows z, r, h; the last of the six biases is inside the reset."""
    last = p.get("b_rn", np.zeros(H))
    return {
        "W": rows(p, "w", "zrn")[None],
        "R": rows(p, "r", "zrn")[None],
        "B": np.concatenate([rows(p, "b", "zrn"), np.zeros(2 * H), last])[None],
    }


@pytest.mark.parametrize("name", ONNX_GRUS)
def test_gru_in_onnxruntime(name):
    options, attributes = ONNX_GRUS[name]
    agrees_with_onnx(CELLS["gru"](D, H, **options), "GRU", attributes, onnx_gru)


def onnx_rnn(p):
    b = p.get("b", np.zeros(H))
    return {"W": p["w"][None], "R": p["r"][None], "B": np.concatenate([b, np.zeros(H)])[None]}


@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu", "softsign", "elu"])
def test_elman_in_onnxruntime(activation):
    cell = CELLS["elman"](D, H, activation=activation)
    agrees_with_onnx(cell, "RNN", onnx_activations(activation), onnx_rnn)


def test_irnn_in_onnxruntime():
    agrees_with_onnx(CELLS["irnn"](D, H), "RNN", onnx_activations("relu"), onnx_rnn)


BLOCKS = {
    "g2 h1": {},
    "h1 g2": {"g": "h1", "h": "g2"},
    "g1 id": {"g": "g1", "h": "id"},
    "no output gate, no biases": {"output_gate": False, "bias": "none"},
    "gate biases": {"bias": "gates"},
}


@pytest.mark.parametrize("name", BLOCKS)
def test_the_cell_of_1997_in_onnxruntime(name):
    """No forget gate is one that stands open; the cells of a block have equal gates.

    Gates that see gates are outside of ONNX, so here they do not.
    """
    blocks, size = 3, 2
    options = BLOCKS[name]
    cell = CELLS["lstm97"](D, blocks, size, see_gates=False, **options)

    def weights_of(p):
        num = blocks * size
        full = {}
        for a in "iofz":
            for kind, shape in (("w", (num, D)), ("r", (num, num)), ("b", (num,))):
                leaf = p.get(f"{kind}_{a}")
                if leaf is None:
                    absent = kind == "b" and f"w_{a}" not in p
                    full[f"{kind}_{a}"] = np.full(shape, OPEN if absent else 0.0)
                else:
                    full[f"{kind}_{a}"] = leaf if a == "z" else np.repeat(leaf, size, axis=0)
        biases = np.concatenate([rows(full, "b", "iofz"), np.zeros(4 * num)])
        return {
            "W": rows(full, "w", "iofz")[None],
            "R": rows(full, "r", "iofz")[None],
            "B": biases[None],
        }

    names = ("logistic", options.get("g", "g2"), options.get("h", "h1"))
    agrees_with_onnx(cell, "LSTM", onnx_activations(*names), weights_of)


# --- torch, in float64 and with gradients --------------------------------------------------------


def weighted_sum(arrays, library):
    """The same scalar in jax.numpy and in torch: every element with a weight of its own."""
    total = 0.0
    for array in arrays:
        weights = library.cos(1.0 + library.arange(math.prod(array.shape), dtype=array.dtype))
        total += (array * weights.reshape(array.shape)).sum()
    return total


def torch_lstm(p):
    order = "ifzo"
    weights = {"weight_ih_l0": rows(p, "w", order), "weight_hh_l0": rows(p, "r", order)}
    biases = {"bias_ih_l0": rows(p, "b", order), "bias_hh_l0": np.zeros(4 * H)}
    return weights | biases | ({"weight_hr_l0": p["w_h"]} if "w_h" in p else {})


def torch_gru(p):
    return {
        "weight_ih_l0": rows(p, "w", "rzn"),
        "weight_hh_l0": rows(p, "r", "rzn"),
        "bias_ih_l0": rows(p, "b", "rzn"),
        "bias_hh_l0": np.concatenate([np.zeros(2 * H), p["b_rn"]]),
    }


def torch_rnn(p):
    biases = {"bias_ih_l0": p["b"], "bias_hh_l0": np.zeros(H)}
    return {"weight_ih_l0": p["w"], "weight_hh_l0": p["r"]} | biases


# cell, options, the module of torch.nn, its options, the weights' layout, the state's order
TORCH = {
    "lstm": ("lstm", {}, "LSTM", {}, torch_lstm, "hc"),
    "lstm projected": (
        "lstm", {"projection_size": P}, "LSTM", {"proj_size": P}, torch_lstm, "hc",
    ),
    "gru": ("gru", {}, "GRU", {}, torch_gru, "h"),
    "elman tanh": ("elman", {}, "RNN", {"nonlinearity": "tanh"}, torch_rnn, "h"),
    "elman relu": (
        "elman", {"activation": "relu"}, "RNN", {"nonlinearity": "relu"}, torch_rnn, "h",
    ),
    "irnn": ("irnn", {}, "RNN", {"nonlinearity": "relu"}, torch_rnn, "h"),
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_values_and_gradients_of_torch(name, float64):
    """Outputs, final state, and gradients in weights, state and inputs, from a non-zero state."""
    needs("torch")
    import torch

    cell_name, options, module, their_options, layout, fields = TORCH[name]
    cell = CELLS[cell_name](D, H, **options)
    params, state, xs = random_case(cell, seed=1)

    @quick
    def ours(*case):
        def scalar(params, state, xs):
            final, ys = unroll(cell, params, xs, state)
            arrays = (ys, *(getattr(final, field) for field in fields))
            return weighted_sum(arrays, jnp), arrays

        return jax.value_and_grad(scalar, argnums=(0, 1, 2), has_aux=True)(*case)

    (_, arrays), (d_params, d_state, d_xs) = ours(params, state, xs)

    rnn = getattr(torch.nn, module)(D, H, **their_options).double()
    rnn.load_state_dict({k: torch.tensor(v) for k, v in layout(named(params)).items()})
    start = [torch.tensor(np.asarray(getattr(state, k))[None], requires_grad=True) for k in fields]
    inputs = torch.tensor(np.asarray(xs), requires_grad=True)
    out, final = rnn(inputs, tuple(start) if len(fields) > 1 else start[0])
    theirs = (out, *(leaf[0] for leaf in (final if len(fields) > 1 else (final,))))
    assert_close(arrays, tuple(leaf.detach().numpy() for leaf in theirs))

    weighted_sum(theirs, torch).backward()
    assert_close(d_xs, inputs.grad.numpy())
    for field, leaf in zip(fields, start, strict=True):
        assert_close(getattr(d_state, field), leaf.grad.numpy()[0])
    # biases that torch has twice have the same gradient twice; ours are those of the first
    got = layout(named(d_params))
    for field, leaf in rnn.named_parameters():
        if field != "bias_hh_l0":
            assert_close(got[field], leaf.grad.numpy())
        elif module == "GRU":
            assert_close(got[field][2 * H :], leaf.grad.numpy()[2 * H :])
