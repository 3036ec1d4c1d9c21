"""Pictures of a run, as PNG files."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.summary import summarize
from lstm_jax.tables import PaperRow, format_count, format_median, format_paper_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SOLVED, UNSOLVED, DIVERGED, PAPER, OURS = "#3b6ea8", "#d9822b", "#b3282d", "#111111", "#1d7a4c"
RUNNING = "#777777"
LOG_SPAN = 12  # the sequence axis turns logarithmic where trials differ by more than this factor
MAX_POINTS = 300  # of a line on a linear axis: more would draw a band of noise
LARGEST_ERROR = 10.0  # beyond it a trial is diverging; such points are not drawn


def plot_learning_curves(
    path: str | os.PathLike[str],
    curves: Mapping[int, np.ndarray],
    records: Sequence[Mapping[str, Any]],
    paper_row: PaperRow | None,
    title: str,
    error_limit: float | None,
    curve_every: int,
) -> Path:
    """Training error of every trial, and the fraction solved, over training sequences; one PNG.

    The upper panel has one line a trial, a dot where it was solved, a dashed line for a trial that
    was not, a cross where it diverged. The lower panel counts the solved trials. The paper's mean
    and ours stand in both as vertical lines. The file is complete or absent: it is written beside
    its place and moved there.

    Args:
      path: the PNG to write; its folder exists.
      curves: {trial: [windows] mean absolute error over each `curve_every` sequences}. A trial that
        is here and not in the records is drawn as running.
      records: of the finished trials, as `summarize` takes them; may be empty while none has.
      paper_row: the published row, or None.
      title: one line above.
      error_limit: the training error below which the criterion is met, drawn as a line; or None.
      curve_every: sequences per window, at least 1.

    Returns:
      The path written.

    Raises:
      ValueError: nothing to draw, `curve_every` below 1, or records that `summarize` refuses.
      OSError: the file cannot be written.

    >>> import tempfile
    >>> record = {"trial": 0, "status": "SOLVED", "num_sequences": 3500}
    >>> curves = {0: np.array([0.2, 0.1, 0.01])}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plot_learning_curves(folder + "/c.png", curves, [record], None, "toy", 0.01, 1000).name
    'c.png'
    """
    figure = draw_learning_curves(curves, records, paper_row, title, error_limit, curve_every)
    return _save(figure, Path(path))


def draw_learning_curves(
    curves: Mapping[int, np.ndarray],
    records: Sequence[Mapping[str, Any]],
    paper_row: PaperRow | None,
    title: str,
    error_limit: float | None,
    curve_every: int,
) -> Figure:
    """The figure that `plot_learning_curves` writes; takes and raises what it does."""
    if curve_every < 1:
        raise ValueError(f"curve_every={curve_every} is not valid; it must be at least 1 sequence")
    if not curves and not records:
        raise ValueError("no learning curves to draw: no trial has run for a whole window yet")

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # no pyplot: no global state, no display, and figures are freed
    figure = Figure(figsize=(10, 6.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    upper.set_title(title, loc="left", fontsize=13)
    logarithmic = _needs_log_axis(curves, records, curve_every)
    longest = max([1, *(len(curve) for curve in curves.values())])
    pool = 1 if logarithmic else -(-longest // MAX_POINTS)  # windows to a point
    _draw_curves(upper, curves, records, curve_every, pool)
    _draw_fraction(lower, curves, records)
    _set_axes(upper, lower, curves, records, error_limit, curve_every, pool, logarithmic)
    _draw_means(upper, lower, records, paper_row)
    upper.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
    return figure


def _draw_curves(
    axes: Axes,
    curves: Mapping[int, np.ndarray],
    records: Sequence[Mapping[str, Any]],
    curve_every: int,
    pool: int,
) -> None:
    """One line a trial in the style of its status, and a mark at its end."""
    by_trial = {record["trial"]: record for record in records}
    styles = {
        "EXHAUSTED": ("not solved", UNSOLVED, "--", None),
        "SOLVED": ("solved (dot: when)", SOLVED, "-", "o"),
        "DIVERGED": ("diverged (cross: when)", DIVERGED, "-.", "X"),
        "running": ("still running", RUNNING, ":", None),
    }
    for status, (label, color, dashes, mark) in styles.items():
        trials = [n for n in curves if by_trial.get(n, {}).get("status", "running") == status]
        alpha = float(np.clip(8 / max(len(trials), 1), 0.25, 0.85))  # many lines: fainter
        for trial in trials:
            times, errors = _points(curves[trial], curve_every, pool)
            axes.plot(times, errors, dashes, color=color, alpha=alpha, linewidth=1.1)
            if mark and np.isfinite(errors).any():
                last = errors[np.isfinite(errors)][-1]
                end = by_trial[trial]["num_sequences"]
                axes.plot(end, last, mark, color=color, markersize=6, markeredgecolor="white")
        if trials:
            marker = {"marker": mark, "markeredgecolor": "white"} if mark else {}
            axes.plot([], [], dashes, color=color, label=f"{len(trials)} {label}", **marker)


def _draw_fraction(
    axes: Axes, curves: Mapping[int, np.ndarray], records: Sequence[Mapping[str, Any]]
) -> None:
    """Trials solved by then, as a fraction of all that are drawn."""
    times = np.sort([r["num_sequences"] for r in records if r["status"] == "SOLVED"])
    num_trials = len(set(curves) | {record["trial"] for record in records})
    ends = [r["num_sequences"] for r in records]
    steps = np.concatenate([[0], times, [max(ends, default=0)]])
    solved = np.concatenate([np.arange(len(times) + 1), [len(times)]]) / num_trials
    axes.step(steps, solved, where="post", color=SOLVED, linewidth=1.8)
    axes.plot(times, np.zeros(len(times)), "|", color=SOLVED, markersize=9, clip_on=False)
    axes.set_ylim(0, 1.05)
    axes.set_ylabel(f"fraction solved\n(of {num_trials})")


def _set_axes(
    upper: Axes,
    lower: Axes,
    curves: Mapping[int, np.ndarray],
    records: Sequence[Mapping[str, Any]],
    error_limit: float | None,
    curve_every: int,
    pool: int,
    logarithmic: bool,
) -> None:
    """Scales, names, units, and the line of the criterion."""
    ends = _ends(curves, records, curve_every)
    if logarithmic:
        lower.set_xscale("log")
        lower.set_xlim(min(ends) / 10, max(ends) * 1.1)
    else:
        lower.set_xlim(0, max(ends) * 1.03)
    lower.xaxis.set_major_formatter(lambda count, _: format_count(count))
    lower.set_xlabel("training sequences")

    errors = np.concatenate([_drawable(curve) for curve in curves.values()] or [np.array([0.1])])
    errors = errors[np.isfinite(errors)]
    bounds = [*errors, *([error_limit] if error_limit else [])] or [0.01, 1.0]
    upper.set_yscale("log")
    upper.set_ylim(min(bounds) / 1.5, max(bounds) * 1.3)
    upper.yaxis.set_major_formatter(lambda error, _: f"{error:g}")
    upper.yaxis.set_minor_formatter(
        lambda error, _: f"{error:g}" if f"{error:e}"[0] in "25" else ""
    )
    upper.tick_params(axis="y", which="minor", labelsize=8)
    upper.set_ylabel(f"mean absolute training error\n(of each {pool * curve_every:,} sequences)")
    if error_limit:
        upper.axhline(
            error_limit,
            color=RUNNING,
            linestyle="--",
            linewidth=0.9,
            label=f"criterion: error < {error_limit:g}",
        )
    for axes in (upper, lower):
        axes.grid(alpha=0.25, which="major")
        axes.spines[["top", "right"]].set_visible(False)


def _draw_means(
    upper: Axes, lower: Axes, records: Sequence[Mapping[str, Any]], paper_row: PaperRow | None
) -> None:
    """The paper's mean and ours, as vertical lines named in the legend."""
    lines: list[tuple[float, str, Any, str]] = []
    if paper_row is not None:
        text = f"paper, {paper_row.source}: mean {format_paper_mean(paper_row)}"
        if math.isfinite(paper_row.num_sequences):
            lines.append((paper_row.num_sequences, PAPER, "-", text))
        elif paper_row.cap is not None:  # a bound is no place for a line
            upper.plot([], [], " ", label=text)
    if records:
        ours = summarize(records)
        if ours.num_solved:
            text = f"ours: mean {format_count(ours.mean_sequences)}\n(of {ours.num_solved} solved)"
            lines.append((ours.mean_sequences, OURS, (0, (4, 1.5)), text))
        upper.plot([], [], " ", label=f"our median [95%]:\n{format_median(ours)}")
    for count, color, dashes, text in lines:
        upper.axvline(count, color=color, linestyle=dashes, linewidth=1.6, label=text)
        lower.axvline(count, color=color, linestyle=dashes, linewidth=1.6)
    left, right = lower.get_xlim()
    reach = max([right, *(1.03 * count for count, *_ in lines)])
    lower.set_xlim(left, reach)  # the paper's number stays in sight


