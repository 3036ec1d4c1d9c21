"""Fields: one table per experiment that makes its config, its checks and its help.

A `Field` says a setting's default, meaning and valid values. What breaks one is told in one line
that names the field, its value and what would be valid.
"""

from __future__ import annotations

import difflib
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import ml_collections
from ml_collections import config_dict


class ConfigError(ValueError):
    """A setting that cannot be used; the message is one line for the user."""


class Field(NamedTuple):
    """One setting. Its type is that of its default; an integer will do for a float.

    For a tuple, `of`, the bounds and the choices are those of its items. A default of None stands
    for "chosen by the program", is written `auto` on the command line, and needs `of`.

    >>> valid_values(Field(0.5, "step of the optimizer", above=0.0))
    'a number > 0'
    """

    default: Any
    meaning: str
    low: float | None = None  # the least valid value
    high: float | None = None  # the greatest
    above: float | None = None  # valid values are greater than this
    choices: tuple[str, ...] = ()
    of: type | None = None  # where the default does not show it: None, ()
    also: Callable[[str], bool] | None = None  # what is valid besides the choices
    also_words: str = ""  # the same in words

    @property
    def kind(self) -> type:
        """The type of the value, or of each item of a tuple."""
        sample = self.default[0] if isinstance(self.default, tuple) and self.default else None
        return self.of or type(self.default if sample is None else sample)


Fields = Mapping[str, Field]
Config = Any
"""A locked ConfigDict, checked against its fields. Its stubs give every attribute the union of all
types a config can hold; Any says as much without a cast at each use."""


def make_config(fields: Fields, /, **values: Any) -> ml_collections.ConfigDict:
    """A locked config with every field, at its default unless given.

    Raises ConfigError for an unknown field, a wrong type or a value out of range.

    >>> make_config({"T": Field(100, "length", low=10)}, T=500).T
    500
    """
    for name in values:
        if name not in fields:
            raise ConfigError(f"config.{name}: {no_such('field', name, fields)}")
    config = ml_collections.ConfigDict()
    for name, field in fields.items():
        value = check_value(f"config.{name}", values.get(name, field.default), field)
        # A placeholder keeps its type check although it starts as None.
        config[name] = config_dict.placeholder(field.kind) if field.default is None else value
        config[name] = value
    return config.lock()


def check_config(config: Mapping[str, Any] | ml_collections.ConfigDict, fields: Fields) -> None:
    """Raises ConfigError, one line, unless `config` has exactly these fields with valid values."""
    canonical(config, fields)


def check_value(name: str, value: Any, field: Field) -> Any:
    """The value in the field's type; ConfigError naming it, the value and what is valid.

    >>> check_value("config.rate", 1, Field(0.5, "step", above=0.0))
    1.0
    """
    if isinstance(value, ml_collections.FieldReference):
        value = value.get()
    if value is None and field.default is None:
        return None
    if not isinstance(field.default, tuple):
        return _check_item(name, value, value, field)
    if not isinstance(value, (tuple, list)):
        raise _invalid(name, value, field)
    return tuple(_check_item(name, item, value, field) for item in value)


def valid_values(field: Field) -> str:
    """The valid values of a field in words.

    >>> valid_values(Field("lstm", "cell", choices=("lstm", "elman")))
    'one of lstm, elman'
    """
    if not isinstance(field.default, tuple):
        words = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}
        text = f"one of {', '.join(field.choices)}" if field.choices else words[field.kind]
        text += f" or {field.also_words}" if field.also_words else ""
        return text + _bounds(field) + (" or auto" if field.default is None else "")
    words = {int: "integers", float: "numbers", bool: "true or false", str: "texts"}
    text = f"some of {', '.join(field.choices)}" if field.choices else words[field.kind]
    samples = {int: (1, 2), float: (-1.0, -2.0), bool: (True, False), str: ("a", "b")}
    example = field.default or samples[field.kind]
    return f"a tuple of {text}{_bounds(field)}, such as {show(example)}"


