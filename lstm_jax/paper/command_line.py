"""The flags of a paper's command, checked before anything is built."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lstm_jax.config import MOST_STEPS, ConfigError, Field, check_value, refusals
from lstm_jax.config.fields import no_such
from lstm_jax.config.flags import Arguments
from lstm_jax.paper.selection import GROUPS, Item, Paper, choose, items_of, smoke_of
from lstm_jax.shares import FLAG, Share, share_given

MODES = ("dry_run", "report", "export", "check")


class Request(NamedTuple):
    """What the user asked for; every value is checked."""

    paper: Paper
    items: dict[str, Item]  # the rows asked for
    num_trials: int | None  # None: the paper's
    max_sequences: int | None  # None: each row's own cap
    workdir: str
    dry_run: bool
    json: bool
    report: bool
    export: str | None  # "": to the folder that belongs to the paper
    check: str | None
    share: Share


def parse(paper: Paper, argv: Sequence[str]) -> Request:
    """Reads and checks the flags; a mistake is one line on stderr and exit status 2."""
    with refusals():
        return _request(paper, argv)


def _request(paper: Paper, argv: Sequence[str]) -> Request:
    given = _flags(paper, argv)
    modes = [f"--{mode}" for mode in MODES if getattr(given, mode) not in (None, False)]
    if len(modes) > 1 and modes != ["--report", "--export"]:
        raise ConfigError(f"{' '.join(modes)}: give one of them")
    if given.json and not given.dry_run:
        raise ConfigError("--json: needs --dry_run")
    if given.smoke and (given.export is not None or given.check is not None or given.tables):
        raise ConfigError("--smoke: is for runs and reports; not with --export, --check, --tables")
    num_trials = None
    if given.trials != "paper":
        field = Field(10, "", low=1, high=10**6)
        num_trials = _whole("--trials", given.trials, field, "paper or ")
    max_sequences = None
    if given.max_sequences is not None:
        field = Field(1, "", low=1, high=MOST_STEPS)
        max_sequences = _whole("--max_sequences", given.max_sequences, field)
    shown = smoke_of(paper) if given.smoke else paper
    chosen = choose(shown, items_of(shown), _listed("tables", given), _listed("rows", given))
    if given.workdir == "":
        raise ConfigError("--workdir=: must be the path of a folder")
    default = f"runs/{paper.name}" + ("-smoke" if given.smoke else "")
    if max_sequences is not None:  # other results need another folder
        default += f"-cap{max_sequences}"
    return Request(
        shown,
        chosen,
        num_trials,
        max_sequences,
        given.workdir or default,
        given.dry_run,
        given.json,
        given.report,
        given.export,
        given.check,
        share_given(given.share),
    )


def _flags(paper: Paper, argv: Sequence[str]) -> argparse.Namespace:
    parser = Arguments(
        prog=f"python -m experiments.{paper.name}",
        description=paper.usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        usage="%(prog)s [flags]",
    )
    results = f"results/{paper.name}"
    values: Mapping[str, tuple[str, str]] = {
        "tables": ("1,4,7", "tables to run; all unless given"),
        "trials": ("N", "trials of each row; paper: as many as the paper has (the default)"),
        "rows": ("NAMES", f"{', '.join(GROUPS)} (the default) or names of rows"),
        "workdir": ("DIR", f"run folder, runs/{paper.name} unless given; the same command goes on"),
        "max_sequences": ("N", "a cap for every row, where its own is higher"),
        "share": ("K/N", FLAG.meaning),
    }
    defaults = {"trials": "paper", "share": FLAG.default}
    for name, (form, meaning) in values.items():
        parser.add_argument(f"--{name}", metavar=form, help=meaning, default=defaults.get(name))
    switches = {
        "dry_run": "print weights, lanes and expected time of each row; run nothing",
        "json": "with --dry_run: one JSON list",
        "report": "write the report anew from the records in the run folder; run nothing",
        "smoke": "a small row of every experiment: does everything run",
    }
    for name, meaning in switches.items():
        parser.add_argument(f"--{name}", action="store_true", help=meaning)
    folders = {
        "export": f"write the finished rows to DIR ({results}) and the table of the README",
        "check": f"exit status 1 where the table of the README is not that of DIR ({results})",
    }
    for name, meaning in folders.items():
        parser.add_argument(f"--{name}", metavar="DIR", nargs="?", const="", help=meaning)
    known, rest = parser.parse_known_args(argv)
    if rest:
        name = rest[0].partition("=")[0]
        if not name.startswith("--"):
            raise ConfigError(f"{rest[0]}: every argument is a flag --name=value; see --help")
        names = [*values, *switches, *folders, "help"]
        near = no_such("flag", name.lstrip("-"), names)
        raise ConfigError(f"{name}: {near.partition('; valid')[0]}; --help lists all")
    return known


def _listed(name: str, given: argparse.Namespace) -> tuple[str, ...]:
    text = getattr(given, name)
    if text is None:
        return ()
    items = tuple(item for item in re.split(r"[,\s]+", text.strip("() \t")) if item)
    if not items:
        what = "numbers of tables" if name == "tables" else "names of rows"
        raise ConfigError(f"--{name}={text}: must be {what}, with commas between")
    return items


def _whole(name: str, text: str, field: Field, or_else: str = "") -> int:
    value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,20}", text) else text
    try:
        return check_value(name, value, field)
    except ConfigError as error:
        raise ConfigError(str(error).replace("must be ", f"must be {or_else}", 1)) from None
