"""N-grams over arrays against the formula in dictionaries, and against what must hold."""

import math
from collections import defaultdict

import numpy as np
import pytest

from lstm_jax.language.ngram import discounts, ngram_nats

RNG = np.random.default_rng(3)
WORDS = ["ab", "abc", "ca", "d", "bad"]
TRAIN = [byte - ord("a") for byte in "".join(RNG.choice(WORDS, 150)).encode()]
TEST = [byte - ord("a") for byte in "".join(RNG.choice([*WORDS, "e"], 30)).encode()]
V = 6  # one more symbol than there is


class Brute:
    """Modified Kneser-Ney by counting in dictionaries, from the formula."""

    def __init__(self, train, n):
        self.n = n
        self.counts = []  # by k-1: {context: {symbol: count}}
        for k in range(1, n + 1):
            table = defaultdict(lambda: defaultdict(int))
            if k == n:
                for t in range(k - 1, len(train)):
                    table[tuple(train[t - k + 1 : t])][train[t]] += 1
            else:
                longer = {tuple(train[t - k : t + 1]) for t in range(k, len(train))}
                for gram in longer:
                    table[gram[1:-1]][gram[-1]] += 1
            self.counts.append(table)
        self.discounts = []
        for table in self.counts:
            counts = [c for row in table.values() for c in row.values()]
            n = [sum(c == i for c in counts) for i in range(5)]
            y = n[1] / (n[1] + 2 * n[2]) if n[1] else 0.5
            d = [i - (i + 1) * y * n[i + 1] / n[i] if n[i] else i * y for i in (1, 2, 3)]
            self.discounts.append([min(max(value, 0.1), i + 1) for i, value in enumerate(d)])

    def p(self, context, symbol):
        context = tuple(context)[-(self.n - 1) :] if self.n > 1 else ()
        k = len(context) + 1
        shorter = self.p_shorter(context, symbol)
        row = self.counts[k - 1].get(context)
        if not row:
            return shorter
        taken = {s: self.discounts[k - 1][min(c, 3) - 1] for s, c in row.items()}
        left = row[symbol] - taken[symbol] if symbol in row else 0.0
        return (left + sum(taken.values()) * shorter) / sum(row.values())

    def p_shorter(self, context, symbol):
        if not context:
            return 1 / V
        own, self.n = self.n, len(context)
        try:
            return self.p(context[1:], symbol)
        finally:
            self.n = own


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_nats_are_those_of_the_formula(n):
    brute = Brute(TRAIN, n)
    found = ngram_nats(TRAIN, TEST, V, [n])[n]
    expected = [
        -math.log(brute.p(TEST[max(0, t - n + 1) : t], TEST[t])) for t in range(1, len(TEST))
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_orders_asked_for_together_are_those_asked_for_alone():
    together = ngram_nats(TRAIN, TEST, V, [1, 4, 2])
    for n, nats in together.items():
        np.testing.assert_array_equal(nats, ngram_nats(TRAIN, TEST, V, [n])[n])


def test_probabilities_add_up_to_one():
    context = TEST[:7]
    for n in (1, 3, 6):
        last = [math.exp(-ngram_nats(TRAIN, [*context, s], V, [n])[n][-1]) for s in range(V)]
        assert math.isclose(sum(last), 1, rel_tol=1e-10)


def test_longer_contexts_help_on_a_text_with_structure():
    held_out = [byte - ord("a") for byte in "".join(RNG.choice(WORDS, 200)).encode()]
    means = [nats.mean() for nats in ngram_nats(TRAIN, held_out, V, [1, 2, 3]).values()]
    assert means[0] > means[1] > means[2]
    assert means[0] < math.log(V)


def test_discounts_stay_within_their_counts():
    for counts in ([1], [5, 5], [1] * 10 + [2], [1, 2, 2, 2, 2, 3, 3, 3]):
        d = discounts(np.array(counts))
        assert all(0.1 <= d[i] <= i for i in (1, 2, 3))
