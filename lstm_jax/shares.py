"""A command's work dealt out to several machines, and their shares put together again.

    WORKDIR/shares/2-of-4/...   what `--share=2/4` writes; in it everything lies as in WORKDIR

What is trained depends on its number alone, so the shares know nothing of each other. They may run
at different times, on machines without a common disk: their folders are copied into one `shares`
then, and the same command without `--share` takes over what is in them and runs what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from lstm_jax.config import Field, check_value
from lstm_jax.record import RunFolder
from lstm_jax.record.opening import SHARES
from lstm_jax.record.reading import RunFiles
from lstm_jax.record.refusal import differences, refuse
from lstm_jax.record.weights import KeptWeights, WeightLog, read_weights

_Parts = TypeVar("_Parts", bound=Sequence[Any])


class Share(NamedTuple):
    """The K-th of N shares of a command's work; by default all of it.

    Example:
      >>> Share(2, 4).of("abcdefghij"), str(Share(2, 4)), Share().is_whole
      ('bfj', '2/4', True)
      >>> Share(2, 4).workdir(Path("runs/t100")).as_posix()
      'runs/t100/shares/2-of-4'
    """

    number: int = 1
    total: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    @property
    def is_whole(self) -> bool:
        """Whether it is all there is."""
        return self.total == 1

    def of(self, parts: _Parts) -> _Parts:
        """Every N-th of the parts, from the K-th on."""
        return parts[self.number - 1 :: self.total]  # pyright: ignore[reportReturnType]

    def workdir(self, workdir: Path) -> Path:
        """Where the share keeps what the whole keeps in `workdir`."""
        if self.is_whole:
            return workdir
        return workdir / SHARES / f"{self.number}-of-{self.total}"


WHOLE = Share()


def share_of(text: str) -> Share | None:
    """The share that a text such as "2/4" names; None where it names none.

    Example:
      >>> share_of("2/4"), share_of("5/4"), share_of("half")
      (Share(number=2, total=4), None, None)
    """
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    number, total = map(int, found.groups()) if found else (0, 0)
    return Share(number, total) if 1 <= number <= total else None


FLAG = Field(
    "1/1",
    "the share of the work that is done here, of several machines; docs/guide/cluster.md",
    choices=("1/1",),
    also=lambda text: share_of(text) is not None,
    also_words="K/N, the K-th of N shares, such as 2/4",
)
"""The flag of commands that can be shared, for `parse_command_line(extra_flags=...)`. It is no
field of a config: it changes no result."""


def share_given(text: str) -> Share:
    """The share of the flag; ConfigError where there is none of that name."""
    return share_of(check_value("--share", text, FLAG)) or WHOLE


def share_folders(workdir: Path) -> list[Path]:
    """The folders of the shares that are there, by name.

    Example:
      >>> share_folders(Path("not there"))
      []
    """
    return sorted(path for path in (workdir / SHARES).glob("*-of-*") if path.is_dir())


def gather(folder: RunFolder, share: RunFiles, name: str, say: Callable[[str], None]) -> int:
    """Takes over the finished trials of a share that are not on file yet; how many they are.

    Their curves, their weights and what they ran on come along. After a kill in the midst the next
    call goes on.

    Args:
      folder: of the whole.
      share: of the same settings, and no other process's.
      name: of the share; its sessions are told by it.
      say: told, in one line each, of trials that have ended otherwise here.

    Raises:
      RunFolderError: for a trial on file without its curve or what it ended with: half a copy.
    """
    there = {record["trial"]: record for record in folder.trials()}
    for record in share.trials:
        own = there.get(record["trial"], record)
        if own != record:
            say(
                f"{share.path}: trial {record['trial']} ended otherwise "
                f"({differences(own, record)}); what is on file in {folder.path} is kept"
            )
    new = [record for record in share.trials if record["trial"] not in there]
    if not new:
        return 0
    weights = read_weights(share.path)
    for record in new:
        number, last = record["trial"], record["num_sequences"]
        if number not in share.curves or (number, last) not in weights:
            refuse(
                share.path,
                f"has trial {number} without its curve or its last weights; copy the folder "
                "again, or remove it: its trials are run again then",
            )
    numbers = [record["trial"] for record in new]
    # As where a trial ends: once it is on file, nobody looks for its weights and its curve.
    _take_weights(WeightLog(folder.path), weights, numbers)
    curves = {number: share.curves[number] for number in numbers}
    folder.save_curves(folder.load_curves() | curves, share.curve_every)
    folder.add_sessions(share.sessions, name)
    for record in new:
        folder.append_trial(record)
    return len(new)


def _take_weights(log: WeightLog, kept: KeptWeights, numbers: Sequence[int]) -> None:
    """All in one record: each is synced to the disk, and trials have dozens of moments."""
    moments = [(number, moment) for number in numbers for moment in kept.moments(number)]
    rows = [kept.arrays(*each) for each in moments]
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    trials, sequences = zip(*moments, strict=True)
    log.keep(trials, sequences, [kept.status(*each) for each in moments], arrays)
