"""Sequences of symbols: the gradients of unit vectors, without their products.

The reference is the paper's algorithm in NumPy loops over the unit vectors themselves.
"""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import elman, lstm, lstm97
from lstm_jax.cells.trailing import add_by_symbol, columns
from lstm_jax.classifier import classifier
from lstm_jax.gradients import GRADIENT_RULES, traces
from lstm_jax.gradients.trailing_bptt import trailing_bptt
from lstm_jax.kernels import answers, lanes_last, many_answers
from lstm_jax.network import network
from lstm_jax.pooling import pooling
from lstm_jax.readout import readout
from lstm_jax.recording import record_classifier
from lstm_jax.structures import layer
from lstm_jax.tasks.task import Example
from lstm_jax.unroll import unroll
from tests.compiling import quick
from tests.networks import (
    CASES,
    D,
    K,
    T,
    as_vectors,
    make_network,
    paper_gradient,
    random_problem,
    row,
    stack,
)
from tests.oracles.training import unit_vectors
from tests.tolerances import assert_close
from tests.variants import randomised

LENGTHS = (4, 1, 3)  # none as long as the bound, where a ragged rule stops early
# how many networks side by side get their gradients: by the kernel, or by the definition
WAYS = {
    "lanes last": lambda net, timing: lanes_last(traces(net, timing)),
    "lanes last, ragged": lambda net, timing: lanes_last(traces(net, timing, ragged=True)),
    "vmap": lambda net, timing: jax.vmap(traces(net, timing)),
    "vmap, ragged": lambda net, timing: jax.vmap(traces(net, timing, ragged=True)),
}
# all options as the task is trained; the other ways are other programs of the same equations
CHOSEN = [(name, "lanes last, ragged") for name in CASES]
CHOSEN += [("Experiment 2a", way) for way in ("lanes last", "vmap", "vmap, ragged")]
CHOSEN += [("hidden biases, end, logistic", "vmap")]
# what numbers as inputs go through, stopping early
NUMBERS = ["Experiment 2a", "gates unseen, end, identity"]


