"""The page of a search, from its records: which readings explain the paper's tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from lstm_jax.paper.selection import items_of
from lstm_jax.search.factors import (
    TEXT,
    Factor,
    Search,
    reading_name,
    readings_of,
    text_of,
    timing_of,
    variant_of,
)
from lstm_jax.search.groups import cap_of
from lstm_jax.search.scores import (
    FACTOR,
    ReadingScore,
    RowScore,
    score_readings,
    score_row,
)
from lstm_jax.tables import PaperRow, format_count, format_ratio, markdown_table

Groups = Sequence[Mapping[str, Any]]
CERTAIN = 3.0
"""Standard errors from which on a row speaks against a reading."""


class Measured(NamedTuple):
    """The records of a reading on a row, those that followed it longest."""

    records: list[Mapping[str, Any]]
    max_sequences: int


def best_records(groups: Groups) -> dict[str, Measured]:
    """For each reading the records of the highest cap; of equal ones, of the most trials.

    Example:
      >>> line = {"max_sequences": 9, "readings": ["text"], "records": [{"reading": "text"}]}
      >>> best_records([line, line | {"max_sequences": 7}])["text"].max_sequences
      9
    """
    found: dict[str, Measured] = {}
    for group in groups:
        for reading in group["readings"]:
            records = [record for record in group["records"] if record["reading"] == reading]
            new = Measured(records, group["max_sequences"])
            old = found.get(reading)
            if old is None or _weight(new) > _weight(old):
                found[reading] = new
    return found


def scores_of(search: Search, lines: Mapping[str, Groups]) -> dict[str, dict[str, RowScore]]:
    """``{reading: {row: score}}``; a change that means nothing for a row leaves its score."""
    items = items_of(search.paper)
    measured = {row: best_records(groups) for row, groups in lines.items()}
    scores = {
        row: {
            reading: score_row(found.records, items[row].paper, found.max_sequences)
            for reading, found in readings.items()
        }
        for row, readings in measured.items()
    }
    texts = {row: (text_of(items[row]), timing_of(items[row])) for row in lines}
    result: dict[str, dict[str, RowScore]] = {}
    for reading in readings_of(search.factors, "full"):
        named = reading_name(reading)
        if not any(named in readings for readings in scores.values()):
            continue
        found = {}
        for row, (values, timing) in texts.items():
            own = variant_of(values, timing, reading, search.factors).reading
            if own in scores[row]:
                found[row] = scores[row][own]
        result[named] = found
    return result


def markdown(search: Search, lines: Mapping[str, Groups]) -> str:
    """The page.

    Args:
      search: what was searched.
      lines: the groups on file of each row.
    """
    items = items_of(search.paper)
    scores = scores_of(search, lines)
    # What was run on some rows only has no place in the ranking.
    shared = [row for row in lines if row in scores.get(TEXT, {})]
    whole = {name: found for name, found in scores.items() if found.keys() >= set(shared)}
    ranked = score_readings({name: {r: s[r] for r in shared} for name, s in whole.items()})
    order = [*(score.reading for score in ranked), *(name for name in scores if name not in whole)]
    parts = [
        "# Which reading of the paper explains its tables",
        f"Made from the records in `results/{search.name}` by "
        f"`python -m experiments.{search.name} --report`.",
        *_design(search, lines),
        "## Scores",
        *_ranking(ranked, shared),
        "## Row by row",
        "Ours over the paper's mean number of sequences, and the trials solved below the cap. "
        "`>`: fewer than half were solved, so the ratio is at least that. (=): the change means "
        "nothing for this row; its value is that of the reading without it. Bold: within a factor "
        f"of {FACTOR:g}.",
        _row_by_row(search, lines, order, scores),
        "## What it rules out",
        *_findings(ranked, shared, {row: items[row].paper for row in lines}),
        "## Limits",
        *_limits(search, lines, {row: items[row].paper for row in lines}),
    ]
    if search.known:
        parts += ["## Known from before", search.known]
    parts += [
        "## Again",
        "\n".join(
            [
                "```",
                *_commands(search, lines),
                "```",
            ]
        ),
        "What is on file is not run again; in another folder (`--workdir=DIR`) all of it is.",
    ]
    return "\n\n".join(parts) + "\n"


def _weight(found: Measured) -> tuple[int, int]:
    return found.max_sequences, len(found.records)


def _design(search: Search, lines: Mapping[str, Groups]) -> list[str]:
    rows = [(factor.name, factor.meaning, factor.text, factor.level) for factor in search.factors]
    table = "\n".join(
        [
            "| factor | what | text | other level |",
            "|---|---|---|---|",
            *(f"| `{name}` | {what} | {text} | {level} |" for name, what, text, level in rows),
        ]
    )
    lanes = ", ".join(f"`{factor.name}`" for factor in search.factors if factor.per_lane)
    return [
        "## Design",
        "The text's reading takes every setting as the paper states it (not our defaults), and "
        "updates once a sequence. A reading is the text but for the changes in its name.",
        table,
        f"Rows: {', '.join(f'`{row}`' for row in lines)}. Readings that differ in {lanes} only "
        "are lanes of one program. Trials are numbered through such a program, so two readings "
        "do not see the same sequences.",
    ]


def _ranking(ranked: Sequence[ReadingScore], shared: Sequence[str]) -> list[str]:
    table = []
    for score in ranked:
        rows = score.rows.values()
        logs = [least_off(row) for row in rows]
        table.append(
            (
                f"**{score.reading}**" if score.reading == TEXT else score.reading,
                f"{score.total:,.1f}",
                f"{sum(row.time_score for row in rows):,.1f}",
                f"{sum(row.share_score for row in rows):,.1f}",
                f"{score.num_close}/{len(shared)}",
                f"{sum(row.num_solved for row in rows)}/{sum(row.num_trials for row in rows)}",
                format_ratio(math.exp(sum(logs) / len(logs))) if logs else "-",
            )
        )
    heads = ("reading", "score", "of times", "of shares", "within 2x", "solved", "mean factor off")
    return [
        markdown_table(heads, table),
        f"Over {len(shared)} rows, of the readings that were run on all of them. The score is a "
        "log-likelihood, the sum over the rows of two parts: of the published mean, Gaussian in"
        " its logarithm, with our spread of log counts over the root of our trials and of the "
        "paper's as standard error (log-normal counts, fitted with trials at the cap as right-"
        "censored; the spread kept within 0.1 and 1); and of the published number of solved "
        "trials, beta-binomial given ours. A row that a reading does not solve counts as if it "
        "were solved at the cap, so its score is too good. The last column is the geometric "
        "mean, over the rows, of how many times ours is too slow or too fast. A Gaussian "
        "punishes a far miss without bound: read the score with the rows below it.",
    ]


def _row_by_row(
    search: Search,
    lines: Mapping[str, Groups],
    order: Sequence[str],
    scores: Mapping[str, Mapping[str, RowScore]],
) -> str:
    items = items_of(search.paper)
    own = {row: set(best_records(groups)) for row, groups in lines.items()}

    def cell(reading: str, row: str) -> str:
        score = scores[reading].get(row)
        if score is None:
            return "-"
        ratio = format_ratio(math.exp(score.log_ratio))
        ratio = f">{ratio}" if score.bound else ratio
        ratio = f"**{ratio}**" if score.close else ratio
        same = "" if reading in own[row] else " (=)"
        return f"{ratio} {score.num_solved}/{score.num_trials}{same}"

    heads = ["reading", *lines]
    paper = ["(paper's mean)", *(format_count(items[row].paper.num_sequences) for row in lines)]
    table = [[name, *(cell(name, row) for row in lines)] for name in order]
    return markdown_table(heads, [paper, *table])


def against(score: RowScore) -> bool:
    """Whether a row speaks against a reading: off by more than the factor, and surely so."""
    off = least_off(score)
    return off > math.log(FACTOR) and (score.bound or off > CERTAIN * score.error)


def least_off(score: RowScore) -> float:
    """How far a row is off, a logarithm; a bound below the published mean excludes nothing."""
    return max(0.0, score.log_ratio) if score.bound else abs(score.log_ratio)


def _findings(
    ranked: Sequence[ReadingScore], shared: Sequence[str], paper: Mapping[str, PaperRow]
) -> list[str]:
    lines = []
    for row in shared:
        good = [s.reading for s in ranked if s.rows[row].close]
        bad = [s.reading for s in ranked if against(s.rows[row])]
        said = f"{', '.join(good) if good else 'none'} within a factor of {FACTOR:g}"
        if len(bad) == len(ranked):
            denied = "; it speaks against all of them"
        else:
            denied = f"; it speaks against {', '.join(bad) if bad else 'none'}"
        lines.append(f"- `{row}` ({paper[row].source}): {said}{denied}.")
    closest = max(score.num_close for score in ranked)
    best = [score.reading for score in ranked if score.num_close == closest]
    most = f"{closest} of {len(shared)}"
    text = next((score for score in ranked if score.reading == TEXT), None)
    if closest == len(shared):
        summary = f"All {len(shared)} rows are within a factor of {FACTOR:g} under: "
    else:
        summary = (
            f"No reading tried brings all {len(shared)} rows within a factor of {FACTOR:g}. "
            f"The most is {most}: "
        )
    summary += ", ".join(best) + "."
    if text is not None:
        summary += f" The text as it stands: {text.num_close} of {len(shared)}"
        summary += f"; best by score: {ranked[0].reading}."
    return [
        summary,
        "A row speaks against a reading where the ratio is off by more than "
        f"{FACTOR:g}, and either by more than {CERTAIN:g} standard errors or known to be more "
        "than that (fewer than half of the trials solved below the cap):",
        "\n".join(lines),
    ]


def _limits(
    search: Search, lines: Mapping[str, Groups], paper: Mapping[str, PaperRow]
) -> list[str]:
    caps = []
    for row, groups in lines.items():
        found = best_records(groups).values()
        cap = max(measured.max_sequences for measured in found)
        trials = sorted({len(measured.records) for measured in found})
        numbers = " or ".join(str(number) for number in trials)
        ratio = cap / paper[row].num_sequences
        caps.append(f"`{row}` {numbers} trials, cap {format_count(cap)} ({ratio:.3g} times)")
    missing = [f"`{row}`" for row in search.rows if row not in lines]
    left = [f"Rows of the command's own list not run yet: {', '.join(missing)}."] if missing else []
    return left + [
        "Trials of each reading, and the cap in sequences and in times the paper's mean: "
        + "; ".join(caps)
        + ".",
        "A reading that is slower than the cap is known by a bound only. With so few trials a "
        "ratio is uncertain by some 20 to 40 per cent, and failures rarer than about one in five "
        "may not show. One trial more or less that is solved moves a score by a few units: "
        "readings that close are not told apart. Changes that help only together show in "
        "`--design=pairs` and `--design=full`, not in single changes.",
    ]


def _commands(search: Search, lines: Mapping[str, Groups]) -> list[str]:
    """Commands that give the records: rows of the same size together."""
    items = items_of(search.paper)
    sizes: dict[tuple[int, float], list[str]] = {}
    for row, groups in lines.items():
        for trials, cap in {(group["trials"], group["max_sequences"]) for group in groups}:
            exact = cap / items[row].paper.num_sequences
            close = (round(exact, digits) for digits in range(9))
            ratio = next((r for r in close if cap_of(items[row], r) == cap), exact)
            sizes.setdefault((trials, ratio), []).append(row)
    readings = {reading for groups in lines.values() for reading in best_records(groups)}
    designs = _designs(search.factors, readings)
    return [
        f"python -m experiments.{search.name} --rows={','.join(rows)} --trials={trials} "
        f"--max_ratio={ratio:g}{design}"
        for (trials, ratio), rows in sorted(sizes.items(), key=lambda size: size[1])
        for design in designs
    ]


def _designs(factors: Sequence[Factor], readings: AbstractSet[str]) -> list[str]:
    """Flags of the designs that hold these readings: single changes, then what was combined.

    Pairs are those of sets of factors each of which was paired with each other; a set of factors
    that were not would ask for more.
    """

    def flag(names: AbstractSet[str]) -> str:
        return ",".join(dict.fromkeys(f.name for f in factors if f.name in names))

    changes = [[change.split("=")[0] for change in reading.split()] for reading in readings]
    alone = {names[0] for names in changes if len(names) == 1} - {TEXT}
    some = alone and alone != {factor.name for factor in factors}
    designs = [f" --factors={flag(alone)}" if some else ""]
    combined = [names for names in changes if len(names) > 1]
    if any(len(names) > 2 for names in combined):
        return [*designs, f" --design=full --factors={flag(set().union(*combined))}"]
    pairs = {frozenset(names) for names in combined}
    left = sorted(map(sorted, pairs))
    while left:
        together = left[0]
        for name in sorted(set().union(*pairs) - set(together)):
            if all(frozenset((name, other)) in pairs for other in together):
                together = [*together, name]
        designs.append(f" --design=pairs --factors={flag(set(together))}")
        left = [pair for pair in left if not set(pair) <= set(together)]
    return designs
