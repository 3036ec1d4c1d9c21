"""The page of a search, from its records: table, tests, picture, and how to read them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_jax.config import Config
from lstm_jax.music.analysis import Versus, by_variant, shares_of, top, versus
from lstm_jax.music.search import load_costs, load_trials
from lstm_jax.record.archive import write_whole
from lstm_jax.record.refusal import refuse
from lstm_jax.report.pictures import png_of
from lstm_jax.tables import format_duration, markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, PICTURE = "odyssey.md", "odyssey.png"
GREFF = 8.38
"""The best test NLL that Greff et al. 2017 report for this set."""


def report(workdir: Path, config: Config) -> int:
    """Writes the page and its picture, and says where they are; 0."""
    trials = load_trials(workdir)
    found = {v: r for v, r in by_variant(trials).items() if v in config.variants}
    if not found:
        refuse(workdir, "has no finished trial to report on")
    found = {variant: found[variant] for variant in config.variants if variant in found}
    text = markdown(found, load_costs(workdir), config)
    contents = {PAGE: text.encode(), PICTURE: png_of(picture(found, config.top_share))}
    for name, content in contents.items():
        write_whole(workdir / name, content)
    print(f"\ntable, tests:  {workdir / PAGE}\npicture:       {workdir / PICTURE}")
    return 0


def markdown(
    found: Mapping[str, Sequence[Mapping[str, Any]]],
    costs: Sequence[Mapping[str, Any]],
    config: Config,
) -> str:
    """The page: what was run, each variant at its best, its tests, and what settings explain."""
    baseline = config.variants[0]
    records = [record for own in found.values() for record in own]
    against = {v.variant: v for v in versus(found, baseline, config.top_share)}
    heads = ("variant", "trials", "diverged", "best by validation: valid, test NLL", "its setting")
    heads += (f"test NLL, best {config.top_share:.0%}", "pairs", f"median minus {baseline} [95%]")
    heads += ("q pairs", "q Welch", "q rank", "verdict")
    rows = [
        _row(variant, own, against.get(variant), baseline, config.top_share)
        for variant, own in found.items()
    ]
    blocks = [
        "# The odyssey's search on the chorales",
        f"{len(records):,} trials{_cost(costs)}: `python -m experiments.music "
        "--config=configs/music.py:odyssey`. Greff et al. 2017 report 8.38 for their best.",
        f"![Test NLL of each trial by variant, and over learning rates]({PICTURE})",
        markdown_table(heads, rows),
        _shares(records),
        _legend(baseline, config, len(against)),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _row(
    variant: str,
    own: Sequence[Mapping[str, Any]],
    mine: Versus | None,
    baseline: str,
    share: float,
) -> tuple[str, ...]:
    best, ranked = top(own, share)[0], top(own, share)
    values = best["values"]
    nlls = [r["test_nll"] for r in ranked if r["test_nll"] is not None]
    setting = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
    spread = f" ± {np.std(nlls, ddof=1):.3f}" if len(nlls) > 1 else ""
    row = (
        variant,
        str(len(own)),
        str(sum(r["status"] == "DIVERGED" for r in own)),
        f"{best['valid_nll']:.3f}, {best['test_nll']:.3f}",
        setting.replace("_", " "),
        f"{np.mean(nlls):.3f}{spread} (n={len(nlls)})",
    )
    if mine is None:
        waits = "baseline" if variant == baseline else f"{baseline} still to come"
        return *row, "", "", "", "", "", waits
    return (
        *row,
        str(mine.num_pairs),
        f"{mine.paired:+.3f} [{mine.low:+.3f}, {mine.high:+.3f}]" if mine.num_pairs else "",
        *(_q(q) for q in (mine.q_paired, mine.q_welch, mine.q_rank)),
        mine.verdict,
    )


def _q(value: float) -> str:
    return f"{value:.2g}" if math.isfinite(value) else "-"


def _cost(costs: Sequence[Mapping[str, Any]]) -> str:
    if not costs:
        return ""
    cpu = format_duration(sum(line["cpu_s"] for line in costs))
    return f", whose finished groups took {cpu} of processor time"


def _shares(records: Sequence[Mapping[str, Any]]) -> str:
    try:
        shares = shares_of(records)
    except ImportError:
        return "Share of the variance by setting (fANOVA): needs `pip install -e '.[search]'`."
    return shares.text("test NLL") if shares else ""


def _legend(baseline: str, config: Config, num_tests: int) -> str:
    drawn = (
        "Trial n of all variants has the same size, rate, momentum and noise: pairs are tested by "
        "Wilcoxon's signed ranks, the median difference has a bootstrap interval, and the verdict "
        "is theirs. Greff et al. drew for each variant anew (`--config.shared_draws=false`)."
        if config.shared_draws
        else "Each variant drew its own settings, as Greff et al. did; the verdict is Welch's."
    )
    return (
        f"NLL: nats a frame, all frames but the first of all test pieces pooled, by the weights of "
        f"the best validation epoch. {drawn} Best {config.top_share:.0%}: by validation, compared "
        f"by Welch's t-test and Mann & Whitney's. q: corrected for the {num_tests} comparisons "
        f"with {baseline} (Benjamini & Hochberg); better or worse below 0.05."
    )


def picture(found: Mapping[str, Sequence[Mapping[str, Any]]], share: float) -> Figure:
    """Test NLL of every trial by variant, the best by validation filled; and over rates."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)  # no pyplot: no global state, no display
    left, right = figure.subplots(1, 2, sharey=True)
    colours = figure_colours(len(found))
    for column, ((variant, own), colour) in enumerate(zip(found.items(), colours, strict=True)):
        chosen = {r["trial"] for r in top(own, share)}
        there = [r for r in own if r["test_nll"] is not None]
        nll = [r["test_nll"] for r in there]
        inside = [r["trial"] in chosen for r in there]
        spots = column + np.linspace(-0.25, 0.25, len(there)) if len(there) > 1 else [column]
        faces = [colour if chosen_one else "none" for chosen_one in inside]
        left.scatter(spots, nll, s=16, facecolors=faces, edgecolors=[colour], linewidths=0.9)
        rates = [r["values"]["learning_rate"] for r in there]
        right.scatter(rates, nll, s=14, color=[colour], label=variant)
    left.set_xticks(range(len(found)), list(found), fontsize=8)
    left.set_ylabel("test NLL, nats a frame (lower is better)")
    left.set_title(f"each trial; filled: best {share:.0%} by validation", fontsize=10, loc="left")
    right.set_title("over the learning rate drawn", fontsize=10, loc="left")
    right.set_xscale("log")
    right.set_xlabel("learning rate")
    for axes in (left, right):
        axes.axhline(GREFF, color="0.4", lw=0.9, ls="--")
        axes.grid(axis="y", color="0.92")
    right.legend(fontsize=7, ncols=2, title=f"dashed: {GREFF}, Greff et al.", title_fontsize=7)
    low, high = left.get_ylim()
    left.set_ylim(max(low, 8.0), min(high, 13.0))
    return figure


def figure_colours(count: int) -> list[Any]:
    """As many colours as there are variants."""
    from matplotlib import colormaps

    return [colormaps["tab10"](n % 10) for n in range(count)]
