"""The classifier against NumPy, its loss by hand, and many fits that a kill does not change."""

import json
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import gru
from lstm_jax.classifier import UNKNOWN, classifier
from lstm_jax.config import FITTING, make_config
from lstm_jax.data import sha256_of_content
from lstm_jax.fitting import Labelled, Repeat, Repeats, classification, fit_repeats
from lstm_jax.fitting.accuracy import accuracy, compare
from lstm_jax.fitting.classification import fill, squared_weights
from lstm_jax.fitting.folds import held_out_by, stratified_folds, stratified_share
from lstm_jax.pooling import pooling
from lstm_jax.record import RunFolder
from lstm_jax.structures import bidirectional, layer
from tests.oracles import attention as oracle
from tests.tolerances import assert_close

T, D, H, K, WORDS = 7, 3, 4, 2, 9
RNG = np.random.default_rng(0)


def small(name="additive", **options):
    both = bidirectional(gru(D, H), gru(D, H))
    net = classifier(both, pooling(name, 2 * H, attention_size=5), K, **options)
    return both, net._replace(logits=jax.jit(net.logits), weights=jax.jit(net.weights))


def test_logits_are_those_of_its_parts():
    both, net = small(num_words=WORDS)
    params = net.init(jax.random.key(1), 0.8)
    words = jnp.array([3, 8, 1, 5, 0, 0, 0], jnp.int32)
    _, ys = jax.jit(both.apply)(params.structure, params.embedding[words[:4]])
    vector, weights = oracle.pooled("additive", params.pooling, np.asarray(ys, np.float64))
    expected = np.asarray(params.readout.v, np.float64) @ vector + np.asarray(params.readout.b)
    assert_close(net.logits(params, words, 4), expected, "float32")
    assert_close(net.weights(params, words, 4), np.pad(weights, (0, 3)), "float32")
    changed = words.at[5].set(7)  # in the padding
    np.testing.assert_array_equal(net.logits(params, changed, 4), net.logits(params, words, 4))


def test_dropouts_are_drawn_from_the_key_alone():
    _, plain = small(num_words=WORDS)
    _, noisy = small(num_words=WORDS, dropout=0.5, word_dropout=0.5)
    params = plain.init(jax.random.key(1), 0.8)
    words = jnp.array([3, 8, 1, 5, 2, 4, 6], jnp.int32)
    np.testing.assert_array_equal(noisy.logits(params, words), plain.logits(params, words))
    once, again, other = (noisy.logits(params, words, key=jax.random.key(n)) for n in (0, 0, 1))
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()
    # all words dropped: as if each were the unknown one
    _, all_dropped = small(num_words=WORDS, word_dropout=0.999999)
    got = all_dropped.logits(params, words, key=jax.random.key(0))
    assert_close(got, plain.logits(params, jnp.full(T, UNKNOWN, jnp.int32)))


def test_the_loss_is_cross_entropy_with_a_penalty_and_counts_only_what_is_there():
    _, net = small("mean")
    params = net.init(jax.random.key(1), 0.8)
    data = Labelled(
        RNG.normal(size=(3, T, D)).astype(np.float32), np.array([7, 3, 5]), np.array([0, 1, 1])
    )
    logits = np.array(
        [net.logits(params, x, int(n)) for x, n in zip(data[0], data[1], strict=True)]
    )
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    nats = -np.log(shares[np.arange(3), data.labels])
    penalty = sum(
        (np.asarray(leaf, np.float64) ** 2).sum()
        for leaf in jax.tree.leaves(params)
        if leaf.ndim > 1
    )
    np.testing.assert_allclose(squared_weights(params), penalty, rtol=1e-5)
    for given, weight in ((data, jnp.ones(3)), (fill(data, 5), jnp.ones(5))):
        batch = (jax.tree.map(jnp.asarray, given), weight)
        loss, (_, metrics) = jax.jit(classification(net, l2=0.1).loss)(
            params, (), batch, jax.random.key(0)
        )
        np.testing.assert_allclose(loss, nats.mean() + 0.05 * penalty, rtol=1e-5)
        np.testing.assert_allclose(metrics["loss"](), nats.mean(), rtol=1e-5)
        assert metrics["accuracy"]() == (logits.argmax(1) == data.labels).mean()


