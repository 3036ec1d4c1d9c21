"""Visualizing and understanding recurrent networks: Karpathy, Johnson & Fei-Fei 2015, Table 1.

    python -m experiments.karpathy                                      what two cores allow
    python -m experiments.karpathy --config=configs/karpathy.py:paper   all, by the paper's settings
    python -m experiments.karpathy --config=configs/karpathy.py:smoke   does it run at all

The paper trains for 50 epochs with RMSProp (2e-3, decay 0.95, times 0.95 an epoch after the 10th),
100 streams of 100 characters, unit vectors as inputs, initial weights uniform in plus or minus
0.08, on the first 80% of War and Peace; the next 10% select the epoch, the last 10% are the test.
`grid` keeps all that but the number of epochs and what makes few of them count: 3 epochs, Adam
0.005 falling to zero, 32 streams of 50. Sizes are those of a one-layer LSTM; the other rows have as
many weights as nearly as can be.
"""

from ml_collections import ConfigDict

from configs import char_lm
from lstm_jax.config import make_config, parse_arg

CELLS = ("lstm", "rnn", "gru")
GRID = tuple(f"{cell}-{size}-{layers}" for size in (64, 128) for layers in (1, 2) for cell in CELLS)
PAPER = tuple(
    f"paper-{cell}-{size}-{layers}"
    for size in (64, 128, 256, 512)
    for layers in (1, 2, 3)
    for cell in CELLS
    if (cell, size) != ("rnn", 512)
)
ARGS = {
    "smoke": "two tiny rows on a made text",
    "grid": "LSTM, RNN, GRU of sizes 64 and 128 in one and two layers, 3 epochs (the default)",
    "paper": "LSTM, RNN, GRU of sizes 64 to 512 in one to three layers, 50 epochs: days",
}
FIELDS = dict(char_lm.FIELDS)
NUM_SYMBOLS = 82  # of War and Peace as it is here; the paper counts 87 in its copy
MATRICES = {"lstm": 4, "gru": 3, "rnn": 1}
BIASES = {"lstm": 4, "gru": 4, "rnn": 1}  # a gru that resets after its product has one more
_GRID = {"num_epochs": 3, "learning_rate": 0.005, "batch_size": 32, "length": 50}
_PAPER = {
    "num_epochs": 50,
    "optimizer": "rmsprop",
    "learning_rate": 0.002,
    "decay": 0.95,
    "schedule": "exponential",
    "schedule_after": 10,
    "schedule_factor": 0.95,
    "batch_size": 100,
    "length": 100,
}
_SMOKE = {"text": "made", "num_epochs": 2, "learning_rate": 0.02, "sample_length": 0}


def count_weights(cell: str, size: int, num_layers: int, num_symbols: int = NUM_SYMBOLS) -> int:
    """Weights of layers of a size over unit vectors, softmax included.

    Example:
      >>> count_weights("lstm", 64, 1)
      42962
    """
    inputs = [num_symbols] + [size] * (num_layers - 1)
    products = sum(MATRICES[cell] * size * (below + size) for below in inputs)
    return products + BIASES[cell] * size * num_layers + (size + 1) * num_symbols


def matched_size(cell: str, size: int, num_layers: int) -> int:
    """The size at which a net has as many weights as the LSTM with one layer of `size`.

    Example:
      >>> matched_size("lstm", 64, 1), matched_size("rnn", 64, 1), matched_size("gru", 64, 2)
      (64, 140, 53)
    """
    wanted = count_weights("lstm", size, 1)
    return min(
        range(1, 6 * size), key=lambda own: abs(count_weights(cell, own, num_layers) - wanted)
    )


def get_config(arg: str = "grid") -> ConfigDict:
    """The settings of a row; for grid, paper and smoke those of the first with all their names."""
    rows = {"grid": GRID, "paper": PAPER, "smoke": ("smoke-lstm-8-1", "smoke-gru-8-2")}
    names = [*ARGS, *(name for of in rows.values() for name in of)]
    parse_arg(arg, names)
    name = rows[arg][0] if arg in rows else arg
    kind, cell, size, num_layers = ("grid-" + name).split("-")[-4:]
    how = {"grid": _GRID, "paper": _PAPER, "smoke": _SMOKE}[kind]
    return make_config(
        FIELDS,
        rows=rows.get(arg, (name,)),
        cell={"rnn": "elman"}.get(cell, cell),
        num_layers=int(num_layers),
        hidden_size=matched_size(cell, int(size), int(num_layers)),
        embedding_size=0,
        init_range=0.08,
        **{"sample_length": 100, "temperatures": (0.8,), **how},
    )
