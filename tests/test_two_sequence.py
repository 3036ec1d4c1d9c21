"""The two-sequence problem against plain Python and the stated distributions (Experiment 3)."""

from functools import lru_cache

import jax
import numpy as np
import pytest
from scipy import stats

from lstm_jax import draws
from lstm_jax.tasks import TASKS, Example, two_sequence
from tests.oracles import two_sequence as oracle
from tests.tolerances import FALSE_ALARM_RATE, TOLERANCES

NUM = 10_000
VARIANTS = pytest.mark.parametrize("variant", ["3a", "3b", "3c"])


@lru_cache
def keys(num=NUM):
    return jax.random.split(jax.random.key(1997), num)


def arrays(examples):
    assert examples.mask is None and examples.legal is None
    return tuple(np.asarray(leaf) for leaf in (examples.inputs, examples.targets, examples.length))


@lru_cache
def sequences(variant, N=3, T=100, num=NUM):
    """Fixed-key samples as NumPy arrays: inputs [N, T, 1], targets [N, 1], length [N]."""
    return arrays(jax.jit(jax.vmap(two_sequence(variant, T=T, N=N).sample))(keys(num)))


@lru_cache
def numbered(variant, N=1):
    """The same from the numbered test sequences."""
    test = jax.vmap(two_sequence(variant, T=100, N=N).test, in_axes=(None, 0))
    return arrays(jax.jit(test)(jax.random.key(97), np.arange(NUM)))


def classes(variant, N=3, drawn=sequences):
    """+1 and -1 for classes 1 and 2: by the first element, in 3b, where it has noise, by target."""
    inputs, targets, _ = drawn(variant, N)
    return np.sign(targets[:, 0] - 0.5) if variant == "3b" else np.sign(inputs[:, 0, 0])


def noise_of(variant, N=3):
    """All that should be Gaussian noise: [N, 110] and where it is."""
    inputs, _, length = sequences(variant, N)
    t = np.arange(110)
    noise = inputs[..., 0].astype(np.float64)
    noise[:, :N] -= classes(variant, N)[:, None]
    return noise, (t < length[:, None]) & (t >= (0 if variant == "3b" else N))


def has_variance(values, variance):
    """Two-sided chi-square test that Gaussian numbers of mean 0 have this variance."""
    below = stats.chi2.cdf((values**2).sum() / variance, values.size)
    return 2 * min(below, 1 - below) > FALSE_ALARM_RATE


