"""The command that looks into a run: pictures, a recording, and the same in TensorBoard."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lstm_jax import runtime
from lstm_jax.config import ConfigError, Field, refusals
from lstm_jax.config.flags import parse_flags
from lstm_jax.record.reading import RunFiles, find_runs, read_run
from lstm_jax.record.refusal import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lstm_jax.inspect.histories import History, Inspectable
    from lstm_jax.inspect.looks import Look

FLAGS = {
    "run": Field("", "folder of a run, finished, stopped or running; needed"),
    "trial": Field(None, "trial to look into; the first solved one unless given", low=0, of=int),
    "sequence": Field(0, "which of the trial's test sequences", low=0, high=2**31 - 1),
    "moment": Field(
        None,
        "training sequences after which to look, one of those that weights are kept of; the last "
        "one unless given",
        low=0,
        of=int,
    ),
    "retrain": Field(
        False,
        "train the trial again, from its seed, to have its weights and those on its way: for runs "
        "that keep none",
    ),
}
NUM_ANSWERS = 100
BOARD_MOMENTS = 6  # overviews in TensorBoard, over training
BOARD_HISTOGRAMS = 16
BOARD_DPI = 75
Open = Callable[[RunFiles], "Inspectable"]


def main(usage: str, open_fit: Open, argv: Sequence[str] | None = None) -> int:
    """Looks into a run for a command line; returns the exit status.

    0: pictures and recording are written. 2: one line on stderr said what was wrong.

    Args:
      usage: what the command does; the head of its help.
      open_fit: how a fit to a data set is looked into; a run of trials is known here.
      argv: the arguments; those of the process by default.
    """
    with refusals():
        given = parse_flags(sys.argv[1:] if argv is None else argv, FLAGS, usage)
        if not given["run"]:
            raise ConfigError("--run=: give the folder of a run")
        files = read_run(_only_run(Path(given["run"])))
        runtime.configure()
        _inspect(_open(files, open_fit), given)
    return 0


def _only_run(path: Path) -> Path:
    found = find_runs(path)
    if len(found) > 1:
        names = ", ".join(inner.name for inner in found[:6]) + (", ..." if len(found) > 6 else "")
        raise ConfigError(f"--run={path}: holds {len(found)} runs; give one of {names} in it")
    return found[0]


def _open(files: RunFiles, open_fit: Open) -> Inspectable:
    from lstm_jax.inspect.runs import Run

    return Run(files) if "task" in files.config else open_fit(files)


def _inspect(run: Inspectable, given: dict) -> None:
    from lstm_jax.inspect.runs import Run

    trial = run.default_trial() if given["trial"] is None else given["trial"]
    if given["retrain"]:
        from lstm_jax.inspect.retraining import retrain

        if not isinstance(run, Run):
            raise ConfigError("--retrain: only trials can be trained again")
        if run.moments(run.require_trial(trial))[-1] < run.records[trial]["num_sequences"]:
            print(f"training trial {trial} again ...", flush=True)
            retrain(run, trial)
            run = Run(read_run(run.path))
    seen = run.look(trial, given["sequence"], given["moment"])
    unfinished = "" if run.is_finished else "; the run is unfinished"
    print(f"{seen.meta['run']}: trial {trial}, {seen.meta['status']}{unfinished}")
    figures, past = make_figures(run, trial, seen)
    folder = run.path / "inspect" / f"trial{trial:03d}"
    with writing(folder):
        _write(folder, seen, figures)
        _write_board(run, trial, seen, figures, past)
    right = "right" if seen.meta["correct"] else "wrong"
    verdict = seen.meta.get("verdict", f"{right}, error {seen.meta['error']:.4f}")
    print(f"test sequence {seen.meta['sequence']}: {verdict}\n")
    for name, (_, about) in figures.items():
        print(f"  {name:12} {about}")
    print(f"\npictures:     {folder}/*.png and .svg")
    print(f"recording:    {folder}/sequence{seen.meta['sequence']}.npz")
    print(f"TensorBoard:  tensorboard --logdir={shlex.quote(str(run.path))}")


Figures = dict[str, tuple["Figure", str]]


def make_figures(run: Inspectable, trial: int, seen: Look) -> tuple[Figures, History]:
    """{name: (figure, what it shows)} of a recorded sequence and its trial; and its history."""
    from lstm_jax.inspect import pictures
    from lstm_jax.inspect.histories import history, saturation

    moment = seen.meta["sequences"]
    head = seen.title.split("\n")[0]
    every_step = seen.meta["timing"] == "every_step"
    number = 1 if every_step else min(NUM_ANSWERS, run.num_sequences(trial))
    many = [run.look(trial, n, moment) for n in range(number)] if number > 1 else [seen]
    past = history(run, trial, seen.meta["sequence"])
    shares, over = saturation(run, trial, moment)
    below = f"weights, and gates over test sequence {seen.meta['sequence']}, at each moment kept"
    figures = {
        "overview": (pictures.draw_sequence(seen), "input, gates, memory and output over time"),
        "gates": (pictures.draw_gates(seen), "every gate and every state, a row a unit"),
        "cells": (pictures.draw_cells(seen), "single cells with their gates"),
        "answers": (pictures.draw_answers(many), "output against target"),
        "training": (
            pictures.draw_training(past, f"{head}\n{below}", seen.meta["units"]["sequences"]),
            "histograms over training",
        ),
        "saturation": (
            pictures.draw_saturation(shares, seen.arrays, over, head),
            "share of steps that each gate unit is shut or open",
        ),
    }
    return figures, past


def _write(folder: Path, seen: Look, figures: Figures) -> None:
    from lstm_jax.inspect.looks import save_look
    from lstm_jax.inspect.pictures import write_pictures

    for name, (figure, _) in figures.items():
        write_pictures(figure, folder / name)
    save_look(folder / f"sequence{seen.meta['sequence']}.npz", seen)


def _write_board(run: Inspectable, trial: int, seen: Look, figures: Figures, past: History) -> None:
    """The pictures in TensorBoard's Images, the overview at some moments, and the histograms."""
    from lstm_jax.inspect.board import Board
    from lstm_jax.inspect.pictures import draw_sequence, png_of
    from lstm_jax.inspect.pictures.style import gates_of, memories_of

    now, who = seen.meta["sequences"], f"trial {trial:03d}"
    earlier = [moment for moment in past.moments if moment < now]
    with Board(run.path / "tb" / "inspect", f"{now:012d}.trial{trial:03d}") as board:
        for moment in _some(earlier, BOARD_MOMENTS - 1):
            then = run.look(trial, seen.meta["sequence"], moment)
            png = png_of(draw_sequence(then), BOARD_DPI)
            board.log_image(f"overview/{who}", png, moment, then.title.replace("\n", "; "))
        for name, (figure, about) in figures.items():
            board.log_image(f"{name}/{who}", png_of(figure, BOARD_DPI), now, about)
        last = {name: array[-1] for name, array in past.arrays.items()}
        inside = [*gates_of(last), *memories_of(last)]
        for moment in _some(past.moments, BOARD_HISTOGRAMS):
            row = past.moments.index(moment)
            for name, values in past.weights.items():
                board.log_histogram(f"{who} weights/{name}", values[row], moment)
            for name in inside:
                board.log_histogram(f"{who} inside/{name}", past.arrays[name][row], moment)
        board.log_text(f"inspect/{who}", seen.title.replace("\n", "; "), now)


def _some(moments: Sequence[int], most: int) -> list[int]:
    """At most so many of the moments, spread over them, the last one among them.

    >>> _some([0, 1, 2, 3, 4, 5], 3), _some([4], 3), _some([], 3)
    ([0, 2, 5], [4], [])
    """
    if len(moments) <= most:
        return list(moments)
    return [moments[n] for n in np.linspace(0, len(moments) - 1, most).astype(int)]
