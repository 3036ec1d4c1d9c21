"""The command line of an experiment, read against its fields and answered before jax is imported.

    [--config=FILE.py[:ARG]] [--config.FIELD=VALUE ...] [--workdir=DIR] [--dry_run] [--help]

This is the grammar of ml_collections' config flags. It is built on absl's FlagValues with one flag
per field and not on `config_flags`: that knows only the fields that the command line names, so it
cannot suggest, check or explain the others, and it keeps its flags in a global.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from absl import flags

from lstm_jax.config.config_file import GetConfig, call, find_config, load
from lstm_jax.config.fields import (
    Config,
    ConfigError,
    Field,
    Fields,
    canonical,
    check_value,
    describe,
    describe_fields,
    make_config,
    no_such,
    show,
)


class CommandLine(NamedTuple):
    """What the user asked for; every value in it is checked."""

    config_path: str
    config_arg: str  # ARG of --config=FILE:ARG, or the file's default; "" if it has none
    config: Config
    overrides: dict[str, Any]  # the --config.FIELD=VALUE of the user, typed
    workdir: str | None
    dry_run: bool
    extra: dict[str, Any]  # the experiment's own flags
    get_config: GetConfig
    fields: Fields


def parse_command_line(
    argv: Sequence[str],
    *,
    fields: Fields,
    default_config_path: str,
    arg_names: Mapping[str, str],
    usage: str,
    extra_flags: Fields | None = None,
    check: Callable[[Config], None] | None = None,
) -> CommandLine:
    """Reads and checks the command line; help and mistakes end the program here.

    argv: the arguments without the program's name, `sys.argv[1:]`. default_config_path: relative
    to the folder that holds the packages. arg_names: {ARG: one line of meaning}, for the help.
    usage: what the program does, the head of the help. extra_flags: {name: Field} of the program's
    own flags. check: raises ConfigError where fields contradict each other; called for every row.
    Prints one line to stderr and exits with status 2 on a mistake; --help exits with status 0.
    """
    extra_flags = extra_flags or {}
    if asks_for_help(argv):
        print(_help(fields, default_config_path, arg_names, usage, extra_flags))
        raise SystemExit(0)
    try:
        command_line = _parse(argv, fields, default_config_path, arg_names, extra_flags)
        for _, config in row_configs(command_line):
            if check is not None:
                check(config)
        return command_line
    except ConfigError as error:
        exit_with(error)


def row_configs(
    command_line: CommandLine, get_config: GetConfig | None = None
) -> list[tuple[str, Config]]:
    """(row name, config) for each row: `get_config(row)` with the user's overrides laid over it.

    get_config: that of the command line's config file unless given. A config of one row, not
    chosen by an override of `rows`, is itself the row. Raises ConfigError.
    """
    get_config = get_config or command_line.get_config
    rows = _rows(command_line.config)
    if len(rows) == 1 and "rows" not in command_line.overrides:
        return [(rows[0], command_line.config)]
    configs = []
    for row in rows:
        own = _called(get_config, command_line.config_path, row, command_line.fields)
        if _rows(own) != (row,):
            raise ConfigError(
                f"config.rows={show(rows)}: {row} stands for the rows {', '.join(_rows(own))}"
            )
        values = {**dict(own.items()), **command_line.overrides, "rows": (row,)}
        configs.append((row, make_config(command_line.fields, **values)))
    return configs


def _rows(config: Config) -> tuple[str, ...]:
    """The rows of a config: one or more different names that can name a folder."""
    rows: Any = config["rows"]
    # "." and ".." and what holds a slash would name another folder.
    if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+=-]*", row) for row in rows):
        raise ConfigError(
            f"config.rows={show(rows)}: must be names of letters, digits, _ . + = and -"
        )
    if not rows or len(set(rows)) < len(rows):
        raise ConfigError(f"config.rows={show(rows)}: must be one or more different rows")
    return rows


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Ends the program with one line for what settings, data, files or memory refuse.

    Ctrl-C outside of a run, or a second one within, ends it with status 130; a reader that is gone
    (``| head``) ends it in silence. What is no refusal but a fault of the program keeps its
    traceback; with LSTM_JAX_TRACEBACK=1 in the environment everything does, as a ValueError may be
    either.

    >>> with refusals():
    ...     raise ConfigError("config.T=1: must be an integer >= 10")
    Traceback (most recent call last):
    SystemExit: 2
    """
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("stopped at once; what is on file is kept", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        raise SystemExit(141) from None  # as a shell counts SIGPIPE
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        if os.environ.get("LSTM_JAX_TRACEBACK"):
            raise
        if isinstance(error, (ValueError, OSError)):
            exit_with(error)
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise  # what XLA says of memory is a RuntimeError; jax is not here
        exit_with(_too_large(error))


def _too_large(error: Exception) -> str:
    first = (str(error).splitlines() or ["no more is said"])[0]
    return (
        f"the memory of this machine does not do ({first}); smaller batches, lengths, sizes or "
        "numbers of lanes need less"
    )


def exit_with(error: Exception | str) -> NoReturn:
    """Prints the message as one line on stderr and exits with status 2."""
    print("error: " + " ".join(str(error).split()), file=sys.stderr)
    raise SystemExit(2)


def _parse(
    argv: Sequence[str],
    fields: Fields,
    default_path: str,
    arg_names: Mapping[str, str],
    extra_flags: Fields,
) -> CommandLine:
    _check_order(argv)
    settings = {f"config.{name}": field for name, field in fields.items()} | dict(extra_flags)
    own = {"config": str, "workdir": str, "dry_run": bool}
    kinds = own | {name: field.kind for name, field in settings.items()}
    values, rest = flag_texts(argv, kinds, fields)
    if rest:
        hint = f"; for that row: --config={default_path}:{rest[0]}" if rest[0] in arg_names else ""
        raise ConfigError(f"{rest[0]}: every argument is a flag --name=value{hint}; see --help")
    if values["workdir"] == "":
        raise ConfigError("--workdir=: must be the path of a folder")
    overrides = {
        name: parse_value(f"config.{name}", values[f"config.{name}"], field)
        for name, field in fields.items()
        if values[f"config.{name}"] is not None
    }
    extra = {
        name: field.default
        if values[name] is None
        else parse_value(f"--{name}", values[name], field)
        for name, field in extra_flags.items()
    }
    given = values["config"]
    path, arg = find_config(default_path if given is None else given, default_path, arg_names)
    get_config = load(path)
    config = _called(get_config, str(path), arg, fields)
    config = make_config(fields, **{**dict(config.items()), **overrides})
    if arg is None:
        defaults = [p.default for p in inspect.signature(get_config).parameters.values()]
        arg = defaults[0] if defaults and isinstance(defaults[0], str) else ""
    return CommandLine(
        str(path),
        arg,
        config,
        overrides,
        values["workdir"],
        bool(values["dry_run"]),
        extra,
        get_config,
        fields,
    )


def _called(get_config: GetConfig, path: str, arg: str | None, fields: Fields) -> Config:
    """The config of the file; what is wrong with its fields is said of the file."""
    config = call(get_config, path, arg)
    try:
        return canonical(config, fields)
    except ConfigError as error:
        raise ConfigError(f"config file {path}: {error}") from None


def flag_texts(
    argv: Sequence[str], kinds: Mapping[str, type], fields: Fields | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The text of each flag (None: not given) and the arguments that are no flags.

    Args:
      argv: the arguments.
      kinds: the type of each flag; those of truth values need no ``=value``.
      fields: of the config, if there is one.

    Raises:
      ConfigError: in one line, for an unknown flag or a truth value that is none.

    >>> flag_texts(["--trial=3", "--nolook", "x"], {"trial": int, "look": bool})
    ({'trial': '3', 'look': False}, ['x'])
    """
    values = flags.FlagValues()  # our own: main may be called again in the same process
    for name, kind in kinds.items():
        define = flags.DEFINE_boolean if kind is bool else flags.DEFINE_string
        define(name, None, "", flag_values=values)
    try:
        _, *rest = values(["program", *argv])
    except flags.UnrecognizedFlagError as error:
        unknown, _, key = error.flagname.partition("config.")
        if fields and key and not unknown:
            raise ConfigError(f"config.{key}: {no_such('field', key, fields)}") from None
        near = no_such("flag", error.flagname, ["help", *kinds]).partition("; valid")[0]
        raise ConfigError(f"--{error.flagname}: {near}; --help lists all") from None
    except flags.IllegalFlagValueError as error:  # all texts are legal, so: a boolean's
        found = re.match(r"flag --([^=]+=.*?): ", str(error))
        given = found.group(1) if found else str(error)
        raise ConfigError(f"{given}: must be true or false") from None
    except (flags.Error, OSError) as error:
        raise ConfigError(str(error).removeprefix("ERROR:: ")) from None
    return {name: values[name].value for name in kinds}, rest


def _check_order(argv: Sequence[str]) -> None:
    """Refuses an override before --config, as config_flags does."""
    override = None
    for argument in argv:
        if argument == "--":
            return
        if re.match(r"--?(no)?config\.", argument):
            override = override or argument
        elif override and re.match(r"--?config(=|$)", argument):
            raise ConfigError(f"{override}: comes before {argument}; put --config first")


def parse_value(name: str, text: Any, field: Field) -> Any:
    """The value that a command line's text gives a field."""
    if field.default is None and text in ("auto", "None", "none"):
        return None
    if isinstance(field.default, tuple):
        value: Any = _parse_tuple(text, field)
    else:
        value = _parse_item(text, field.kind)
    return check_value(name, value, field)


def _parse_item(text: Any, kind: type) -> Any:
    try:
        return kind(text) if kind in (int, float) else text
    except ValueError:
        return text  # the check that follows shows it and what would be valid


def _parse_tuple(text: str, field: Field) -> Any:
    try:
        value = ast.literal_eval(text)
        return tuple(value) if isinstance(value, (tuple, list)) else (value,)
    except (ValueError, SyntaxError):
        items = [item.strip().strip("'\"") for item in text.strip().strip("()").split(",")]
        return tuple(_parse_item(item, field.kind) for item in items if item)


def asks_for_help(argv: Sequence[str]) -> bool:
    """Whether the help is asked for among the flags."""
    known = {"--help", "-help", "-h", "--helpfull", "--helpshort", "-?"}
    until = list(argv).index("--") if "--" in argv else len(argv)
    return any(argument in known for argument in argv[:until])


def _help(
    fields: Fields,
    default_path: str,
    arg_names: Mapping[str, str],
    usage: str,
    extra_flags: Fields,
) -> str:
    width = max(map(len, arg_names), default=0)
    flag_lines = [
        f"  --config={default_path}[:ARG]",
        "      the settings; a file of your own with a get_config(arg) does as well. ARG:",
        *(f"        {name:{width}}  {meaning}" for name, meaning in arg_names.items()),
        "  --workdir=DIR",
        "      the run folder; the same command goes on where it was stopped",
        "  --dry_run",
        "      print sizes and estimates, run nothing",
        "  --help",
    ]
    if extra_flags:
        flag_lines.append(describe(extra_flags))
    return "\n".join(
        [usage.strip(), "", "Flags:", *flag_lines, "", "Fields:", describe_fields(fields)]
    )
