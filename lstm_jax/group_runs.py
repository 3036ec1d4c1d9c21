"""Groups of trials, each one program: what is not on file is run, one line of a file a group."""

from __future__ import annotations

import datetime
import gc
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import jax

from lstm_jax.experiment import this_command
from lstm_jax.record.archive import pretty, write_whole
from lstm_jax.record.lines import append_line
from lstm_jax.record.opening import held_folder
from lstm_jax.record.provenance import PROVENANCE, sessions_on_file, surroundings
from lstm_jax.rows import say
from lstm_jax.shares import Share, share_folders
from lstm_jax.tables import format_duration

Group = TypeVar("Group")
Line = Mapping[str, Any]


class Held(NamedTuple):
    """The folders of one start of a command.

    Attributes:
      own: where its lines go.
      taken: of finished shares, whose lines go there too.
      known: all that may have a line, its own first.
      start: when.
    """

    own: Path
    taken: Sequence[Path]
    known: Sequence[Path]
    start: str


class GroupKind(NamedTuple, Generic[Group]):
    """How one kind of groups is run and found on file.

    Attributes:
      name: of a group, on the terminal.
      file: ``(workdir, group)`` to the file of its line.
      load: the lines of a file, none where there is none.
      find: the line of a group among others, or None.
      run: ``(group, should_stop)`` to its line, with "wall_s"; None where it was stopped.
      trials: what a line calls its records, each with a "status".
    """

    name: Callable[[Group], str]
    file: Callable[[Path, Group], Path]
    load: Callable[[Path], list[dict[str, Any]]]
    find: Callable[[Group, Sequence[Line]], Line | None]
    run: Callable[[Group, Callable[[], bool]], dict[str, Any] | None]
    trials: str = "records"

    def on_file(self, groups: Sequence[Group], *workdirs: Path) -> list[Line | None]:
        """The line of each group, of the first folder that has one."""
        lines: dict[Path, list[dict[str, Any]]] = {}
        found = []
        for group in groups:
            files = [self.file(workdir, group) for workdir in workdirs]
            for file in files:
                if file not in lines:
                    lines[file] = self.load(file)
            found.append(next((x for f in files if (x := self.find(group, lines[f]))), None))
        return found

    def run_all(self, groups: Sequence[Group], held: Held, should_stop: Callable[[], bool]) -> bool:
        """Runs what is not on file, or takes it over; whether all groups came to their ends."""
        own, theirs = (self.on_file(groups, *where) for where in ([held.own], held.taken))
        if None in own:
            _add_session(held)
        for number, (group, line, other) in enumerate(zip(groups, own, theirs, strict=True), 1):
            file, took = self.file(held.own, group), "on file"
            if line is None and other is not None:
                append_line(file, other)
                line, took = other, "of a share"
            elif line is None:
                line = self.run(group, should_stop)
                if line is None:
                    say(f"stopped; every finished group is in {file}")
                    say(f"the same command goes on:  {this_command()}")
                    return False
                append_line(file, line)
                jax.clear_caches()  # the programs of all groups would add up
                gc.collect()
                took = format_duration(line["wall_s"])
            trials = line[self.trials]
            solved = sum(trial["status"] == "SOLVED" for trial in trials)
            print(
                f"{self.name(group)} solved {solved:,}/{len(trials):,}  {took}  "
                f"[{number} of {len(groups)}]",
                flush=True,
            )
        return True


def _add_session(held: Held) -> None:
    """Adds to provenance.json what this start runs on and by which command, and those of shares."""
    start: dict[str, Any] = {
        "start": held.start,
        "command": ["python", *sys.orig_argv[1:]],
        "device_kind": jax.devices()[0].device_kind,
        "num_devices": jax.device_count(),
    }
    sessions = sessions_on_file(held.own)
    told = [{"share": p.name, **session} for p in held.taken for session in sessions_on_file(p)]
    for session in [*told, start | surroundings()]:
        if session not in sessions:
            sessions.append(session)
    write_whole(held.own / PROVENANCE, pretty({"sessions": sessions}))


@contextmanager
def held_groups(
    workdir: Path, share: Share, settings: Mapping[str, Any] | None, what: str
) -> Iterator[Held]:
    """Holds the folder of a share's groups; the whole also those of the shares that are there.

    Args:
      workdir: of the whole.
      share: that is run.
      settings, what: as of `lstm_jax.record.opening.held_folder`.
    """
    own, others = share.workdir(workdir), share_folders(workdir)
    taken = others if share.is_whole else []
    start = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    with ExitStack() as stack:
        for path in [own, *taken]:
            stack.enter_context(held_folder(path, settings, what=what, say=say))
        yield Held(own, taken, [own, workdir, *others], start)
