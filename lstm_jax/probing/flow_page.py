"""The page of the error-flow study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lstm_jax.config import Config
from lstm_jax.probing.flow import Decay, decay
from lstm_jax.probing.flow_picture import STAGES, curves_of, draw_flow, lags_of
from lstm_jax.report.pictures import png_of
from lstm_jax.tables import format_duration, markdown_table

PICTURE = "error-flow.png"
_VIEWS = {"full": "full gradient", "truncated": "truncated, as in 1997"}


def page(
    lines: Sequence[Mapping[str, Any]], command: str, config: Config
) -> tuple[str, dict[str, bytes]]:
    """The page as Markdown, and its picture."""
    part = config.part
    heads = ("net", "stage", "gradient", "factor per step [95%]", "half-life in steps")
    heads += (f"norm at lag {lags_of(lines[0])[-1]}", "bound there", "solved")
    text = "\n\n".join(
        [
            "# Error flow back in time",
            f"`{command}`: {lines[0]['task']}, {len(lines[0]['trials'])} nets of each kind; "
            f"{format_duration(sum(line['wall_s'] for line in lines))} in all.",
            f"![The error that reaches the {part}, over the lag]({PICTURE})",
            markdown_table(heads, [row for line in lines for row in _rows(line)]),
            _legend(part),
        ]
    )
    return text + "\n", {PICTURE: png_of(draw_flow(lines, part))}


def _rows(line: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for stage, probe in STAGES.items():
        for view, words in _VIEWS.items():
            curves = curves_of(line, view, probe)
            if not curves:
                continue
            found = decay(lags_of(line), curves)
            bounds = curves_of(line, f"{view}_bound", probe)
            solved = sum(trial["status"] == "SOLVED" for trial in line["trials"])
            rows.append(
                (
                    line["label"],
                    stage,
                    words,
                    _rate(found),
                    "no decay" if math.isinf(found.half_life) else f"{found.half_life:.3g}",
                    f"{found.last:.2g}",
                    f"{np.median(bounds, axis=0)[-1]:.2g}" if bounds else "-",
                    f"{solved}/{len(line['trials'])}" if probe else "-",
                )
            )
    return rows


def _rate(found: Decay) -> str:
    if math.isnan(found.low):
        return f"{found.rate:.4g}"
    return f"{found.rate:.4g} [{found.low:.4g}, {found.high:.4g}]"


def _legend(part: str) -> str:
    return (
        f"Norm: of d error(t_end) / d {part}(t_end - lag), exact, in float64, relative to lag 1; a "
        "net's is the geometric mean over its test sequences, what is shown the median over nets. "
        "Factor per step: slope of its logarithm over all lags by least squares, for each net; the "
        "median with its distribution-free 95% interval. Bound: the product of the spectral norms "
        "of the steps' Jacobians, which no net exceeds. A net that the truncation leaves without "
        "any flow has no such row."
    )
