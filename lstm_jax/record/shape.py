"""What a line of JSON must hold, inner values too: said once, and told where a line lacks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    type(None): "null",
}
NUMBER = (int, float)
MEASURE = (float, int, type(None))  # what is not finite is null on file
EVERY = "*"

Shape = Any
"""A type or some of them; ``[shape]``, a list of such; or ``{name: shape}``, an object with these
at least: of a name that ends with "?" only if it is there, of `EVERY` whatever else is there."""


def require(value: Any, shape: Shape, name: str = "") -> None:
    """Raises ValueError, with what is missing or of another kind, unless a value has a shape.

    >>> require({"test": {"loss": 0.5}}, {"test": {"loss": MEASURE, "bits?": MEASURE}})
    >>> require({"test": {}}, {"test": {"loss": MEASURE}})
    Traceback (most recent call last):
    ValueError: test.loss is missing
    >>> require({"truth": [1, "x"]}, {"truth": [NUMBER]})
    Traceback (most recent call last):
    ValueError: truth[1] is a text where an integer or a number is needed
    """
    if isinstance(shape, Mapping):
        _require_kind(value, (dict,), name)
        for key, inner in shape.items():
            there = (
                [key.removesuffix("?")] if key != EVERY else [k for k in value if k not in shape]
            )
            for own in there:
                if own in value:
                    require(value[own], inner, f"{name}.{own}" if name else own)
                elif own == key:
                    raise ValueError(f"{name}.{own} is missing" if name else f"{own} is missing")
    elif isinstance(shape, list):
        _require_kind(value, (list,), name)
        for number, item in enumerate(value):
            require(item, shape[0], f"{name}[{number}]")
    else:
        _require_kind(value, shape if isinstance(shape, tuple) else (shape,), name)


def _require_kind(value: Any, kinds: tuple[type, ...], name: str) -> None:
    if object not in kinds and type(value) not in kinds:
        needed = " or ".join(WORDS[kind] for kind in kinds)
        raise ValueError(f"{name or 'it'} is {WORDS[type(value)]} where {needed} is needed")
