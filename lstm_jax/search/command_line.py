"""The flags of a search, checked before anything is built."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lstm_jax.config import ConfigError, Field, check_value, refusals
from lstm_jax.config.fields import no_such
from lstm_jax.config.flags import Arguments
from lstm_jax.paper.selection import Item, choose, items_of
from lstm_jax.search.factors import DESIGNS, Factor, Search
from lstm_jax.shares import FLAG, Share, share_given


class Request(NamedTuple):
    """What the user asked for; every value is checked."""

    search: Search
    items: dict[str, Item]  # the rows asked for, in the order of running
    factors: tuple[Factor, ...]
    design: str
    trials: int
    max_ratio: float
    workdir: str
    dry_run: bool
    report: bool
    share: Share


def parse(search: Search, argv: Sequence[str]) -> Request:
    """Reads and checks the flags; a mistake is one line on stderr and exit status 2."""
    with refusals():
        return _request(search, argv)


def _request(search: Search, argv: Sequence[str]) -> Request:
    given = _flags(search, argv)
    if given.dry_run and given.report:
        raise ConfigError("--dry_run --report: give one of them")
    if given.design not in DESIGNS:
        raise ConfigError(f"--design={given.design}: {no_such('design', given.design, DESIGNS)}")
    known = tuple(dict.fromkeys(factor.name for factor in search.factors))
    names = _listed("factors", given.factors) or known
    for name in names:
        if name not in known:
            raise ConfigError(f"--factors={given.factors}: {no_such('factor', name, known)}")
    rows = _listed("rows", given.rows) or tuple(search.rows)
    trials = given.trials
    if re.fullmatch(r"[+-]?[0-9]{1,20}", trials):
        trials = int(trials)
    try:
        ratio = float(given.max_ratio)
    except ValueError:
        ratio = given.max_ratio
    if given.workdir == "":
        raise ConfigError("--workdir=: must be the path of a folder")
    return Request(
        search,
        choose(search.paper, items_of(search.paper), rows=rows),
        tuple(factor for factor in search.factors if factor.name in names),
        given.design,
        check_value("--trials", trials, Field(6, "", low=1, high=10_000)),
        check_value("--max_ratio", ratio, Field(4.0, "", low=0.01, high=1000.0)),
        given.workdir or f"results/{search.name}",
        given.dry_run,
        given.report,
        share_given(given.share),
    )


def _flags(search: Search, argv: Sequence[str]) -> argparse.Namespace:
    parser = Arguments(
        prog=f"python -m experiments.{search.name}",
        description=search.usage,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        usage="%(prog)s [flags]",
    )
    values: Mapping[str, tuple[str, str | None, str]] = {
        "design": (
            "NAME",
            "single",
            "single: the text and each single change (the default); pairs: two changes as well; "
            "full: all combinations",
        ),
        "factors": (
            "NAMES",
            None,
            f"of {', '.join(dict.fromkeys(f.name for f in search.factors))}; all",
        ),
        "rows": ("NAMES", None, f"rows of the paper; unless given {','.join(search.rows)}"),
        "trials": ("N", "6", "trials of each reading on each row; 6"),
        "max_ratio": ("X", "4", "a trial is given up at X times the paper's mean; 4"),
        "workdir": ("DIR", None, f"folder of the records, results/{search.name} unless given"),
        "share": ("K/N", FLAG.default, FLAG.meaning),
    }
    for name, (form, default, meaning) in values.items():
        parser.add_argument(f"--{name}", metavar=form, default=default, help=meaning)
    switches = {
        "dry_run": "print what would be run; run nothing",
        "report": "write the page anew from the records; run nothing",
    }
    for name, meaning in switches.items():
        parser.add_argument(f"--{name}", action="store_true", help=meaning)
    known, rest = parser.parse_known_args(argv)
    if rest:
        name = rest[0].partition("=")[0]
        if not name.startswith("--"):
            raise ConfigError(f"{rest[0]}: every argument is a flag --name=value; see --help")
        near = no_such("flag", name.lstrip("-"), [*values, *switches, "help"])
        raise ConfigError(f"{name}: {near.partition('; valid')[0]}; --help lists all")
    return known


def _listed(name: str, text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    items = tuple(item for item in re.split(r"[,\s]+", text.strip("() \t")) if item)
    if not items:
        raise ConfigError(f"--{name}={text}: must be names of {name}, with commas between")
    return items
