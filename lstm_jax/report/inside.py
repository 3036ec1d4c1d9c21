"""What a page shows of the inside of a run's networks: sequences to step through, and pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from lstm_jax.inspect.histories import Inspectable, history, saturation
from lstm_jax.inspect.looks import Look
from lstm_jax.inspect.pictures import draw_saturation, draw_sequence, draw_training
from lstm_jax.inspect.runs import Run
from lstm_jax.record import RunFolderError
from lstm_jax.record.counted import OF_TRIALS
from lstm_jax.record.reading import RunFiles
from lstm_jax.report.parts import slug
from lstm_jax.report.pictures import svg_of
from lstm_jax.report.player import MOST_UNITS, Playback, playback
from lstm_jax.report.run_page import Inside, Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Open = Callable[[RunFiles], Inspectable]
NUM_SEQUENCES = 2  # through the trained network; one more goes through the untrained one


def look_inside(
    run: RunFiles, trial: int | None, sequence: int, open_fit: Open | None = None
) -> Inside:
    """Players and pictures of a trial of a run; or why there are none.

    Args:
      run: as it was read.
      trial: None: the first one solved, or the first fit.
      sequence: number of the first test sequence.
      open_fit: what opens a run on a data set; None: those are not looked into.

    Raises:
      RunFolderError: in one line, where the run has no trial of the number that was given.
    """
    of_trials = run.counted is OF_TRIALS
    if not of_trials and open_fit is None:
        return Inside()
    try:
        opened = Run(run) if of_trials or open_fit is None else open_fit(run)
        chosen = opened.default_trial() if trial is None else opened.require_trial(trial)
    except ValueError as error:  # a RunFolderError is one, and data that are not at hand
        if trial is not None:
            raise
        return Inside(problem=_sentence(error, run))
    try:
        looks = [opened.look(chosen, n) for n in _numbers(opened, chosen, sequence)]
        begun = opened.moments(chosen)[:1] == [0]  # not where weights came from another run
        untrained = [opened.look(chosen, sequence, 0)] if begun else []
    except RunFolderError as error:
        return Inside(problem=_sentence(error, run))
    played = [playback_of(seen) for seen in [*looks, *untrained]]
    return Inside(played, _pictures(opened, chosen, looks[0]))


def _numbers(run: Inspectable, trial: int, first: int) -> range:
    """The test sequences shown: fewer where the run has no more."""
    return range(first, max(first + 1, min(first + NUM_SEQUENCES, run.num_sequences(trial))))


def playback_of(seen: Look) -> Playback:
    """A recorded sequence as the player has it.

    A symbol is the strip of its own name; of many, those at the marks and the most frequent.
    """
    m = seen.meta
    if seen.is_symbols:
        inputs, names = _symbols(seen)
    else:
        inputs, names = seen.inputs, m["input_names"]
    unit = m["units"]["sequences"].removeprefix("training ")
    state = "untrained" if m["sequences"] == 0 else f"after {m['sequences']:,} {unit}"
    right = "right" if m["correct"] else "wrong"
    verdict = m.get("verdict", f"The answer is {right}, mean error {m['error']:.3f}")
    note = f"Trial {m['trial']}, {m['status']}. {verdict[:1].upper()}{verdict[1:]}. "
    if len(seen.marks):
        note += "Triangles and dotted lines mark the steps on which the answer depends."
    return playback(
        f"test sequence {m['sequence']}, network {state}",
        inputs,
        seen.arrays,
        seen.outputs,
        seen.targets,
        input_names=names,
        output_names=m["output_names"],
        marks=seen.marks.tolist(),
        note=note,
    )


def _symbols(seen: Look) -> tuple[np.ndarray, list[str]]:
    """Symbols as ones and zeros ``[T, n]``, and their names."""
    names = seen.meta["input_names"]
    counts = np.bincount(seen.inputs.astype(int), minlength=len(names))
    marked = {int(seen.inputs[mark]) for mark in seen.marks}
    present = [s for s in range(len(names)) if counts[s]]
    first = sorted(present, key=lambda s: (s not in marked, -counts[s]))
    order = sorted(first[:MOST_UNITS]) + first[MOST_UNITS:]  # the player counts the rest
    return (seen.inputs[:, None] == np.array(order)).astype(float), [names[s] for s in order]


def _pictures(run: Inspectable, trial: int, seen: Look) -> list[Picture]:
    """Those that the player does not replace."""
    title = seen.title.split("\n")[0]
    shares, over = saturation(run, trial)
    row, unit = seen.meta["row"], seen.meta["units"]["sequences"]
    name = slug(f"{row}-{trial}")
    drawn: list[tuple[Figure, str, bool]] = [
        (
            draw_sequence(seen),
            "One sequence: input, gates, memory and output; the marks go through all of them",
            True,
        ),
        (
            draw_training(history(run, trial, seen.meta["sequence"]), title, unit),
            "Weights, gates and states over training, a column for each moment kept",
            False,
        ),
        (
            draw_saturation(shares, seen.arrays, over, f"{row}, trial {trial}"),
            "How far the gates are saturated, after Karpathy, Johnson and Li 2015",
            True,
        ),
    ]
    return [
        Picture(svg_of(figure, f"{name}-{number}", caption, themed=themed), caption)
        for number, (figure, caption, themed) in enumerate(drawn)
    ]


def _sentence(error: ValueError, run: RunFiles) -> str:
    """The refusal without the path, which the page has at its top."""
    text, path = str(error), str(run.path)
    said = f"the run {text.removeprefix(path).strip()}" if text.startswith(path) else text
    return f"Nothing to see inside: {said}."
