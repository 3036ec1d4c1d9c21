"""Cells against the single cells of flax, haiku, equinox and Keras, one step after the other.

As in tests/test_cell_peers.py, the weights are laid out by hand.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import CELLS
from tests.layouts import close_in_single, columns, compiled, named, needs, rows
from tests.peers import lenient
from tests.tolerances import assert_close
from tests.variants import D, T, random_case

H = 5


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def their_promotion():
    with lenient():
        yield


def agrees(cell_name, options, make, *, single=False):
    """Our loop against theirs, from a non-zero state.

    `make(p)` gives `step(carry, x) -> carry` for the weights p; a carry is {field: array}.
    """
    cell = CELLS[cell_name](D, H, **options)
    params, state, xs = random_case(cell, seed=2)
    step = make(named(params))
    carry = {k: v for k, v in state._asdict().items() if v is not None}
    ys = []
    for x in np.asarray(xs):
        carry = step(carry, x)
        ys.append(np.asarray(carry["h"]))
    final, expected = compiled(cell)(params, state, xs, T)
    close = close_in_single if single else assert_close
    close(expected, np.array(ys))
    for field, leaf in carry.items():
        close(getattr(final, field), np.asarray(leaf))


def linen_lstm(cls):
    def make(p):
        from flax import linen

        names = {"i": "i", "f": "f", "g": "z", "o": "o"}
        tree = {f"i{a}": {"kernel": p[f"w_{b}"].T} for a, b in names.items()}
        tree |= {f"h{a}": {"kernel": p[f"r_{b}"].T, "bias": p[f"b_{b}"]} for a, b in names.items()}
        apply = jax.jit(getattr(linen, cls)(features=H).apply)

        def step(carry, x):
            (c, h), _ = apply({"params": tree}, (carry["c"], carry["h"]), x)
            return {"c": c, "h": h}

        return step

    return make


def linen_gru(p):
    from flax import linen

    tree = {f"i{a}": {"kernel": p[f"w_{a}"].T, "bias": p[f"b_{a}"]} for a in "rzn"}
    tree |= {f"h{a}": {"kernel": p[f"r_{a}"].T} for a in "rzn"}
    tree["hn"]["bias"] = p["b_rn"]
    apply = jax.jit(linen.GRUCell(features=H).apply)
    return lambda carry, x: {"h": apply({"params": tree}, carry["h"], x)[0]}


def linen_simple(p):
    from flax import linen

    tree = {"i": {"kernel": p["w"].T, "bias": p["b"]}, "h": {"kernel": p["r"].T}}
    apply = jax.jit(linen.SimpleCell(features=H).apply)
    return lambda carry, x: {"h": apply({"params": tree}, carry["h"], x)[0]}


def nnx_cell(cls, layout, pack, unpack, **options):
    def make(p):
        from flax import nnx

        def shapes():
            return getattr(nnx, cls)(D, H, rngs=nnx.Rngs(0), **options)

        graph, state = nnx.split(nnx.eval_shape(shapes))
        nnx.replace_by_pure_dict(state, layout(p))
        apply = jax.jit(lambda carry, x: nnx.merge(graph, state)(carry, x)[0])
        return lambda carry, x: unpack(apply(pack(carry), x))

    return make


def nnx_named(p):
    names = {"i": "i", "f_": "f", "g": "z", "o": "o"}
    tree = {f"i{a}": {"kernel": p[f"w_{b}"].T} for a, b in names.items()}
    return tree | {
        f"h{a[0]}": {"kernel": p[f"r_{b}"].T, "bias": p[f"b_{b}"]} for a, b in names.items()
    }


def nnx_dense(p):
    """Columns i, f, g, o; the bias is with the recurrent kernel."""
    return {
        "dense_i": {"kernel": columns(p, "w", "ifzo")},
        "dense_h": {"kernel": columns(p, "r", "ifzo"), "bias": rows(p, "b", "ifzo")},
    }


def nnx_gru(p):
    """Columns r, z, n; no bias inside the reset."""
    return {
        "dense_i": {"kernel": columns(p, "w", "rzn"), "bias": rows(p, "b", "rzn")},
        "dense_h": {"kernel": columns(p, "r", "rzn")},
    }


def nnx_simple(p):
    return {
        "dense_i": {"kernel": p["w"].T, "bias": p["b"]},
        "dense_h": {"kernel": p["r"].T},
    }


PAIR = (lambda carry: (carry["c"], carry["h"]), lambda pair: {"c": pair[0], "h": pair[1]})
ALONE = (lambda carry: carry["h"], lambda h: {"h": h})
FLAX = {
    "linen.LSTMCell": ("lstm", {}, linen_lstm("LSTMCell")),
    "linen.OptimizedLSTMCell": ("lstm", {}, linen_lstm("OptimizedLSTMCell")),
    "linen.GRUCell": ("gru", {}, linen_gru),
    "linen.SimpleCell": ("elman", {}, linen_simple),
    "nnx.LSTMCell": ("lstm", {}, nnx_cell("LSTMCell", nnx_named, *PAIR)),
    "nnx.OptimizedLSTMCell": ("lstm", {}, nnx_cell("OptimizedLSTMCell", nnx_dense, *PAIR)),
    "nnx.GRUCell": ("gru", {"recurrent_bias": False}, nnx_cell("GRUCell", nnx_gru, *ALONE)),
    "nnx.SimpleCell": ("elman", {}, nnx_cell("SimpleCell", nnx_simple, *ALONE, dtype=np.float64)),
}


@pytest.mark.parametrize("name", FLAX)
def test_cells_of_flax(name, float64, their_promotion):
    agrees(*FLAX[name])


def haiku_cell(cls, layout, pack, unpack):
    def make(p):
        import haiku

        forward = haiku.transform(lambda x, state: getattr(haiku, cls)(H)(x, state)[1])
        apply = jax.jit(haiku.without_apply_rng(forward).apply)
        return lambda carry, x: unpack(apply(layout(p), x, pack(carry)))

    return make


def haiku_lstm(p):
    """Columns i, g, f, o of one matrix over [x, h]; its code adds 1 to the forget gate's net."""
    p = p | {"b_f": p["b_f"] - 1}
    both = np.concatenate([columns(p, "w", "izfo"), columns(p, "r", "izfo")])
    return {"lstm/linear": {"w": both, "b": rows(p, "b", "izfo")}}


