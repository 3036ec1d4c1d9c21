"""Makes the forecasts of all origins that are not on file yet, and keeps each on file."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lstm_jax.config import Config
from lstm_jax.forecasting.baselines import BASELINES
from lstm_jax.forecasting.model import Fitted, fit_lanes
from lstm_jax.forecasting.past import Past
from lstm_jax.forecasting.problem import Forecasting, past_at
from lstm_jax.forecasting.scores import residual_interval
from lstm_jax.lanes import named_leaves
from lstm_jax.record import RunFolder
from lstm_jax.record.weights import WeightLog
from lstm_jax.unroll import kernels_taken

TOGETHER = 4
"""Origins that share a call of the compiled program; the last call is filled up with its last."""
NETWORK = "network"
"""Its name beside those of the baselines."""


def run_origins(
    problem: Forecasting,
    config: Config,
    folder: RunFolder,
    stopped: Callable[[], bool],
    say: Callable[[str], None],
) -> bool:
    """Forecasts from every origin; whether all came to their end."""
    log = WeightLog(folder.path)
    done = {record["trial"] for record in folder.trials()}
    left = [n for n in range(len(problem.walk.origins)) if n not in done]
    run = fit_lanes(problem.fit, config.members, config.seed)
    folder.write_provenance(
        device_kind=jax.devices()[0].device_kind, num_devices=jax.device_count()
    )
    began, cpu = time.perf_counter(), time.process_time()
    for first in range(0, len(left), TOGETHER):
        if stopped():
            return False
        numbers = left[first : first + TOGETHER]
        filled = [*numbers, *[numbers[-1]] * (TOGETHER - len(numbers))]
        origins = [problem.walk.origins[n] for n in filled]
        pasts = [past_at(problem, config, origin) for origin in origins]
        with kernels_taken() as kernels:
            fitted = run(pasts, origins)
        for lane, number in enumerate(numbers):
            own = jax.tree.map(lambda leaf, lane=lane: leaf[lane], fitted)
            weights = {name: leaf[None] for name, leaf in named_leaves(own.params)}
            log.keep([number], [config.num_updates], [1], weights)
            folder.append_trial(record_of(problem, config, number, pasts[lane], own))
        folder.write_provenance(
            kernels=kernels or None,  # of this session's first call, whose program serves all
            wall_s=round(time.perf_counter() - began, 1),
            cpu_s=round(time.process_time() - cpu, 1),
        )
        say(
            f"{problem.name}: {len(done) + first + len(numbers)} of {len(done) + len(left)} origins"
        )
    return True


def record_of(
    problem: Forecasting, config: Config, number: int, past: Past, fitted: Fitted
) -> dict[str, Any]:
    """The line of an origin: what each method forecast, its interval, and what came."""
    origin = problem.walk.origins[number]
    known = problem.values[:origin]
    forecasts, intervals = {}, {}
    mean = np.float64(fitted.forecast).mean(axis=0)
    forecasts[NETWORK] = past.base + past.shift + past.scale * mean
    residuals = past.scale * (past.targets - np.float64(fitted.validation).mean(axis=0))
    around = np.stack(
        [
            residual_interval(residuals[past.valid[:, k], k], config.coverage)
            for k in range(problem.walk.horizon)
        ],
        axis=1,
    )
    intervals[NETWORK] = forecasts[NETWORK] + around
    for name in config.baselines:
        found, interval = BASELINES[name](
            known, problem.walk.horizon, config.season, config.coverage
        )
        forecasts[name] = found
        if interval is not None:
            intervals[name] = interval
    came = problem.values[origin : origin + problem.walk.horizon]
    return {
        "trial": number,
        "origin": origin,
        "label": problem.series.labels[origin],
        "updates": fitted.num_updates.tolist(),
        "truth": came.tolist(),
        "forecasts": {name: f.tolist() for name, f in forecasts.items()},
        "intervals": {name: i.tolist() for name, i in intervals.items()},
    }
