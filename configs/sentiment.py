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

from lstm_jax.config import (
    FITTING,
    LAYERS,
    POOLING,
    Config,
    Field,
    make_config,
    parse_arg,
    standard_fields,
)

SITES = ("amazon", "imdb", "yelp", "all")

FIELDS = standard_fields(
    {name: field for name, field in FITTING.items() if name != "chunk"},
    LAYERS,
    POOLING,
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
    "l2": Field(
        0.0001, "weight of the penalty 1/2 sum w^2 on weights, not on words and biases", low=0.0
    ),
    "baseline": Field(True, "whether TF-IDF and logistic regression are run on the same folds"),
}

ARGS = {
    "sites": "each site, and all three together (the default)",
    **{site: f"one row: {site}" for site in SITES},
    "pooling": "all three sites together with each pooling",
    "smoke": "two folds of one site, one epoch",
}


def get_config(arg: str = "sites") -> Config:
    """The settings of a row, or of all rows of a group."""
    arg = parse_arg(arg, (*ARGS, *(f"all-{p}" for p in POOLING["pooling"].choices)))
    if arg == "smoke":
        small = {"hidden_size": 4, "embedding_size": 5, "attention_size": 3, "max_words": 10}
        return make_config(
            FIELDS, rows=("smoke",), site="amazon", num_folds=2, num_epochs=1, patience=0, **small
        )
    if arg == "sites":
        return make_config(FIELDS, rows=SITES)
    if arg == "pooling":
        return make_config(FIELDS, rows=tuple(f"all-{p}" for p in POOLING["pooling"].choices))
    site, _, pooling = arg.partition("-")
    return make_config(FIELDS, rows=(arg,), site=site, **({"pooling": pooling} if pooling else {}))
