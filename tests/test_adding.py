"""The adding problem against plain Python and the distributions the paper states (Experiment 4)."""

from functools import lru_cache

import jax
import numpy as np
import pytest
from scipy import stats

from lstm_jax.tasks import Example, adding
from tests.oracles import adding as oracle
from tests.tolerances import FALSE_ALARM_RATE

NUM = 10_000


@lru_cache
def sequences(T=100, num=NUM):
    """Fixed-key samples as NumPy arrays: inputs [N, T, 2], targets [N], length [N]."""
    keys = jax.random.split(jax.random.key(1997), num)
    examples = jax.jit(jax.vmap(adding(T=T).sample))(keys)
    assert examples.mask is None
    return tuple(np.asarray(leaf) for leaf in (examples.inputs, examples.targets, examples.length))


@lru_cache
def visible_marks(T=100, num=NUM):
    """Positions of the visible marks of each sequence, two at most."""
    inputs, _, length = sequences(T, num)
    return [oracle.marked_pairs(p[:n]) for p, n in zip(inputs.tolist(), length, strict=True)]


@pytest.mark.parametrize(("T", "num"), [(11, 2000), (25, 2000), (100, NUM)])
def test_shapes_and_constants(T, num):
    task = adding(T=T)
    inputs, targets, length = sequences(T, num)
    assert (task.input_size, task.target_size, task.timing) == (2, 1, "end")
    assert task.length == T + T // 10
    assert inputs.shape == (num, T + T // 10, 2) and targets.shape == (num, 1)
    assert inputs.dtype == targets.dtype == np.float32 and length.dtype == np.int32
    assert length.min() == T and length.max() == T + T // 10


@pytest.mark.parametrize(("T", "num"), [(100, NUM), (11, 2000), (25, 2000)])
def test_targets_recomputed_from_the_inputs(T, num):
    inputs, targets, length = sequences(T, num)
    expected = [oracle.target(pairs[:n]) for pairs, n in zip(inputs.tolist(), length, strict=True)]
    np.testing.assert_allclose(targets[:, 0], expected, atol=1e-7)
    assert targets.min() >= 0 and targets.max() <= 1


@pytest.mark.parametrize(("T", "num"), [(100, NUM), (11, 2000)])
def test_markers(T, num):
    """-1 at both ends and nowhere else, at most two marks, zeros elsewhere and after the end."""
    inputs, _, length = sequences(T, num)
    t, marker = np.arange(inputs.shape[1]), inputs[..., 1]
    ends = (t == 0) | (t == length[:, None] - 1)
    assert ((marker == -1) == ends).all()
    assert set(np.unique(marker)) == {-1.0, 0.0, 1.0}
    assert not inputs[t >= length[:, None]].any()
    for found in visible_marks(T, num):
        if len(found) == 2:
            assert min(found) < 10 and max(found) < max(10, T // 2 - 1)
        else:  # the other fell on the first pair and does not show
            assert len(found) == 1 and found[0] < max(10, T // 2 - 1)


def test_a_mark_on_the_first_pair_counts_as_zero():
    inputs, targets, _ = sequences()
    found = visible_marks()
    single = [n for n in range(NUM) if len(found[n]) == 1]
    # 1/10 for the first mark; (9/10) * (1/48) for the second
    assert stats.binomtest(len(single), NUM, 0.1 + 0.9 / 48).pvalue > FALSE_ALARM_RATE
    for n in single:
        (other,) = found[n]
        assert inputs[n, 0, 0] != 0  # the value itself is shown
        np.testing.assert_allclose(targets[n, 0], 0.5 + inputs[n, other, 0] / 4, atol=1e-7)


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


def test_values_are_uniform_at_marked_and_other_places():
    inputs, _, length = sequences()
    inside = np.arange(110) < length[:, None]
    uniform = stats.uniform(-1, 2).cdf
    marked = (inputs[..., 1] == 1) & inside
    for chosen in (inside, marked, inside & (inputs[..., 1] == -1)):
        assert stats.kstest(inputs[..., 0][chosen], uniform).pvalue > FALSE_ALARM_RATE
    # the two marked values of a sequence, and neighbours in time, are independent
    both = marked.sum(axis=1) == 2
    x1, x2 = inputs[both][marked[both]][:, 0].reshape(-1, 2).T
    assert stats.pearsonr(x1, x2).pvalue > FALSE_ALARM_RATE
    assert stats.pearsonr(inputs[:, 3, 0], inputs[:, 4, 0]).pvalue > FALSE_ALARM_RATE


def test_length_is_independent_of_the_marks():
    _, _, length = sequences()
    last = [max(found) for found in visible_marks()]
    assert stats.pearsonr(last, length).pvalue > FALSE_ALARM_RATE


@pytest.mark.parametrize("t", [0, 1, 50])
def test_no_value_tells_the_length_or_where_the_marks_fall(t):
    """Each comes of a draw of its own, that of the first pair too."""
    inputs, _, length = sequences()
    found = visible_marks()
    for of_sequence in (length, [min(marks) for marks in found], [max(marks) for marks in found]):
        assert stats.pearsonr(inputs[:, t, 0], of_sequence).pvalue > FALSE_ALARM_RATE


def test_guessing_one_half():
    """Facts by arithmetic: mean squared error 1/24, mean absolute error 1/6, 15.4% right.

    (For two marks that both count; the first-pair case is left out.)
    """
    _, targets, _ = sequences()
    both = np.array([len(found) == 2 for found in visible_marks()])
    off = targets[both, 0] - 0.5
    np.testing.assert_allclose((off**2).mean(), 1 / 24, rtol=0.04)
    np.testing.assert_allclose(np.abs(off).mean(), 1 / 6, rtol=0.03)
    np.testing.assert_allclose((np.abs(off) < 0.04).mean(), 0.1536, atol=0.012)


def example_with_target(target):
    return Example(np.zeros((12, 2), np.float32), np.float32([target]), np.int32(11))


@pytest.mark.parametrize(
    ("output", "right"),
    [(0.0, True), (0.0399, True), (-0.0399, True), (0.04, False), (-0.04, False), (0.5, False)],
)
def test_right_below_004_strictly(output, right):
    task = adding(T=11)
    example = example_with_target(0.0)  # so that the difference is the output, without rounding
    assert bool(task.correct(np.float32([output]), example)) is right
    np.testing.assert_allclose(task.error(np.float32([output]), example), abs(output), rtol=1e-6)


def test_a_nan_is_wrong():
    task = adding(T=11)
    assert not bool(task.correct(np.float32([np.nan]), example_with_target(0.0)))


@pytest.mark.parametrize("T", [3, 0, -100, 9, 50.0, True, "100"])
def test_bad_lengths_name_the_field(T):
    with pytest.raises(ValueError, match="T"):
        adding(T=T)


def test_same_key_same_sequence_and_other_key_other_sequence():
    inputs, _, _ = sequences()
    task = adding(T=100)
    keys = jax.random.split(jax.random.key(1997), NUM)
    again = jax.jit(task.sample)(keys[17])
    np.testing.assert_array_equal(again.inputs, inputs[17])
    assert len(np.unique(inputs[:, 1, 0])) > 0.999 * NUM
