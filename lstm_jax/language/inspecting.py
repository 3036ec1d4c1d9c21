"""A fitted language model looked into, as `lstm_jax.inspect` looks into trials."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.config import Config
from lstm_jax.fitting.inspecting import EpochWeights, FitRun
from lstm_jax.inspect.looks import Look
from lstm_jax.language.looking import record_text
from lstm_jax.language.model import LanguageParams
from lstm_jax.language.problem import build_corpus, read_run, run_text
from lstm_jax.record.reading import RunFiles

LENGTH = 110  # characters of a piece


def open_language(files: RunFiles, make: Callable[..., Config]) -> FitRun:
    """A run of `experiments.char_lm`: one trial, number 0; its moments are epochs.

    Test sequence n is the n-th piece of the test part of its text, read from a state of zeros.

    Args:
      files: of the run folder.
      make: ``(**fields) -> config``, for the experiment's table of fields.

    Raises:
      WeightsError: in one line, before the first epoch has ended.
    """
    config, vocabulary, model, _ = read_run(files.path, make)
    test = build_corpus(config, run_text(config, ""), vocabulary).parts["test"]
    read, names = jax.jit(model.apply), list(vocabulary.symbols)

    def show(params: LanguageParams, trial: int, piece: int) -> Look:
        del trial
        text = test[piece * LENGTH : (piece + 1) * LENGTH + 1]
        inputs, follows = text[:-1], text[1:]
        _, log_p = read(params, model.start(1), jnp.asarray(inputs, jnp.int32)[:, None])
        log_p = np.asarray(log_p)[:, 0]
        nats = float(-log_p[np.arange(len(follows)), follows].mean())
        meta = {
            "task": f"text {config.text}",
            "timing": "every_step",
            "input_names": names,
            "output_names": names,
            "correct": nats < np.log(2),
            "error": nats,
            "verdict": f"{nats:.2f} nats a character",
            "units": {"t": "characters, from 0", "sequences": "epochs"},
        }
        targets = np.eye(log_p.shape[1], dtype=log_p.dtype)[follows]
        arrays = record_text(model, params, inputs)
        return Look(inputs, targets, np.exp(log_p), arrays, np.zeros(0, int), None, meta)

    kept = EpochWeights(files, model.init, config)
    return FitRun(files, kept, lambda trial: max((len(test) - 1) // LENGTH, 1), show)
