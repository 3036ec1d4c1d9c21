"""JapaneseVowels: the speaker of an utterance, from signals of different lengths.

python -m experiments.vowels                                        five poolings, five nets each
python -m experiments.vowels --config=configs/vowels.py:additive    one of them
python -m experiments.vowels --config=configs/vowels.py:mean --config.cell=gru
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from configs import vowels as config_file
from lstm_jax.build import build_classifier
from lstm_jax.config import Config, ConfigError, check_fitting
from lstm_jax.data import DATA_FLAG, DataError, Signals, load_signals, sha256_of_content
from lstm_jax.fitting import (
    REPEATED,
    Entry,
    Fitting,
    Labelled,
    Repeat,
    Repeats,
    classification,
    main,
)
from lstm_jax.fitting.accuracy import accuracy, compare, with_interval
from lstm_jax.fitting.folds import held_out_by, stratified_share
from lstm_jax.inspect.confusion import plot_confusion
from lstm_jax.record.archive import write_whole
from lstm_jax.record.refusal import writing
from lstm_jax.rows import say
from lstm_jax.tables import markdown_table

NUM_FOLDS = 5  # of the baseline's cross-validation


class Published(NamedTuple):
    """A published figure for the same 270 and 370 utterances."""

    what: str
    accuracy: float
    source: str


KUDO = "Kudo et al. 1999, as a later survey quotes them; the paper was not at hand"
TOTH = "Toth, Oberhauser & Szabo 2023 (arXiv 2311.12214), the authors' own table"
PUBLISHED = (
    Published("passing-through regions", 0.941, KUDO),
    Published("5-state continuous HMM", 0.962, KUDO),
    Published("global alignment kernel, SVM", 0.981, TOTH),
    Published("signature kernel, SVM", 0.986, TOTH),
)


class Scale(NamedTuple):
    """Mean and deviation of each channel over the steps that a set of signals has."""

    mean: np.ndarray  # [D]
    deviation: np.ndarray  # [D]

    @classmethod
    def of(cls, signals: Signals, which: np.ndarray) -> "Scale":
        """Those of the signals at these places: of the training part, and no other."""
        steps = np.concatenate(
            [signals.inputs[n, : signals.lengths[n]] for n in which], dtype=np.float64
        )
        return cls(steps.mean(0), np.maximum(steps.std(0), 1e-6))

    def __call__(self, signals: Signals, which: np.ndarray) -> Labelled:
        """The signals at these places, standardised; zero after the end of each."""
        inputs = (signals.inputs[which] - self.mean) / self.deviation
        valid = np.arange(inputs.shape[1])[None] < signals.lengths[which, None]
        inputs = np.where(valid[..., None], inputs, 0).astype(np.float32)
        return Labelled(inputs, signals.lengths[which], signals.labels[which])


def repeat(config: Config, parts: Mapping[str, Signals], number: int) -> Repeat:
    """The data of a fit; the test set is the published one in all of them."""
    seed = config.seed + number
    train, valid = np.arange(len(parts["train"].labels)), None
    if config.valid_share:
        labels, said = parts["train"].labels.tolist(), f"config.valid_share={config.valid_share:g}"
        held = stratified_share(labels, config.valid_share, seed, said)
        train, valid = np.flatnonzero(~held), np.flatnonzero(held)
    scale = Scale.of(parts["train"], train)
    return Repeat(
        {"seed": seed},
        seed,
        scale(parts["train"], train),
        None if valid is None else scale(parts["train"], valid),
        scale(parts["test"], np.arange(len(parts["test"].labels))),
    )


def build(config: Config, extra: Mapping[str, Any]) -> Repeats:
    """The net of a row, and its fits."""
    parts = load_signals(config.data, extra["data_dir"])
    if config.baseline:
        require_baseline(config.data, parts["train"])
    repeat(config, parts, 0)  # what its folds refuse is told before there is a run folder
    net = build_classifier(config, parts["train"].inputs.shape[2], len(parts["train"].classes))
    model = classification(net, l2=config.l2)
    identity = {
        "signals": [len(part.labels) for part in parts.values()],
        "sha256_of_signals": hash_of(parts),
        **held_out_by(config.valid_share),
    }
    return Repeats(
        net, model, config.num_seeds, lambda n: repeat(config, parts, n), identity, parts
    )


def check(config: Config) -> None:
    """Raises ConfigError where fields of these fits contradict each other."""
    check_fitting(config)
    if config.patience and not config.valid_share:
        raise ConfigError(
            f"config.patience={config.patience}: needs a validation part, "
            "config.valid_share above 0; without one it must be 0"
        )
    if config.init_from and config.valid_share:
        # Each net holds out another part: none is unknown to all nets of an earlier run.
        raise ConfigError(
            f"config.init_from={config.init_from}: with config.valid_share="
            f"{config.valid_share:g} its weights may have learned what a net holds out; one of "
            "the two must be left out"
        )


def hash_of(parts: Mapping[str, Signals]) -> str:
    """The SHA-256 of the signals, labels and classes of all parts."""
    said = [(name, *part) for name, part in parts.items()]
    return sha256_of_content(*(value for part in said for value in part))


def statistics(signals: Labelled) -> np.ndarray:
    """What the baseline sees of each signal, ``[N, 6 D + 1]``.

    Mean, deviation, least, largest, first and last value of each channel, and the length.
    """
    rows = []
    for inputs, length in zip(signals.inputs, signals.lengths, strict=True):
        xs = inputs[:length]
        values = [xs.mean(0), xs.std(0), xs.min(0), xs.max(0), xs[0], xs[-1]]
        rows.append(np.concatenate([*values, [length]]))
    return np.array(rows)


def require_baseline(data: str, train: Signals) -> None:
    """Refuses, before anything is trained, signals that `baseline` cannot be fitted to.

    Raises:
      DataError: in one line, for one class alone, or fewer signals of a class than its folds.
    """
    counts = np.bincount(train.labels, minlength=len(train.classes))
    there = [name for name, count in zip(train.classes, counts, strict=True) if count]
    if len(there) < 2:
        problem = f"all signals are of class {there[0]}, and logistic regression needs two"
    elif counts.max() < NUM_FOLDS:
        problem = f"no class has {NUM_FOLDS} signals, as logistic regression needs"
    else:
        return
    raise DataError(f"{data}: in the train part {problem}; --config.baseline=false leaves it out")


def baseline(parts: Mapping[str, Signals]) -> np.ndarray:
    """The answers [N] of logistic regression on `statistics`; penalty chosen on the train part."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    everything = {part: np.arange(len(signals.labels)) for part, signals in parts.items()}
    scale = Scale.of(parts["train"], everything["train"])
    train, test = (scale(parts[part], everything[part]) for part in ("train", "test"))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    search = GridSearchCV(
        pipeline, {"logisticregression__C": [0.01, 0.1, 1, 10, 100]}, cv=NUM_FOLDS
    )
    search.fit(statistics(train), train.labels)
    return search.predict(statistics(test))