def describe_fields(fields: Fields) -> str:
    """The fields for --help: name, default, meaning and valid values.

    >>> print(describe_fields({"T": Field(100, "length of a sequence in steps", low=10)}))
      --config.T=100
          length of a sequence in steps; an integer >= 10
    """
    return describe({f"config.{name}": field for name, field in fields.items()})


def parse_arg(arg: str, choices: Iterable[str]) -> str:
    """The `ARG` of --config=FILE:ARG if it is one of `choices`; ConfigError if not.

    >>> parse_arg("t500", ("t100", "t500"))
    't500'
    """
    names = list(choices)
    if arg not in names:
        raise ConfigError(f"--config=...:{arg}: {no_such('ARG', arg, names, show_all=True)}")
    return arg


def canonical(config: Any, fields: Fields) -> ml_collections.ConfigDict:
    """The config as `make_config` makes it; ConfigError unless it has exactly these fields."""
    values = dict(config.items())
    made = make_config(fields, **values)
    missing = [name for name in fields if name not in values]
    if missing:
        raise ConfigError(
            f"config.{missing[0]}: the config file does not set {', '.join(missing)}; "
            "make_config(FIELDS, ...) fills in what is not given"
        )
    return made


def no_such(what: str, name: str, names: Iterable[str], show_all: bool = False) -> str:
    """The complaint about a misspelt name: the nearest ones, or all if none is near.

    >>> no_such("field", "sede", ("seed", "T"))
    'no such field; nearest: seed'
    >>> no_such("option", "clip", ())
    'no such option; valid: none'
    """
    by_lower = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    text = f"no such {what}"
    if near:
        text += f"; nearest: {', '.join(by_lower[match] for match in near)}"
    if show_all or not near:
        text += f"; valid: {', '.join(by_lower.values()) or 'none'}"
    return text


def describe(described: Fields) -> str:
    """Flags for --help: each with its default, meaning and valid values."""
    lines = []
    for name, field in described.items():
        text = f"{field.meaning}; {valid_values(field)}"
        lines.append(f"  --{name}={show(field.default)}")
        lines += textwrap.wrap(text, 96, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def show(value: Any) -> str:
    """The value as it is written on the command line.

    >>> show(None), show(True), show("lstm"), show((-3.0, -6.0))
    ('auto', 'true', 'lstm', '-3.0,-6.0')
    """
    if value is None:
        return "auto"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):  # without brackets, which a shell would take for its own
        return ",".join(map(show, value)) or "()"
    return repr(value)


def _check_item(name: str, item: Any, whole: Any, field: Field) -> Any:
    """`item` in the type of the field; `whole` is what a complaint shows."""
    kind = field.kind
    if type(item).__module__ == "numpy" and hasattr(item, "item"):
        item = item.item()
    if kind is float and type(item) is int and abs(item) < 1e300:
        item = float(item)
    listed = not field.choices or item in field.choices
    valid = type(item) is kind and (listed or (field.also is not None and field.also(str(item))))
    if valid and kind in (int, float):
        valid = (
            (kind is int or math.isfinite(item))
            and (field.low is None or item >= field.low)
            and (field.high is None or item <= field.high)
            and (field.above is None or item > field.above)
        )
    if not valid:
        raise _invalid(name, whole, field, item)
    return item


def _invalid(name: str, value: Any, field: Field, item: Any = None) -> ConfigError:
    near = difflib.get_close_matches(str(item), field.choices, n=1, cutoff=0.5)
    hint = f"; nearest: {near[0]}" if near else ""
    shown = "None" if value is None else " ".join(show(value).split())
    return ConfigError(f"{name}={shown}: must be {valid_values(field)}{hint}")


def _bounds(field: Field) -> str:
    def number(bound: float) -> str:
        return str(bound) if isinstance(bound, int) else f"{bound:g}"

    if field.low is not None and field.high is not None:
        return f" from {number(field.low)} to {number(field.high)}"
    text = "" if field.above is None else f" > {number(field.above)}"
    text += "" if field.low is None else f" >= {number(field.low)}"
    if field.high is not None:
        text += f"{' and' if text else ''} <= {number(field.high)}"
    return text