def _ends(
    curves: Mapping[int, np.ndarray], records: Sequence[Mapping[str, Any]], curve_every: int
) -> list[int]:
    """Sequences at which the trials ended, or have come to."""
    running = set(curves) - {record["trial"] for record in records}
    ends = [int(record["num_sequences"]) for record in records]
    ends += [curve_every * len(curves[trial]) for trial in running]
    return [end for end in ends if end > 0] or [curve_every]


def _needs_log_axis(
    curves: Mapping[int, np.ndarray], records: Sequence[Mapping[str, Any]], curve_every: int
) -> bool:
    """Whether the longest trial would squeeze the median one into a corner."""
    ends = _ends(curves, records, curve_every)
    return max(ends) > LOG_SPAN * float(np.median(ends))


def _points(errors: np.ndarray, curve_every: int, pool: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each `pool` windows, at the number of sequences where they end."""
    errors = _drawable(errors)
    starts = np.arange(0, len(errors), pool)
    stops = np.minimum(starts + pool, len(errors))
    if len(errors) == 0:
        return stops, errors
    return curve_every * stops, np.add.reduceat(errors, starts) / (stops - starts)


def _drawable(errors: np.ndarray) -> np.ndarray:
    """Errors with nan, a gap in the line, where a logarithmic axis has no place for them."""
    errors = np.asarray(errors, dtype=float)
    return np.where((errors > 0) & (errors < LARGEST_ERROR), errors, np.nan)


def _save(figure: Figure, path: Path) -> Path:
    """Writes the PNG beside its place, then moves it there."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(partial, format="png", metadata={"Software": None})
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
