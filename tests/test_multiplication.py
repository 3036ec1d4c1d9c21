"""Multiplication against plain Python and the distributions the paper states (Experiment 5)."""

from functools import lru_cache

import jax
import numpy as np
import pytest
from scipy import stats

from lstm_jax.tasks import TASKS, Example, multiplication
from tests.oracles import multiplication as oracle
from tests.tolerances import FALSE_ALARM_RATE, TOLERANCES

NUM = 10_000


@lru_cache
def keys(num=NUM):
    return jax.random.split(jax.random.key(1997), num)


@lru_cache
def sequences(T=100, num=NUM):
    """Fixed-key samples as NumPy arrays: inputs [N, T, 2], targets [N], length [N]."""
    examples = jax.jit(jax.vmap(multiplication(T=T).sample))(keys(num))
    assert examples.mask is None and examples.legal is None
    return tuple(np.asarray(leaf) for leaf in (examples.inputs, examples.targets, examples.length))


@lru_cache
def lists(T=100, num=NUM):
    """The pairs of each sequence, without what comes after its end."""
    inputs, _, length = sequences(T, num)
    return [pairs[:n] for pairs, n in zip(inputs.tolist(), length, strict=True)]


@lru_cache
def visible_marks(T=100, num=NUM):
    """Positions of the visible marks of each sequence, two at most."""
    return [oracle.marked_pairs(pairs) for pairs in lists(T, num)]


