"""The embedded Reber grammar against an automaton and a regular expression (Experiment 1)."""

from collections import Counter
from functools import lru_cache

import jax
import numpy as np
import pytest
from scipy import stats

from lstm_jax.tasks import TASKS, embedded_reber
from tests.oracles import reber as oracle
from tests.tolerances import FALSE_ALARM_RATE

NUM = 10_000
MANY_PAIRS = 8  # more than the paper's three, for distributions
B, T, P, S, X, V, E = range(7)


@lru_cache
def task(num_pairs=3, num_strings=256):
    return embedded_reber(num_pairs=num_pairs, num_strings=num_strings)


@lru_cache
def keys(num=NUM):
    return jax.random.split(jax.random.key(1997), num)


@lru_cache
def compiled(num_pairs=3):
    """(many keys, trial) -> training sequences, and (key, many numbers, trial) -> test ones."""
    sample = jax.vmap(task(num_pairs).sample, in_axes=(0, None))
    test = jax.vmap(task(num_pairs).test, in_axes=(None, 0, None))
    return jax.jit(sample), jax.jit(test)


@lru_cache
def sequences(trial, num=NUM):
    """Fixed-key training sequences of a trial as one Example of NumPy arrays [N, ...]."""
    sample, _ = compiled()
    return jax.tree.map(np.asarray, sample(keys(NUM)[:num], trial))


@lru_cache
def sets(trial, num_pairs=3):
    """All numbered sequences of a trial: the test set, then the training set."""
    _, test = compiled(num_pairs)
    return jax.tree.map(np.asarray, test(jax.random.key(0), np.arange(512), trial))


def strings(examples):
    """The whole strings: all shown letters, and the one that follows the last."""
    found, lengths = [], examples.length.tolist()
    last_letters = examples.targets.argmax(axis=2).tolist()
    for symbols, n, last in zip(examples.inputs.tolist(), lengths, last_letters, strict=True):
        found.append("".join(oracle.SYMBOLS[s] for s in [*symbols[:n], last[n - 1]]))
    return found


@lru_cache
def numbered_strings(trial, num_pairs=3):
    """(test strings, training strings) of a trial."""
    found = strings(sets(trial, num_pairs))
    return found[:256], found[256:]


def test_the_two_oracles_describe_one_language():
    found = oracle.strings(15)
    assert len(set(found)) == len(found) and all(oracle.accepts(string) for string in found)
    assert min(map(len, found)) == 9 and oracle.accepts("BTBTXSETE")
    for wrong in ("BTBTXSEPE", "BTBTXSET", "BTXSE", "BTBTXXSETE", "BTBTXSETEE", "BTBPVVSETE"):
        assert not oracle.accepts(wrong)
    # every continuation that is not a successor leaves the language
    inside = {string[:n] for string in found for n in range(len(string) + 1)}
    for prefix in [string[:7] for string in found]:
        for letter in oracle.SYMBOLS:
            assert (prefix + letter in inside) == (letter in oracle.successors(prefix))
    lengths = oracle.length_probabilities(15)
    for n in range(9, 16):
        total = sum(oracle.probability(string) for string in found if len(string) == n)
        np.testing.assert_allclose(lengths[n], total)


def test_the_automaton_gives_the_papers_lengths():
    """Mean 12.0 (8.0 without the four letters around it), 99.9% at most 31, by arithmetic."""
    lengths = oracle.length_probabilities(200)
    np.testing.assert_allclose(sum(lengths.values()), 1)
    np.testing.assert_allclose(sum(n * share for n, share in lengths.items()), 12)
    above = [sum(share for n, share in lengths.items() if n > bound) for bound in (29, 31)]
    assert above[0] > 0.001 > above[1]


def test_shapes_and_constants():
    assert task().name == "embedded_reber" and TASKS[task().name] is embedded_reber
    assert (task().input_size, task().target_size, task().timing) == (7, 7, "every_step")
    bound, examples = task().length, sequences(0)
    assert examples.inputs.shape == (NUM, bound) and examples.inputs.dtype == np.int32
    assert examples.targets.shape == (NUM, bound, 7) and examples.targets.dtype == np.float32
    assert examples.mask.shape == (NUM, bound) and examples.mask.dtype == bool
    assert examples.legal.shape == (NUM, bound, 7) and examples.legal.dtype == bool
    assert examples.length.shape == (NUM,) and examples.length.dtype == np.int32


