"""Forecast against truth, as a picture that explains itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.forecasting.problem import Forecasting
from lstm_jax.forecasting.running import NETWORK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {
    NETWORK: "#c2410c",
    "persistence": "#7c7c7c",
    "seasonal_naive": "#4d7c0f",
    "autoreg": "#1f5f99",
}


def forecast_picture(
    problem: Forecasting, records: Sequence[Mapping[str, Any]], best: str, share: float, cell: str
) -> Figure:
    """Above: truth, forecasts from each origin with their intervals. Below: errors by steps ahead.

    Args:
      problem: whose series it is.
      records: one an origin.
      best: the best of the other methods, drawn beside the network.
      share: what the intervals are to hold.
      cell: name of the network.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)  # no pyplot: no global state, no display
    above, below = figure.subplots(2, 1, height_ratios=(2, 1))
    times, horizon = problem.series.times, problem.walk.horizon
    start = max(0, records[0]["origin"] - 2 * horizon)
    above.plot(times[start:], problem.values[start:], "k.-", lw=0.6, ms=3.5, label="what came")
    for n, record in enumerate(records):
        ahead = times[record["origin"] : record["origin"] + horizon]
        low, high = record["intervals"][NETWORK]
        text = {
            NETWORK: f"{cell}, from each origin on",
            "band": f"its {share:.0%} interval",
            best: best.replace("_", " "),
            "origin": "origin: all to the left was known",
        }
        label = text if n == 0 else dict.fromkeys(text)
        above.axvline(ahead[0], color="0.8", lw=0.7, zorder=0, label=label["origin"])
        above.fill_between(
            ahead, low, high, color=COLOURS[NETWORK], alpha=0.18, lw=0, label=label["band"]
        )
        if best:
            above.plot(
                ahead, record["forecasts"][best], "--", lw=1, color=COLOURS[best], label=label[best]
            )
        above.plot(
            ahead,
            record["forecasts"][NETWORK],
            lw=1.6,
            color=COLOURS[NETWORK],
            label=label[NETWORK],
        )
    above.set_title(
        f"{problem.series.name}: {len(records)} forecasts of {horizon} steps, walked forward",
        loc="left",
        fontsize=10,
    )
    above.set_ylabel(problem.series.column)
    above.legend(fontsize=8, ncols=3, loc="upper left")
    above.margins(x=0.01, y=0.18)
    _errors(below, records, cell)
    return figure


def _errors(axes: Any, records: Sequence[Mapping[str, Any]], cell: str) -> None:
    truth = np.array([record["truth"] for record in records])
    steps = np.arange(1, truth.shape[1] + 1)
    for name in records[0]["forecasts"]:
        errors = np.abs(np.array([record["forecasts"][name] for record in records]) - truth)
        shown = cell if name == NETWORK else name.replace("_", " ")
        width = 2.2 if name == NETWORK else 1.2
        axes.plot(
            steps, errors.mean(axis=0), "o-", ms=3, lw=width, color=COLOURS[name], label=shown
        )
    axes.set_xlabel("steps ahead")
    axes.set_ylabel("mean absolute error")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    axes.grid(color="0.92")