@lru_cache
def problems_of(name, symbols=True):
    """Other weights, state and sequence in each lane; what stands after the end is no zero."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(7)
        problems = []
        for seed, length in enumerate(LENGTHS):
            params, example, state = random_problem(name, seed)
            shown = rng.integers(0, D, size=T).astype(np.int32)
            shown = shown if symbols else rng.normal(size=(T, D))
            mask = None if example.mask is None else np.arange(T) != 1
            targets = rng.uniform(size=example.targets.shape)
            example = example._replace(
                inputs=shown, length=np.int32(length), mask=mask, targets=targets
            )
            problems.append((params, example, state))
        return stack(problems)


def assert_gradients_of_the_paper(name, results, problems):
    for n, length in enumerate(LENGTHS):
        params, example, state = row(problems, n)
        if example.inputs.ndim == 1:
            example = example._replace(inputs=unit_vectors(example.inputs, D))
        ys, expected = paper_gradient(name, params, example, state)
        outputs, grads = row(results, n)
        assert jax.tree.structure(grads) == jax.tree.structure(params)
        assert_close(as_vectors(grads), expected, "oracle")
        every_step = CASES[name].timing == "every_step"
        assert outputs.shape == ((T, K) if every_step else (K,))
        assert_close(outputs[:length] if every_step else outputs, ys if every_step else ys[-1])


@pytest.mark.parametrize(("name", "way"), CHOSEN)
def test_traces_of_symbols_are_those_of_unit_vectors(name, way):
    with jax.enable_x64(True):
        rule = WAYS[way](make_network(name), CASES[name].timing)
        results = quick(rule)(*problems_of(name))
    assert_gradients_of_the_paper(name, results, problems_of(name))


@pytest.mark.parametrize("name", NUMBERS)
def test_a_ragged_rule_is_the_same_for_numbers(name):
    problems = problems_of(name, symbols=False)
    with jax.enable_x64(True):
        rule = WAYS["lanes last, ragged"](make_network(name), CASES[name].timing)
        results = quick(rule)(*problems)
    assert_gradients_of_the_paper(name, results, problems)


@pytest.mark.parametrize("rule", ["bptt", "truncated", "rtrl"])
def test_the_other_rules_take_symbols_too(rule):
    """For any cell; against the same rule given the unit vectors."""
    net = network(elman(D, 2), readout(2 + D, K), direct=True)
    rng = np.random.default_rng(11)
    with jax.enable_x64(True):
        _, examples, _ = problems_of("Experiment 2a")
        example = row(examples, 0)
        params = randomised(jax.eval_shape(net.init, jax.random.key(0)), rng)
        gradient = quick(GRADIENT_RULES[rule](net, "every_step"))
        outputs, grads = gradient(params, example)
        vectors = unit_vectors(example.inputs, D)
        expected, expected_grads = gradient(params, example._replace(inputs=vectors))
    length = int(example.length)
    assert_close(outputs[:length], expected[:length])
    assert_close(grads, expected_grads)
    assert np.abs(grads.cell.w).max() > 1e-3


def test_columns_are_products_with_unit_vectors():
    rng = np.random.default_rng(0)
    w, symbols = rng.normal(size=(4, D)), rng.integers(0, D, size=T).astype(np.int32)
    taken = columns(w, symbols)
    assert taken.shape == (T, 4)
    np.testing.assert_array_equal(taken, (w @ unit_vectors(symbols, D).T).T.astype(np.float32))


@pytest.mark.parametrize("lanes_of_w", [(2, 3), (1, 3)])
def test_columns_of_many_networks(lanes_of_w):
    """Trailing axes: two sequences of each of three networks; one set of weights serves both."""
    rng = np.random.default_rng(1)
    w = rng.normal(size=(4, D, *lanes_of_w)).astype(np.float32)
    symbols = rng.integers(0, D, size=(T, 2, 3)).astype(np.int32)
    taken = np.asarray(columns(w, symbols))
    assert taken.shape == (T, 4, 2, 3)
    for t, sequence, lane in np.ndindex(symbols.shape):
        used = w[:, symbols[t, sequence, lane], min(sequence, lanes_of_w[0] - 1), lane]
        np.testing.assert_array_equal(taken[t, :, sequence, lane], used)


@pytest.mark.parametrize("lanes", [(), (1,), (3,)])
def test_values_are_added_by_symbol(lanes):
    rng = np.random.default_rng(2)
    symbols = rng.integers(0, D, size=(T, *lanes)).astype(np.int32)
    values = rng.normal(size=(T, 4, *lanes)).astype(np.float32)
    expected = np.zeros((4, D + 1, *lanes), np.float32)  # one symbol more, which is not shown
    for index in np.ndindex(symbols.shape):
        t, lane = index[0], index[1:]
        expected[(slice(None), symbols[index], *lane)] += values[(t, slice(None), *lane)]
    np.testing.assert_allclose(add_by_symbol(symbols, values, D + 1), expected, rtol=1e-6)


def weights_of(part, scale=0.5):
    """Weights drawn in NumPy: the initial ones are a program for each cell."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(part.init, jax.random.key(0))
    draw = partial(rng.uniform, -scale, scale)
    return jax.tree.map(lambda w: jnp.asarray(draw(w.shape), w.dtype), shapes)


# types of symbols, and numbers of them that the type itself cannot hold; or can
TYPES = [("uint8", 256), ("uint8", 300), ("int8", 128), ("int8", 300), ("int16", 300)]
TYPES += [("uint16", 300), ("uint32", 300), ("int32", 300)]


def shown(kind, size):
    """Symbols of a type, the first, the last that it can hold, and some that are none."""
    largest = np.iinfo(kind).max
    symbols = [0, 5, min(largest, size - 1), 5, min(largest, size)]
    if np.iinfo(kind).min < 0:
        symbols.append(-1)
    return np.array([*symbols, largest], kind)