@pytest.mark.parametrize(("T", "num"), [(11, 2000), (25, 2000), (100, NUM)])
def test_shapes_and_constants(T, num):
    task = multiplication(T=T)
    inputs, targets, length = sequences(T, num)
    assert task.name == "multiplication" and TASKS[task.name] is multiplication
    assert (task.input_size, task.target_size, task.timing) == (2, 1, "end")
    assert task.length == T + T // 10 and task.mean_length == T + (T // 10) / 2
    assert inputs.shape == (num, T + T // 10, 2) and targets.shape == (num, 1)
    assert inputs.dtype == targets.dtype == np.float32 and length.dtype == np.int32
    assert length.min() == T and length.max() == T + T // 10


def test_the_default_is_the_papers_row():
    assert multiplication().length == multiplication(T=100).length == 110


@pytest.mark.parametrize(("T", "num"), [(100, NUM), (11, 2000), (25, 2000)])
def test_targets_recomputed_from_the_inputs(T, num):
    _, targets, _ = sequences(T, num)
    expected = [oracle.target(pairs) for pairs in lists(T, num)]
    np.testing.assert_allclose(targets[:, 0], expected, atol=1e-7)
    assert targets.min() >= 0 and targets.max() <= 1


@pytest.mark.parametrize(("T", "num"), [(100, NUM), (11, 2000)])
def test_markers(T, num):
    """-1 at both ends and nowhere else, one or two marks, zeros elsewhere and after the end."""
    inputs, _, length = sequences(T, num)
    t, marker = np.arange(inputs.shape[1]), inputs[..., 1]
    ends = (t == 0) | (t == length[:, None] - 1)
    assert ((marker == -1) == ends).all()
    assert set(np.unique(marker)) == {-1.0, 0.0, 1.0}
    assert not inputs[t >= length[:, None]].any()
    for found in visible_marks(T, num):
        assert len(found) in (1, 2)
        assert max(found) < max(10, T // 2 - 1)
        assert len(found) == 1 or min(found) < 10


def test_a_mark_on_the_first_pair_counts_as_one():
    inputs, targets, _ = sequences()
    found = visible_marks()
    single = [n for n in range(NUM) if len(found[n]) == 1]
    # 1/10 for the first mark; (9/10) * (1/48) for the second
    assert stats.binomtest(len(single), NUM, 0.1 + 0.9 / 48).pvalue > FALSE_ALARM_RATE
    others = [found[n][0] for n in single]
    assert (inputs[single, 0, 0] != 0).all()  # the value itself is shown
    np.testing.assert_allclose(targets[single, 0], inputs[single, others, 0], atol=1e-7)


@pytest.mark.parametrize(("T", "num"), [(100, NUM), (25, 2000), (11, 2000)])
def test_where_the_marks_fall(T, num):
    """Chi-square over the visible sets of marks: first among ten, second among T/2-1, not it."""
    bound = T // 2 - 1
    expected = {}
    for first in range(10):
        others = [second for second in range(bound) if second != first]
        for second in others:
            seen = frozenset({first, second} - {0})
            expected[seen] = expected.get(seen, 0.0) + num / 10 / len(others)
    counts = dict.fromkeys(expected, 0)
    for found in visible_marks(T, num):
        counts[frozenset(found)] += 1  # a KeyError is a place that cannot be
    statistic = stats.chisquare(list(counts.values()), [expected[seen] for seen in counts])
    assert statistic.pvalue > FALSE_ALARM_RATE


def test_lengths_are_uniform():
    _, _, length = sequences()
    counts = [(length == n).sum() for n in range(100, 111)]
    assert sum(counts) == NUM
    assert stats.chisquare(counts).pvalue > FALSE_ALARM_RATE


def test_values_are_uniform_between_0_and_1_at_marked_and_other_places():
    inputs, _, length = sequences()
    inside = np.arange(110) < length[:, None]
    marked = (inputs[..., 1] == 1) & inside
    for chosen in (inside, marked, inside & (inputs[..., 1] == -1)):
        assert stats.kstest(inputs[..., 0][chosen], stats.uniform.cdf).pvalue > FALSE_ALARM_RATE
    # the two marked values of a sequence, and neighbours in time, are independent
    both = marked.sum(axis=1) == 2
    x1, x2 = inputs[both][marked[both]][:, 0].reshape(-1, 2).T
    assert stats.pearsonr(x1, x2).pvalue > FALSE_ALARM_RATE
    assert stats.pearsonr(inputs[:, 3, 0], inputs[:, 4, 0]).pvalue > FALSE_ALARM_RATE


def test_length_is_independent_of_the_marks():
    _, _, length = sequences()
    last = [max(found) for found in visible_marks()]
    assert stats.pearsonr(last, length).pvalue > FALSE_ALARM_RATE


def test_targets_of_two_marks_are_a_product_of_two_uniform_numbers():
    """P(X1 X2 <= z) = z - z ln z. Hence mean 1/4, and a constant 1/4 has squared error 7/144."""
    _, targets, _ = sequences()
    both = np.array([len(found) == 2 for found in visible_marks()])
    products = targets[both, 0].astype(np.float64)
    assert stats.kstest(products, lambda z: z - z * np.log(z)).pvalue > FALSE_ALARM_RATE
    np.testing.assert_allclose(products.mean(), 1 / 4, atol=0.01)
    np.testing.assert_allclose(((products - 1 / 4) ** 2).mean(), 7 / 144, rtol=0.06)


def example_with_target(target):
    return Example(np.zeros((12, 2), np.float32), np.float32([target]), np.int32(11))


@pytest.mark.parametrize(
    ("output", "right"),
    [(0.0, True), (0.0399, True), (-0.0399, True), (0.04, False), (-0.04, False), (0.5, False)],
)
def test_right_below_004_strictly(output, right):
    task = multiplication(T=11)
    example = example_with_target(0.0)  # so that the difference is the output, without rounding
    outputs = np.float32([output])
    assert bool(task.correct(outputs, example)) is right
    np.testing.assert_allclose(task.error(outputs, example), abs(output), rtol=1e-6)
    np.testing.assert_allclose(task.squared_error(outputs, example), output**2, rtol=1e-6)


def test_a_nan_is_wrong():
    assert not bool(multiplication(T=11).correct(np.float32([np.nan]), example_with_target(0.0)))


@pytest.mark.parametrize("T", [10, 3, 0, -100, 50.0, True, "100"])
def test_bad_lengths_name_the_field(T):
    with pytest.raises(ValueError, match=r"\AT: .* is not valid; it must be .*\Z"):
        multiplication(T=T)


def test_same_key_same_sequence_whatever_the_transformation():
    task = multiplication(T=25)
    batch, compiled = sequences(25, 2000), jax.jit(task.sample)
    for n, sample in enumerate([task.sample, compiled, compiled, compiled]):
        for one, row in zip(sample(keys(2000)[n])[:3], batch, strict=True):
            np.testing.assert_allclose(one, row[n], **TOLERANCES["float32"])
    assert len(np.unique(batch[0][:, 1, 0])) > 0.999 * 2000


def test_test_sequences_are_addressed_by_number_and_do_not_depend_on_the_trial():
    task = multiplication(T=25)
    test = jax.jit(task.test)
    one, again, other = (test(jax.random.key(5), *where) for where in ((3, 0), (3, 2), (4, 0)))
    np.testing.assert_array_equal(one.inputs, again.inputs)
    assert not np.array_equal(one.inputs, other.inputs)
    np.testing.assert_allclose(
        one.targets[0], oracle.target(np.asarray(one.inputs)[: int(one.length)]), atol=1e-7
    )
