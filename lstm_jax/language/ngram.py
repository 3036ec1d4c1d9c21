"""N-grams of symbols by interpolated modified Kneser-Ney smoothing, over whole arrays.

The baseline of Karpathy et al. 2015. Chen & Goodman 1998, eqs 21 to 27::

    p(s | ctx) = (c(ctx s) - D(c(ctx s)) + gamma(ctx) p(s | ctx without its first symbol)) / c(ctx)

c counts occurrences for the longest contexts, and for shorter ones the different symbols that come
before; gamma(ctx) is the sum of the discounts taken. A context never seen hands on to the shorter.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np


class _Order(NamedTuple):
    """The k-grams of training and test text, k symbols each, as numbers they share."""

    gram: np.ndarray  # [N] which k-gram ends at each position; -1 where the text has just begun
    num: int  # how many there are
    first: np.ndarray  # [num] a position in the training text where each ends; -1: none there
    times: np.ndarray  # [num] occurrences in the training text


def ngram_nats(
    train: Sequence[int] | np.ndarray,
    test: Sequence[int] | np.ndarray,
    num_symbols: int,
    orders: Sequence[int],
) -> dict[int, np.ndarray]:
    """Nats of each symbol of a text but the first, given up to n-1 symbols before it, for each n.

    Args:
      train: whole numbers below V; counts are of it alone.
      test: the text that is predicted; its contexts begin with it.
      num_symbols: V.
      orders: every n that is asked for, at least 1.

    Returns:
      ``{n: [len(test) - 1]}``.

    Example:
      >>> nats = ngram_nats([0, 1] * 50, [0, 1, 0, 1], 3, [1, 2])
      >>> round(float(nats[1].mean()), 2), bool(nats[2].mean() < 0.1)
      (0.7, True)
    """
    train, test = np.asarray(train, np.int64), np.asarray(test, np.int64)
    tables = list(_grams(train, test, num_symbols, max(orders)))
    return {n: _nats(tables[:n], len(train), num_symbols) for n in orders}


def _grams(train: np.ndarray, test: np.ndarray, num_symbols: int, longest: int) -> Iterator[_Order]:
    symbols = np.concatenate([train, test])
    begin = np.zeros(len(symbols), np.int64)  # where each position's own text begins
    begin[len(train) :] = len(train)
    position = np.arange(len(symbols))
    before = np.zeros(len(symbols), np.int64)  # the (k-1)-gram that ends one position before
    for k in range(1, longest + 1):
        known = position - begin >= k - 1
        gram = np.full(len(symbols), -1, np.int64)
        keys, ids = np.unique(before[known] * num_symbols + symbols[known], return_inverse=True)
        gram[known] = ids
        in_train = gram[: len(train)]
        in_train = in_train[in_train >= 0]
        first = np.full(len(keys), -1, np.int64)
        first[gram[: len(train)][known[: len(train)]]] = position[: len(train)][known[: len(train)]]
        yield _Order(gram, len(keys), first, np.bincount(in_train, minlength=len(keys)))
        before = np.concatenate([[0], gram[:-1]])
        before[before < 0] = 0  # never read: such a position has no k-gram either


def _nats(tables: Sequence[_Order], num_train: int, num_symbols: int) -> np.ndarray:
    """Of the test's symbols but the first, by the longest order of the tables."""
    at = np.arange(num_train + 1, len(tables[0].gram))
    p = np.full(len(at), 1 / num_symbols)
    for k, table in enumerate(tables, start=1):
        count = table.times if k == len(tables) else _continuations(table, tables[k])
        discounted, gamma, total = _smoothed(tables, k, count)
        gram = table.gram[at]
        context = tables[k - 2].gram[at - 1] if k > 1 else np.zeros(len(at), np.int64)
        seen = (gram >= 0) & (context >= 0)
        seen[seen] = total[context[seen]] > 0
        g, c = gram[seen], context[seen]
        p[seen] = (discounted[g] + gamma[c] * p[seen]) / total[c]
    return -np.log(p)


def _continuations(table: _Order, longer: _Order) -> np.ndarray:
    """How many different symbols come before each k-gram of the training text."""
    seen = longer.first[longer.first >= 0]
    return np.bincount(table.gram[seen], minlength=table.num)


def _smoothed(
    tables: Sequence[_Order], k: int, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(discounted counts by k-gram, gamma by context, sum of counts by context)."""
    there = np.flatnonzero(count)
    discount = discounts(count[there])[np.minimum(count[there], 3)]
    discounted = np.zeros(len(count))
    discounted[there] = count[there] - discount
    if k == 1:
        context, num = np.zeros(len(there), np.int64), 1
    else:
        context = tables[k - 2].gram[tables[k - 1].first[there] - 1]
        num = tables[k - 2].num
    gamma = np.bincount(context, weights=discount, minlength=num)
    total = np.bincount(context, weights=count[there], minlength=num)
    return discounted, gamma, total


def discounts(counts: np.ndarray) -> np.ndarray:
    """``[0, D1, D2, D3+]`` from the counts of counts n1 to n4 (Chen & Goodman 1998, eq. 26).

    ``Y = n1 / (n1 + 2 n2)``, ``D_i = i - (i + 1) Y n_i+1 / n_i``, kept within 0.1 and i, so that
    every context leaves something to the shorter one; where a text is too small to have an n_i,
    ``D_i = i Y``.

    Example:
      >>> discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4])).tolist()
      [0.0, 0.5, 1.25, 1.0]
    """
    n = [np.count_nonzero(counts == i) for i in range(5)]
    y = n[1] / (n[1] + 2 * n[2]) if n[1] else 0.5
    found = [0.0]
    for i in (1, 2, 3):
        d = i - (i + 1) * y * n[i + 1] / n[i] if n[i] else i * y
        found.append(min(max(d, 0.1), float(i)))
    return np.array(found)
