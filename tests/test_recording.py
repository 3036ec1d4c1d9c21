"""A recording is what `unroll` computes, with everything in it; and costs nothing when not made."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import CELLS, Cell, elman, from_parts, gru, lstm, lstm97
from lstm_jax.cells.wrappers import layer_norm, variational_dropout, zoneout
from lstm_jax.network import network
from lstm_jax.readout import readout
from lstm_jax.recording import record, record_network
from lstm_jax.structures import bidirectional, layer, stack, stacked_cell
from lstm_jax.unroll import Structure, unroll
from tests.oracles.adapters import steps
from tests.tolerances import assert_close
from tests.variants import VARIANTS, D, T, make_cell, random_case, randomised

KEY = jax.random.key(5, impl="threefry2x32")
STRUCTURES = {
    "cell": lambda: lstm(D, 5),
    "layer": lambda: layer(gru(D, 5)),
    "layer_reverse": lambda: layer(lstm(D, 5), reverse=True),
    "bidirectional": lambda: bidirectional(lstm(D, 4), elman(D, 5)),
    "bidirectional_mul": lambda: bidirectional(gru(D, 4), lstm(D, 4), merge="mul"),
    "stack": lambda: stack(
        bidirectional(lstm(D, 2), gru(D, 4)), elman(6, 6), layer(lstm(6, 5)), residual=True
    ),
    "stack_of_stacks": lambda: stack(stack(gru(D, 4), lstm97(4, 2, 3)), lstm(6, 5)),
    "stacked_cell": lambda: stacked_cell(lstm(D, 4), gru(4, 4), elman(4, 5), residual=True),
    "layer_norm": lambda: layer_norm(lstm(D, 5)),
    "variational_dropout": lambda: variational_dropout(
        gru(D, 5), KEY, input_rate=0.4, recurrent_rate=0.4
    ),
    "zoneout": lambda: zoneout(lstm(D, 5), KEY, rates={"c": 0.5, "h": 0.2}),
    "zoneout_mean": lambda: stack(zoneout(lstm(D, 5), None, rates={"c": 0.5}), elman(5, 2)),
}


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def logistic(net):
    return 1 / (1 + np.exp(-net))


# (cell, gate) -> its squasher where that is not the logistic; None: it needs other gates as well
SQUASHED = {
    ("lstm97", "z"): lambda net: 4 * logistic(net) - 2,
    ("irnn", "h"): lambda net: np.maximum(net, 0),
    ("slstm", "i"): None,
    ("slstm", "f"): None,
    ("min_lstm", "i"): None,
    ("min_lstm", "f"): None,
    **dict.fromkeys([("lstm", "z"), ("slstm", "z"), ("elman", "h")], np.tanh),
    **dict.fromkeys([(name, "n") for name in ("gru", "mgu", "mut1", "mut2", "mut3")], np.tanh),
}


def random_run(part: Cell | Structure, seed):
    """Random weights, the state that other inputs lead to, and inputs."""
    rng = np.random.default_rng(seed)
    params = randomised(jax.eval_shape(part.init, jax.random.key(0)), rng)
    before, xs = (randomised(np.zeros((T, D)), rng, scale=1.0) for _ in range(2))
    return params, unroll(part, params, before)[0], xs


@pytest.mark.parametrize(
    ("name", "how"),
    [*((name, "resets") for name in STRUCTURES), ("cell", "whole"), ("stack", "length")],
)
def test_a_recording_is_what_unroll_computes(name, how, float64):
    part = STRUCTURES[name]()
    params, state, xs = random_run(part, 3)
    given = {
        "whole": {},
        "length": {"length": T - 2},
        "resets": {"length": T - 1, "resets": np.arange(T) % 3 == 2},
    }[how]
    expected = unroll(part, params, xs, state, **given)
    seen = record(part, params, xs, state, **given)
    assert_close(seen.ys, expected[1])
    assert jax.tree.structure(seen.state) == jax.tree.structure(expected[0])
    for leaf, other in zip(*map(jax.tree.leaves, (seen.state, expected[0])), strict=True):
        np.testing.assert_allclose(leaf, other, rtol=1e-12, atol=1e-12)
    stop = given.get("length", T)
    for array in seen.arrays.values():
        assert array.shape[0] == T
        assert not np.asarray(array[stop:]).any()
    # a memory that was recorded is the one that a step ends with
    if isinstance(part, Cell) and name != "stacked_cell":
        held = seen.state.cell if name == "zoneout" else seen.state
        for field, leaf in held._asdict().items():
            if leaf is not None:
                assert_close(seen.arrays[field][stop - 1], leaf)


@pytest.mark.parametrize("variant", [*CELLS, "lstm_v", "lstm_clipped", "gru_before"])
def test_gates_and_net_inputs_are_the_oracles(variant, float64):
    """The NumPy restatement's activations, and what gives them once it is squashed."""
    cell = make_cell(variant)
    params, state, xs = random_case(cell, seed=23)
    seen = record(cell, params, xs, state, length=T - 1)
    by_hand = steps(*VARIANTS[variant], params, state, xs[: T - 1])
    expected = {name: np.stack([now[name] for now in by_hand]) for name in by_hand[0]}
    got = {name: np.asarray(array[: T - 1]) for name, array in seen.arrays.items()}
    nets = {name.removeprefix("net_"): got.pop(name) for name in list(got) if "net_" in name}
    assert_close(got, expected, "oracle")
    assert nets
    for gate, net in nets.items():
        squash = SQUASHED.get((cell.name, gate), logistic)
        if squash is not None:
            np.testing.assert_allclose(squash(net), expected[gate], rtol=1e-12, atol=1e-12)


