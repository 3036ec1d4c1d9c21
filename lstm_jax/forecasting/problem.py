"""From a configuration to a series, its walk and the networks."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.build import build_cell
from lstm_jax.config import LAYERS, Config, ConfigError, Field
from lstm_jax.data import Series, load_series
from lstm_jax.data.series import date_of
from lstm_jax.forecasting.baselines import BASELINES
from lstm_jax.forecasting.model import Fit
from lstm_jax.forecasting.past import DIFFERENCES, Past, make_past
from lstm_jax.forecasting.walk import Walk, walk
from lstm_jax.structures import stack

LEAST = 30
"""Values that the first origin needs at least; and three horizons, and three seasons."""

FORECASTING_FIELDS: dict[str, Field] = {
    "seed": Field(0, "root of all randomness", low=0, high=2**32 - 1),
    "rows": Field(("sunspots",), "rows of the table, each run with its own settings"),
    "series": Field(
        "sunspots",
        "what is forecast, unless csv is given",
        choices=("sunspots", "co2", "nile"),
    ),
    "csv": Field("", "own CSV file with a head line, one row a step"),
    "column": Field("", "column of the file; empty: the only one of numbers"),
    "gaps": Field(
        "refuse",
        "what a missing value is: refused, or the previous one",
        choices=("refuse", "previous"),
    ),
    "per_year": Field(
        0, "values are averaged to so many a year, where the file has dates; 0: as they are",
        low=0, high=366,
    ),
    "season": Field(1, "steps of a season; 1: none", low=1, high=10_000),
    "horizon": Field(10, "steps ahead that are forecast", low=1, high=1000),
    "num_origins": Field(20, "points in time from which forecasts are made", low=2, high=10_000),
    "step": Field(
        None, "steps from one of them to the next; auto: the horizon", low=1, high=10_000, of=int
    ),
    "difference": Field(
        "none",
        "what the network forecasts: the value, or what it differs by from the last one, or from "
        "that at the same place of the last season",
        choices=DIFFERENCES,
    ),
    **{
        name: LAYERS[name]
        for name in ("cell", "hidden_size", "num_layers", "forget_bias", "switches", "cell_options")
    },
    "members": Field(5, "networks of each origin, whose mean is the forecast", low=1, high=1000),
    "num_updates": Field(300, "updates of Adam at most", low=1, high=100_000),
    "learning_rate": Field(0.01, "of Adam at the start; falls along a half cosine", above=0.0),
    "valid_share": Field(
        0.2, "newest share of the past that tells when to stop and how wide intervals are",
        low=0.05, high=0.5,
    ),
    "refit": Field(
        True, "whether networks learn again from the whole past, for as many updates as were best"
    ),
    "coverage": Field(0.9, "share of values that intervals are to hold", low=0.5, high=0.99),
    "baselines": Field(
        tuple(BASELINES), "simple forecasts beside it", choices=tuple(BASELINES)
    ),
}  # fmt: skip


class Forecasting(NamedTuple):
    """A configuration made real."""

    name: str
    series: Series
    walk: Walk
    fit: Fit

    @property
    def values(self) -> np.ndarray:
        """The series' numbers."""
        return self.series.values

    @property
    def identity(self) -> str:
        """The SHA-256 of the numbers, which a run folder belongs to."""
        return hashlib.sha256(np.ascontiguousarray(self.values).tobytes()).hexdigest()


def build_forecasting(name: str, config: Config, data_dir: str = "") -> Forecasting:
    """Series, walk and networks of a configuration.

    Raises:
      ValueError: in one line, for a file, column or value that cannot be used (DataError), a
        series that is too short or does not vary, or settings that contradict each other.
    """
    series = load_series(config.csv or config.series, config.column, data_dir, config.gaps)
    if config.per_year:
        series = averaged(series, config.per_year)
    least = max(LEAST, 3 * config.horizon, 3 * config.season if config.season > 1 else 0)
    steps = walk(
        len(series.values),
        config.horizon,
        config.num_origins,
        config.step or config.horizon,
        least,
    )
    make_past(series.values[: steps.origins[0]], len(series.values), **past_options(config))
    cells, size = [], 3 if config.season > 1 else 1
    for _ in range(config.num_layers):
        cells.append(build_cell(config, size))
        size = cells[-1].output_size
    fit = Fit(stack(*cells), config.horizon, config.num_updates, config.learning_rate, config.refit)
    return Forecasting(name, series, steps, fit)


def past_options(config: Config) -> dict[str, Any]:
    """The arguments of `make_past` that a configuration decides."""
    names = ("horizon", "season", "difference", "valid_share")
    return {name: config[name] for name in names}


def past_at(problem: Forecasting, config: Config, origin: int) -> Past:
    """What the networks of an origin see; nothing of the series from `origin` on is handed on."""
    return make_past(problem.values[:origin], len(problem.values), **past_options(config))


def averaged(series: Series, per_year: int) -> Series:
    """Means over parts of the year; ConfigError where the dates do not allow it.

    Parts are whole months where labels are dates and `per_year` divides 12, else equal parts of
    the year.

    Example:
      >>> days = ("2000-01-01", "2000-01-31", "2000-02-01", "2000-02-29")
      >>> monthly = averaged(Series("x", "y", days, np.arange(4.0), np.arange(4.0)), 12)
      >>> monthly.values.tolist(), monthly.labels
      ([0.5, 2.5], ('2000.00', '2000.08'))
    """
    dates = [date_of(label) for label in series.labels]
    if all(dates) and 12 % per_year == 0:
        # Months differ in length: a twelfth of the year would begin on the last day of March.
        months = [12 * date.year + date.month - 1 for date in dates if date]
        part = np.array(months) * per_year // 12
    else:
        part = np.floor(series.times * per_year + 1e-6).astype(int)
    counts = np.bincount(part - part[0])
    if (counts == 0).any() or len(counts) < 2:
        raise ConfigError(
            f"config.per_year={per_year}: {series.name} has no dates, or parts of a year without a "
            "value; must be 0, or so few that each part has one"
        )
    values = np.bincount(part - part[0], weights=series.values) / counts
    times = (part[0] + np.arange(len(counts))) / per_year
    labels = tuple(f"{time:.2f}" for time in times)
    return series._replace(labels=labels, times=times, values=values)


def check_forecasting(config: Config) -> None:
    """Raises ConfigError where fields contradict each other."""
    if config.difference == "season" and config.season == 1:
        raise ConfigError("config.difference=season: needs config.season, steps of a season")
    shared = -(-config.horizon // (config.step or config.horizon))
    if config.num_origins <= shared:
        raise ConfigError(
            f"config.num_origins={config.num_origins}: each shares values with the {shared - 1} "
            f"following ones, as config.step={config.step} is below config.horizon="
            f"{config.horizon}, and no test is left; must be {shared + 1} or more, or config.step "
            "larger"
        )
    if "csv" in config.rows and not config.csv:
        raise ConfigError("config.csv: not given; must be the path of a CSV file with a head line")
    if config.csv == "" and config.column:
        raise ConfigError(f"config.column={config.column}: needs config.csv, an own file")
    if config.cell != "lstm" and tuple(config.switches) != ("NP",):
        raise ConfigError(
            f"config.switches={','.join(config.switches)}: is defined for config.cell=lstm only; "
            f"with {config.cell} it must be NP"
        )