def unit_rows(symbols, size):
    """Zeros where there is no such symbol; by comparing Python's numbers."""
    return np.array([[float(int(s) == n) for n in range(size)] for s in symbols], np.float32)


@pytest.mark.parametrize("kernel", ["scan", "deferred", "auto"])
@pytest.mark.parametrize(("kind", "size"), TYPES)
def test_symbols_of_every_type_are_unit_vectors(kind, size, kernel):
    cell = lstm(size, 48)  # for which "auto" is "deferred"
    params = weights_of(cell)
    symbols = shown(kind, size)

    def loss(params, xs, kernel):
        ys = unroll(cell, params, xs, kernel=kernel, length=len(symbols) - 1)[1]
        return jnp.sum(ys**2), ys

    program = quick(jax.grad(loss, has_aux=True), static_argnums=2)
    expected = program(params, jnp.asarray(unit_rows(symbols, size)), "scan")
    for ours, theirs in zip(
        *map(jax.tree.leaves, (program(params, jnp.asarray(symbols), kernel), expected)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


NARROW = {**GRADIENT_RULES, "trailing_bptt": trailing_bptt}


def example_of(kind, size):
    """A network, its weights, and one sequence as symbols and as vectors."""
    net = network(lstm97(size, 2, 2), readout(4, K))
    symbols = shown(kind, size)
    symbols = symbols[(symbols >= 0) & (symbols < size)]  # `traces` is promised no others
    example = Example(jnp.asarray(symbols), jnp.ones(K), jnp.int32(len(symbols)))
    vectors = example._replace(inputs=jnp.asarray(unit_rows(symbols, size)))
    return net, weights_of(net), example, vectors


@pytest.mark.parametrize("rule", NARROW)
@pytest.mark.parametrize(("kind", "size"), [("uint8", 300), ("int8", 128)])
def test_the_rules_take_symbols_of_every_type(kind, size, rule):
    net, params, example, vectors = example_of(kind, size)
    gradient = quick(NARROW[rule](net, "end"))
    for ours, theirs in zip(
        *map(jax.tree.leaves, (gradient(params, example), gradient(params, vectors))), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "size"), [("uint8", 300), ("int8", 128)])
def test_many_answers_to_symbols_of_every_type(kind, size):
    net, params, example, vectors = example_of(kind, size)
    many = jax.tree.map(lambda leaf: leaf[None], params)
    each = jax.tree.map(lambda leaf: leaf[None, None], example)

    @quick
    def both(many, each, params, vectors):
        return many_answers(net, "end")(many, each)[0, 0], answers(net, "end")(params, vectors)

    np.testing.assert_allclose(*both(many, each, params, vectors), rtol=1e-5)


@pytest.mark.parametrize("kernel", ["scan", "deferred"])
def test_a_wide_number_is_not_wrapped_into_a_symbol(kernel):
    with jax.enable_x64(True):
        cell = lstm(3, 4)
        params = jax.tree.map(lambda leaf: leaf.astype("float64"), weights_of(cell))
        symbols = jnp.array([2**32 + 1, 1 - 2**32, 1], jnp.int64)
        _, ys = quick(lambda xs: unroll(cell, params, xs, kernel=kernel))(symbols)
        vectors = jnp.array([[0.0] * 3] * 2 + [[0, 1.0, 0]])
        _, expected = quick(lambda xs: unroll(cell, params, xs))(vectors)
        np.testing.assert_allclose(ys, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_words_of_a_narrow_type_are_looked_up(kind):
    net = classifier(layer(lstm(4, 3)), pooling("mean", 3), 2, num_words=300)
    params = weights_of(net)
    words = jnp.array([0, 5, 127], kind)

    @quick
    def answers_of(words):
        logits = net.logits(params, words)
        return logits, jax.nn.softmax(logits)

    given, likely = answers_of(words)
    np.testing.assert_array_equal(given, answers_of(words.astype(jnp.int32))[0])
    shown = quick(lambda words: record_classifier(net, params, words).ys[-1])(words)
    np.testing.assert_allclose(shown, likely)