def test_a_cell_that_tells_no_net_inputs_still_has_its_gates():
    whole = lstm(D, 5)
    own = Cell(*whole[:8])
    params, state, xs = random_run(whole, 4)
    seen, known = record(own, params, xs, state), record(whole, params, xs, state)
    assert set(seen.arrays) == {"i", "f", "o", "z", "c", "h"}
    for name, array in seen.arrays.items():
        assert_close(array, known.arrays[name])


def test_fields_of_the_state_that_are_no_gates_are_kept():
    cell = zoneout(elman(D, 4), KEY, rates={"h": 0.5})
    params, state, xs = random_run(cell, 5)
    assert record(cell, params, xs, state).arrays["t"].tolist() == list(range(T + 1, 2 * T + 1))
    bare = elman(D, 4)
    bare = bare._replace(gates=lambda *_: {})  # no gates at all
    params, state, xs = random_run(bare, 5)
    seen = record(bare, params, xs, state)
    assert_close(seen.arrays["h"], unroll(bare, params, xs, state)[1])


def test_backward_steps_stand_at_their_own_positions(float64):
    cell = lstm(D, 5)
    params, state, xs = random_run(cell, 6)
    back = record(layer(cell, reverse=True), params, xs, state).arrays
    flipped = record(cell, params, xs[::-1], state).arrays
    for name, array in back.items():
        assert_close(array, flipped[name][::-1])


def test_names_in_structures():
    part = STRUCTURES["stack"]()
    params, _, xs = random_run(part, 7)
    names = set(record(part, params, xs).arrays)
    assert {"0/forward/f", "0/backward/net_n", "1/h", "2/c"} <= names
    deep = STRUCTURES["stacked_cell"]()
    params, _, xs = random_run(deep, 7)
    names = set(record(deep, params, xs).arrays)
    assert {"0/i", "0/net_i", "1/net_r", "2/net_h", "h"} <= names
    assert not any("." in name for name in names)


def test_a_structure_of_unknown_kind_is_refused():
    part = layer(elman(D, 4))._replace(name="tree", spec=None)
    with pytest.raises(ValueError, match="record: a tree whose spec is NoneType, where that of"):
        record(part, None, jnp.zeros((T, D)))


@pytest.mark.parametrize("direct", [False, True])
def test_the_outputs_of_a_network_at_every_step(direct, float64):
    cell = lstm97(D, 2, 2)
    net = network(cell, readout(4 + (D if direct else 0), 2), direct=direct)
    rng = np.random.default_rng(8)
    params = randomised(jax.eval_shape(net.init, jax.random.key(0)), rng)
    symbols = jnp.asarray(rng.integers(0, D, T), jnp.int32)
    seen = record_network(net, params, symbols, length=T - 2)
    _, hs = unroll(cell, params.cell, symbols, length=T - 2)
    sees = np.concatenate([hs, np.eye(D)[symbols]], axis=1) if direct else np.asarray(hs)
    nets = sees @ np.asarray(params.readout.v).T + np.asarray(params.readout.b)
    assert_close(seen.ys[: T - 2], 1 / (1 + np.exp(-nets[: T - 2])))
    assert_close(seen.arrays["net_y"][: T - 2], nets[: T - 2])
    assert not np.asarray(seen.ys[T - 2 :]).any()


def programs(cell, *case):
    """`unroll` as it is compiled, and its gradient as it is handed to the compiler."""

    def run(params, state, xs):
        return unroll(cell, params, xs, state, length=T - 1)

    def total(*case):
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(run(*case)))

    text = jax.jit(run).lower(*case).compile().as_text()
    # leaves out what only says from which lines of Python it came
    head, rest = text.split("FileNames", 1)
    text = head + re.sub(r", metadata=\{[^}]*\}", "", rest[rest.index("\n%") :])
    assert "dot" in text
    return text, jax.jit(jax.grad(total)).lower(*case).as_text()


@pytest.mark.parametrize("variant", ["lstm97", "lstm"])
def test_what_is_not_recorded_costs_nothing(variant):
    """The program is that of a cell without net inputs, before a recording and after one."""
    cell = make_cell(variant)
    case = random_case(cell, seed=31)
    combine = cell.parts.combine

    def told_nothing(*arguments):
        now = combine(*arguments)
        return {name: value for name, value in now.items() if not name.startswith("net_")}

    fields = ["name", "input_size", "output_size", "init", "initial_state", "truncate"]
    bare = from_parts(
        cell.parts._replace(combine=told_nothing), **{f: getattr(cell, f) for f in fields}
    )
    expected = programs(bare, *case)
    assert programs(cell, *case) == expected
    record(cell, case[0], case[2], case[1])
    assert programs(cell, *case) == expected
