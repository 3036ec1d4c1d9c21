"""The command: ``python -m lstm_jax.conformance path/to/file.py:name``."""

from __future__ import annotations

import argparse
import ast
import inspect
import os
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from lstm_jax import runtime
from lstm_jax.config.command_line import refusals
from lstm_jax.config.fields import ConfigError, Field, check_value, no_such
from lstm_jax.config.flags import Arguments
from lstm_jax.conformance.subject import Subject
from lstm_jax.conformance.suite import CHECKS, FAILED, NOTE, OK, Result, line, run_checks
from lstm_jax.plugins import Factory, find_cell, find_oracle

USAGE = """\
Runs the checks that every cell of lstm_jax passes on a cell of yours.

CELL is path/to/file.py:name, where name(input_size, hidden_size, **options) returns a
lstm_jax.Cell; or the name of an entry point of the group "lstm_jax.cells"; or a cell of the
library. A function name_oracle(params, state, xs) -> (state, ys) beside it, in NumPy float64, is
compared with it. It runs on the CPU, on one core in about half a minute.

Exit status: 0 all checks passed, 1 some failed, 2 the command cannot be understood."""


class Request(NamedTuple):
    """What the user asked for, checked."""

    subject: Subject
    checks: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the checks for a command line; returns the exit status."""
    if "JAX_PLATFORMS" not in os.environ:
        # The tolerances are those of exact products; some accelerators shorten their factors.
        jax.config.update("jax_platforms", "cpu")
    with refusals():
        runtime.configure(num_devices=1)
        request = parse(sys.argv[1:] if argv is None else argv)

        def tell(result: Result) -> None:
            print(line(result), flush=True)

        results = run_checks(request.subject, request.checks, tell)
        count = Counter(result.verdict for result in results)
        closing = f"{count[OK]} passed, {count[FAILED]} failed, {count[NOTE]} notes"
        left = len(request.checks) - len(results)
        print(closing + (f"; {left} not run: they need {results[-1].name}" if left else ""))
    return 1 if count[FAILED] else 0


def parse(argv: Sequence[str]) -> Request:
    """The cell and the checks that a command line asks for; ``ValueError``, one line, if it cannot.

    Example:
      >>> parse(["lstm", "--hidden_size=4", "--checks=scan"]).checks
      ('scan',)
    """
    parser = _parser()
    given, rest = parser.parse_known_args(argv)
    if rest:
        name = rest[0].partition("=")[0]
        if not name.startswith("-"):
            raise ConfigError(f"{rest[0]}: one cell at a time, {given.cell} came first; see --help")
        flags = ["option", "hidden_size", "input_size", "checks", "help"]
        near = no_such("flag", name.lstrip("-"), flags).partition("; valid")[0]
        raise ConfigError(f"{name}: {near}; --help lists all")
    sizes = {name: _size(name, getattr(given, name)) for name in ("input_size", "hidden_size")}
    factory, oracle = find_cell(given.cell), find_oracle(given.cell)
    options = _options(factory, given.cell, given.option)
    subject = Subject(factory, given.cell, options=options, oracle=oracle, **sizes)
    _make(subject)
    return Request(subject, _checks(given.checks))


def _parser() -> Arguments:
    parser = Arguments(
        prog="python -m lstm_jax.conformance",
        description=f"{USAGE}\n\nChecks:\n"
        + "\n".join(f"  {name:14} {check.meaning}" for name, check in CHECKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        usage="%(prog)s CELL [flags]",
    )
    parser.add_argument("cell", metavar="CELL")
    parser.add_argument(
        "--option",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="an option of the cell, a Python literal or a text; may be repeated",
    )
    parser.add_argument("--input_size", metavar="N", default="3", help="inputs; 3")
    parser.add_argument("--hidden_size", metavar="N", default="5", help="hidden units; 5")
    parser.add_argument("--checks", metavar="NAMES", help="some of the checks; all unless given")
    return parser


def _size(name: str, text: str) -> int:
    value = int(text) if text.isdecimal() and len(text) < 10 else text
    return check_value(f"--{name}", value, Field(1, "", low=1, high=1000))


def _options(factory: Factory, cell: str, texts: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigError(f"--option {text}: must be name=value")
        try:
            options[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[name] = value
    known = inspect.signature(factory).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        names = list(known)[2:]
        for name in options:
            if name not in names:
                near = no_such("option", name, names) if names else "it has no options"
                raise ConfigError(f"--option {name}={options[name]!r}: {cell}: {near}")
    return options


def _checks(text: str | None) -> tuple[str, ...]:
    if text is None:
        return tuple(CHECKS)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in CHECKS:
            raise ConfigError(f"--checks={text}: {no_such('check', name, CHECKS)}")
    return tuple(name for name in CHECKS if name in names)


def _make(subject: Subject) -> None:
    """Refuses what the factory refuses at these sizes and with these options."""
    try:
        inspect.signature(subject.factory).bind(3, 5, **subject.options)
    except TypeError as error:
        raise ConfigError(
            f"{subject.name}: must take (input_size, hidden_size, **options): {error}"
        ) from None
    try:
        _ = subject.cell
    except ValueError as error:
        raise ConfigError(f"{subject.name}: {error}") from error
    except (Exception, SystemExit):  # not a refusal but a fault: the first check tells it
        return


if __name__ == "__main__":
    sys.exit(main())
