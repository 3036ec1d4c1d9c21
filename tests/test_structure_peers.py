"""Stacks and directions over padded batches against torch, packed, and onnxruntime."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import CELLS
from lstm_jax.cells.elman import ElmanParams
from lstm_jax.cells.gru import GruParams
from lstm_jax.cells.lstm import LstmParams
from lstm_jax.structures import bidirectional, stack
from tests.compiling import quick
from tests.loops import padded_with, random_case
from tests.onnx_nodes import run_node
from tests.variants import D, T


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is the peer that stacks are compared with")


@pytest.fixture(scope="module")
def onnxruntime():
    pytest.importorskip("onnx", reason="onnx writes the node that onnxruntime runs")
    return pytest.importorskip("onnxruntime", reason="onnxruntime is the peer for sequence_lens")


# ---- torch: two layers, both directions, packed sequences of different lengths

HIDDEN, BATCH = 4, (5, 1, 7, 3)
ROWS = {"LSTM": "ifzo", "GRU": "rzn"}  # torch's order of rows, by our letters


def from_torch_rows(kind, w, r, b_in, b_rec):
    """Ours: the two biases are one, but for the one inside the GRU's reset."""
    if kind == "RNN":
        return ElmanParams(w=w, r=r, b=b_in + b_rec)

    def rows(a):
        return dict(zip(ROWS[kind], np.split(a, len(ROWS[kind])), strict=True))

    parts = {"w": rows(w), "r": rows(r), "b": rows(b_in + b_rec)}
    if kind == "GRU":
        parts["b"]["n"] = rows(b_in)["n"]
    named = {f"{letter}_{gate}": a for letter, part in parts.items() for gate, a in part.items()}
    return LstmParams(**named) if kind == "LSTM" else GruParams(**named, b_rn=rows(b_rec)["n"])


def to_torch_rows(kind, grads):
    """Gradients by our weights as gradients by torch's: a sum's parts both get the sum's."""
    if kind == "RNN":
        return grads.w, grads.r, grads.b, grads.b
    w, r, b = (
        np.concatenate([getattr(grads, f"{letter}_{gate}") for gate in ROWS[kind]])
        for letter in "wrb"
    )
    return w, r, b, b if kind == "LSTM" else np.concatenate([grads.b_r, grads.b_z, grads.b_rn])


def ours_like_torch(kind):
    make = {"LSTM": CELLS["lstm"], "GRU": CELLS["gru"], "RNN": CELLS["elman"]}[kind]
    return stack(*(bidirectional(*[make(size, HIDDEN)] * 2) for size in (D, 2 * HIDDEN)))


def torch_problem(torch, kind, seed):
    """A float64 module, padded inputs [B, T, D], initial states and cotangents, all as NumPy."""
    torch.manual_seed(seed)
    module = getattr(torch.nn, kind)(
        D, HIDDEN, num_layers=2, bidirectional=True, batch_first=True, dtype=torch.float64
    )
    rng = np.random.default_rng(seed)
    xs = rng.normal(size=(len(BATCH), T, D))
    starts, back = (
        [rng.normal(size=(4, len(BATCH), HIDDEN)) for _ in range(1 + (kind == "LSTM"))]
        for _ in range(2)
    )
    return module, xs, starts, [rng.normal(size=(len(BATCH), T, 2 * HIDDEN)), *back]


