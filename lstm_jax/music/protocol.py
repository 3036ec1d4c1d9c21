"""The odyssey's random search (Greff et al. 2017) as data: variants, trials, initial weights."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from lstm_jax.ablation.axes import parse_axis, sample
from lstm_jax.ablation.design import cell_values
from lstm_jax.config import Config, ConfigError, Field, Fields
from lstm_jax.music.frames import NUM_PITCHES
from lstm_jax.network import Network, network
from lstm_jax.plugins import find_cell, source_hash
from lstm_jax.readout import readout

VARIANTS = ("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR")
"""The vanilla LSTM and its eight variants."""

SEARCHED: Fields = {
    "hidden_size": Field(100, "memory cells", low=1, high=10_000),
    "learning_rate": Field(0.001, "step of an update", above=0.0),
    "momentum": Field(0.9, "share of the last step that is taken again", low=0.0, high=0.9999),
    "noise": Field(0.0, "standard deviation of the noise added to the inputs", low=0.0),
}
"""What is drawn for each trial."""
AXES = (
    "hidden_size=log:20:200",
    "learning_rate=log:1e-6:1e-2",
    "momentum=1-log:0.01:1",
    "noise=uniform:0:1",
)
"""The published ranges."""
SIZES = (48, 80, 112, 152, 200)
"""Programs are made for these sizes; a trial takes the least that holds its own."""
INIT_SD = 0.1
"""All weights and biases are normal with this standard deviation at first."""


class Setting(NamedTuple):
    """One trial of the search."""

    variant: str
    trial: int
    values: dict[str, Any]  # of SEARCHED

    @property
    def seed(self) -> tuple[int, int]:
        """What tells its random numbers from those of all other trials of a search."""
        return zlib.crc32(self.variant.encode()), self.trial


class Group(NamedTuple):
    """Trials that share a program."""

    variant: str
    size: int
    settings: tuple[Setting, ...]


def settings_of(config: Config) -> dict[str, list[Setting]]:
    """The trials of each variant; ConfigError for variants or axes that cannot be.

    Trial n of all variants has the same settings, or without `config.shared_draws` each variant
    draws its own, as published.

    Example:
      >>> from lstm_jax.config import make_config
      >>> made = make_config(ODYSSEY_FIELDS, num_samples=3)
      >>> found = settings_of(made)
      >>> len(found), sorted(found["V"][2].values)
      (9, ['hidden_size', 'learning_rate', 'momentum', 'noise'])
    """
    axes = [parse_axis(text, SEARCHED) for text in config.axes]
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names):
        raise ConfigError(f"config.axes={','.join(config.axes)}: names a setting twice")
    given = {name: field.default for name, field in SEARCHED.items()}
    found = {}
    for variant in config.variants:
        cell_values(variant, 8)  # refuses what it does not know
        own = 0 if config.shared_draws else zlib.crc32(variant.encode())
        draws = sample(axes, config.num_samples, (config.seed, own))
        found[variant] = [Setting(variant, n, given | values) for n, values in enumerate(draws)]
    return found


def groups_of(settings: Sequence[Sequence[Setting]], per_round: int) -> list[Group]:
    """Trials in rounds of so many of each variant, small networks first, a program's together.

    Stopped at any time, the variants have been given the same trials, one group apart.
    """
    groups = []
    most = max(len(own) for own in settings)
    for first in range(0, most, per_round):
        one_round = []
        for own in settings:
            by_size: dict[int, list[Setting]] = {}
            for setting in own[first : first + per_round]:
                size = program_size(setting.values["hidden_size"])
                by_size.setdefault(size, []).append(setting)
            one_round += [
                Group(members[0].variant, size, tuple(members)) for size, members in by_size.items()
            ]
        groups += sorted(one_round, key=lambda group: group.size)
    return groups


def program_size(hidden_size: int) -> int:
    """The size of the program that a trial runs in.

    Example:
      >>> program_size(33), program_size(64), program_size(201)
      (48, 80, 224)
    """
    for size in SIZES:
        if hidden_size <= size:
            return size
    return -(-hidden_size // 32) * 32


def cell_hash(variant: str) -> dict[str, str]:
    """The hash of the file that a variant's cell is in, as a record has it; {} for no file."""
    own = source_hash(cell_values(variant, 8)["cell"])
    return {"cell_sha256": own} if own else {}


def maker(variant: str) -> Callable[[int], Network]:
    """``hidden_size -> network`` of a variant, over the keys of a piano."""
    values = cell_values(variant, 8)
    options = {"switches": values["switches"]} if "switches" in values else {}
    make = partial(find_cell(values["cell"]), **options)

    def net(hidden_size: int) -> Network:
        cell = make(NUM_PITCHES, hidden_size)
        return network(cell, readout(cell.output_size, NUM_PITCHES))

    return net


def initial_weights(net: Network, seed: tuple[int, ...]) -> Any:
    """Normal weights with the standard deviation `INIT_SD`, biases too, drawn by NumPy.

    Example:
      >>> weights = initial_weights(maker("V")(100), (0, 1))
      >>> round(float(weights.cell.r_i.std()), 2)
      0.1
    """
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    return jax.tree.map(
        lambda leaf: (INIT_SD * rng.standard_normal(leaf.shape)).astype(np.float32), shapes
    )


ODYSSEY_FIELDS: dict[str, Field] = {
    "seed": Field(0, "root of all randomness", low=0, high=2**32 - 1),
    "variants": Field(
        VARIANTS,
        "networks searched, the first compared with each other one: V, switches of Greff et al. "
        "joined by +, any cell, or FILE.py:NAME",
    ),
    "axes": Field(AXES, "what is drawn, each NAME=A|B|C or NAME=uniform|log|1-log:LOW:HIGH"),
    "num_samples": Field(200, "trials of each variant", low=1, high=10**5),
    "per_round": Field(10, "trials of a variant before the next one's turn", low=1, high=10**5),
    "shared_draws": Field(
        True,
        "whether trial n of all variants has the same settings, so that trials can be compared in "
        "pairs; false: each variant draws its own, as published",
    ),
    "rate_scaling": Field(
        "one_minus_momentum",
        "what the drawn learning rate is multiplied by: one_minus_momentum, or nothing",
        choices=("one_minus_momentum", "none"),
    ),
    "num_epochs": Field(150, "passes over the training pieces at most", low=1, high=100_000),
    "patience": Field(
        15, "epochs without a better validation loss after which a trial ends", low=1, high=100_000
    ),
    "top_share": Field(
        0.1,
        "share of the trials, best by validation, that variants are compared by",
        above=0.0,
        high=1.0,
    ),
    "minutes": Field(
        None,
        "wall time after which the search pauses; the same command goes on; auto: none",
        above=0.0,
        of=float,
    ),
}
