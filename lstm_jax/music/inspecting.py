"""A fitted model of music looked into: a chorale of the test part, and what it expects of it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.config import Fields
from lstm_jax.data.chorales import LOWEST, NUM_KEYS
from lstm_jax.fitting.inspecting import EpochWeights, FitRun, config_of_fit, require_data
from lstm_jax.inspect.looks import Look
from lstm_jax.music.frames import frame_nll, next_frames
from lstm_jax.music.model import MusicParams
from lstm_jax.music.problem import build_music, data_hash, load_parts
from lstm_jax.record.reading import RunFiles
from lstm_jax.recording import record
from lstm_jax.types import Array

LETTERS = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
KEYS = [f"{LETTERS[pitch % 12]}{pitch // 12 - 1}" for pitch in range(LOWEST, LOWEST + NUM_KEYS)]
"""The names of the piano's keys, from the lowest, A0."""


def open_music(files: RunFiles, fields: Fields) -> FitRun:
    """A run of `experiments.music`: one trial, number 0; its moments are epochs.

    Test sequence n is the n-th piece of the test part that has a frame to be foretold.

    Args:
      files: of the run folder.
      fields: the experiment's table.

    Raises:
      RunFolderError, DataError: in one line, for other data than those of the run.
    """
    config = config_of_fit(files, fields)
    require_data(files, {"sha256": data_hash(config, "")})
    test, model = load_parts(config, "")["test"], build_music(config)
    pieces = np.flatnonzero(test.lengths > 1)

    @jax.jit
    def run(params: MusicParams, roll: Array, length: Array) -> tuple[Any, ...]:
        xs, ys, valid = next_frames(roll, length)
        nets = model.net(params, xs)
        arrays = record(model.structure, params.layers, xs).arrays
        return xs, ys, jax.nn.sigmoid(nets), jnp.where(valid, frame_nll(nets, ys), 0), arrays

    def show(params: MusicParams, trial: int, number: int) -> Look:
        del trial
        piece = pieces[number]
        seen = jax.device_get(run(params, test.notes[piece], test.lengths[piece]))
        xs, ys, outputs, nll, arrays = jax.tree.map(lambda a: a[: test.lengths[piece] - 1], seen)
        nats = float(nll.mean())
        meta = {
            "task": f"music {config.data}",
            "said": f"test piece {piece}, {len(xs)} frames (quarter notes)",
            "timing": "every_step",
            "input_names": KEYS,
            "output_names": KEYS,
            "correct": nats < 88 * np.log(2),
            "error": float(abs(outputs - ys).mean()),
            "verdict": f"{nats:.2f} nats a frame",
            "units": {"t": "frames, quarter notes, from 0", "sequences": "epochs"},
        }
        return Look(xs, ys, outputs, arrays, np.zeros(0, int), None, meta)

    kept = EpochWeights(files, model.init, config)
    return FitRun(files, kept, lambda trial: len(pieces), show)
