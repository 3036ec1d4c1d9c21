"""What the command of a language model prints: the table of a run, and text that it writes."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lstm_jax.config import CommandLine, ConfigError, Field, Fields, make_config
from lstm_jax.data import DATA_FLAG, DataError
from lstm_jax.fitting import Entry, Fitting
from lstm_jax.fitting.pictures import plot_fit
from lstm_jax.language.generate import writer
from lstm_jax.language.looking import features, gate_shares, memories, rank, record_text
from lstm_jax.language.page import cells_page
from lstm_jax.language.problem import (
    Corpus,
    Written,
    build_corpus,
    build_named,
    check_text,
    first_symbol,
    read_run,
    run_text,
)
from lstm_jax.record.provenance import sessions_on_file
from lstm_jax.record.refusal import writing
from lstm_jax.tables import format_duration

GENERATE: Fields = {
    "generate": Field(
        None, "text to go on from, with the weights of --workdir; nothing is trained", of=str
    ),
    "temperature": Field(0.8, "of --generate; 0: always the likeliest character", low=0.0),
    "top_k": Field(None, "of --generate: only the likeliest so many; auto: all", low=1, of=int),
    "length": Field(500, "of --generate: characters to write", low=1, high=10**7),
    "sample_seed": Field(0, "of --generate: decides what is drawn", low=0, high=2**32 - 1),
}


def bits(nats: float) -> float:
    """Nats in bits.

    Example:
      >>> bits(math.log(2))
      1.0
    """
    return nats / math.log(2)


LOOK: Fields = {
    "look": Field(
        False, "look into the cells of the model of --workdir, on the test text; trains nothing"
    ),
    "look_length": Field(20_000, "of --look: characters to read", low=100, high=10**6),
}


def text_experiment(
    name: str,
    usage: str,
    fields: Fields,
    args: Mapping[str, str],
    report: Callable[[Sequence[Entry], Path], None],
) -> Fitting:
    """An experiment on a text, with ``--generate`` and ``--look``; arguments as of `Fitting`."""
    return Fitting(
        name=name,
        usage=usage,
        config_path=f"configs/{name}.py",
        fields=fields,
        args=args,
        build=build_named,
        report=report,
        check=check_text,
        extra_flags={**DATA_FLAG, **GENERATE, **LOOK},
        instead=instead,
    )


def instead(command_line: CommandLine) -> int | None:
    """Answers ``--generate`` and ``--look``."""
    status = generate(command_line)
    return look(command_line) if status is None else status


def look(command_line: CommandLine) -> int | None:
    """Answers ``--look``: a page of coloured text and a plot of saturation in the run folder."""
    if not command_line.extra["look"]:
        return None
    folder, run = _read(command_line, "--look")
    text = run_text(run.config, command_line.extra["data_dir"])
    part = build_corpus(run.config, text, run.vocabulary).parts["test"]
    symbols = part[: command_line.extra["look_length"]]
    read = run.vocabulary.decode(symbols)
    arrays = record_text(run.model, run.params, symbols)
    held, known = memories(arrays), features(read)
    ranking = rank(held, known)
    title = f"{run.config.rows[0]}: {run.config.cell}, {run.config.text}"
    page = folder / "cells.html"
    with writing(page):
        page.write_text(cells_page(title, read, held, ranking, known), encoding="utf-8")
    print(f"best cell of each feature, over {len(read):,} characters of the test text")
    for feature, units in ranking.items():
        said = "  ".join(f"{u.name}[{u.unit}] {u.correlation:+.3f}" for u in units[:3])
        print(f"  {feature:24}{said}")
    _show_saturation(folder, arrays, title, len(read))
    print(f"\ncoloured text:  {page}")
    return 0


def _show_saturation(
    folder: Path, arrays: dict[str, np.ndarray], title: str, num_steps: int
) -> None:
    from lstm_jax.inspect.pictures import draw_saturation, png_of
    from lstm_jax.inspect.pictures.style import gates_of

    shares = gate_shares(arrays)
    names = gates_of(arrays)
    if not names:
        return
    print("\nsaturation: share of characters and units below 0.1 (shut) and above 0.9 (open)")
    for name in names:
        print(f"  {name:24}{shares[name].left.mean():6.1%}{shares[name].right.mean():8.1%}")
    figure = draw_saturation(shares, arrays, {"sequences": 1, "steps": num_steps}, title)
    picture = folder / "saturation.png"
    with writing(picture):
        picture.write_bytes(png_of(figure))
    print(f"\nsaturation:     {picture}")


def _read(command_line: CommandLine, flag: str) -> tuple[Path, Written]:
    if command_line.workdir is None:
        raise ConfigError(f"{flag}: needs --workdir=RUN, the folder of a trained model")
    folder = Path(command_line.workdir)
    return folder, read_run(folder, lambda **values: make_config(command_line.fields, **values))


def generate(command_line: CommandLine) -> int | None:
    """Answers ``--generate``: the text, then what the model writes, as it is written."""
    extra = command_line.extra
    if extra["generate"] is None:
        return None
    _, run = _read(command_line, "--generate")

    def corpus() -> Corpus:
        return build_corpus(run.config, run_text(run.config, extra["data_dir"]), run.vocabulary)

    text = extra["generate"]
    try:
        seed = run.vocabulary.encode(text) if text else [first_symbol(run.vocabulary, corpus)]
    except DataError as error:
        raise ConfigError(f"--generate={text}: {error}") from None
    key = jax.random.key(extra["sample_seed"], impl="threefry2x32")
    how = (extra["length"], extra["temperature"], extra["top_k"])
    sys.stdout.write(text)
    for piece in writer(run.model)(run.params, seed, key, *how):
        sys.stdout.write(run.vocabulary.decode(piece))
        sys.stdout.flush()
    sys.stdout.write("\n")
    return 0


def report(entries: Sequence[Entry], workdir: Path) -> None:
    """Prints the table of the rows and the last samples, and draws a picture of each row."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="nats (bits) per character")
    for column in ("row", "weights", "epochs", "train", "valid", "test", "unsure", "time/epoch"):
        table.add_column(column, justify="left" if column == "row" else "right")
    for entry in entries:
        table.add_row(*_cells(entry))
        picture = entry.path / "fit.png"
        with writing(picture):
            plot_fit(picture, entry.fitted.records, entry.name, label="nats per character")
    Console(width=None if sys.stdout.isatty() else 110).print(table)
    print(
        "best: the epoch of the least validation loss, whose weights are tested; unsure: share of"
    )
    print("test characters with a probability below 1/2")
    for entry in entries:
        for file in sorted((entry.path / "samples").glob("epoch-*.txt"))[-1:]:
            print(f"\n{file}\n\n{file.read_text(encoding='utf-8').rstrip()}")
    for entry in entries:
        print(f"\nlearning curves:  {entry.path / 'fit.png'}")
        command = f"python -m experiments.char_lm --generate=TEXT --workdir={entry.path}"
        print(f"write with it:    {command}")


def _cells(entry: Entry) -> list[str]:
    result: dict[str, Any] = entry.fitted.result or {}
    best = result["best"] or {}
    parts = [best[part]["loss"] for part in ("train", "valid") if part in best]
    parts = [*parts, result["test"]["loss"]]
    said = [f"{nats:.3f} ({bits(nats):.3f})" for nats in parts]
    said = ["-"] * (3 - len(said)) + said
    cost = epoch_seconds(entry.path)
    return [
        entry.name,
        f"{result['num_weights']:,}",
        f"{result['best_epoch']} of {result['epochs']}",
        *said,
        f"{result['test']['error']:.1%}",
        format_duration(cost) if cost else "-",
    ]


def epoch_seconds(path: Path) -> float | None:
    """The median time of an epoch over a run's sessions; None where none ended."""
    import statistics

    sessions = sessions_on_file(path)
    said = [session.get("epoch_seconds") for session in sessions]
    times = [s for each in said if isinstance(each, dict) for s in each.values()]
    known = [s for s in times if isinstance(s, int | float)]
    return statistics.median(known) if known else None
