"""What a page shows of the inside of a run's networks: sequences to step through, and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lstm_jax.inspect.histories import history, saturation
from lstm_jax.inspect.looks import Look, look
from lstm_jax.inspect.pictures import draw_saturation, draw_sequence, draw_training
from lstm_jax.inspect.runs import Run, open_run
from lstm_jax.record import RunFolderError
from lstm_jax.record.reading import RunFiles
from lstm_jax.report.parts import slug
from lstm_jax.report.pictures import svg_of
from lstm_jax.report.player import MOST_UNITS, Playback, playback
from lstm_jax.report.run_page import Inside, Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_SEQUENCES = 2  # through the trained network; one more goes through the untrained one


def look_inside(run: RunFiles, trial: int | None, sequence: int) -> Inside:
    """Players and pictures of a trial of a run; or why there are none.

    Args:
      run: as it was read.
      trial: None: the first one solved.
      sequence: number of the first test sequence.

    Raises:
      RunFolderError: in one line, where the run has no trial of the number that was given.
    """
    if run.is_fit:
        return Inside()
    try:
        opened = open_run(run.path)
        chosen = opened.default_trial() if trial is None else opened.require_trial(trial)
    except RunFolderError as error:
        if trial is not None:
            raise
        return Inside(problem=_sentence(error, run))
    try:
        looks = [look(opened, chosen, sequence + n) for n in range(NUM_SEQUENCES)]
        untrained = look(opened, chosen, sequence, sequences=0)
    except RunFolderError as error:
        return Inside(problem=_sentence(error, run))
    played = [playback_of(seen) for seen in [*looks, untrained]]
    return Inside(played, _pictures(opened, chosen, looks[0]))


def playback_of(seen: Look) -> Playback:
    """A recorded sequence as the player has it.

    A symbol is the strip of its own name; of many, those at the marks and the most frequent.
    """
    m = seen.meta
    if seen.is_symbols:
        inputs, names = _symbols(seen)
    else:
        inputs, names = seen.inputs, m["input_names"]
    state = "untrained" if m["sequences"] == 0 else f"after {m['sequences']:,} sequences"
    verdict = "right" if m["correct"] else "wrong"
    note = f"Trial {m['trial']}, {m['status']}. The answer is {verdict}, mean error "
    note += f"{m['error']:.3f}. "
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


def _pictures(run: Run, trial: int, seen: Look) -> list[Picture]:
    """Those that the player does not replace."""
    title = seen.title.split("\n")[0]
    shares, over = saturation(run, trial)
    name = slug(f"{run.name}-{trial}")
    drawn: list[tuple[Figure, str, bool]] = [
        (
            draw_sequence(seen),
            "One sequence: input, gates, memory and output; the marks go through all of them",
            True,
        ),
        (
            draw_training(history(run, trial, seen.meta["sequence"]), title),
            "Weights, gates and states over training, a column for each moment kept",
            False,
        ),
        (
            draw_saturation(shares, seen.arrays, over, f"{run.name}, trial {trial}"),
            "How far the gates are saturated, after Karpathy, Johnson and Li 2015",
            True,
        ),
    ]
    return [
        Picture(svg_of(figure, f"{name}-{number}", caption, themed=themed), caption)
        for number, (figure, caption, themed) in enumerate(drawn)
    ]


def _sentence(error: RunFolderError, run: RunFiles) -> str:
    """The refusal without the path, which the page has at its top."""
    text = str(error).removeprefix(str(run.path)).strip()
    return f"Nothing to see inside: the run {text}."