def toy(num_fits=3, valid=True):
    """Signals whose class is the sign of their first number; other draws for each fit."""
    net = classifier(layer(gru(1, H)), pooling("last", H), 2)

    def part(rng, size):
        signals = rng.normal(size=(size, 4, 1)).astype(np.float32)
        signals[:, 0] *= 3
        return Labelled(signals, np.full(size, 4), (signals[:, 0, 0] > 0).astype(np.int32))

    def make(number):
        rng = np.random.default_rng(number)
        train, held, test = part(rng, 40), part(rng, 10), part(rng, 20)
        return Repeat({"seed": number}, number, train, held if valid else None, test)

    return Repeats(net, classification(net), num_fits, make)


CONFIG = make_config(FITTING, num_epochs=10, batch_size=10, learning_rate=0.05, patience=4)


def test_fits_learn_stop_and_resume_to_the_same_records(tmp_path):
    with RunFolder.open(tmp_path / "a", {}, "toy", unit="fit") as folder:
        whole = fit_repeats(toy(), CONFIG, folder)
    assert whole.result == {"num_fits": 3}
    for record in whole.records:
        assert record["test"]["accuracy"] >= 0.8 and len(record["answers"]) == 20
        losses = record["valid_loss"]
        assert losses.index(min(losses)) + 1 == record["best_epoch"]
        assert len(losses) in (10, record["best_epoch"] + 4)
    asked = iter([False] * 14 + [True] * 100)  # stopped in the second fit
    with RunFolder.open(tmp_path / "b", {}, "toy", unit="fit") as folder:
        stopped = fit_repeats(toy(), CONFIG, folder, stopped=lambda: next(asked))
    assert stopped.result is None and len(stopped.records) == 1
    with RunFolder.open(tmp_path / "b", {}, "toy", unit="fit") as folder:
        assert fit_repeats(toy(), CONFIG, folder).records == whole.records
    files = [(tmp_path / name / "fits.jsonl").read_bytes() for name in "ab"]
    assert files[0] == files[1]
    assert [json.loads(line)["fit"] for line in files[0].splitlines()] == [0, 1, 2]
    begun = make_config(FITTING, num_epochs=0, batch_size=10, init_from=str(tmp_path / "a"))
    assert fit_repeats(toy(1), begun).records[0]["test"] == whole.records[0]["test"]


def test_without_validation_the_last_epoch_counts():
    config = make_config(FITTING, num_epochs=2, batch_size=10)
    (record,) = fit_repeats(toy(1, valid=False), config).records
    assert record["best_epoch"] == 2 and "valid" not in record


def test_fits_of_other_shapes_are_refused():
    repeats = toy()
    first = repeats.make(0)
    odd = repeats._replace(make=lambda n: first._replace(test=fill(first.test, 20 + n)))
    with pytest.raises(ValueError, match="fit 1: its data has other shapes"):
        fit_repeats(odd, make_config(FITTING, num_epochs=1, batch_size=10))


def test_folds_keep_the_shares_of_every_stratum():
    strata = [("a", 0)] * 37 + [("a", 1)] * 23 + [("b", 0)] * 11
    folds = stratified_folds(strata, 5, seed=3)
    sizes = np.bincount(folds)
    assert sizes.max() - sizes.min() <= 1
    for stratum in set(strata):
        counts = np.bincount(folds[[s == stratum for s in strata]], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert (stratified_folds(strata, 5, seed=3) == folds).all()
    assert (stratified_folds(strata, 5, seed=4) != folds).any()
    with pytest.raises(ValueError, match="11 examples"):
        stratified_folds(strata, 12, seed=0)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.25, 0.3, 1 / 3, 0.37, 0.4, 0.45, 0.5])
def test_the_share_asked_for_is_held_out(share):
    strata = [("a", 0)] * 370 + [("a", 1)] * 230 + [("b", 0)] * 110
    held = stratified_share(strata, share, seed=3)
    for stratum, size in Counter(strata).items():
        assert abs(held[[s == stratum for s in strata]].sum() - share * size) <= 1
    assert abs(held.sum() - share * 710) <= 1
    if abs(1 / share - round(1 / share)) < 1e-9:  # as it was when only these could be had
        assert (held == (stratified_folds(strata, round(1 / share), seed=3) == 0)).all()
    with pytest.raises(ValueError, match="config.x: 110 examples of .* at least 200 are needed"):
        stratified_share(strata, 0.005, seed=0, setting="config.x")
    with pytest.raises(ValueError, match="are too few to hold out 1e-09"):
        stratified_share(strata, 1e-9, seed=0)


