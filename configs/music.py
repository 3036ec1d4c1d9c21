"""Polyphonic music: the chorales of Bach, the next quarter note from all before it.

    python -m experiments.music                                          the LSTM
    python -m experiments.music --config=configs/music.py:table          LSTM, GRU, plain net
    python -m experiments.music --config=configs/music.py:odyssey        random search, 9 variants
    python -m experiments.music --config=configs/music.py:smoke          does it run
    python -m experiments.music --generate=piece.mid --workdir=RUN       a sampled piece, as MIDI

Each of 88 keys is a logistic output; what is measured is the negative log-likelihood of a frame,
summed over its keys, in nats: the sum over all frames but the first of all pieces, over their
number, as in the code of Bai et al. 2018. The split is 229, 76 and 77 pieces.

    row     published            ours, test [95% interval over pieces]     processor time
    lstm    8.45 (Bai et al.)    8.442 [8.252, 8.628], 47 epochs           about 75 s
    gru     8.43 (Bai et al.)    8.532 [8.348, 8.722], 72 epochs           about 65 s
    elman   8.91 (Bai et al.)    8.824 [8.663, 8.987], 99 epochs           about 40 s
    smoke   -                    -                                         10 s
"""

from typing import Any

from ml_collections import ConfigDict

from lstm_jax.config import FITTING, LAYERS, Field, make_config, parse_arg, standard_fields
from lstm_jax.music.problem import DATA, MUSIC_FIELDS
from lstm_jax.music.protocol import ODYSSEY_FIELDS

ARGS = {
    "lstm": "LSTM (the default)",
    "gru": "GRU",
    "elman": "plain recurrent net",
    "table": "the three of them, beside the published figures",
    "grid": "LSTMs of several sizes and rates of dropout, the best by validation",
    "transposed": "LSTM whose training pieces are shifted over the keyboard: not the published set",
    "smoke": "a small LSTM on few pieces: shows in under a minute that everything runs",
}
SEARCHES = {
    "odyssey": "the random search of Greff et al. 2017 over nine variants; resumable",
    "odyssey-smoke": "two variants, two trials each, on few pieces",
}

FIELDS = (
    standard_fields(
        FITTING,
        LAYERS,
        rows=("lstm",),
        num_epochs=100,
        patience=15,
        batch_size=1,
        learning_rate=0.001,
        schedule="exponential",
        hidden_size=200,
        clip_norm=1.0,
        dropout=0.3,
    )
    | DATA
    | MUSIC_FIELDS
)
SEARCH_FIELDS = ODYSSEY_FIELDS | DATA | {"rows": Field(("odyssey",), "name of the search")}

_GRID = {
    f"lstm-{size}-{dropout:g}": {"hidden_size": size, "dropout": dropout}
    for size in (100, 200)
    for dropout in (0.0, 0.3, 0.5)
}
_ROWS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "gru": {"cell": "gru"},
    "elman": {"cell": "elman", "learning_rate": 0.0003},
    "transposed": {"transpose": 5},
    "smoke": {"hidden_size": 16, "num_epochs": 3, "max_pieces": 12, "learning_rate": 0.01},
    **_GRID,
}
_TABLES = {"table": ("lstm", "gru", "elman"), "grid": tuple(_GRID)}
_SEARCH_ROWS: dict[str, dict[str, Any]] = {
    "odyssey": {},
    "odyssey-smoke": {
        "variants": ("V", "FGR"),
        "num_samples": 2,
        "num_epochs": 2,
        "max_pieces": 12,
    },
}


def get_config(arg: str = "lstm") -> ConfigDict:
    """The settings of a row, of several rows, or of a search."""
    parse_arg(arg, (*ARGS, *SEARCHES, *_GRID))
    if arg in SEARCHES:
        return make_config(SEARCH_FIELDS, rows=(arg,), **_SEARCH_ROWS[arg])
    if arg in _TABLES:
        return make_config(FIELDS, rows=_TABLES[arg])
    return make_config(FIELDS, rows=(arg,), **_ROWS[arg])
