"""Forecasting: walked forward through a series, beside persistence, seasonal naive and AutoReg.

    python -m experiments.forecasting                                        sunspots
    python -m experiments.forecasting --config=configs/forecasting.py:co2    monthly CO2
    python -m experiments.forecasting --config=configs/forecasting.py:csv --config.csv=FILE
    python -m experiments.forecasting --config=configs/forecasting.py:smoke  does it run

From each of 20 origins networks are fitted to what was known there, scales and all, and forecast
the next steps; the newest fifth of the past tells when to stop and how wide intervals are.

    row        LSTM's mean absolute error over that of AutoReg    processor time
    sunspots   0.99 [0.88, 1.14]                                  20 s
    co2        1.04 [0.83, 1.25]                                  37 s
    smoke      -                                                  7 s
"""

from typing import Any

from ml_collections import ConfigDict

from lstm_jax.config import make_config, parse_arg
from lstm_jax.forecasting.problem import FORECASTING_FIELDS

ARGS = {
    "sunspots": "yearly sunspots, 1700 to 2008, ten years ahead (the default)",
    "co2": "carbon dioxide at Mauna Loa, monthly means, 1958 to 2001, a year ahead",
    "both": "the two of them",
    "csv": "a file of your own: needs --config.csv=FILE",
    "smoke": "few origins and updates: shows in under a minute that everything runs",
}

FIELDS = FORECASTING_FIELDS | {
    "hidden_size": FORECASTING_FIELDS["hidden_size"]._replace(default=16)
}

_ROWS: dict[str, dict[str, Any]] = {
    "sunspots": {"season": 11},
    "co2": {
        "series": "co2",
        "gaps": "previous",
        "per_year": 12,
        "season": 12,
        "horizon": 12,
        "difference": "season",
    },
    "csv": {"difference": "last"},
    "smoke": {"season": 11, "num_origins": 3, "num_updates": 10, "members": 2, "hidden_size": 4},
}


def get_config(arg: str = "sunspots") -> ConfigDict:
    """The settings of a row, or of both."""
    parse_arg(arg, ARGS)
    if arg == "both":
        return make_config(FIELDS, rows=("sunspots", "co2"))
    return make_config(FIELDS, rows=(arg,), **_ROWS[arg])