def torch_answers(torch, module, xs, starts, back):
    """Outputs, final states; gradients by inputs, initial states and weights."""
    xs, *starts = (torch.tensor(a, requires_grad=True) for a in (xs, *starts))
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        xs, torch.tensor(BATCH), batch_first=True, enforce_sorted=False
    )
    ys, finals = module(packed, tuple(starts) if len(starts) == 2 else starts[0])
    ys, _ = torch.nn.utils.rnn.pad_packed_sequence(ys, batch_first=True, total_length=T)
    outs = [ys, *(finals if len(starts) == 2 else [finals])]
    sum((out * torch.tensor(a)).sum() for out, a in zip(outs, back, strict=True)).backward()
    weights = {name: p.grad.numpy() for name, p in module.named_parameters()}
    return [o.detach().numpy() for o in outs], [a.grad.numpy() for a in (xs, *starts)], weights


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_equals_torch_with_packed_sequences(kind, torch, float64):
    module, xs, starts, back = torch_problem(torch, kind, seed=50)
    outs, by_inputs, by_weights = torch_answers(torch, module, xs, starts, back)
    structure = ours_like_torch(kind)
    names = [[f"l{n}", f"l{n}_reverse"] for n in range(2)]
    slots = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    params = tuple(
        type(like)(
            *(
                from_torch_rows(
                    kind, *(getattr(module, f"{s}_{name}").detach().numpy() for s in slots)
                )
                for name in pair
            )
        )
        for like, pair in zip(jax.eval_shape(structure.init, jax.random.key(0)), names, strict=True)
    )

    def as_state(starts):
        """[4, H] each of h (and c) as our nested states."""
        fields = dict(zip("hc", starts, strict=False))
        like = structure.initial_state()
        flat = [
            one._replace(**{f: a[2 * n + d] for f, a in fields.items()})
            for n, pair in enumerate(like)
            for d, one in enumerate(pair)
        ]
        return tuple(type(pair)(*flat[2 * n : 2 * n + 2]) for n, pair in enumerate(like))

    def run(params, x, start, length):
        final, ys = structure.apply(params, x, as_state(start), length=length)
        cells = [one for pair in final for one in pair]
        fields = "hc" if kind == "LSTM" else "h"
        return [ys, *(jnp.stack([getattr(s, f) for s in cells]) for f in fields)]

    def scalar(params, xs, starts):
        axes = (None, 0, [1] * len(starts), 0)
        ys, *finals = jax.vmap(run, axes)(params, xs, starts, np.array(BATCH))
        got = [ys, *(jnp.swapaxes(f, 0, 1) for f in finals)]
        return sum(jnp.sum(a * b) for a, b in zip(got, back, strict=True)), got

    gradient = quick(jax.grad(scalar, argnums=(0, 1, 2), has_aux=True))
    (by_params, by_xs, by_starts), got = gradient(params, xs, starts)

    close = {"rtol": 1e-9, "atol": 1e-12}
    for ours, theirs in zip(got, outs, strict=True):
        np.testing.assert_allclose(ours, theirs, **close)
    for ours, theirs in zip([by_xs, *by_starts], by_inputs, strict=True):
        np.testing.assert_allclose(ours, theirs, **close)
    for pair, grads in zip(names, by_params, strict=True):
        for name, one in zip(pair, grads, strict=True):
            for slot, rows in zip(slots, to_torch_rows(kind, one), strict=True):
                np.testing.assert_allclose(rows, by_weights[f"{slot}_{name}"], **close)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_equals_onnxruntime_with_sequence_lens(kind, onnxruntime):
    """A zero among the lengths: zeros come out; the final state is ours to say."""
    lengths = (4, 0, T)
    cell = {"LSTM": CELLS["lstm"], "GRU": CELLS["gru"], "RNN": CELLS["elman"]}[kind](D, HIDDEN)
    structure = bidirectional(cell, cell)
    params, _, _ = random_case(structure, seed=51)
    rng = np.random.default_rng(51)
    xs = rng.normal(size=(T, len(lengths), D)).astype(np.float32)
    starts = {
        f"initial_{f}": rng.normal(size=(2, len(lengths), HIDDEN)).astype(np.float32)
        for f in ("hc" if kind == "LSTM" else "h")
    }
    order = {"LSTM": "iofz", "GRU": "zrn"}.get(kind)

    def rows(one):
        if kind == "RNN":
            return one.w, one.r, np.concatenate([one.b, 0 * one.b])
        w, r, b = (
            np.concatenate([getattr(one, f"{letter}_{gate}") for gate in order]) for letter in "wrb"
        )
        b_rec = 0 * b
        if kind == "GRU":
            b_rec[-HIDDEN:] = one.b_rn
        return w, r, np.concatenate([b, b_rec])

    w, r, b = (np.stack(pair) for pair in zip(*map(rows, params), strict=True))
    attributes = {"hidden_size": HIDDEN, "direction": "bidirectional"}
    if kind == "GRU":
        attributes["linear_before_reset"] = 1
    theirs = run_node(kind, attributes, X=xs, W=w, R=r, B=b, sequence_lens=lengths, **starts)
    run = quick(lambda x, state, length: structure.apply(params, x, state, length=length))
    like = structure.initial_state()
    for n, length in enumerate(lengths):
        start = type(like)(
            *(
                one._replace(**{k[-1]: a[d, n] for k, a in starts.items()})
                for d, one in enumerate(like)
            )
        )
        final, ys = run(padded_with(xs[:, n], length, np.nan), start, length)
        expected = theirs["Y"][:, :, n].reshape(T, -1)  # [T, directions, H]: forward first
        np.testing.assert_allclose(ys, expected, rtol=0, atol=1e-6)
        for d, one in enumerate(final):
            if length == 0:  # onnxruntime answers zeros here, whatever the initial state
                jax.tree.map(np.testing.assert_array_equal, one, start[d])
                continue
            np.testing.assert_allclose(one.h, theirs["Y_h"][d, n], rtol=0, atol=1e-6)
            if kind == "LSTM":
                np.testing.assert_allclose(one.c, theirs["Y_c"][d, n], rtol=0, atol=1e-6)
