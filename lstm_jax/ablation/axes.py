"""Axes of a sweep: which values a setting takes, on a grid or drawn at random."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.config import ConfigError, Field, Fields, check_value, show
from lstm_jax.config.fields import no_such

FORMS = "NAME=A|B|C, or NAME=uniform|log|1-log:LOW:HIGH[:COUNT]"


class Axis(NamedTuple):
    """The values of a setting: listed, or a range with the number of points it has on a grid."""

    name: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    num_points: int = 0  # of a range on a grid; 0: only for random search
    whole: bool = False  # of a range of whole numbers
    complement: bool = False  # the values are one minus those of the range

    def grid(self) -> tuple[Any, ...]:
        """Its values on a grid; a range has its ends and equal steps (log: equal ratios)."""
        if self.values:
            return self.values
        make = np.geomspace if self.log else np.linspace
        return tuple(
            self._made(value) for value in make(self.low, self.high, self.num_points).tolist()
        )

    def draw(self, rng: np.random.Generator) -> Any:
        """One value: of the list, each as likely, or uniform (log: log-uniform) in the range."""
        if self.values:
            return self.values[int(rng.integers(len(self.values)))]
        if self.log:
            return self._made(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return self._made(rng.uniform(self.low, self.high))

    def _made(self, value: float) -> Any:
        value = 1 - value if self.complement else value
        # Six digits are enough to tell points apart, and are the same when read back.
        return round(value) if self.whole else float(f"{value:.6g}")


def parse_axis(text: str, fields: Fields) -> Axis:
    """An axis as it is written on the command line.

    Args:
      text: ``NAME=A|B|C`` or ``NAME=KIND:LOW:HIGH[:COUNT]``: uniform, log-uniform, or one minus a
        log-uniform number (1-log), as Greff et al. 2017 draw the momentum.
      fields: of the config whose setting it is; every value is checked against them.

    Raises:
      ConfigError: in one line, for another form, no such field, or values that it does not take.

    Example:
      >>> parse_axis("rate=log:0.001:0.1:3", {"rate": Field(0.5, "step", above=0.0)}).grid()
      (0.001, 0.01, 0.1)
      >>> parse_axis("size=4|8", {"size": Field(4, "units", low=1)}).grid()
      (4, 8)
    """
    name, equals, rest = text.partition("=")
    if not equals or not rest:
        raise ConfigError(f"config.axes={text}: must be {FORMS}")
    if name not in fields:
        raise ConfigError(f"config.axes={text}: {no_such('field', name, fields)}")
    field = fields[name]
    if rest.startswith(("log:", "uniform:", "1-log:")):
        return _range(text, name, rest, field)
    values = tuple(
        check_value(f"config.axes={text}: {name}", _typed(item, field), field)
        for item in rest.split("|")
    )
    if len(set(values)) < len(values):
        raise ConfigError(f"config.axes={text}: has a value twice")
    return Axis(name, values)


def grid(axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Every combination of the axes' values.

    Example:
      >>> grid([Axis("a", (1, 2)), Axis("b", (3,))])
      [{'a': 1, 'b': 3}, {'a': 2, 'b': 3}]
    """
    for axis in axes:
        if not axis.values and axis.num_points < 1:
            raise ConfigError(
                f"config.axes: {axis.name} is a range without a COUNT; a grid needs one, as in "
                f"{axis.name}=log:LOW:HIGH:5 (or set config.num_samples)"
            )
    names = [axis.name for axis in axes]
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(axis.grid() for axis in axes))
    ]


def sample(
    axes: Sequence[Axis], num_samples: int, seed: int | Sequence[int]
) -> list[dict[str, Any]]:
    """Random points of the axes, the same for the same seed; more points begin with the fewer.

    Example:
      >>> len(sample([Axis("a", low=1e-3, high=1.0, log=True)], 5, seed=0))
      5
    """
    rng = np.random.default_rng(seed)
    return [{axis.name: axis.draw(rng) for axis in axes} for _ in range(num_samples)]


def _range(text: str, name: str, rest: str, field: Field) -> Axis:
    kind, *numbers = rest.split(":")
    number = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
    fit = len(numbers) in (2, 3) and all(re.fullmatch(number, item) for item in numbers[:2])
    if not fit or (len(numbers) == 3 and not re.fullmatch(r"[1-9]\d{0,3}", numbers[2])):
        raise ConfigError(f"config.axes={text}: must be {FORMS}")
    if isinstance(field.default, tuple) or field.kind not in (int, float):
        raise ConfigError(f"config.axes={text}: {name} is no number; list its values, as in A|B")
    low, high = float(numbers[0]), float(numbers[1])
    log = kind != "uniform"
    if not low < high or (log and low <= 0):
        least = "0 < LOW < HIGH" if log else "LOW < HIGH"
        raise ConfigError(f"config.axes={text}: must have {least}")
    whole, complement = field.kind is int, kind == "1-log"
    for end in (low, high):
        end = 1 - end if complement else end
        check_value(f"config.axes={text}: {name}", round(end) if whole else end, field)
    count = int(numbers[2]) if len(numbers) == 3 else 0
    return Axis(name, (), low, high, log, count, whole, complement)


def _typed(item: str, field: Field) -> Any:
    """A listed value in the type of its field; a tuple's items are joined by commas."""
    if isinstance(field.default, tuple):
        parts = [part for part in item.split(",") if part and item != "()"]
        return tuple(_scalar(part, field.kind) for part in parts)
    if item == show(None) and field.default is None:
        return None
    return _scalar(item, field.kind)


def _scalar(item: str, kind: type) -> Any:
    if kind is bool:
        return {"true": True, "false": False}.get(item.lower(), item)
    try:
        return kind(item)
    except ValueError:
        return item  # which the field refuses by name
