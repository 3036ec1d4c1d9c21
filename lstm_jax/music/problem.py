"""From a configuration to what is fitted: pieces, batches, model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstm_jax.build import build_structure
from lstm_jax.config import Config, ConfigError, Field, check_fitting
from lstm_jax.data import Rolls, find, is_named, load_chorales, sha256_of
from lstm_jax.fitting import Problem, in_order, shuffled
from lstm_jax.music.frames import NUM_PITCHES
from lstm_jax.music.model import Music, music, piece_model

DATA: dict[str, Field] = {
    "data": Field("jsb_chorales", "named set of pieces, or the path of an own JSON file"),
    "max_pieces": Field(
        None, "pieces of each part of the data that are used; auto: all", low=2, of=int
    ),
}
MUSIC_FIELDS: dict[str, Field] = {
    "input_dropout": Field(
        0.0, "share of the inputs that training sets to zero", low=0.0, high=0.99
    ),
    "noise": Field(
        0.0, "standard deviation of what training adds to the inputs", low=0.0, high=100.0
    ),
    "transpose": Field(
        0, "semitones up or down that training shifts each piece, drawn anew each time; 0: as "
        "they are, as in the published figures", low=0, high=24
    ),
}  # fmt: skip


def build_problem(config: Config, extra: Mapping[str, Any]) -> Problem:
    """Model and batches of a configuration.

    Args:
      config: with the fields of FITTING, LAYERS, DATA and MUSIC_FIELDS.
      extra: the values of DATA_FLAG.

    Raises:
      ValueError: in one line, for data or settings that cannot be used.
    """
    rolls = load_parts(config, extra["data_dir"])
    check_room(config, rolls["train"])
    parts = {name: (part.notes, part.lengths) for name, part in rolls.items()}
    size = config.batch_size
    return Problem(
        piece_model(build_music(config), noise=config.noise, transpose=config.transpose),
        shuffled(parts["train"], size),
        in_order(parts["valid"], min(32, len(parts["valid"][1]))),
        {"test": in_order(parts["test"], min(32, len(parts["test"][1])))},
        {"sha256": data_hash(config, extra["data_dir"])},
    )


def build_music(config: Config) -> Music:
    """The model of a configuration."""
    return music(
        build_structure(config, NUM_PITCHES),
        dropout=config.dropout,
        input_dropout=config.input_dropout,
    )


def load_parts(config: Config, data_dir: str) -> dict[str, Rolls]:
    """The pieces of each part, at most `config.max_pieces`, cut to the longest there is.

    Raises:
      DataError: in one line, for data that cannot be used, or a part without two frames in a row.
    """
    rolls = load_chorales(config.data, data_dir)
    found = {}
    for name, part in rolls.items():
        lengths = part.lengths[: config.max_pieces]
        if lengths.max() < 2:
            raise ConfigError(f"config.data={config.data}: {name} has no piece of 2 frames or more")
        found[name] = Rolls(part.notes[: config.max_pieces, : lengths.max()], lengths)
    return found


def data_hash(config: Config, data_dir: str) -> str:
    """The SHA-256 of the file of pieces."""
    if is_named(config.data):
        (path,) = find(config.data, data_dir).values()
        return sha256_of(path)
    return sha256_of(config.data)


def check_music(config: Config) -> None:
    """Raises ConfigError where fields contradict each other."""
    check_fitting(config)
    if config.bidirectional:
        raise ConfigError(
            "config.bidirectional=true: would tell the next frame; must be false for music"
        )


def check_room(config: Config, train: Rolls) -> None:
    """Raises ConfigError where a transposed note would leave the keyboard."""
    used = np.flatnonzero(train.notes.any(axis=(0, 1)))
    room = min(int(used[0]), NUM_PITCHES - 1 - int(used[-1])) if used.size else NUM_PITCHES
    if config.transpose > room:
        raise ConfigError(
            f"config.transpose={config.transpose}: the pieces leave room for {room} semitones on "
            "the keyboard; must be at most that"
        )