def test_the_default_has_three_pairs_of_256_strings():
    default = embedded_reber()
    assert (default.length, default.mean_length) == (task().length, task().mean_length)
    test = jax.jit(jax.vmap(default.test, in_axes=(None, 0, None)))
    for trial in range(3):
        made_again = test(jax.random.key(0), np.arange(512), trial)
        for one, other in zip(made_again, sets(trial), strict=True):
            np.testing.assert_array_equal(one, other)


def test_bounds_of_the_length():
    """A string of n letters has n - 1 steps; the bound is the longest of all sets."""
    steps = np.concatenate([sets(trial).length for trial in range(3)])
    assert task().length == steps.max()
    training = np.concatenate([sets(trial).length[256:] for trial in range(3)])
    np.testing.assert_allclose(task().mean_length, training.mean(), rtol=1e-6)


@pytest.mark.parametrize("trial", range(3))
def test_targets_recomputed_from_the_inputs(trial):
    """The next letter, and after the last shown one E; 10,000 sequences over the three pairs."""
    examples = sequences(trial)
    expected = np.zeros_like(examples.targets)
    numbers = range(trial, NUM, 3)
    for n in numbers:
        symbols, length = examples.inputs[n].tolist(), int(examples.length[n])
        for t, following in enumerate([*symbols[1:length], E]):
            expected[n, t, following] = 1
    np.testing.assert_array_equal(examples.targets[numbers], expected[numbers])


@pytest.mark.parametrize("trial", range(3))
def test_every_string_is_in_the_language_and_legal_is_its_successors(trial):
    examples = sets(trial)
    assert all(oracle.accepts(string) for string in strings(examples))
    for string, legal in zip(strings(examples), examples.legal, strict=True):
        for t in range(len(string) - 1):
            allowed = {oracle.SYMBOLS[k] for k in np.flatnonzero(legal[t])}
            assert allowed == oracle.successors(string[: t + 1])
            assert string[t + 1] in allowed
        assert oracle.successors(string) == set()


def test_the_letter_before_the_last_is_legal_alone():
    examples = sets(0)
    for string, legal in zip(strings(examples), examples.legal, strict=True):
        n = len(string)
        assert set(np.flatnonzero(legal[0])) == {T, P}
        assert [oracle.SYMBOLS[k] for k in np.flatnonzero(legal[n - 3])] == [string[1]]
        assert list(np.flatnonzero(legal[n - 2])) == [E]


@pytest.mark.parametrize("drawn", [sequences, sets])
def test_padding_is_zero(drawn):
    examples = drawn(1)
    inside = np.arange(task().length) < examples.length[:, None]
    np.testing.assert_array_equal(examples.mask, inside)
    for leaf in (examples.inputs, examples.targets, examples.legal):
        assert not leaf[~inside].any()


def test_three_pairs_differ_and_trial_n_uses_pair_n_modulo_3():
    for part in (0, 1):
        assert len({tuple(numbered_strings(trial)[part]) for trial in range(3)}) == 3
    for trial in (3, 4, 5, 29):
        assert numbered_strings(trial) == numbered_strings(trial % 3)
        a, b = sequences(trial, 100), sequences(trial % 3, 100)
        np.testing.assert_array_equal(a.inputs, b.inputs)
    assert strings(sequences(0, 100)) != strings(sequences(1, 100))


def test_no_test_string_occurs_in_the_training_set_of_its_pair():
    for trial in range(MANY_PAIRS):
        test, training = numbered_strings(trial, MANY_PAIRS)
        assert len(test) == len(training) == 256
        assert not set(test) & set(training)
    # only those of the own pair are refused
    test, _ = numbered_strings(0)
    assert set(test) & set(numbered_strings(1)[1])


