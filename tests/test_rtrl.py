"""Real-time recurrent learning: the full gradient for any cell, forward in time.

It must agree to float64 rounding with backpropagation for every cell, and with
Williams & Zipser's own recursion, written out in NumPy loops, for the nets it was written for.
"""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import CELLS, elman, lstm
from lstm_jax.gradients import bptt, rtrl
from lstm_jax.network import network
from lstm_jax.readout import readout, units_readout
from lstm_jax.tasks import Example
from tests.compiling import quick
from tests.oracles import rtrl as oracle
from tests.oracles.lstm97 import vectors
from tests.tolerances import assert_close
from tests.variants import VARIANTS, D, T, make_cell, random_state, randomised

K = 2
LENGTHS = (T, 1, 4)
# Between them the timings take every form of what the outputs see and of the error signal.
OPTIONS = {
    "end": ({}, False),
    "every_step": ({"bias": False, "delta": "no_derivative", "factor": 2.0}, True),
}


def layered(cell, timing):
    options, direct = OPTIONS[timing]
    seen = cell.output_size + (cell.input_size if direct else 0)
    return network(cell, readout(seen, K, **options), direct=direct)


def random_example(rng, timing, length, num_outputs=K):
    """Zeros after the length, as tasks give them; at every step, one step has no target."""
    inputs = rng.normal(size=(T, D)) * 1.5
    inputs[length:] = 0.0
    if timing == "end":
        return Example(inputs, rng.uniform(size=num_outputs), np.int32(length))
    mask = np.arange(T) < length
    mask[2] = False
    targets = rng.uniform(size=(T, num_outputs))
    targets[length:] = 0.0
    return Example(inputs, targets, np.int32(length), mask)


def random_problem(net, timing, seed, num_outputs=K):
    """Random weights, a random non-zero state, a random sequence."""
    rng = np.random.default_rng(seed)
    params = randomised(jax.eval_shape(net.init, jax.random.key(0)), rng)
    state = random_state(net.cell, rng)
    return params, random_example(rng, timing, LENGTHS[seed % 3], num_outputs), state


@lru_cache
def compiled(variant, timing):
    """Both rules in one program: compiling is what takes time."""
    net = layered(make_cell(variant), timing)
    rules = [rule(net, timing) for rule in (rtrl, bptt)]
    return net, quick(lambda *problem: [rule(*problem) for rule in rules])


def with_bad_padding(example, timing):
    """NaN wherever nothing may be read."""
    inputs, targets = example.inputs.copy(), example.targets.copy()
    inputs[example.length :] = np.nan
    if timing == "every_step":
        targets[~example.mask] = np.nan
    return example._replace(inputs=inputs, targets=targets)


# the timings share all but the mask of the steps that count: every variant has one, these both
BOTH = ("lstm97", "lstm", "elman_logistic")
# every option of the cells whose papers use this rule; of the others one row each, that named
# like the cell, and the fullest LSTM
ONES = [
    variant
    for variant, (name, _) in VARIANTS.items()
    if name in ("lstm97", "elman") or variant in (*CELLS, "lstm_cifg_fgr_projected_clipped")
]
CASES = [(variant, "every_step") for variant in ONES] + [(variant, "end") for variant in BOTH]


@pytest.mark.parametrize(("variant", "timing"), CASES)
def test_equals_backpropagation(variant, timing):
    """From non-zero states, for sequences that end early; NaN in the padding changes nothing."""
    net, rules = compiled(variant, timing)
    for seed in range(3):
        with jax.enable_x64(True):
            params, example, state = random_problem(net, timing, seed)
            forward, backward = rules(params, example, state)
            again, _ = rules(params, with_bad_padding(example, timing), state)
        assert jax.tree.structure(forward) == jax.tree.structure(backward)
        assert any(np.abs(leaf).max() > 0.01 for leaf in jax.tree.leaves(forward[1].cell))
        assert_close(forward, backward)
        assert_close(again, forward)


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize(
    ("timing", "weights", "states", "rtol"),
    [
        ("end", "bfloat16", "float32", 2**-6),
        ("every_step", "bfloat16", "bfloat16", 2**-4),
        ("end", "float32", "float64", 1e-6),
    ],
)
def test_weights_may_be_narrower_than_states(timing, weights, states, rtol):
    """As for backpropagation: gradients come in the weights' type, near those of float64."""
    net = layered(make_cell("elman"), timing)
    with jax.enable_x64(True):
        params, example, state = random_problem(net, timing, seed=3)
        params = jax.tree.map(lambda leaf: leaf.astype(weights), params)
        state = jax.tree.map(lambda leaf: leaf.astype(states), state)
        # What the rule is given is rounded; the reference starts from the rounded numbers.
        wide = jax.tree.map(lambda leaf: leaf.astype("float64"), (params, state))
        example = example._replace(inputs=jnp.asarray(example.inputs, states))
        outputs, grads = quick(rtrl(net, timing))(params, example, state)
        expected, precise = quick(bptt(net, timing))(wide[0], example, wide[1])
    assert all(leaf.dtype == weights for leaf in jax.tree.leaves(grads))
    found = jax.tree.map(lambda leaf: np.asarray(leaf, float), (outputs, grads))
    expected = jax.tree.map(np.asarray, (expected, precise))
    for leaf, near in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(leaf, near, rtol=0, atol=rtol * np.abs(near).max())


def unit_weights(params):
    """W [n, M] of the recurrent units, sources in the order inputs, units, 1."""
    return vectors(params.w, params.r, params.b)


