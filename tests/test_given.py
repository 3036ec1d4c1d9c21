"""Weights and states of another form than the cell's are named in one line; all else is let be."""

from collections import OrderedDict

import jax
import jax.numpy as jnp
import pytest

from lstm_jax.cells import gru, lstm
from lstm_jax.network import network
from lstm_jax.readout import readout
from lstm_jax.structures import bidirectional, stack
from lstm_jax.unroll import unroll

KEY = jax.random.key(0)
XS = jnp.ones((5, 2))
CELL, OTHER = lstm(2, 3), lstm(2, 4)
WIDE, WIDER = lstm(2, 64), lstm(2, 65)  # of the deferred kernel
DEEP = stack(CELL, lstm(3, 4))
BOTH = bidirectional(CELL, OTHER)
PARAMS = CELL.init(KEY)
NETWORK = network(CELL, readout(3, 1))


@pytest.mark.parametrize(
    ("runs", "params", "said"),
    [
        (CELL, OTHER.init(KEY), "lstm: params.w_z of shape (4, 2) where (3, 2) is needed"),
        (CELL, lstm(3, 3).init(KEY), "lstm: params.w_z of shape (3, 3) where (3, 2) is needed"),
        (CELL, gru(2, 3).init(KEY), "lstm: params is a GruParams where a LstmParams is needed"),
        (CELL, NETWORK.init(KEY), "params is a NetworkParams where a LstmParams is needed"),
        (CELL, PARAMS._asdict(), "params is a dict where"),
        (CELL, None, "params is a NoneType where"),
        (CELL, jnp.ones(3), "params is a single array where"),
        (CELL, PARAMS._replace(r_i=None), "params.r_i is missing, of shape (3, 3)"),
        (
            CELL,
            jax.vmap(CELL.init)(jax.random.split(KEY, 4)),
            "of shape (4, 3, 2) where (3, 2) is needed; several at once are a jax.vmap",
        ),
        (WIDE, WIDER.init(KEY), "lstm: params.w_z of shape (65, 2) where (64, 2) is needed"),
        (DEEP, PARAMS, "stack: params is a LstmParams where a tuple is needed"),
        (DEEP, (PARAMS, PARAMS), "stack: params[1].w_z of shape (3, 2) where (4, 3) is needed"),
        (BOTH, bidirectional(CELL, CELL).init(KEY), "bidirectional: params.backward.w_z of shape"),
    ],
)
def test_weights_of_another_form_are_named(runs, params, said):
    with pytest.raises(ValueError) as refused:
        unroll(runs, params, XS)
    message = str(refused.value)
    assert said in message and "\n" not in message
    assert refused.value.__cause__ is not None  # what the equation said is kept


@pytest.mark.parametrize(
    ("runs", "state", "said"),
    [
        (CELL, OTHER.initial_state(), "lstm: state.c of shape (4,) where (3,) is needed"),
        (CELL, tuple(CELL.initial_state()), "lstm: state is a tuple where a LstmState is needed"),
        (CELL, gru(2, 3).initial_state(), "lstm: state is a GruState where a LstmState is needed"),
        (WIDE, WIDER.initial_state(), "lstm: state.c of shape (65,) where (64,) is needed"),
        (DEEP, stack(CELL, lstm(3, 5)).initial_state(), "stack: state[1].c of shape (5,) where"),
    ],
)
def test_a_state_of_another_form_is_named(runs, state, said):
    with pytest.raises(ValueError) as refused:
        unroll(runs, runs.init(KEY), XS, state)
    assert said in str(refused.value)


def test_a_fault_of_the_cell_keeps_its_own_words():
    def step(params, state, x):
        raise TypeError("a fault of the equations")

    for cell in (
        CELL._replace(step=step, parts=None),
        CELL._replace(step=step, parts=None, init=lambda key: 1 / 0),
    ):
        with pytest.raises(TypeError, match="a fault of the equations"):
            unroll(cell, PARAMS, XS)


def test_more_than_the_cell_makes_is_let_be():
    """Weights with something besides, for a cell's equations that want it."""

    def step(params, state, x):
        return CELL.step(params["own"], state, params["scale"] * x)

    scaled = CELL._replace(step=step, parts=None)
    _, ys = unroll(scaled, {"own": PARAMS, "scale": 2.0}, XS)
    _, wanted = unroll(CELL, PARAMS, 2.0 * XS)
    assert bool((ys == wanted).all())


@pytest.mark.parametrize(
    ("xs", "more", "said"),
    [
        (jnp.ones((5, 3)), {}, "inputs of shape"),
        (XS, {"length": 9}, "length 9 is not within"),
        (XS, {"resets": jnp.ones(5)}, "resets of type"),
        (XS, {"kernel": "deferred"}, "kernel: 'deferred' cannot serve"),
        (XS, {"checkpoint": -1}, "checkpoint: -1 is not valid"),
    ],
)
def test_what_else_is_wrong_is_not_laid_to_weights_that_are_right(xs, more, said):
    cell = CELL._replace(step=lambda params, *rest: CELL.step(params["own"], *rest), parts=None)
    params = {"own": PARAMS}
    assert unroll(cell, params, XS)[1].shape == (5, 3)
    with pytest.raises(ValueError, match=said):
        unroll(cell, params, xs, **more)


def test_weights_in_another_mapping_are_not_to_blame():
    def step(params, state, x):
        raise TypeError("a fault of the equations")

    cell = CELL._replace(init=lambda key: {"w": jnp.ones(2)}, step=step, parts=None)
    with pytest.raises(TypeError, match="a fault of the equations"):
        unroll(cell, OrderedDict(w=jnp.ones(2)), XS)


@pytest.mark.parametrize("dtype", [jnp.complex64, jnp.bool_])
def test_inputs_are_floats_or_symbols(dtype):
    with pytest.raises(ValueError, match=r"where floats \(T, 2\) are needed, or whole numbers"):
        unroll(CELL, PARAMS, XS.astype(dtype))


def test_a_number_is_no_key():
    with pytest.raises(ValueError, match="key: 7 is no key of JAX"):
        CELL.init(7)
