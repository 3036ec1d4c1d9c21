"""Command lines without a config: a few typed flags, each a `Field`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from lstm_jax.config.command_line import asks_for_help, flag_texts, parse_value
from lstm_jax.config.fields import ConfigError, Fields, valid_values


class Arguments(argparse.ArgumentParser):
    """An argparse whose mistakes are a `ConfigError` of one line, as everywhere here.

    >>> parser = Arguments(prog="program")
    >>> _ = parser.add_argument("--repeats", type=int)
    >>> parser.parse_args(["--repeats=x"])
    Traceback (most recent call last):
    lstm_jax.config.fields.ConfigError: --repeats: invalid int value: 'x'; see --help
    """

    def error(self, message: str) -> NoReturn:
        """Raises the mistake that argparse found."""
        raise ConfigError(f"{message.removeprefix('argument ')}; see --help")


def parse_flags(argv: Sequence[str], fields: Fields, usage: str) -> dict[str, Any]:
    """The values of ``--name=value`` flags, each in the type of its field.

    Prints the help and ends with status 0 where it is asked for.

    Raises:
      ConfigError: in one line, for an unknown flag, an argument that is no flag, or a value that
        the field does not take.

    >>> from lstm_jax.config import Field
    >>> fields = {"run": Field("", "folder of the run"), "trial": Field(0, "which", low=0)}
    >>> parse_flags(["--run=runs/x", "--trial=3"], fields, "Looks.")
    {'run': 'runs/x', 'trial': 3}
    >>> parse_flags(["--trail=3"], fields, "Looks.")
    Traceback (most recent call last):
    lstm_jax.config.fields.ConfigError: --trail: no such flag; nearest: trial; --help lists all
    """
    if asks_for_help(argv):
        print(_help(fields, usage))
        raise SystemExit(0)
    values, rest = flag_texts(argv, {name: field.kind for name, field in fields.items()})
    if rest:
        raise ConfigError(f"{rest[0]}: every argument is a flag --name=value; see --help")
    return {
        name: field.default
        if values[name] is None
        else parse_value(f"--{name}", values[name], field)
        for name, field in fields.items()
    }


def output_file(name: str, path: str | Path) -> Path:
    """The path of a file to write; ConfigError, naming the flag, where something else is there.

    >>> output_file("out", "/")
    Traceback (most recent call last):
    lstm_jax.config.fields.ConfigError: --out=/: is there and is no file; give the path of a file
    """
    path = Path(path)
    if is_no_file(path):
        raise ConfigError(f"--{name}={path}: is there and is no file; give the path of a file")
    return path


def is_no_file(path: Path) -> bool:
    """Whether a folder, a device or a pipe is there, in whose place a file must not be put.

    >>> is_no_file(Path("/")), is_no_file(Path("not there"))
    (True, False)
    """
    return path.exists() and not path.is_file()


def _help(fields: Fields, usage: str) -> str:
    lines = [usage.strip(), "", "Flags:"]
    for name, field in fields.items():
        lines += [f"  --{name}={_form(field.kind)}", f"      {field.meaning}"]
        if field.kind is not str or field.choices:
            lines[-1] += f"; {valid_values(field)}"
    return "\n".join([*lines, "  --help"])


def _form(kind: type) -> str:
    return {int: "N", float: "X", bool: "true"}.get(kind, "TEXT")