@pytest.mark.parametrize(("share", "least"), [(0.5, 2), (0.45, 3), (0.4, 3), (0.3, 4), (0.1, 10)])
def test_a_stratum_has_an_example_held_out_wherever_its_turn_begins(share, least):
    def held(size, before):
        strata = ["a"] * before + ["b"] * size
        return stratified_share(strata, share, seed=0)[before:].sum()

    assert all(held(least, before) >= 1 for before in range(least, least + 20))
    with pytest.raises(ValueError, match=f"{least - 1} examples of b .* at least {least} are"):
        held(least - 1, 20)


def test_a_run_tells_that_it_holds_out_a_share_that_others_rounded():
    old = {share: 1 / max(2, round(1 / share)) for share in (0.5, 0.45, 0.3, 0.25, 0.15, 0.1)}
    assert {s for s in old if held_out_by(s)} == {s for s in old if abs(old[s] - s) > 1e-9}
    assert held_out_by(0.0) == {}


def test_a_hash_tells_contents_apart_whose_bytes_are_the_same():
    """By shape, by type, and by where one part ends."""
    numbers = np.arange(12, dtype=np.int32)
    alike = [
        (numbers,), (numbers.reshape(3, 4),), (numbers.reshape(4, 3),), (numbers.view(np.uint32),),
        (numbers[:5], numbers[5:]), (numbers[:4], numbers[4:]),
        ("ab", "c"), ("a", "bc"), (["ab", "c"],), (["a", "bc"],), ("abc",),
    ]  # fmt: skip
    assert len({sha256_of_content(*parts) for parts in alike}) == len(alike)
    wide = np.zeros((12, 2), np.int32)
    wide[:, 0] = numbers  # not contiguous: the same numbers in other places
    assert sha256_of_content(wide[:, 0]) == sha256_of_content(numbers)


def test_a_hash_of_objects_is_refused():
    with pytest.raises(TypeError, match="array of object"):
        sha256_of_content(np.array(["a", "b"], object))


def test_intervals_cover_what_they_claim():
    rng = np.random.default_rng(1)
    covered, found_equal = 0, 0
    for _ in range(50):
        theirs = rng.random(300) < 0.8
        ours = np.where(rng.random(300) < 0.5, theirs, rng.random(300) < 0.8)[None]
        found = compare(ours, theirs)
        covered += found.low <= 0 <= found.high
        found_equal += found.p_value > 0.05
        assert (found.low > 0) <= (found.p_value < 0.2)
    # 47.5 expected; below 42 with probability 0.004
    assert covered >= 42 and found_equal >= 42
    nets = accuracy(np.stack([theirs, theirs]))
    one = accuracy(theirs)
    assert abs(nets.low - one.low) < 0.02 and abs(nets.high - one.high) < 0.02
    # by hand: 8 only ours, 2 only theirs; 2 * P(X <= 2), X binomial (10, 1/2), is 112/1024
    ours = np.array([True] * 8 + [False] * 2 + [True] * 5)
    theirs = np.array([False] * 8 + [True] * 2 + [True] * 5)
    assert abs(compare(ours, theirs).p_value - 112 / 1024) < 1e-12


def test_a_difference_of_several_nets_by_hand():
    ours = np.array([[1, 1, 1, 0, 1], [1, 0, 1, 0, 0]], bool)
    theirs = np.array([0, 1, 1, 0, 0], bool)
    found = compare(ours, theirs)
    assert found.mean == pytest.approx((2 / 5 + 0 / 5) / 2)
    assert (found.only_ours, found.only_theirs) == ((2 + 1) / 2, (0 + 1) / 2)
    assert found.p_value == 0.5  # of the first net: two of two, either way
    other = compare(theirs, ours)
    assert (other.mean, other.only_ours) == (-found.mean, found.only_theirs)
    assert other.low == pytest.approx(-found.high, abs=0.05)


def test_nets_and_examples_are_both_drawn():
    right, wrong = np.ones(50, bool), np.zeros(50, bool)
    nets = accuracy(np.stack([right, wrong]))  # one of four draws has the first net alone
    assert (nets.mean, nets.low, nets.high) == (0.5, 0.0, 1.0)
    half = np.arange(400) < 200
    for count in (2, 20):  # nets that are the same tell no more than one of them
        found = accuracy(np.stack([half] * count), confidence=0.9)
        deviation = (0.25 / 400) ** 0.5
        assert found.low == pytest.approx(0.5 - 1.645 * deviation, abs=0.005)
        assert found.high == pytest.approx(0.5 + 1.645 * deviation, abs=0.005)
