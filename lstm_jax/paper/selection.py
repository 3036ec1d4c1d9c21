"""The rows of a paper, and which of them a command asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lstm_jax.build import build_trial
from lstm_jax.config import Config, ConfigError, make_config
from lstm_jax.config.config_file import call, find_config, load
from lstm_jax.config.fields import no_such
from lstm_jax.experiment import Experiment
from lstm_jax.readings import describe_reading
from lstm_jax.report.rows import ReportRow, is_rival
from lstm_jax.rows import Row, count_weights
from lstm_jax.tables import PaperRow

GROUPS = ("lstm", "rivals", "all")
"""What `--rows` takes beside names of rows."""


class PublishedTable(NamedTuple):
    """A table of the paper: what it is about, and its rows from top to bottom."""

    title: str  # "Table 7"
    caption: str
    rows: tuple[str, ...]


class Paper(NamedTuple):
    """A paper as data.

    Attributes:
      name: of the module, of the run folder and of the folder of exported records.
      usage: what the command does; the head of its help.
      experiments: with their published rows, by what the page of deviations calls them.
      cited: published rows that are not run.
      tables: the published tables in order.
      order: the names of all rows that are run, in the order of running.
      explanations: why a row differs from the paper, by its name.
    """

    name: str
    usage: str
    experiments: Mapping[str, Experiment]
    cited: Sequence[PaperRow]
    tables: Sequence[PublishedTable]
    order: Sequence[str]
    explanations: Mapping[str, str] = {}


class Item(NamedTuple):
    """A row of a paper, and the config that runs it."""

    experiment: Experiment
    arg: str  # ARG of --config=FILE:ARG
    paper: PaperRow


def items_of(paper: Paper) -> dict[str, Item]:
    """The rows that are run by their names, in the order of running."""
    found = {
        row.name: Item(experiment, arg, row)
        for experiment in paper.experiments.values()
        for arg, row in experiment.paper.items()
    }
    return {name: found[name] for name in paper.order}


def smoke_of(paper: Paper) -> Paper:
    """A stand-in for the paper, one small row an experiment: shows that everything runs."""
    experiments = {}
    for title, experiment in paper.experiments.items():
        label = f"python -m experiments.{experiment.name}, few sequences"
        row = PaperRow(f"smoke-{experiment.name}", label, "Smoke", None, 4, float("nan"), None, 0)
        experiments[title] = experiment._replace(paper={"smoke": row})
    names = tuple(experiment.paper["smoke"].name for experiment in experiments.values())
    table = PublishedTable("Smoke", "Does everything run; nothing is learnt.", names)
    return paper._replace(
        experiments=experiments, cited=(), tables=(table,), order=names, explanations={}
    )


def choose(
    paper: Paper,
    items: Mapping[str, Item],
    tables: Sequence[str] = (),
    rows: Sequence[str] = (),
) -> dict[str, Item]:
    """The rows of these tables that `rows` names, in the order of running; () stands for all.

    tables: numbers as text. rows: names of rows or of `GROUPS`. Raises ConfigError for names that
    there are not, for cited rows, and where nothing is left.
    """
    numbers = {table.title.rpartition(" ")[2]: table for table in paper.tables}
    for number in tables:
        if number not in numbers:
            shown = ",".join(tables)
            raise ConfigError(f"--tables={shown}: {no_such('table', number, numbers, True)}")
    asked: set[str] = set()
    for name in rows or ("all",):
        if name in {row.name for row in paper.cited}:
            raise ConfigError(f"--rows={name}: is cited from other authors and not run here")
        if name not in items and name not in GROUPS:
            raise ConfigError(f"--rows={name}: {no_such('row', name, [*GROUPS, *items])}")
        asked |= {row for row, item in items.items() if row == name or _is_of(item, name)}
    shown = {row for number in tables or numbers for row in numbers[number].rows}
    chosen = {name: item for name, item in items.items() if name in asked and name in shown}
    if not chosen:
        raise ConfigError(f"--tables={','.join(tables)} --rows={','.join(rows)}: no row is in both")
    return chosen


def _is_of(item: Item, group: str) -> bool:
    rival = is_rival(ReportRow(item.paper))
    return group == "all" or group == ("rivals" if rival else "lstm")


def build_row(
    item: Item, *, num_trials: int | None = None, max_sequences: int | None = None
) -> Row:
    """A row ready to be run; nothing is compiled.

    num_trials: instead of the paper's. max_sequences: a cap below the row's own, rounded down to
    whole exams. Raises ConfigError for what the row cannot have, and where the network has not
    the published number of weights.
    """
    config = config_of(item, num_trials=num_trials, max_sequences=max_sequences)
    row = Row(
        item.paper.name,
        config,
        build_trial(config),
        item.paper,
        describe_reading(config, item.experiment.readings),
    )
    weights = count_weights(row.built)
    if item.paper.num_weights not in (None, weights):
        raise ConfigError(
            f"{row.name}: the network has {weights} weights, the paper's {item.paper.num_weights}; "
            f"correct {item.experiment.config_path}:{item.arg}"
        )
    return row


def config_of(
    item: Item, *, num_trials: int | None = None, max_sequences: int | None = None
) -> Config:
    """The settings of a row, as `build_row` changes them; raises what it does."""
    experiment = item.experiment
    path, _ = find_config(experiment.config_path, experiment.config_path, experiment.args)
    config = call(load(path), str(path), item.arg)
    values: dict[str, Any] = dict(config.items())
    if num_trials is not None:
        values["num_trials"] = num_trials
    if max_sequences is not None and max_sequences < values["max_sequences"]:
        term = values.get("exam_every", 1)
        if max_sequences < term:
            raise ConfigError(
                f"--max_sequences={max_sequences}: must be at least {term}, the sequences before "
                f"the first exam of {item.paper.name}"
            )
        values["max_sequences"] = max_sequences - max_sequences % term
    changed = make_config(experiment.fields, **values)
    experiment.check(changed)
    return changed
