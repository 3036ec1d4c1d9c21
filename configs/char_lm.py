"""A character language model (Graves 2013; Karpathy et al. 2015) on a text.

python -m experiments.char_lm                                        War and Peace
python -m experiments.char_lm --config=configs/char_lm.py:shakespeare
python -m experiments.char_lm --config.text=FILE                     a text of your own
python -m experiments.char_lm --config=configs/char_lm.py:smoke      does it run at all

Measured on two CPU cores: War and Peace 1 min 26 s (7.5 s an epoch), test loss 1.386 nats per
character; warpeace-fine 15 s an epoch, 1.370. Smoke 25 s, nearly all of it compiling.
"""

from ml_collections import ConfigDict

from lstm_jax.config import FITTING, LAYERS, Field, make_config, parse_arg, standard_fields

ARGS = {
    "smoke": "sentences of a small grammar, no file needed: shows in under a minute that it runs",
    "warpeace": "War and Peace; embedding 50, LSTM 128, 10 epochs, as in a tutorial (the default)",
    "warpeace-fine": "the same with 32 streams of 50: four times the updates",
    "shakespeare": "the tiny Shakespeare of char-rnn; two layers of 128 with dropout",
}

FIELDS = standard_fields(
    FITTING,
    LAYERS,
    rows=("warpeace",),
    batch_size=64,
    learning_rate=0.02,
    clip_norm=5.0,
    schedule="cosine",
) | {
    "text": Field(
        "warpeace",
        "name of a text (warpeace, shakespeare) or path of a file; made: a small grammar",
    ),
    "unknown": Field(
        "refuse",
        "what is done with characters that the vocabulary of init_from does not have",
        choices=("refuse", "skip"),
    ),
    "length": Field(
        100, "characters per update and stream; gradients go no further back", low=1, high=100_000
    ),
    "embedding_size": Field(50, "numbers that stand for a character; 0: a unit vector", low=0),
    "tied": Field(False, "whether the softmax uses the embedding as its weights"),
    "train_share": Field(
        0.8, "share of the text, from its start, to train on", above=0.0, high=0.98
    ),
    "valid_share": Field(
        0.1,
        "share after that which decides the best epoch; the rest is the test",
        above=0.0,
        high=0.5,
    ),
    "temperatures": Field(
        (0.5, 0.8, 1.0), "of the samples that are written after each epoch", low=0.0
    ),
    "sample_length": Field(300, "characters of each sample; 0: no samples", low=0, high=10**6),
}

_ROWS = {
    "smoke": {
        "text": "made",
        "num_epochs": 8,
        "hidden_size": 32,
        "embedding_size": 8,
        "learning_rate": 0.02,
        "sample_length": 120,
    },
    "warpeace": {"text": "warpeace"},
    "warpeace-fine": {"text": "warpeace", "batch_size": 32, "length": 50, "learning_rate": 0.01},
    "shakespeare": {
        "text": "shakespeare",
        "num_layers": 2,
        "dropout": 0.2,
        "num_epochs": 20,
        "patience": 4,
    },
}


def get_config(arg: str = "warpeace") -> ConfigDict:
    """The settings of a row."""
    parse_arg(arg, ARGS)
    return make_config(FIELDS, rows=(arg,), **_ROWS[arg])
