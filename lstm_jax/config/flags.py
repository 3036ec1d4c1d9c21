"""Command lines without a config: a few typed flags, each a `Field`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from absl import flags

from lstm_jax.config.command_line import asks_for_help, parse_value
from lstm_jax.config.fields import ConfigError, Fields, no_such, valid_values


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
    values = flags.FlagValues()  # our own: main may be called again in the same process
    for name, field in fields.items():
        define = flags.DEFINE_boolean if field.kind is bool else flags.DEFINE_string
        define(name, None, "", flag_values=values)
    try:
        _, *rest = values(["program", *argv])
    except flags.UnrecognizedFlagError as error:
        near = no_such("flag", error.flagname, ["help", *fields]).partition("; valid")[0]
        raise ConfigError(f"--{error.flagname}: {near}; --help lists all") from None
    except flags.IllegalFlagValueError as error:  # all texts are legal, so: a boolean's
        found = re.match(r"flag --([^=]+=.*?): ", str(error))
        given = found.group(1) if found else str(error)
        raise ConfigError(f"{given}: must be true or false") from None
    except (flags.Error, OSError) as error:
        raise ConfigError(str(error).removeprefix("ERROR:: ")) from None
    if rest:
        raise ConfigError(f"{rest[0]}: every argument is a flag --name=value; see --help")
    return {
        name: field.default
        if values[name].value is None
        else parse_value(f"--{name}", values[name].value, field)
        for name, field in fields.items()
    }


def _help(fields: Fields, usage: str) -> str:
    lines = [usage.strip(), "", "Flags:"]
    for name, field in fields.items():
        lines += [f"  --{name}={_form(field.kind)}", f"      {field.meaning}"]
        if field.kind is not str or field.choices:
            lines[-1] += f"; {valid_values(field)}"
    return "\n".join([*lines, "  --help"])


def _form(kind: type) -> str:
    return {int: "N", float: "X", bool: "true"}.get(kind, "TEXT")
