"""The page of the drift study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lstm_jax.ablation.analysis import compare, summary_of
from lstm_jax.config import Config
from lstm_jax.probing.drift_picture import draw_drift, looks_of, values_at
from lstm_jax.report.pictures import png_of
from lstm_jax.summary import median_interval
from lstm_jax.tables import format_count, format_duration, format_median, markdown_table

Line = Mapping[str, Any]


def page(lines: Sequence[Line], command: str, config: Config) -> tuple[str, dict[str, bytes]]:
    """The page as Markdown, and a picture for each task."""
    del config
    took = format_duration(sum(line["wall_s"] for line in lines))
    blocks = ["# State drift and abused cells", f"`{command}`, {took} in all."]
    pictures, tasks = {}, list(dict.fromkeys(line["task"] for line in lines))
    comparisons = _comparisons(lines)
    for task in tasks:
        own = [line for line in lines if line["task"] == task]
        name = f"drift-{task.replace('_', '-')}.png"
        pictures[name] = png_of(draw_drift(own))
        settings = own[0]["settings"]
        blocks += [
            f"## {task}, T={settings['T']}, {len(own[0]['trials'])} trials each",
            f"![States, gates and success of {task} with and without gate biases]({name})",
            _success_table(own, comparisons),
            _state_table(own),
        ]
    blocks.append(_LEGEND)
    return "\n\n".join(blocks) + "\n", pictures


def _comparisons(lines: Sequence[Line]) -> dict[tuple[str, str], Any]:
    records = {(line["task"], "", line["label"]): line["trials"] for line in lines}
    caps = {line["settings"]["max_sequences"] for line in lines}
    first = lines[0]["label"]
    return {(c.task, c.cell): c for c in compare(records, first, max(caps))}


def _success_table(lines: Sequence[Line], comparisons: Mapping[tuple[str, str], Any]) -> str:
    heads = ("condition", "solved [95%]", "median sequences [95%]")
    heads += ("sooner than the first [95%]", "p", "q", "verdict")
    rows = []
    for line in lines:
        found = summary_of(line["trials"], line["settings"]["max_sequences"])
        against = comparisons.get((line["task"], line["label"]))
        solved = f"{found.num_solved}/{found.num_trials}"
        rows.append(
            (
                line["label"],
                f"{solved} [{found.solved_low:.2f}, {found.solved_high:.2f}]",
                format_median(found),
                *(
                    ("-", "-", "-", "-")
                    if against is None
                    else (
                        f"{against.effect:.2f} [{against.low:.2f}, {against.high:.2f}]",
                        f"{against.p:.2g}",
                        f"{against.q:.2g}",
                        against.verdict,
                    )
                ),
            )
        )
    return markdown_table(heads, rows)


def _state_table(lines: Sequence[Line]) -> str:
    first = looks_of(lines)[1]
    stages = {"before": 0.0, format_count(first): float(first), "end": math.inf}
    heads = ("condition", "training", "abs(s) at the end", "shared by all sequences")
    heads += ("h'(s) / h'(0)", "input gate", "constant share", "overlap of blocks")
    names = ("end", "common", "slope", "gate", "bias_share", "overlap")
    rows = [
        (line["label"], stage, *(_median(line, name, when) for name in names))
        for line in lines
        for stage, when in stages.items()
    ]
    return markdown_table(heads, rows)


def _median(line: Line, name: str, when: float) -> str:
    """Median over the trials of the mean over cells, with its interval."""
    values = values_at(line, name, when)
    means = values.reshape(len(values), -1).mean(axis=1)
    low, high = median_interval(means.tolist())
    middle = f"{np.median(means):.2f}"
    return middle if math.isnan(low) else f"{middle} [{low:.2f}, {high:.2f}]"


_LEGEND = (
    "Solved: Wilson interval. Median: Kaplan-Meier. Sooner: probability that a trial is solved "
    "sooner than one of the first condition, ties one half; p: log-rank test, q: corrected for all "
    "comparisons of this page (Benjamini & Hochberg). Below: medians over the trials of means over "
    "cells (or gates) and test sequences, with distribution-free 95% intervals; a trial that has "
    "ended counts with its last value. Shared by all sequences: |mean of s over the sequences|. "
    "Constant share: of a cell's output at the end, its squared mean over its mean square, 1 for a "
    "bias unit. Overlap: |correlation| of cells of different blocks, 1 for doubles."
)