def due(example, timing):
    length = int(example.length)
    if timing == "end":
        return {length - 1: example.targets}
    return {t: example.targets[t] for t in range(length) if example.mask[t]}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("timing", OPTIONS)
def test_fully_recurrent_net_of_williams_and_zipser(timing, bias):
    """Output units that are recurrent units themselves."""
    cell = elman(D, 4, activation="logistic", bias=bias)
    net = network(cell, units_readout(4, K))
    rule = quick(rtrl(net, timing))
    for seed in range(3):
        with jax.enable_x64(True):
            params, example, state = random_problem(net, timing, seed)
            outputs, grads = rule(params, example, state)
        length = int(example.length)
        ys, expected = oracle.units_gradient(
            unit_weights(params.cell), example.inputs[:length], due(example, timing),
            np.asarray(state.h), bias,
        )  # fmt: skip
        assert_close(unit_weights(grads.cell), expected, "oracle")
        ys = ys[:, -K:]
        assert_close(outputs if timing == "end" else outputs[:length],
                     ys[-1] if timing == "end" else ys, "oracle")  # fmt: skip
        assert jax.tree.leaves(grads.readout) == []


@pytest.mark.parametrize("timing", OPTIONS)
def test_output_units_over_the_recurrent_ones(timing):
    net = network(elman(D, 3, activation="logistic"), readout(3, K))
    rule = quick(rtrl(net, timing))
    for seed in range(3):
        with jax.enable_x64(True):
            params, example, state = random_problem(net, timing, seed)
            outputs, grads = rule(params, example, state)
        length = int(example.length)
        ys, grad_w, grad_v = oracle.layered_gradient(
            unit_weights(params.cell), vectors(params.readout.v, None, params.readout.b),
            example.inputs[:length], due(example, timing), np.asarray(state.h), True,
        )  # fmt: skip
        assert_close(unit_weights(grads.cell), grad_w, "oracle")
        assert_close(vectors(grads.readout.v, None, grads.readout.b), grad_v, "oracle")
        assert_close(outputs if timing == "end" else outputs[:length],
                     ys[-1] if timing == "end" else ys, "oracle")  # fmt: skip


def test_symbols_are_unit_vectors():
    net = layered(elman(D, 4), "every_step")
    rule = quick(rtrl(net, "every_step"))
    with jax.enable_x64(True):
        params, example, state = random_problem(net, "every_step", 2)
        symbols = np.array([2, 0, 1, 2, 0, 0, 0], np.int32)
        vectors = np.eye(D)[symbols] * (np.arange(T) < example.length)[:, None]
        shown = rule(params, example._replace(inputs=symbols), state)
        assert_close(shown, rule(params, example._replace(inputs=vectors), state))


def test_no_state_is_the_initial_state():
    net = layered(lstm(D, 4), "end")
    rule = quick(rtrl(net, "end"))
    with jax.enable_x64(True):
        params, example, _ = random_problem(net, "end", 2)
        assert_close(rule(params, example), rule(params, example, net.cell.initial_state()))


@pytest.mark.parametrize("timing", OPTIONS)
def test_memory_does_not_grow_with_the_length(timing):
    """The carry is the same for any T, and nothing but the outputs is kept for each step."""
    net = layered(lstm(D, 8), timing)
    params = jax.eval_shape(net.init, jax.random.key(0))

    def of_length(num_steps):
        targets = (num_steps, K) if timing == "every_step" else (K,)
        shapes = Example(
            jax.ShapeDtypeStruct((num_steps, D), jnp.float32),
            jax.ShapeDtypeStruct(targets, jnp.float32),
            jax.ShapeDtypeStruct((), jnp.int32),
            jax.ShapeDtypeStruct((num_steps,), jnp.bool_),
        )
        rule = rtrl(net, timing)
        equations = jax.make_jaxpr(rule)(params, shapes).eqns
        (loop,) = [e for e in equations if e.primitive.name == "scan"]
        shapes_out = [v.aval.shape for v in loop.outvars]
        kept = [shape for shape in shapes_out if shape[:1] == (num_steps,)]
        assert kept == ([(num_steps, K)] if timing == "every_step" else [])
        return [shape for shape in shapes_out if shape not in kept]

    assert of_length(1009) == of_length(2003)  # no other dimension is as large as these


@pytest.mark.parametrize("timing", OPTIONS)
def test_ragged_is_the_same_for_every_length(timing):
    """Alone and beside longer sequences; after its end a sequence has no outputs."""
    net = layered(elman(D, 4), timing)
    params, first, state = random_problem(net, timing, 0)
    rng = np.random.default_rng(5)
    examples = [first] + [random_example(rng, timing, length) for length in (4, 1)]
    together = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *examples)
    rules = [rtrl(net, timing, ragged=ragged) for ragged in (False, True)]

    @quick
    def answers(params, together):
        return [jax.vmap(rule, in_axes=(None, 0, None))(params, together, state) for rule in rules]

    whole, ragged = answers(params, together)
    assert_close(whole[1], ragged[1])
    steps = np.arange(T) < np.asarray(together.length)[:, None]
    if timing == "every_step":
        assert_close(np.asarray(whole[0])[steps], np.asarray(ragged[0])[steps])
        assert not np.asarray(ragged[0])[~steps].any()
    else:
        assert_close(whole[0], ragged[0])


def test_an_unknown_timing_is_refused():
    with pytest.raises(ValueError, match="timing.*end.*every_step"):
        rtrl(layered(elman(D, 4), "end"), "start")
