"""Temporal order against plain Python and the distributions the paper states (Experiment 6)."""

from functools import lru_cache

import jax
import numpy as np
import pytest
from scipy import stats

from lstm_jax.tasks import TASKS, Example, temporal_order
from tests.oracles import temporal_order as oracle
from tests.tolerances import FALSE_ALARM_RATE

NUM = 10_000
BOTH = pytest.mark.parametrize("num_symbols", [2, 3])


@lru_cache
def keys(num=NUM):
    return jax.random.split(jax.random.key(1997), num)


@lru_cache
def sequences(num_symbols, T=100, num=NUM):
    """Fixed-key samples as NumPy arrays: inputs [N, T], targets [N, K], length [N]."""
    examples = jax.jit(jax.vmap(temporal_order(num_symbols, T=T).sample))(keys(num))
    assert examples.mask is None and examples.legal is None
    return tuple(np.asarray(leaf) for leaf in (examples.inputs, examples.targets, examples.length))


@lru_cache
def strings(num_symbols, T=100, num=NUM):
    """The sequences in letters, without what comes after their end."""
    inputs, _, length = sequences(num_symbols, T, num)
    return [oracle.letters(s[:n]) for s, n in zip(inputs.tolist(), length, strict=True)]


@lru_cache
def places(num_symbols, T=100, num=NUM):
    """Places of the key symbols, counted from 1: [N, num_symbols]."""
    return np.array([oracle.key_places(string) for string in strings(num_symbols, T, num)])


def uniform(counts):
    return stats.chisquare(counts).pvalue > FALSE_ALARM_RATE


def independent(a, b):
    table = stats.contingency.crosstab(a, b).count
    return stats.chi2_contingency(table).pvalue > FALSE_ALARM_RATE


