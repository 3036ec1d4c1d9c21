"""JapaneseVowels: which of nine speakers said it, from 7 to 29 steps of 12 coefficients.

Data      Kudo, Toyama & Shimbo 1999, UCI and UEA archives; 270 utterances to train, 370 to test, as
          published; from the package aeon where it is installed, else downloaded once (1.1 MB).
Command   python -m experiments.vowels
Time      about 2 minutes on two cores (5 poolings, 5 nets each)
Expected  0.977 to 0.981 of the test set; logistic regression on summary statistics 0.989

Each channel is standardised by the training part alone. The number of epochs is from a fifth of it
(--config.valid_share=0.2: the best epoch was 29 to 60 of 60 for seven nets); the other settings are
first guesses. Nothing was chosen by the accuracy on the test set.
"""

from lstm_jax.config import (
    CLASSIFYING,
    POOLING,
    Config,
    Field,
    make_config,
    parse_arg,
    standard_fields,
)

POOLINGS = POOLING["pooling"].choices

FIELDS = standard_fields(
    CLASSIFYING,
    hidden_size=32,
    bidirectional=True,
    dropout=0.3,
    batch_size=30,
    num_epochs=60,
    learning_rate=0.003,
    rows=POOLINGS,
) | {
    "data": Field(
        "vowels", "named set, or NAME for own files NAME_TRAIN.ts and NAME_TEST.ts", of=str
    ),
    "num_seeds": Field(5, "nets trained, each from weights of its own", low=1, high=1000),
    "valid_share": Field(
        0.0,
        "share of the training part that is held out and decides the epoch; 0: the last one counts",
        low=0.0,
        high=0.5,
    ),
    "baseline": Field(True, "whether logistic regression on summary statistics is run as well"),
}

ARGS = {
    "poolings": "last, mean, max and the two kinds of attention (the default)",
    **{name: f"one row: {name}" for name in POOLINGS},
    "smoke": "one small net, one epoch",
}


def get_config(arg: str = "poolings") -> Config:
    """The settings of a row, or of all rows."""
    arg = parse_arg(arg, ARGS)
    if arg == "poolings":
        return make_config(FIELDS)
    if arg == "smoke":
        return make_config(FIELDS, rows=("smoke",), hidden_size=4, num_epochs=1, num_seeds=1)
    return make_config(FIELDS, rows=(arg,), pooling=arg)
