"""Long lags against plain Python and the distributions the paper states (Experiments 2a to 2c)."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from lstm_jax import draws
from lstm_jax.tasks import TASKS, Example, long_lag_2a, long_lag_2b, long_lag_2c
from tests.oracles import long_lag as oracle
from tests.tolerances import FALSE_ALARM_RATE

NUM = 10_000
FACTORIES = {"2a": long_lag_2a, "2b": long_lag_2b}
AB = pytest.mark.parametrize("which", ["2a", "2b"])


@lru_cache
def keys(num=NUM):
    return jax.random.split(jax.random.key(1997), num)


@lru_cache
def sequences_ab(which, p=100, num=NUM):
    """Inputs [N, p] and the symbols [N, p] whose unit vectors the targets are.

    The targets themselves would take 400 MB, so the compiled program looks at them.
    """
    sample = FACTORIES[which](p=p).sample

    def shown_and_next(key):
        example = sample(key)
        following = jnp.argmax(example.targets, axis=1)
        is_unit = jnp.all(example.targets == jnp.eye(p + 1)[following])
        return example.inputs, following, is_unit, jnp.all(example.mask), example.length

    leaves = jax.jit(jax.vmap(shown_and_next))(keys(num))
    inputs, following, is_unit, all_steps, length = (np.asarray(leaf) for leaf in leaves)
    assert is_unit.all() and all_steps.all() and (length == p).all()
    return inputs, following


@lru_cache
def sequences_2c(p=50, q=50, num=NUM):
    """Inputs [N, T], targets [N, 2], length [N]."""
    examples = jax.jit(jax.vmap(long_lag_2c(p=p, q=q).sample))(keys(num))
    assert examples.mask is None and examples.legal is None
    return tuple(np.asarray(leaf) for leaf in (examples.inputs, examples.targets, examples.length))


@lru_cache
def strings_2c(p=50, q=50, num=NUM):
    """The sequences in names, without what comes after their end."""
    names = oracle.names_2c(p)
    inputs, _, length = sequences_2c(p, q, num)
    return [[names[s] for s in row[:n]] for row, n in zip(inputs.tolist(), length, strict=True)]


def fair(num_heads, num):
    return stats.binomtest(int(num_heads), num, 0.5).pvalue > FALSE_ALARM_RATE


def uniform(values, num_values):
    counts = np.bincount(np.ravel(values), minlength=num_values)
    assert len(counts) == num_values
    return stats.chisquare(counts).pvalue > FALSE_ALARM_RATE


def independent(a, b):
    table = stats.contingency.crosstab(a, b).count
    return stats.chi2_contingency(table).pvalue > FALSE_ALARM_RATE


@pytest.mark.parametrize("p", [2, 7, 100])
@AB
def test_shapes_and_constants(which, p):
    task = FACTORIES[which](p=p)
    assert task.name == f"long_lag_{which}" and TASKS[task.name] is FACTORIES[which]
    assert (task.input_size, task.target_size, task.timing) == (p + 1, p + 1, "every_step")
    assert task.length == p and task.mean_length == p
    example = jax.eval_shape(task.sample, keys()[0])
    assert example.inputs.shape == (p,) and example.inputs.dtype == np.int32
    assert example.targets.shape == (p, p + 1) and example.targets.dtype == np.float32
    assert example.mask is not None and example.mask.shape == (p,) and example.mask.dtype == bool
    assert example.length.dtype == np.int32 and example.legal is None


def test_defaults():
    assert long_lag_2a().length == long_lag_2b().length == 100
    assert (long_lag_2c().input_size, long_lag_2c().mean_length) == (54, 62)


@AB
def test_targets_recomputed_from_the_inputs(which):
    names = oracle.names_2ab(100)
    inputs, following = sequences_ab(which)
    for symbols, after in zip(inputs.tolist(), following.tolist(), strict=True):
        shown = [names[s] for s in symbols]
        assert shown[0] in ("x", "y") and not {"x", "y"} & set(shown[1:])
        assert [names[s] for s in after] == oracle.next_symbols(shown)


@AB
def test_x_and_y_are_equally_likely(which):
    inputs, _ = sequences_ab(which)
    assert set(np.unique(inputs[:, 0])) == {99, 100}
    assert fair((inputs[:, 0] == 99).sum(), NUM)


@pytest.mark.parametrize("p", [2, 7, 100])
def test_2a_has_the_papers_two_sequences_only(p):
    names = oracle.names_2ab(p)
    inputs, following = sequences_ab("2a", p)
    different = np.unique(np.column_stack([inputs, following[:, -1]]), axis=0)
    strings = [[names[s] for s in row] for row in different]
    assert sorted(strings) == sorted([oracle.string_2a("x", p), oracle.string_2a("y", p)])


def test_2a_is_tested_on_both():
    task = long_lag_2a(p=7)
    test = jax.jit(task.test)
    examples = [test(jax.random.key(0), number) for number in range(4)]
    assert {int(example.inputs[0]) for example in examples[:2]} == {6, 7}
    for n in range(2):
        for one, other in zip(examples[n][:4], examples[n + 2][:4], strict=True):
            np.testing.assert_array_equal(one, other)
        assert list(examples[n].inputs[1:]) == list(range(6))
        assert int(examples[n].targets[-1].argmax()) == int(examples[n].inputs[0])


def test_2b_has_random_symbols_in_between():
    inputs, _ = sequences_ab("2b")
    middle = inputs[:, 1:]
    assert uniform(middle, 99)
    for t in (0, 50, 98):
        assert uniform(middle[:, t], 99)
    coarse = middle // 10  # ten classes of symbols, so that a table has many in each
    assert independent(coarse[:, 0], coarse[:, 1]) and independent(coarse[:, 97], coarse[:, 98])
    assert independent(inputs[:, 0], coarse[:, 0])
    repeats = (middle[:, 1:] == middle[:, :-1]).sum()  # with replacement
    assert stats.binomtest(int(repeats), NUM * 98, 1 / 99).pvalue > FALSE_ALARM_RATE


def test_2b_is_tested_on_fresh_sequences():
    task = long_lag_2b(p=7)
    test = jax.jit(task.test)
    examples = [test(jax.random.key(5), number) for number in range(5)]
    assert len({tuple(np.asarray(example.inputs)) for example in examples}) > 1
    for example in examples:
        np.testing.assert_array_equal(
            example.targets.argmax(axis=1), oracle.next_symbols(list(example.inputs))
        )
    again = test(jax.random.key(5), 3, 2)
    np.testing.assert_array_equal(again.inputs, examples[3].inputs)


@pytest.mark.parametrize(("t", "counts_in_2b"), [(0, False), (3, False), (5, False), (6, True)])
def test_2a_and_2b_right_below_025_strictly(t, counts_in_2b):
    """In 2a at every step, in 2b at the last one."""
    example = Example(
        np.zeros(7, np.int32), np.zeros((7, 8), np.float32), np.int32(7), np.ones(7, bool)
    )
    for output in range(8):
        for error, within in [(0.2499, True), (0.25, False), (-0.2499, True), (-0.25, False)]:
            outputs = np.zeros((7, 8), np.float32)
            outputs[t, output] = error
            assert bool(long_lag_2a(p=7).correct(outputs, example)) is within
            assert bool(long_lag_2b(p=7).correct(outputs, example)) is (within or not counts_in_2b)
    outputs = np.zeros((7, 8), np.float32)
    outputs[t, 2] = np.nan
    assert not bool(long_lag_2a(p=7).correct(outputs, example))
    assert bool(long_lag_2b(p=7).correct(outputs, example)) is (not counts_in_2b)


@AB
def test_errors_are_means_over_outputs_and_steps(which):
    task = FACTORIES[which](p=7)
    example = jax.jit(task.sample)(keys()[0])
    outputs = np.linspace(0, 1, 56, dtype=np.float32).reshape(7, 8)
    off = outputs.astype(np.float64) - np.asarray(example.targets)
    np.testing.assert_allclose(task.error(outputs, example), np.abs(off).mean(), rtol=1e-5)
    np.testing.assert_allclose(task.squared_error(outputs, example), (off**2).mean(), rtol=1e-5)
    # a perfect answer to what can be known is right, and a constant one is not
    assert bool(task.correct(np.asarray(example.targets), example))
    assert not bool(task.correct(np.full((7, 8), 1 / 8, np.float32), example))


@pytest.mark.parametrize(("p", "q"), [(50, 50), (3, 8), (1000, 20)])
def test_2c_shapes_and_constants(p, q):
    num = NUM if p == 50 else 1000
    task = long_lag_2c(p=p, q=q)
    inputs, targets, length = sequences_2c(p, q, num)
    assert task.name == "long_lag_2c" and TASKS[task.name] is long_lag_2c
    assert (task.input_size, task.target_size, task.timing) == (p + 4, 2, "end")
    assert task.mean_length == q + 12
    # P(k > m) = 0.9^(m + 1): what is cut off happens less than once in 10^9 sequences
    assert 0.9 ** (task.length - (q + 3) + 1) < 1e-9
    assert task.length < q + 3 + 250
    assert inputs.shape == (num, task.length) and targets.shape == (num, 2)
    assert inputs.dtype == length.dtype == np.int32 and targets.dtype == np.float32
    assert not inputs[np.arange(task.length) >= length[:, None]].any()


@pytest.mark.parametrize(("p", "q"), [(50, 50), (3, 8), (1000, 20)])
def test_2c_targets_recomputed_from_the_inputs(p, q):
    num = NUM if p == 50 else 1000
    _, targets, length = sequences_2c(p, q, num)
    assert length.min() == q + 3  # the shortest has no further distractor
    expected = []
    for string in strings_2c(p, q, num):
        expected.append(oracle.target_2c(string))
        assert string[1] in ("x", "y")
        assert all(name.startswith("a") for name in string[2:-1])
    np.testing.assert_array_equal(targets, np.float32(expected))
    assert (targets.sum(axis=1) == 1).all()


def test_2c_classes_are_equally_likely():
    _, targets, length = sequences_2c()
    assert fair(targets[:, 0].sum(), NUM)
    assert independent(targets[:, 0], np.minimum(length, 75))


@pytest.mark.parametrize(("p", "q"), [(50, 50), (3, 8)])
def test_2c_lengths_are_geometric(p, q):
    """k further distractors with probability 0.9^k / 10."""
    num = NUM if p == 50 else 1000
    extra = sequences_2c(p, q, num)[2] - (q + 3)
    bins = 40 if num == NUM else 15
    counts = np.bincount(np.minimum(extra, bins), minlength=bins + 1)
    expected = num * np.append(0.1 * 0.9 ** np.arange(bins), 0.9**bins)
    assert stats.chisquare(counts, expected).pvalue > FALSE_ALARM_RATE
    assert abs(extra.mean() - 9) < 3.3 * (90 / num) ** 0.5  # variance 0.9 / 0.1^2


def test_2c_lengths_have_the_geometric_tail():
    extra = sequences_2c()[2] - 53
    for bound in (60, 80):
        num_beyond = int((extra >= bound).sum())
        assert stats.binomtest(num_beyond, NUM, 0.9**bound).pvalue > FALSE_ALARM_RATE


@pytest.mark.parametrize(
    ("u", "finer"),
    [(0.0, 0.5), (0.0, 0.25), (0.0, 2.0**-6), (0.0, 0.0), (2.0**-23, 0.5), (1 - 2.0**-23, 0.5)],
)
def test_2c_tells_apart_what_lies_below_the_last_bit_of_a_draw(monkeypatch, u, finer):
    """k is at least n where a number uniform in (0, 1) is at most 0.9^n; two draws make its bits.

    One draw of 23 bits alone is never below 2^-23, and so no k above 151 would come of it.
    """
    drawn = np.full(400, 0.5, np.float32)
    drawn[1:3] = u, finer
    monkeypatch.setattr(draws, "uniform", lambda key, n: drawn[:n])
    number = u + finer / 2**23
    at_least = [n for n in range(198) if number <= 0.9**n]
    assert long_lag_2c(p=5, q=3).sample(keys(1)[0]).length == 3 + max(at_least) + 3


def test_2c_distractors_are_uniform():
    inputs, targets, length = sequences_2c()
    t = np.arange(inputs.shape[1])
    between = (t >= 2) & (t < length[:, None] - 1)
    assert uniform(inputs[between], 50)
    for place in (2, 30, 51):
        assert uniform(inputs[:, place], 50)
    longer = length > 58  # those after the prefix
    assert uniform(inputs[longer, 55], 50)
    coarse = inputs // 10
    assert independent(coarse[:, 2], coarse[:, 3]) and independent(coarse[:, 2], targets[:, 0])
    assert independent(coarse[:, 2], np.minimum(length, 75))


@pytest.mark.parametrize("output", [0, 1])
def test_2c_right_below_02_strictly(output):
    task = long_lag_2c(p=3, q=4)
    T = task.length
    example = Example(np.zeros(T, np.int32), np.zeros(2, np.float32), np.int32(9))
    for error, within in [(0.1999, True), (-0.1999, True), (0.2, False), (-0.2, False)]:
        outputs = np.zeros(2, np.float32)
        outputs[output] = error
        assert bool(task.correct(outputs, example)) is within
        np.testing.assert_allclose(task.error(outputs, example), abs(error) / 2, rtol=1e-6)
        np.testing.assert_allclose(task.squared_error(outputs, example), error**2 / 2, rtol=1e-6)
    outputs[output] = np.nan
    assert not bool(task.correct(outputs, example))
    assert not bool(task.correct(np.float32([0.5, 0.5]), example))


@pytest.mark.parametrize("value", [1, 0, -1, 2.0, True, "100", None])
@AB
def test_bad_arguments_of_2a_and_2b_are_named(which, value):
    with pytest.raises(ValueError, match=r"\Ap: .* is not valid; it must be .*\Z"):
        FACTORIES[which](p=value)


@pytest.mark.parametrize("name", ["p", "q"])
@pytest.mark.parametrize("value", [-1, 2.0, True, "50", None])
def test_bad_arguments_of_2c_are_named(name, value):
    with pytest.raises(ValueError, match=rf"\A{name}: .* is not valid; it must be .*\Z"):
        long_lag_2c(**{name: value})


def test_2c_needs_a_distractor():
    with pytest.raises(ValueError, match=r"\Ap: .* is not valid; it must be .*\Z"):
        long_lag_2c(p=0)


@pytest.mark.parametrize("task", [long_lag_2a(p=7), long_lag_2b(p=7), long_lag_2c(p=5, q=3)])
def test_same_key_same_sequence_whatever_the_transformation(task):
    batch, compiled = jax.jit(jax.vmap(task.sample))(keys(4)), jax.jit(task.sample)
    for n, sample in enumerate([task.sample, compiled, compiled, compiled]):
        leaves, rows = jax.tree.leaves(sample(keys(4)[n])), jax.tree.leaves(batch)
        for one, row in zip(leaves, rows, strict=True):
            np.testing.assert_array_equal(one, row[n])


def test_other_keys_give_other_sequences():
    assert len(np.unique(sequences_ab("2b")[0], axis=0)) == NUM
    assert len({tuple(string) for string in strings_2c()}) == NUM


def test_2c_test_sequences_are_addressed_by_number_and_do_not_depend_on_the_trial():
    task = long_lag_2c(p=5, q=30)
    test = jax.jit(task.test)
    one, again, other = (test(jax.random.key(5), *where) for where in ((3, 0), (3, 2), (4, 0)))
    np.testing.assert_array_equal(one.inputs, again.inputs)
    assert not np.array_equal(one.inputs, other.inputs)
    names = oracle.names_2c(5)
    shown = [names[s] for s in np.asarray(one.inputs)[: int(one.length)]]
    np.testing.assert_array_equal(one.targets, oracle.target_2c(shown))