def haiku_gru(p):
    """Columns z, r, a. Their z takes the new value where ours keeps the old."""
    p = p | {name: -p[name] for name in ("w_z", "r_z", "b_z")}
    return {
        "gru": {
            "w_i": columns(p, "w", "zrn"),
            "w_h": columns(p, "r", "zrn"),
            "b": rows(p, "b", "zrn"),
        }
    }


def haiku_rnn(p):
    return {
        "vanilla_rnn/linear": {"w": p["w"].T, "b": p["b"]},
        "vanilla_rnn/linear_1": {"w": p["r"].T, "b": np.zeros(H)},
    }


def haiku_state(carry):
    import haiku

    return haiku.LSTMState(hidden=carry["h"], cell=carry["c"])


HAIKU = {
    "LSTM": (
        "lstm",
        {},
        haiku_cell(
            "LSTM", haiku_lstm, haiku_state, lambda state: {"c": state.cell, "h": state.hidden}
        ),
    ),
    "GRU": ("gru", {"reset": "before"}, haiku_cell("GRU", haiku_gru, *ALONE)),
    "VanillaRNN": ("elman", {"activation": "relu"}, haiku_cell("VanillaRNN", haiku_rnn, *ALONE)),
}


@pytest.mark.parametrize("name", HAIKU)
def test_cells_of_haiku(name, float64, their_promotion):
    needs("haiku")
    agrees(*HAIKU[name])


def equinox_cell(cls, layout, pack, unpack):
    def make(p):
        import equinox

        empty = getattr(equinox.nn, cls)(D, H, key=jax.random.key(0))
        leaves = layout(p)
        fields = list(leaves)
        cell = equinox.tree_at(
            lambda cell: [getattr(cell, field) for field in fields],
            empty,
            [jnp.asarray(leaves[field]) for field in fields],
        )
        apply = jax.jit(lambda carry, x: cell(x, carry))
        return lambda carry, x: unpack(apply(pack(carry), x))

    return make


def equinox_lstm(p):
    return {
        "weight_ih": rows(p, "w", "ifzo"),
        "weight_hh": rows(p, "r", "ifzo"),
        "bias": rows(p, "b", "ifzo"),
    }


def equinox_gru(p):
    return {
        "weight_ih": rows(p, "w", "rzn"),
        "weight_hh": rows(p, "r", "rzn"),
        "bias": rows(p, "b", "rzn"),
        "bias_n": p["b_rn"],
    }


EQUINOX = {
    "LSTMCell": (
        "lstm",
        {},
        equinox_cell(
            "LSTMCell",
            equinox_lstm,
            lambda carry: (carry["h"], carry["c"]),
            lambda pair: {"h": pair[0], "c": pair[1]},
        ),
    ),
    "GRUCell": ("gru", {}, equinox_cell("GRUCell", equinox_gru, *ALONE)),
}


@pytest.mark.parametrize("name", EQUINOX)
def test_cells_of_equinox(name, float64, their_promotion):
    needs("equinox")
    agrees(*EQUINOX[name])


def keras_cell(cls, layout, fields, **options):
    def make(p):
        import keras

        cell = getattr(keras.layers, cls)(H, **options)
        cell.build((1, D))
        cell.set_weights(layout(p))

        def step(carry, x):
            states = [keras.ops.convert_to_tensor(np.asarray(carry[f])[None]) for f in fields]
            _, states = cell(keras.ops.convert_to_tensor(x[None]), states)
            new = [keras.ops.convert_to_numpy(leaf)[0] for leaf in states]
            return dict(zip(fields, new, strict=True))

        return step

    return make


def keras_lstm(p):
    return [columns(p, "w", "ifzo"), columns(p, "r", "ifzo"), rows(p, "b", "ifzo")]


def keras_gru(p):
    """Columns z, r, h; two rows of biases where the reset comes after the product."""
    bias = rows(p, "b", "zrn")
    if "b_rn" in p:
        bias = np.stack([bias, np.concatenate([np.zeros(2 * H), p["b_rn"]])])
    return [columns(p, "w", "zrn"), columns(p, "r", "zrn"), bias]


def keras_rnn(p):
    return [p["w"].T, p["r"].T, p["b"]]


KERAS = {
    "LSTMCell": ("lstm", {}, keras_cell("LSTMCell", keras_lstm, "hc")),
    "GRUCell after": ("gru", {}, keras_cell("GRUCell", keras_gru, "h")),
    "GRUCell before": (
        "gru",
        {"reset": "before"},
        keras_cell("GRUCell", keras_gru, "h", reset_after=False),
    ),
    "SimpleRNNCell": ("elman", {}, keras_cell("SimpleRNNCell", keras_rnn, "h")),
}


# on its torch backend, which another test of this process may have chosen, Keras does not follow
# NumPy 2
@pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning:keras"
)
@pytest.mark.parametrize("name", KERAS)
def test_cells_of_keras(name, their_promotion):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    needs("keras")
    agrees(*KERAS[name], single=True)
