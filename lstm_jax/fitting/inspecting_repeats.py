"""Fits of a classifier looked into: an example of the test part, its pooling and its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import jax
import numpy as np

from lstm_jax.classifier import ClassifierParams
from lstm_jax.config import Config
from lstm_jax.fitting.inspecting import FitRun, LoggedWeights, fresh, require_data
from lstm_jax.fitting.repeats import Repeat, Repeats
from lstm_jax.inspect.looks import Look
from lstm_jax.record.reading import RunFiles
from lstm_jax.recording import record_classifier


def open_repeats(
    files: RunFiles,
    repeats: Repeats,
    config: Config,
    task: str,
    classes: Sequence[str],
    about: Callable[[int, int], Mapping[str, Any]] = lambda trial, number: {},
) -> FitRun:
    """A run of `fit_repeats`: trial n is its n-th fit; a moment is an epoch, the best or 0.

    Args:
      files: of the run folder.
      repeats, config: as `fit_repeats` takes them.
      task: what is learned, in words.
      classes: their names.
      about: ``(trial, number) -> `` what else the meta of the look at this example has.

    Raises:
      RunFolderError: in one line, for other data than those of the run, or without weights.
    """
    require_data(files, repeats.identity)
    records = {record["fit"]: record for record in files.records}
    make: Callable[[int], Repeat] = cache(repeats.make)
    run = jax.jit(lambda *given: record_classifier(repeats.net, *given[:2], length=given[2])[1:])

    def size(trial: int) -> int:
        return int((make(trial).test.labels >= 0).sum())

    def said(trial: int, epoch: int) -> str:
        notes = records.get(trial) or make(trial).notes
        which = [f"{name} {notes[name]}" for name in ("seed", "fold") if name in notes]
        return ", ".join([*which, f"epoch {epoch}"])

    def show(params: ClassifierParams, trial: int, number: int) -> Look:
        inputs, lengths, labels = (leaf[number] for leaf in make(trial).test)
        ys, arrays = jax.device_get(run(params, inputs, lengths))
        outputs, label = ys[:lengths], int(labels)
        targets = np.full_like(outputs, np.nan)
        targets[-1] = np.arange(len(classes)) == label
        answer = int(outputs[-1].argmax())
        right = f"right: {classes[label]}" if answer == label else f"wrong: it is {classes[label]}"
        meta = {
            "task": task,
            "timing": "end",
            "input_names": [f"channel {n}" for n in range(inputs.shape[-1])],
            "output_names": list(classes),
            "pooling": config.pooling,
            "correct": answer == label,
            "error": float(abs(outputs[-1] - targets[-1]).mean()),
            "verdict": f"{classes[answer]} with probability {outputs[-1, answer]:.2f}, {right}",
        }
        arrays = {name: array[:lengths] for name, array in arrays.items()}
        nothing = np.zeros(0, int)
        meta |= about(trial, number)
        return Look(inputs[:lengths], targets, outputs, arrays, nothing, None, meta)

    kept = LoggedWeights(
        files,
        jax.eval_shape(repeats.net.init, jax.random.key(0)),
        None if config.init_from else lambda n: fresh(repeats.net.init, config, make(n).seed),
        "epoch",
        said,
    )
    return FitRun(files, kept, size, show)