def test_test_sets_do_not_depend_on_the_key():
    _, test = compiled()
    other = test(jax.random.key(1), np.arange(512), 1)
    for a, b in zip(other, sets(1), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("trial", range(3))
def test_training_picks_uniformly_from_the_training_set(trial):
    """Chi-square over the distinct strings; one that stands there twice is twice as likely."""
    multiplicity = Counter(numbered_strings(trial)[1])
    picked = Counter(strings(sequences(trial)))
    assert set(picked) == set(multiplicity)
    expected = [NUM * multiplicity[string] / 256 for string in picked]
    assert stats.chisquare(list(picked.values()), expected).pvalue > FALSE_ALARM_RATE


def test_every_place_of_the_training_set_is_picked_equally_often():
    """With eight strings a place left out would show, whatever strings are there twice."""
    small = embedded_reber(num_pairs=1, num_strings=8)
    placed = jax.jit(jax.vmap(small.test, in_axes=(None, 0)))(jax.random.key(0), np.arange(8, 16))
    multiplicity = Counter(strings(jax.tree.map(np.asarray, placed)))
    drawn = jax.jit(jax.vmap(small.sample))(keys())
    picked = Counter(strings(jax.tree.map(np.asarray, drawn)))
    assert set(picked) == set(multiplicity)
    expected = [NUM * multiplicity[string] / 8 for string in picked]
    assert stats.chisquare(list(picked.values()), expected).pvalue > FALSE_ALARM_RATE


def chi_square_of_lengths(lengths, probabilities):
    """Lengths against their probabilities; those of 20 letters or more in one class."""
    counts = [lengths.count(n) for n in range(9, 20)]
    expected = [len(lengths) * probabilities[n] for n in range(9, 20)]
    counts.append(len(lengths) - sum(counts))
    expected.append(len(lengths) - sum(expected))
    return stats.chisquare(counts, expected).pvalue


def test_training_strings_are_drawn_from_the_grammar():
    training = [s for n in range(MANY_PAIRS) for s in numbered_strings(n, MANY_PAIRS)[1]]
    lengths = [len(string) for string in training]
    probabilities = oracle.length_probabilities(200)
    assert chi_square_of_lengths(lengths, probabilities) > FALSE_ALARM_RATE
    assert min(lengths) == 9
    variance = sum((n - 12) ** 2 * share for n, share in probabilities.items())
    assert abs(np.mean(lengths) - 12) < 3.3 * (variance / len(lengths)) ** 0.5
    # every branch is a fair coin: the second letter, and each node of the inner string
    branches = Counter()
    for string in training:
        for t in range(1, len(string)):
            allowed = oracle.successors(string[:t])
            if len(allowed) == 2:
                node = (min(t, 3), tuple(sorted(allowed)))
                branches[node, string[t]] += 1
    for node in {node for node, _ in branches}:
        heads, tails = (branches[node, letter] for letter in node[1])
        assert stats.binomtest(heads, heads + tails, 0.5).pvalue > FALSE_ALARM_RATE
    assert {node[1] for node, _ in branches} == {("P", "T"), ("S", "X"), ("T", "V"), ("P", "V")}


def test_about_a_hundred_training_strings_are_distinct():
    """Of 256. A string of n letters has probability 2^(5 - n)."""
    assert oracle.probability("BTBTXSETE") == 2**-4
    expected, lengths = 0.0, oracle.length_probabilities(60)
    for n in range(9, 61):
        share, each = lengths[n], 2.0 ** (5 - n)
        expected += share / each * -np.expm1(256 * np.log1p(-each))
    assert abs(expected - 100) < 15
    found = [len(set(numbered_strings(n, MANY_PAIRS)[1])) for n in range(MANY_PAIRS)]
    assert abs(np.mean(found) - expected) < 4 * np.std(found, ddof=1) / MANY_PAIRS**0.5 + 1
    assert all(80 < num < 120 for num in found)


def test_test_strings_are_those_of_the_grammar_without_the_training_strings():
    """Hence longer: the mean is about 16.3 letters, against 12.0."""
    means = []
    for trial in range(MANY_PAIRS):
        test, training = numbered_strings(trial, MANY_PAIRS)
        probabilities = oracle.length_probabilities(200)
        for string in set(training):
            probabilities[len(string)] -= oracle.probability(string)
        left = sum(probabilities.values())
        probabilities = {n: share / left for n, share in probabilities.items()}
        lengths = [len(string) for string in test]
        mean = sum(n * share for n, share in probabilities.items())
        variance = sum((n - mean) ** 2 * share for n, share in probabilities.items())
        assert abs(np.mean(lengths) - mean) < 3.5 * (variance / len(lengths)) ** 0.5
        means.append(np.mean(lengths))
    assert abs(np.mean(means) - 16.3) < 0.5


@lru_cache
def example():
    """A sequence with padding after it and with steps that have two successors."""
    for trial in range(3):
        examples = sets(trial)
        for n in range(512):
            if examples.length[n] < task().length and examples.legal[n].sum(axis=1).max() == 2:
                return jax.tree.map(lambda leaf, n=n: leaf[n], examples)
    raise AssertionError("no string is shorter than the longest")


def answers():
    """Outputs that are right: the legal ones at 0.6, the others at 0.4."""
    return np.where(example().legal, 0.6, 0.4).astype(np.float32)


def right(outputs):
    return bool(task().correct(outputs, example()))


def test_right_when_the_legal_outputs_are_on_top_at_every_step():
    assert right(answers())
    assert right(example().legal.astype(np.float32))
    assert right(answers() - 0.7)  # only the order counts
    # answering with the letter that did come is not enough where two were possible
    assert not right(example().targets)


def test_wrong_when_one_legal_output_is_not_above_all_others_at_any_step():
    num_pairs_of_two = 0
    for t in range(int(example().length)):
        legal = np.flatnonzero(example().legal[t])
        num_pairs_of_two += len(legal) == 2
        illegal = np.flatnonzero(~example().legal[t])[-1]
        for k in legal:
            outputs = answers()
            outputs[t, k] = 0.401  # less sure than of the other legal one, yet above the others
            assert right(outputs)
            for value in (0.4, 0.399, np.nan):  # a tie is not the most active one
                outputs[t, k] = value
                assert not right(outputs)
        outputs = answers()
        outputs[t, illegal] = 0.599
        assert right(outputs)
        outputs[t, illegal] = 0.601
        assert not right(outputs)
    assert num_pairs_of_two >= 4  # the second letter, the third of the inner string, ...


def test_the_answer_to_the_long_lag_counts():
    """T instead of P, or P instead of T, two letters before the end: wrong."""
    outputs, before = answers(), int(example().length) - 2
    outputs[before, [T, P]] = outputs[before, [P, T]]
    assert not right(outputs)


def test_what_comes_after_the_end_does_not_count():
    outputs = answers()
    outputs[int(example().length) :] = np.linspace(0, 1, 7, dtype=np.float32)
    assert right(outputs)
    outputs[int(example().length) :] = np.nan
    assert right(outputs)


def test_errors_are_means_over_outputs_and_steps_with_a_target():
    outputs = np.linspace(0, 1, task().length * 7, dtype=np.float32).reshape(-1, 7)
    n = int(example().length)
    off = (outputs - example().targets)[:n].astype(np.float64)
    np.testing.assert_allclose(task().error(outputs, example()), np.abs(off).mean(), rtol=1e-5)
    np.testing.assert_allclose(task().squared_error(outputs, example()), (off**2).mean(), rtol=1e-5)


@pytest.mark.parametrize("name", ["num_pairs", "num_strings"])
@pytest.mark.parametrize("value", [0, -1, 2.0, True, "3", None])
def test_bad_arguments_are_named(name, value):
    with pytest.raises(ValueError, match=rf"\A{name}: .* is not valid; it must be .*\Z"):
        embedded_reber(**{name: value})


def test_same_key_same_sequence_whatever_the_transformation():
    one_by_one = jax.jit(task().sample)
    for one, row in zip(task().sample(keys()[0], 1), sequences(1), strict=True):
        np.testing.assert_array_equal(one, row[0])
    # each lane has a trial of its own
    mixed = jax.jit(jax.vmap(task().sample))(keys()[:6], np.arange(6))
    for n in range(6):
        rows = (sequences(n % 3), mixed)
        for one, batch, row in zip(one_by_one(keys()[n], n), *rows, strict=True):
            np.testing.assert_array_equal(one, batch[n])
            np.testing.assert_array_equal(one, row[n])
    np.testing.assert_array_equal(one_by_one(keys()[0]).inputs, sequences(0).inputs[0])
