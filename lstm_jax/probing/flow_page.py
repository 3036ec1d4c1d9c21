"""The page of the error-flow study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lstm_jax.config import Config
from lstm_jax.probing.flow import Decay, decay
from lstm_jax.probing.flow_picture import STAGES, TINY, draw_flow, lags_of, logs_of
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
            _legend(part) + _exceptions(lines),
        ]
    )
    return text + "\n", {PICTURE: png_of(draw_flow(lines, part))}


def _rows(line: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows, total = [], len(line["trials"])
    for stage, probe in STAGES.items():
        for view, words in _VIEWS.items():
            logs, bounds = (logs_of(line, name, probe) for name in (view, f"{view}_bound"))
            if view == "truncated" and not len(logs):
                continue
            found = decay(lags_of(line), logs) if len(logs) else None
            half_life = found.half_life if found else math.nan
            solved = sum(trial["status"] == "SOLVED" for trial in line["trials"])
            rows.append(
                (
                    line["label"],
                    stage if len(logs) == total else f"{stage}, {len(logs)} of {total} nets",
                    words,
                    _rate(found) if found else "-",
                    "no decay" if math.isinf(half_life) else f"{half_life:.3g}" if found else "-",
                    _last(logs),
                    _last(bounds, of_numbers=True),
                    f"{solved}/{total}" if probe else "-",
                )
            )
    return rows


def _last(logs: np.ndarray, *, of_numbers: bool = False) -> str:
    """The median at the last lag, from logarithms; whether it is theirs or that of the numbers."""
    if not len(logs):
        return "-"
    last = logs[:, -1]
    known = np.sort(np.where(np.isnan(last), -math.inf, last))
    low, high = known[[(len(known) - 1) // 2, len(known) // 2]]
    # Of an even number of bounds the median is the mean of two numbers, as in the picture.
    log = float(np.logaddexp(low, high) - math.log(2) if of_numbers else (low + high) / 2)
    if math.isinf(log):
        return f"<{TINY:.2g}" if np.isnan(last).any() else "0"
    if abs(log) < -math.log(TINY):
        return f"{math.exp(log):.2g}"
    power = math.floor(log / math.log(10))
    return f"{10 ** (log / math.log(10) - power):.2g}e{power:+}"


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


def _exceptions(lines: Sequence[Mapping[str, Any]]) -> str:
    """What is said of nets that have no plain curve, where there are any."""
    found = [logs_of(line, view, n) for line in lines for view in _VIEWS for n in STAGES.values()]
    text = ""
    if any(np.isneginf(logs).any() for logs in found):
        text += " A net whose flow is exactly zero at some lag has the factor 0."
    if any(np.isnan(logs).any() for logs in found):
        text += " Lags at which a norm was too small for float64 are left out of the fit."
    return text
