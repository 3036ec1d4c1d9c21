"""Labelled sentences: read, cut into words, numbered."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_jax.data.errors import DataError, decode, read_bytes
from lstm_jax.data.padding import pad
from lstm_jax.data.text import Vocabulary, own_or_named

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|[0-9]+(?:[.,/:][0-9]+)*|[!?.,;:()&$%]")
UNKNOWN_WORD = "<unk>"


class Sentences(NamedTuple):
    """N sentences with labels, each from a source."""

    texts: tuple[str, ...]
    labels: np.ndarray  # int32 [N], 0 or 1
    sites: tuple[str, ...]  # the source of each: "amazon", "imdb", "yelp", or an own file's name


def load_sentences(source: str = "sentiment", data_dir: str = "") -> Sentences:
    """The sentences of a named set or of an own file: a sentence, a tab, 0 or 1 on each line.

    Raises:
      DataError: one line: no such file, empty, not UTF-8, a line of another form (with its number),
        only one of the labels.
    """
    texts, labels, sites = [], [], []
    for path in own_or_named(source, "sentences", data_dir):
        some, theirs = read_labelled(path)
        texts += some
        labels += theirs
        sites += [path.stem.split("_")[0]] * len(some)
    return Sentences(tuple(texts), np.array(labels, np.int32), tuple(sites))


def read_labelled(path: str | Path) -> tuple[list[str], list[int]]:
    """(sentences, labels) of a file; DataError for a line that is not sentence, tab, 0 or 1."""
    texts, labels = [], []
    for number, line in enumerate(decode(read_bytes(path), path).split("\n"), 1):
        if not line.strip():
            continue
        text, tab, label = line.rpartition("\t")
        if not tab or label.strip() not in ("0", "1"):
            raise DataError(
                f"{path}: line {number:,} must be a sentence, a tab and 0 or 1, not {line[-40:]!r}"
            )
        texts.append(text.strip())
        labels.append(int(label))
    if len(set(labels)) < 2:
        raise DataError(f"{path}: must hold sentences of both labels, 0 and 1")
    return texts, labels


def tokenise(text: str) -> list[str]:
    """The words, numbers and marks of a text, in lower case.

    A word is letters of any script, and keeps the apostrophe inside it: what it denies
    (``don't``) decides a sentence. An accent that is a character of its own joins its letter (NFC).

    Example:
      >>> tokenise("It's NOT worth $10.50, don't buy!")
      ["it's", 'not', 'worth', '$', '10.50', ',', "don't", 'buy', '!']
    """
    return WORD.findall(unicodedata.normalize("NFC", text).lower().replace("\u2019", "'"))


def word_vocabulary(sentences: Iterable[Sequence[str]], min_count: int = 1) -> Vocabulary:
    """The words that occur at least `min_count` times, and ``<unk>``, number 0, for every other.

    It must see the sentences of the training part only.

    Raises DataError where no word is left.

    Example:
      >>> v = word_vocabulary([["good", "phone"], ["good"]], min_count=2)
      >>> v.encode(["good", "bad"]).tolist()
      [1, 0]
    """
    counts = Counter(word for words in sentences for word in words)
    kept = [word for word, count in counts.items() if count >= min_count]
    return Vocabulary.of(kept, unknown=UNKNOWN_WORD)


def encode_sentences(
    sentences: Sequence[Sequence[str]], vocabulary: Vocabulary, length: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """``(words int32 [N, T], lengths int32 [N])``; the words past `length` are cut off.

    A sentence without a word is one unknown word, so that every sequence has a last step.
    """
    numbers = [vocabulary.encode(words[:length] or [UNKNOWN_WORD]) for words in sentences]
    return pad(numbers, length)
