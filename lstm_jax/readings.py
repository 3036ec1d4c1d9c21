"""Readings: what a paper leaves open, or where it does not replicate as written, has a name.

Each open point is a config field. A `Reading` says what the text states for it, what else is
offered, and what was measured. A run prints every field in which it differs from the text, and
`docs/deviations.md` is made from the same lines.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ml_collections


class Reading(NamedTuple):
    """One open point of a paper.

    Attributes:
      field: the config field that settles it.
      text: the value the paper's text states; None where it states none.
      question: what is open.
      evidence: what was measured, with the command.
    """

    field: str
    text: Any
    question: str
    evidence: str


def describe_reading(config: ml_collections.ConfigDict, readings: Sequence[Reading]) -> str:
    """Where a configuration differs from the paper's text, in one line.

    Example:
      >>> config = ml_collections.ConfigDict({"output_unit": "identity", "init_range": 0.1})
      >>> describe_reading(config, [Reading("output_unit", "logistic", "", ""),
      ...                           Reading("init_range", 0.1, "", "")])
      'output_unit=identity (text: logistic)'
      >>> describe_reading(config, [])
      'none given'
    """
    if not readings:
        return "none given"
    parts = []
    for reading in readings:
        value = config[reading.field]
        if reading.text is None:
            parts.append(f"{reading.field}={show_value(value)} (text: open)")
        elif value != reading.text:
            parts.append(f"{reading.field}={show_value(value)} (text: {show_value(reading.text)})")
    return "; ".join(parts) if parts else "as the text says"


def deviations_markdown(experiments: Mapping[str, Any]) -> str:
    """The page of deviations: for each experiment, every open point, our default and why.

    Args:
      experiments: ``{title: (fields, readings)}``.

    Example:
      >>> from lstm_jax.config import Field
      >>> text = deviations_markdown({"adding": ({"output_unit": Field("identity", "f")},
      ...     [Reading("output_unit", "logistic", "the output unit", "measured")])})
      >>> "| `output_unit` | the output unit | logistic | **identity** |" in text
      True
    """
    lines = [
        "# Deviations from the papers",
        "",
        "Made from the settings by `python -m experiments.deviations`; a test holds it current.",
        "Each row is an open point, a config field of that name; bold where our default is not",
        "what the text states.",
    ]
    for title, (fields, readings) in experiments.items():
        lines += ["", f"## {title}", "", "| field | what | text | default |", "|---|---|---|---|"]
        for reading in readings:
            default = fields[reading.field].default
            text = "open" if reading.text is None else show_value(reading.text)
            shown = show_value(default)
            shown = shown if default == reading.text else f"**{shown}**"
            lines.append(f"| `{reading.field}` | {reading.question} | {text} | {shown} |")
        lines.append("")
        lines += [f"- `{r.field}`: {r.evidence}" for r in readings if r.evidence]
    return "\n".join(lines) + "\n"


def show_value(value: Any) -> str:
    """A field's value as these texts write it.

    Example:
      >>> show_value((-3.0, -6.0)), show_value(()), show_value(0.5), show_value("logistic")
      ('(-3, -6)', 'random', '0.5', 'logistic')
    """
    if isinstance(value, tuple):
        return "(" + ", ".join(f"{item:g}" for item in value) + ")" if value else "random"
    return f"{value:g}" if isinstance(value, float) else str(value)