def report(entries: Sequence[Entry], workdir: Path) -> None:
    """Prints each row beside baseline and published figures; draws who is taken for whom."""
    heads = ["", "weights", "accuracy [95%]", "least to most", "less baseline [95%]", "p"]
    labels = entries[0].problem.about["test"].labels
    theirs = _baseline_right(entries[0])
    lines = []
    for entry in entries:
        ours = np.array([record["answers"] for record in entry.fitted.records]) == labels
        found, each = accuracy(ours), ours.mean(1)
        line = [entry.name, f"{entry.fitted.records[0]['num_weights']:,}"]
        line += [with_interval(found)]
        line += [f"{each.min():.3f} to {each.max():.3f}"]
        if theirs is None:
            line += ["-", "-"]
        else:
            gap = compare(ours, theirs)
            line += [with_interval(gap, signed=True), f"{gap.p_value:.2g}"]
        lines.append(line)
        _draw(entry, labels)
    if theirs is not None:
        lines.append(["logistic regression", "", with_interval(accuracy(theirs)), "", "", ""])
    if entries[0].config.data == "vowels":
        for one in PUBLISHED:
            lines.append([one.what, "", f"{one.accuracy:.3f}", "", "", ""])
    table = markdown_table(heads, lines)
    print(f"\n{table}\n\n{NOTE}{SOURCES if entries[0].config.data == 'vowels' else ''}\n")
    for entry in entries:
        print(f"picture:      {entry.path / 'confusion.png'}")
    write_whole(workdir / "table.md", f"{table}\n".encode())


NOTE = """Mean over nets. Intervals: bootstrap over nets and utterances; Wilson's for one net and
for the baseline, which sees mean, deviation, extremes, ends and length. p: exact McNemar test of
the first net. """


SOURCES = "Published figures:\n" + "\n".join(
    f"  {', '.join(f'{one.accuracy:.3f}' for one in PUBLISHED if one.source == source)}: {source}"
    for source in (KUDO, TOTH)
)


def _baseline_right(entry: Entry) -> np.ndarray | None:
    if not entry.config.baseline:
        return None
    try:
        return baseline(entry.problem.about) == entry.problem.about["test"].labels
    except ImportError:
        say("no baseline: it needs scikit-learn, pip install 'lstm-jax[search]'")
        return None


def _draw(entry: Entry, labels: np.ndarray) -> None:
    classes = entry.problem.about["test"].classes
    counts = np.zeros((len(classes), len(classes)))
    for record in entry.fitted.records:
        np.add.at(counts, (labels, np.array(record["answers"])), 1)
    title = f"{entry.name}: {len(entry.fitted.records)} nets, {len(labels)} utterances each"
    with writing(entry.path / "confusion.png"):
        plot_confusion(entry.path / "confusion.png", counts, classes, title)


VOWELS = Fitting(
    name="vowels",
    usage=__doc__ or "",
    config_path="configs/vowels.py",
    fields=config_file.FIELDS,
    args=config_file.ARGS,
    build=build,
    report=report,
    check=check,
    extra_flags=DATA_FLAG,
    **REPEATED,
)

if __name__ == "__main__":
    sys.exit(main(VOWELS))
