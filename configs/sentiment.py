"""Sentiment of sentences from reviews at three sites: 10-fold cross-validation.

Data      "Sentiment Labelled Sentences", Kotzias et al. 2015: 1,000 sentences a site, half
          positive; downloaded once (0.2 MB), or from --data_dir.
Command   python -m experiments.sentiment
Time      about 4 minutes on two cores (10 nets a row)
Expected  amazon 0.81, imdb 0.76, yelp 0.79, all 0.82; TF-IDF and logistic regression is 0.015 to
          0.04 better

Embedding, bidirectional LSTM, pooling, dropout. The folds keep the shares of labels and sites. A
tenth of each training part decides the epoch; words are those of the training part. The settings
are first guesses, not the best of many: nothing was chosen by the accuracy on the test folds.
"""

from typing import Any

import numpy as np

from lstm_jax.config import (
    CLASSIFYING,
    POOLING,
    Config,
    Field,
    make_config,
    parse_arg,
    standard_fields,
)

SITES = ("amazon", "imdb", "yelp", "all")

FIELDS = standard_fields(
    CLASSIFYING,
    hidden_size=32,
    bidirectional=True,
    dropout=0.5,
    pooling="additive",
    batch_size=50,
    num_epochs=20,
    patience=4,
    learning_rate=0.002,
    rows=SITES,
) | {
    "data": Field(
        "sentiment", "named set, or an own file: on each line a sentence, a tab and 0 or 1", of=str
    ),
    "site": Field("all", "which sentences of it; all: all, shared out evenly over the folds"),
    "num_folds": Field(10, "folds of the cross-validation", low=2, high=100),
    "num_seeds": Field(1, "cross-validations with other folds and nets", low=1, high=100),
    "valid_share": Field(
        0.1, "share of a training part that decides the epoch", above=0.0, high=0.5
    ),
    "max_words": Field(40, "words of a sentence; what comes after is cut off", low=1, high=10_000),
    "min_count": Field(1, "times that a word must occur in the training part", low=1, high=1000),
    "embedding_size": Field(50, "numbers that stand for a word", low=1, high=1000),
    "word_dropout": Field(
        0.1, "share of words that training takes for unknown", low=0.0, high=0.99
    ),
    "baseline": Field(True, "whether TF-IDF and logistic regression are run on the same folds"),
}

ARGS = {
    "sites": "each site, and all three together (the default)",
    **{site: f"one row: {site}" for site in SITES},
    "pooling": "all three sites together with each pooling",
    "search": "all together with 5 settings; each fold takes the one that its validation prefers",
    "smoke": "two folds of one site, one epoch",
}


SEARCH = tuple(f"search-{number:02d}" for number in range(5))


def drawn(number: int) -> dict[str, Any]:
    """Setting `number` of the random search; 0 is that of the other rows.

    >>> drawn(0), drawn(1) == drawn(1) != drawn(2)
    ({}, True)
    """
    if not number:
        return {}
    rng = np.random.default_rng(number)
    among = {
        "hidden_size": (16, 32, 64),
        "embedding_size": (25, 50, 100),
        "batch_size": (25, 50, 100),
        "dropout": (0.3, 0.5, 0.7),
        "word_dropout": (0.0, 0.1, 0.2, 0.3),
        "min_count": (1, 2),
        "pooling": ("mean", "max", "additive"),
    }
    found = {name: values[rng.integers(len(values))] for name, values in among.items()}
    found["num_epochs"] = 40  # patience ends most before
    found["learning_rate"] = float(f"{10 ** rng.uniform(-3.3, -2.3):.2g}")
    found["l2"] = float(f"{10 ** rng.uniform(-5, -3):.2g}")
    return found


def get_config(arg: str = "sites") -> Config:
    """The settings of a row, or of all rows of a group."""
    arg = parse_arg(arg, (*ARGS, *(f"all-{p}" for p in POOLING["pooling"].choices), *SEARCH))
    if arg == "smoke":
        small = {"hidden_size": 4, "embedding_size": 5, "attention_size": 3, "max_words": 10}
        return make_config(
            FIELDS, rows=("smoke",), site="amazon", num_folds=2, num_epochs=1, patience=0, **small
        )
    if arg == "sites":
        return make_config(FIELDS, rows=SITES)
    if arg == "pooling":
        return make_config(FIELDS, rows=tuple(f"all-{p}" for p in POOLING["pooling"].choices))
    if arg == "search":
        return make_config(FIELDS, rows=SEARCH)
    if arg in SEARCH:
        return make_config(FIELDS, rows=(arg,), **drawn(SEARCH.index(arg)))
    site, _, pooling = arg.partition("-")
    return make_config(FIELDS, rows=(arg,), site=site, **({"pooling": pooling} if pooling else {}))