@pytest.mark.parametrize(("T", "N"), [(25, 7), (100, 3)])
@VARIANTS
def test_shapes_and_constants(variant, T, N):
    num = NUM if T == 100 else 500
    task = two_sequence(variant=variant, T=T, N=N)
    assert task.name == "two_sequence" and TASKS[task.name] is two_sequence
    assert (task.input_size, task.target_size, task.timing) == (1, 1, "end")
    assert task.length == T + T // 10 and task.mean_length == T + (T // 10) / 2
    inputs, targets, length = sequences(variant, N, T, num)
    assert inputs.shape == (num, T + T // 10, 1) and targets.shape == (num, 1)
    assert inputs.dtype == targets.dtype == np.float32 and length.dtype == np.int32
    assert length.min() == T and length.max() == T + T // 10
    assert not inputs[np.arange(T + T // 10) >= length[:, None]].any()


def test_the_default_is_3a_with_three_elements():
    default = jax.jit(two_sequence().sample)(keys()[0])
    stated = sequences("3a", N=3, T=100)[0][0]
    np.testing.assert_allclose(default.inputs, stated, **TOLERANCES["float32"])


@pytest.mark.parametrize(
    ("drawn", "N"), [(sequences, 1), (sequences, 3), (numbered, 1)], ids=["1", "3", "test-1"]
)
def test_targets_of_3a_recomputed_from_the_inputs(drawn, N):
    inputs, targets, _ = drawn("3a", N)
    expected = [oracle.target(values, "3a", N) for values in inputs[:, :N, 0].tolist()]
    np.testing.assert_array_equal(targets[:, 0], np.float32(expected))


def test_targets_of_3c_without_noise_in_the_test_recomputed_from_the_inputs():
    inputs, targets, _ = numbered("3c")
    expected = [oracle.target(values, "3c", 1) for values in inputs[:, :1, 0].tolist()]
    np.testing.assert_array_equal(targets[:, 0], np.float32(expected))


@pytest.mark.parametrize("N", [1, 3])
def test_targets_of_3c_have_noise_of_variance_01_in_training(N):
    inputs, targets, length = sequences("3c", N)
    expected = [oracle.target(values, "3c", N) for values in inputs[:, :N, 0].tolist()]
    noise = targets[:, 0].astype(np.float64) - np.array(expected)
    normal = stats.norm(0, oracle.TARGET_NOISE_VARIANCE**0.5).cdf
    assert stats.kstest(noise, normal).pvalue > FALSE_ALARM_RATE
    assert has_variance(noise, 0.1) and not has_variance(noise, 0.1**2)
    assert stats.pearsonr(noise, classes("3c", N)).pvalue > FALSE_ALARM_RATE
    for t in (N, 50, 99):  # the target's noise is not that of an element
        assert stats.pearsonr(noise, inputs[:, t, 0]).pvalue > FALSE_ALARM_RATE
    # nor does it tell the length
    by_length = [noise[length == n] for n in range(100, 111)]
    assert stats.kruskal(*by_length).pvalue > FALSE_ALARM_RATE


@pytest.mark.parametrize(
    ("drawn", "N"), [(sequences, 1), (sequences, 3), (numbered, 1)], ids=["1", "3", "test-1"]
)
def test_targets_of_3b_recomputed_up_to_the_bayes_error(drawn, N):
    """1.27% of wrong guesses with one noisy element, which holds only if 0.2 is a variance."""
    inputs, targets, _ = drawn("3b", N)
    assert set(np.unique(targets)) == {0.0, 1.0}
    guess = np.array([oracle.target(values, "3b", N) for values in inputs[:, :N, 0].tolist()])
    num_wrong = int((guess != targets[:, 0]).sum())
    assert stats.binomtest(num_wrong, NUM, oracle.bayes_error(N)).pvalue > FALSE_ALARM_RATE
    if N == 1:
        assert abs(oracle.bayes_error(1) - 0.0127) < 5e-5
        assert abs(num_wrong / NUM - 0.0127) < 0.004


@pytest.mark.parametrize("variant", ["3a", "3c"])
def test_information_elements_are_exact_without_noise(variant):
    for drawn, N in ((sequences, 1), (sequences, 3), (numbered, 1)):
        inputs, _, _ = drawn(variant, N)
        assert (np.abs(inputs[:, :N]) == 1).all()
        assert (inputs[:, :N] == inputs[:, :1]).all()
        assert not (np.abs(inputs[:, N]) == 1).any()  # and there are no more of them


@pytest.mark.parametrize("N", [1, 3])
def test_information_elements_of_3b_have_noise_of_their_own(N):
    noise, _ = noise_of("3b", N)
    for t in range(N):
        normal = stats.norm(0, oracle.NOISE_VARIANCE**0.5).cdf
        assert stats.kstest(noise[:, t], normal).pvalue > FALSE_ALARM_RATE
        assert has_variance(noise[:, t], 0.2)
        assert stats.pearsonr(noise[:, t], noise[:, t + 1]).pvalue > FALSE_ALARM_RATE


@VARIANTS
def test_noise_is_gaussian_with_variance_02(variant):
    noise, where = noise_of(variant)
    normal = stats.norm(0, 0.2**0.5)
    assert stats.kstest(noise[where], normal.cdf).pvalue > FALSE_ALARM_RATE
    assert abs(noise[where].mean()) < 4 * 0.2**0.5 / where.sum() ** 0.5
    assert has_variance(noise[where], 0.2)  # of a million numbers: 2% off is seen for sure
    assert not has_variance(noise[where], 0.204) and not has_variance(noise[where], 0.2**2)
    # tails: beyond three standard deviations, each side
    for num_beyond in ((noise[where] > 3 * 0.2**0.5).sum(), (noise[where] < -3 * 0.2**0.5).sum()):
        test = stats.binomtest(int(num_beyond), int(where.sum()), float(stats.norm.sf(3)))
        assert test.pvalue > FALSE_ALARM_RATE


def test_the_least_and_the_largest_draw_give_finite_noise_of_opposite_signs(monkeypatch):
    """Once in 2^23 draws: an infinite number there would end a trial as diverged."""
    most = []
    for u in (0.0, 1 - 2.0**-23):
        monkeypatch.setattr(draws, "uniform", lambda key, n, u=u: np.full(n, u, np.float32))
        example = two_sequence("3c", T=20, N=1).sample(keys()[0])
        assert example.length == (20 if u == 0 else 22)
        target = 0.2 if u == 0 else 0.8
        most.append((float(example.inputs[5, 0]), float(example.targets[0]) - target))
    np.testing.assert_allclose(most[0], np.negative(most[1]), rtol=1e-6)
    # half a step from the ends: the quantile of 2^-24, in units of either standard deviation
    expected = stats.norm.isf(2.0**-24) * np.sqrt([0.2, 0.1])
    np.testing.assert_allclose(most[1], expected, rtol=1e-5)


@VARIANTS
def test_noise_is_independent_in_time_and_of_the_class(variant):
    noise, _ = noise_of(variant)
    for lag in (1, 2, 50):  # neighbours, and the pairs that a transform of two draws would make
        a, b = noise[:, 3 : 100 - lag].ravel(), noise[:, 3 + lag : 100].ravel()
        assert stats.pearsonr(a, b).pvalue > FALSE_ALARM_RATE
        assert stats.pearsonr(a**2, b**2).pvalue > FALSE_ALARM_RATE
    label = classes(variant)
    for t in (3, 99):
        assert stats.pearsonr(noise[:, t], label).pvalue > FALSE_ALARM_RATE
    assert stats.pearsonr(noise[:, 3:100].sum(axis=1), label).pvalue > FALSE_ALARM_RATE


@VARIANTS
def test_lengths_are_uniform_and_classes_balanced_and_independent(variant):
    for drawn, N in ((sequences, 3), (numbered, 1)):
        _, _, length = drawn(variant, N)
        label = classes(variant, N, drawn)
        counts = [(length == n).sum() for n in range(100, 111)]
        assert sum(counts) == NUM and stats.chisquare(counts).pvalue > FALSE_ALARM_RATE
        num_first = int((label == 1).sum())
        assert stats.binomtest(num_first, NUM, 0.5).pvalue > FALSE_ALARM_RATE
        table = stats.contingency.crosstab(label, length).count
        assert stats.chi2_contingency(table).pvalue > FALSE_ALARM_RATE


@pytest.mark.parametrize(("variant", "limit"), [("3a", 0.2), ("3b", 0.2), ("3c", 0.1)])
def test_right_below_the_limit_strictly(variant, limit):
    task = two_sequence(variant, T=10, N=1)
    example = Example(np.zeros((11, 1), np.float32), np.float32([0.0]), np.int32(10))
    for error, right in [(0.0, True), (0.999, True), (1.0, False), (1.001, False)]:
        for output in (error * limit, -error * limit):
            outputs = np.float32([output])
            assert bool(task.correct(outputs, example)) is right
            np.testing.assert_allclose(task.error(outputs, example), abs(output), rtol=1e-6)
            np.testing.assert_allclose(task.squared_error(outputs, example), output**2, rtol=1e-6)
    assert not bool(task.correct(np.float32([np.nan]), example))


@pytest.mark.parametrize(("variant", "off"), [("3a", 0.5), ("3b", 0.5), ("3c", 0.3)])
def test_a_constant_answer_is_never_right(variant, off):
    task = two_sequence(variant, T=10, N=1)
    _, targets, _ = numbered(variant)
    for target in np.unique(targets):
        example = Example(np.zeros((11, 1), np.float32), target[None], np.int32(10))
        outputs = np.float32([0.5])
        np.testing.assert_allclose(task.error(outputs, example), off, rtol=1e-5)
        assert not bool(task.correct(outputs, example))


@pytest.mark.parametrize(
    ("name", "value"),
    [("T", bad) for bad in (0, -100, 50.0, True, "100")]
    + [("N", bad) for bad in (0, -1, 101, 2.0, True, "3")]
    + [("variant", bad) for bad in ("3d", "a", "", "3A", None, 3)],
)
def test_bad_arguments_are_named(name, value):
    with pytest.raises(ValueError, match=rf"\A{name}: .* is not valid; it must be .*\Z"):
        two_sequence(**{name: value})


@VARIANTS
def test_same_key_same_sequence_whatever_the_transformation(variant):
    task = two_sequence(variant, T=25, N=7)
    batch, compiled = sequences(variant, 7, 25, 500), jax.jit(task.sample)
    for n, sample in enumerate([task.sample, compiled, compiled, compiled]):
        for one, row in zip(sample(keys(500)[n])[:3], batch, strict=True):
            np.testing.assert_allclose(one, row[n], **TOLERANCES["float32"])
    assert len(np.unique(batch[0][:, 8, 0])) > 0.99 * 500


def test_test_sequences_are_addressed_by_number_and_do_not_depend_on_the_trial():
    task = two_sequence("3b", T=25, N=7)
    test = jax.jit(task.test)
    one, again, other = (test(jax.random.key(5), *where) for where in ((3, 0), (3, 2), (4, 0)))
    for a, b in zip(one[:3], again[:3], strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.inputs, other.inputs)
