"""What a page shows of the inside of a run's networks."""

from __future__ import annotations

from lstm_jax.record.reading import RunFiles
from lstm_jax.report.run_page import Inside


def look_inside(run: RunFiles, trial: int | None, seed: int) -> Inside:
    """Players and pictures of a trial of a run; or why there are none."""
    del run, trial, seed
    return Inside()
