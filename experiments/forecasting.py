"""Forecasting a series, walked forward in time, beside simple forecasts.

python -m experiments.forecasting                                        sunspots
python -m experiments.forecasting --config=configs/forecasting.py:co2    monthly CO2
python -m experiments.forecasting --config=configs/forecasting.py:csv --config.csv=FILE \
--config.column=NAME --config.season=12 --config.horizon=12              a series of your own
"""

import sys

from configs import forecasting as config
from lstm_jax.data import DATA_FLAG
from lstm_jax.forecasting.command import Experiment, main

EXPERIMENT = Experiment(
    name="forecasting",
    usage=__doc__ or "",
    config_path="configs/forecasting.py",
    fields=config.FIELDS,
    args=config.ARGS,
    extra_flags=DATA_FLAG,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