@pytest.mark.parametrize("T", [20, 57, 100])
@BOTH
def test_shapes_and_constants(num_symbols, T):
    num = NUM if T == 100 else 1000
    task = temporal_order(num_symbols=num_symbols, T=T)
    inputs, targets, length = sequences(num_symbols, T, num)
    assert task.name == "temporal_order" and TASKS[task.name] is temporal_order
    assert (task.input_size, task.target_size, task.timing) == (8, 2**num_symbols, "end")
    assert task.length == T + T // 10 and task.mean_length == T + (T // 10) / 2
    assert inputs.shape == (num, T + T // 10) and targets.shape == (num, 2**num_symbols)
    assert inputs.dtype == length.dtype == np.int32 and targets.dtype == np.float32
    assert length.min() == T and length.max() == T + T // 10


def test_the_default_is_6a_of_the_paper():
    task = temporal_order()
    assert (task.target_size, task.length) == (4, 110)


@BOTH
def test_targets_recomputed_from_the_inputs(num_symbols):
    _, targets, _ = sequences(num_symbols)
    expected = [oracle.target(string, num_symbols) for string in strings(num_symbols)]
    np.testing.assert_array_equal(targets, np.float32(expected))
    assert (targets.sum(axis=1) == 1).all()


@pytest.mark.parametrize("T", [20, 57, 100])
@BOTH
def test_every_sequence_has_the_papers_form(num_symbols, T):
    """E first and last comes B, nowhere else; so many X or Y; zeros after the end."""
    num = NUM if T == 100 else 1000
    inputs, _, length = sequences(num_symbols, T, num)
    for string in strings(num_symbols, T, num):
        assert string[0] == "E" and string[-1] == "B"
        assert not set(string[1:-1]) & set("EB")
        assert len(oracle.key_places(string)) == num_symbols
    assert not inputs[np.arange(inputs.shape[1]) >= length[:, None]].any()


@BOTH
def test_key_symbols_stand_anywhere_in_their_windows(num_symbols):
    found = places(num_symbols)
    for place, (first, last) in zip(found.T, oracle.PLACES[num_symbols], strict=True):
        assert (place.min(), place.max()) == (first, last)
        assert uniform([(place == n).sum() for n in range(first, last + 1)])
    for one in range(num_symbols):
        assert independent(found[:, one], found[:, one - 1])


@pytest.mark.parametrize("T", [20, 57])
@BOTH
def test_windows_scale_with_the_length(num_symbols, T):
    """They begin at a tenth, then a half (6a) or one and two thirds (6b), and are a tenth wide."""
    found = places(num_symbols, T, 1000)
    starts = {2: [T // 10, T // 2], 3: [T // 10, T // 3, 2 * T // 3]}[num_symbols]
    np.testing.assert_array_equal(found.min(axis=0), starts)
    np.testing.assert_array_equal(found.max(axis=0), [start + T // 10 for start in starts])


@BOTH
def test_classes_are_equally_likely_and_independent_of_places_and_length(num_symbols):
    _, targets, length = sequences(num_symbols)
    assert uniform(targets.sum(axis=0))
    classes = targets.argmax(axis=1)
    assert independent(classes, length)
    for place in places(num_symbols).T:
        assert independent(classes, place)
        assert independent(length, place)


@BOTH
def test_lengths_are_uniform(num_symbols):
    _, _, length = sequences(num_symbols)
    counts = [(length == n).sum() for n in range(100, 111)]
    assert sum(counts) == NUM and uniform(counts)


@BOTH
def test_distractors_are_uniform(num_symbols):
    everything = "".join(strings(num_symbols))
    assert uniform([everything.count(letter) for letter in "abcd"])
    for place in (1, 8, 97):  # the first, one before the windows, the last that all have
        at = "".join(string[place] for string in strings(num_symbols))
        assert uniform([at.count(letter) for letter in "abcd"])
    pairs = [string[3:5] for string in strings(num_symbols)]
    assert independent([pair[0] for pair in pairs], [pair[1] for pair in pairs])


@BOTH
def test_a_constant_answer(num_symbols):
    """The share of a class as every output: mean absolute error 2 (K - 1) / K^2, never right."""
    task = temporal_order(num_symbols, T=20)
    K = task.target_size
    example = Example(np.zeros(22, np.int32), np.eye(K, dtype=np.float32)[1], np.int32(20))
    outputs = np.full(K, 1 / K, np.float32)
    np.testing.assert_allclose(task.error(outputs, example), 2 * (K - 1) / K**2, rtol=1e-6)
    np.testing.assert_allclose(task.squared_error(outputs, example), (K - 1) / K**2, rtol=1e-6)
    assert not bool(task.correct(outputs, example))


@pytest.mark.parametrize("output", range(8))
def test_right_when_every_output_is_off_by_less_than_03(output):
    task = temporal_order(num_symbols=3, T=20)
    example = Example(np.zeros(22, np.int32), np.zeros(8, np.float32), np.int32(20))
    cases = [(0.2999, True), (-0.2999, True), (0.3, False), (-0.3, False), (np.nan, False)]
    for error, right in cases:
        outputs = np.zeros(8, np.float32)
        outputs[output] = error
        assert bool(task.correct(outputs, example)) is right
    one_hot = example._replace(targets=np.eye(8, dtype=np.float32)[output])
    assert bool(task.correct(one_hot.targets * np.float32(0.71), one_hot))
    assert not bool(task.correct(one_hot.targets * np.float32(0.69), one_hot))


@pytest.mark.parametrize(
    ("name", "value"),
    [("T", bad) for bad in (19, 0, -100, 50.0, True, "100")]
    + [("num_symbols", bad) for bad in (0, 1, 4, -2, 2.0, True, "2")],
)
def test_bad_arguments_are_named(name, value):
    with pytest.raises(ValueError, match=rf"\A{name}: .* is not valid; it must be .*\Z"):
        temporal_order(**{name: value})


@BOTH
def test_same_key_same_sequence_whatever_the_transformation(num_symbols):
    task = temporal_order(num_symbols, T=20)
    batch, compiled = sequences(num_symbols, 20, 1000), jax.jit(task.sample)
    for n, sample in enumerate([task.sample, compiled, compiled, compiled]):
        for one, row in zip(sample(keys(1000)[n])[:3], batch, strict=True):
            np.testing.assert_array_equal(one, row[n])
    assert len(set(strings(num_symbols))) == NUM


def test_test_sequences_are_addressed_by_number_and_do_not_depend_on_the_trial():
    task = temporal_order(T=20)
    test = jax.jit(task.test)
    one, again, other = (test(jax.random.key(5), *where) for where in ((3, 0), (3, 2), (4, 0)))
    np.testing.assert_array_equal(one.inputs, again.inputs)
    assert not np.array_equal(one.inputs, other.inputs)
    string = oracle.letters(np.asarray(one.inputs)[: int(one.length)])
    np.testing.assert_array_equal(one.targets, oracle.target(string, 2))
