"""Forecasts looked into: one origin, the past that a network sees, and what it foretells."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.config import Fields
from lstm_jax.fitting.inspecting import FitRun, LoggedWeights, config_of_fit, require_data
from lstm_jax.forecasting.model import ForecastParams, init, network_key, outputs
from lstm_jax.forecasting.past import Past, naive_forecast
from lstm_jax.forecasting.problem import build_forecasting, past_at
from lstm_jax.inspect.looks import Look
from lstm_jax.record.reading import RunFiles
from lstm_jax.recording import record
from lstm_jax.types import Array


def open_forecasting(files: RunFiles, fields: Fields) -> FitRun:
    """A run of `experiments.forecasting`: trial n is its n-th origin, sequence k its network k.

    Moments are updates of Adam: 0, and the most that a network may have.

    Args:
      files: of the run folder.
      fields: the experiment's table.

    Raises:
      RunFolderError, DataError: in one line, for another series than that of the run.
    """
    config = config_of_fit(files, fields)
    problem = build_forecasting(files.row, config)
    require_data(files, {"sha256_of_values": problem.identity})
    fit, series, horizon = problem.fit, problem.series, problem.walk.horizon
    updates = {line["trial"]: line["updates"] for line in files.records}

    @cache
    def past_of(trial: int) -> Past:
        return past_at(problem, config, problem.walk.origins[trial])

    def start(trial: int) -> ForecastParams:
        origin, members = problem.walk.origins[trial], jnp.arange(config.members, dtype=jnp.int32)
        return jax.vmap(lambda n: init(fit, network_key(config.seed, origin, n)))(members)

    @jax.jit
    def run(params: ForecastParams, inputs: Array) -> tuple[Array, dict[str, Array]]:
        arrays = record(fit.structure, params.layers, inputs).arrays
        return outputs(fit, params, inputs), arrays

    def show(params: ForecastParams, trial: int, member: int) -> Look:
        past, origin = past_of(trial), problem.walk.origins[trial]
        own = jax.tree.map(lambda leaf: leaf[member], params)
        ys, arrays = jax.device_get(run(own, past.inputs))
        ahead = np.arange(origin)[:, None] + 1 + np.arange(horizon)  # of step t: t + 1, ...
        naive, usable = naive_forecast(
            problem.values[:origin], ahead, config.season, config.difference
        )
        foretold = naive + past.shift + past.scale * np.float64(ys[:origin])
        came = problem.values[ahead]
        error = float(abs(foretold[-1] - came[-1]).mean())
        label = series.labels[origin]
        meta = {
            "task": f"forecasting {series.name}",
            "said": f"network {member} of {config.members}, origin {label}: {origin} steps known, "
            f"{horizon} foretold",
            "timing": "ahead",
            "time": f"time step t, from {series.labels[0]} on",
            "counted": "networks",
            "input_names": ["series, as the network sees it", "sine of the season", "cosine of it"],
            "output_names": [f"{n + 1} ahead" for n in range(horizon)],
            "series": series.column,
            "correct": True,
            "error": error,
            "verdict": f"mean absolute error {error:.4g} over {horizon} steps",
        }
        return Look(
            past.inputs[:origin],
            came,
            np.where(usable, foretold, np.nan),
            {name: array[:origin] for name, array in arrays.items()},
            np.zeros(0, int),
            None,
            meta,
        )

    def said(trial: int, moment: int) -> str:
        best = updates.get(trial)
        if not moment or not best:
            return f"{moment} updates"
        return f"{moment} updates, those after {min(best)} to {max(best)} were best"

    like = jax.eval_shape(lambda: start(0))
    kept = LoggedWeights(files, like, start, "update", said)
    return FitRun(files, kept, lambda trial: config.members, show)
