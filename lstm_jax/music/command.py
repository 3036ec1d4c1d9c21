"""What the music command prints of its runs, and the pieces that it writes from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from lstm_jax.config import CommandLine, Config, ConfigError, Field, Fields
from lstm_jax.config.flags import output_file
from lstm_jax.fitting import Entry, start_weights
from lstm_jax.fitting.inspecting import config_of_fit
from lstm_jax.music.frames import Likelihood, likelihood_of
from lstm_jax.music.midi import write_midi
from lstm_jax.music.pictures import piano_rolls
from lstm_jax.music.problem import build_music, load_parts
from lstm_jax.music.sampling import sample_piece
from lstm_jax.record.archive import pretty, write_whole
from lstm_jax.record.opening import CONFIG
from lstm_jax.record.reading import read_run
from lstm_jax.record.refusal import refuse, writing
from lstm_jax.report.pictures import png_of
from lstm_jax.summary import paired_interval
from lstm_jax.tables import format_count, markdown_table

GENERATE: Fields = {
    "generate": Field(
        "", "MIDI file to write a piece to, by the best weights of --workdir; nothing is trained"
    ),
    "temperature": Field(1.0, "of --generate: below 1 likely notes become likelier", above=0.0),
    "length": Field(64, "of --generate: frames of the whole piece", low=2, high=100_000),
    "start": Field(0, "of --generate: test piece whose first frames it begins with", low=0),
    "given": Field(8, "of --generate: how many of those", low=1, high=10_000),
    "sample_seed": Field(0, "of --generate: decides what is drawn", low=0, high=2**32 - 1),
}


class Published(NamedTuple):
    """A published negative log-likelihood per frame of the test pieces."""

    name: str
    nll: float
    source: str


PUBLISHED = (
    Published("LSTM, best of the odyssey", 8.38, "Greff et al. 2017 (reported)"),
    Published("LSTM", 8.45, "Bai et al. 2018"),
    Published("GRU", 8.43, "Bai et al. 2018"),
    Published("RNN", 8.91, "Bai et al. 2018"),
    Published("TCN", 8.10, "Bai et al. 2018"),
)


class Result(NamedTuple):
    """A row on the test pieces, by the weights of its best validation epoch."""

    name: str
    num_weights: int
    best_epoch: int
    valid: float
    test: Likelihood
    low: float  # 95% interval of the test's per_frame
    high: float


def interval(found: Likelihood) -> tuple[float, float]:
    """95% bootstrap interval of the likelihood per frame, pieces drawn with replacement.

    Example:
      >>> interval(Likelihood(np.array([8.0, 16.0]), np.array([1, 2])))
      (8.0, 8.0)
    """

    def ratio(nll: np.ndarray, frames: np.ndarray, axis: int = -1) -> np.ndarray:
        return nll.sum(axis=axis) / frames.sum(axis=axis)

    there = found.frames > 0  # a piece of one frame foretells none
    nll, frames = found.nll[there], found.frames[there].astype(float)
    if np.ptp(nll / frames) == 0:
        return found.per_frame, found.per_frame
    return paired_interval((nll, frames), ratio)


def result_of(entry: Entry) -> Result:
    """What a fitted row comes to, measured anew piece by piece."""
    model = build_music(entry.config)
    notes, lengths = entry.problem.test["test"].data
    found = likelihood_of(model.net)(entry.fitted.params, notes, lengths)
    result = entry.fitted.result or {}
    return Result(
        entry.name,
        result["num_weights"],
        result["best_epoch"],
        result["best"]["valid"]["loss"],
        found,
        *interval(found),
    )


def report(entries: Sequence[Entry], workdir: Path) -> None:
    """Prints the table, ours beside the published, and keeps it as ``table.md``."""
    results = [result_of(entry) for entry in entries]
    table = likelihood_table(results)
    print(table)
    if len(results) > 1:
        best = min(results, key=lambda r: r.valid)
        print(
            f"\nbest by validation: {best.name}, valid {best.valid:.3f}, "
            f"test {best.test.per_frame:.3f} [{best.low:.3f}, {best.high:.3f}]"
        )
    with writing(workdir / "table.md"):
        write_whole(workdir / "table.md", f"{table}\n".encode())
    with writing(workdir / "likelihoods.json"):
        write_whole(workdir / "likelihoods.json", pretty([_plain(r) for r in results]))
    print(
        f"\na piece:  python -m experiments.music --generate=piece.mid --workdir={entries[0].path}"
    )


def likelihood_table(results: Sequence[Result]) -> str:
    """Ours in the order of validation, then the published ones, as Markdown."""
    heads = ("row", "weights", "best epoch", "valid NLL", "test NLL [95%]", "mean over pieces")
    rows = [
        (
            r.name,
            format_count(r.num_weights),
            str(r.best_epoch),
            f"{r.valid:.3f}",
            f"{r.test.per_frame:.3f} [{r.low:.3f}, {r.high:.3f}]",
            f"{r.test.per_piece:.3f}",
        )
        for r in sorted(results, key=lambda r: r.valid)
    ]
    rows += [(f"{p.name}, {p.source}", "", "", "", f"{p.nll:.2f}", "") for p in PUBLISHED]
    return markdown_table(heads, rows)


def _plain(result: Result) -> dict[str, Any]:
    return {
        "row": result.name,
        "num_weights": result.num_weights,
        "best_epoch": result.best_epoch,
        "valid_nll": result.valid,
        "test_nll": result.test.per_frame,
        "test_interval": [result.low, result.high],
        "test_nll_per_piece": result.test.per_piece,
        "test_frames": int(result.test.frames.sum()),
    }


def generate(command_line: CommandLine) -> int | None:
    """Writes a piece where ``--generate`` asks for one; None where it does not.

    Raises:
      ValueError: in one line, for a run folder without weights, or what cannot be sampled.
    """
    target = command_line.extra["generate"]
    if not target:
        return None
    if not command_line.workdir:
        raise ConfigError("--generate: needs the --workdir of a run")
    workdir, extra = Path(command_line.workdir), command_line.extra
    path = output_file("generate", target)
    if not path.parent.is_dir():
        raise ConfigError(f"--generate={target}: there is no folder {path.parent}")
    if path == _picture(path):
        raise ConfigError(f"--generate={target}: its picture has that name; give a .mid")
    output_file("generate", _picture(path))
    config = config_of(workdir, command_line)
    model = build_music(config)
    like = jax.eval_shape(model.init, jax.random.key(0))
    params = start_weights(str(workdir), like)
    test = load_parts(config, extra["data_dir"])["test"]
    beginning = _beginning(test, extra)
    key = jax.random.key(extra["sample_seed"], impl="threefry2x32")
    roll = np.asarray(
        jax.jit(sample_piece, static_argnums=(0, 4, 5))(
            model, params, key, beginning, extra["length"], extra["temperature"]
        )
    )
    _write(path, roll, test, extra)
    return 0


def config_of(workdir: Path, command_line: CommandLine) -> Config:
    """The settings that a run folder was made with; RunFolderError where there are none."""
    files = read_run(workdir)
    if "transpose" not in files.config:
        refuse(workdir / CONFIG, "is not of a run of music")
    return config_of_fit(files, command_line.fields)


def _beginning(test: Any, extra: Mapping[str, Any]) -> np.ndarray:
    if extra["start"] >= len(test.lengths):
        raise ConfigError(f"--start={extra['start']}: there are {len(test.lengths)} test pieces")
    given = min(extra["given"], int(test.lengths[extra["start"]]))
    if extra["length"] < given:
        raise ConfigError(f"--length={extra['length']}: must be at least the {given} given frames")
    return test.notes[extra["start"], :given].astype(np.float32)


def _picture(path: Path) -> Path:
    """What is drawn of a piece is beside it."""
    return path.with_suffix(".png")


def _write(path: Path, roll: np.ndarray, test: Any, extra: Mapping[str, Any]) -> None:
    try:
        write_midi(path, roll)
    except ImportError:
        raise ValueError(
            "--generate: MIDI files need mido: pip install 'lstm-jax[music]'"
        ) from None
    start, given = extra["start"], extra["given"]
    truth = test.notes[start, : min(int(test.lengths[start]), extra["length"])]
    picture = _picture(path)
    figure = piano_rolls(
        {
            f"Bach, test piece {start}": truth,
            f"sampled at temperature {extra['temperature']:g}, after {given} frames of it "
            "(shaded)": roll,
        },
        given,
    )
    write_whole(picture, png_of(figure))
    notes = int(roll[given:].sum())
    print(f"{path}: {len(roll)} frames, {notes / max(1, len(roll) - given):.2f} notes a frame")
    print(f"{picture}: beside the piece that it begins with")
