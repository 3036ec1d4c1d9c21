"""Sentiment of sentences: a bidirectional LSTM beside TF-IDF and logistic regression.

python -m experiments.sentiment                                        three sites, and all together
python -m experiments.sentiment --config=configs/sentiment.py:pooling  last, mean, max, attention
python -m experiments.sentiment --config=configs/sentiment.py:all --config.data=FILE    your own
python -m experiments.sentiment --show="The battery is great, but the case broke."      look inside
"""

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import numpy as np

from configs import sentiment as config_file
from lstm_jax.build import build_classifier
from lstm_jax.config import (
    CommandLine,
    Config,
    ConfigError,
    Field,
    check_fitting,
    row_configs,
)
from lstm_jax.data import (
    DATA_FLAG,
    Sentences,
    encode_sentences,
    load_sentences,
    sha256_of_content,
    tokenise,
    word_vocabulary,
)
from lstm_jax.experiment import default_workdir
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
from lstm_jax.fitting.accuracy import Difference, accuracy, compare, with_interval
from lstm_jax.fitting.classification import fill
from lstm_jax.fitting.folds import held_out_by, stratified_folds, stratified_share
from lstm_jax.fitting.inspecting import require_data
from lstm_jax.inspect.words import plot_words
from lstm_jax.interop.files import load_weights
from lstm_jax.record.archive import write_whole
from lstm_jax.record.folder import BEST
from lstm_jax.record.reading import read_run
from lstm_jax.record.refusal import writing
from lstm_jax.rows import say
from lstm_jax.tables import markdown_table


def choose(sentences: Sentences, site: str) -> Sentences:
    """The sentences of one site, or all; ConfigError for a site that there is not."""
    sites = dict.fromkeys(sentences.sites)
    if site == "all":
        return sentences
    if site not in sites:
        raise ConfigError(
            f"config.site={site}: must be one of {', '.join(sites)}, all; for a file of your own "
            "--config=configs/sentiment.py:all"
        )
    at = [n for n, name in enumerate(sentences.sites) if name == site]
    return Sentences(tuple(sentences.texts[n] for n in at), sentences.labels[at], (site,) * len(at))


class Folds:
    """The folds of a row: which sentences train, decide the epoch, and test."""

    def __init__(self, config: Config, sentences: Sentences):
        self.config, self.sentences = config, sentences
        self.words = [tokenise(text) for text in sentences.texts]
        self.strata = list(zip(sentences.sites, sentences.labels.tolist(), strict=True))
        every = [self.split(n) for n in range(self.num_fits)]
        self.sizes = [max(len(parts[part]) for parts in every) for part in range(3)]
        self.num_words = max(len(self.vocabulary(train)) for train, _, _ in every)

    @property
    def num_fits(self) -> int:
        """One for each fold of each seed."""
        return self.config.num_folds * self.config.num_seeds

    def split(self, number: int) -> list[np.ndarray]:
        """The places of the sentences that train, decide and test in this fit."""
        seed, fold = divmod(number, self.config.num_folds)
        own = self.config
        said = f"config.num_folds={own.num_folds}"
        folds = stratified_folds(self.strata, own.num_folds, own.seed + seed, said)
        test, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        said = f"config.valid_share={own.valid_share:g}"
        strata = [self.strata[n] for n in rest]
        held = stratified_share(strata, own.valid_share, 1000 + number, said)
        return [rest[~held], rest[held], test]

    def hash_of_baseline(self) -> str:
        """The SHA-256 of all that the baseline's answers depend on: words, labels, folds."""
        fits = [self.split(number) for number in range(self.num_fits)]
        places = [part.tolist() for parts in fits for part in parts]
        return sha256_of_content(self.words, self.sentences.labels, places)

    def vocabulary(self, train: np.ndarray) -> Any:
        """The words of a training part."""
        return word_vocabulary([self.words[n] for n in train], self.config.min_count)

    def repeat(self, number: int) -> Repeat:
        """The data of a fit."""
        parts = self.split(number)
        vocabulary = self.vocabulary(parts[0])
        data = []
        for at, size in zip(parts, self.sizes, strict=True):
            inputs, lengths = encode_sentences(
                [self.words[n] for n in at], vocabulary, self.config.max_words
            )
            data.append(fill(Labelled(inputs, lengths, self.sentences.labels[at]), size))
        seed, fold = divmod(number, self.config.num_folds)
        notes = {"seed": self.config.seed + seed, "fold": fold, "num_words": len(vocabulary)}
        return Repeat(notes, 1000 * (self.config.seed + seed) + fold, *data)


def build(config: Config, extra: Mapping[str, Any]) -> Repeats:
    """The net of a row, and its folds."""
    folds = Folds(config, choose(load_sentences(config.data, extra["data_dir"]), config.site))
    net = build_classifier(
        config,
        config.embedding_size,
        2,
        num_words=folds.num_words,
        word_dropout=config.word_dropout,
    )
    model = classification(net, l2=config.l2)
    texts, labels, sites = folds.sentences
    identity = {
        "texts": len(texts),
        "sha256_of_sentences": sha256_of_content(texts, labels, sites),
        **held_out_by(config.valid_share),
    }
    return Repeats(net, model, folds.num_fits, folds.repeat, identity, folds)


def check(config: Config) -> None:
    """Raises ConfigError where fields of a cross-validation contradict each other."""
    check_fitting(config)
    if config.init_from:
        raise ConfigError(
            f"config.init_from={config.init_from}: must be empty for sentiment: other weights may "
            "have learned the sentences that a fold tests, and are of other words"
        )


def words_and_pairs(text: str) -> list[str]:
    """The words of a text, and each two that follow each other."""
    words = tokenise(text)
    return words + [f"{one} {other}" for one, other in pairwise(words)]


def baseline(folds: Folds, seed: int) -> np.ndarray:
    """The answers [N] of TF-IDF and logistic regression on the folds of a seed.

    Words and pairs of words, cut as for the net. The strength of the penalty is chosen in each
    fold by an inner cross-validation; the sentences that decide the net's epoch are learned from.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    analyzer: Any = words_and_pairs  # a callable, which the stubs do not know
    answers = np.full(len(folds.words), -1)
    texts, labels = folds.sentences.texts, folds.sentences.labels
    for fold in range(folds.config.num_folds):
        train, valid, test = folds.split(seed * folds.config.num_folds + fold)
        pipeline = make_pipeline(
            TfidfVectorizer(analyzer=analyzer, sublinear_tf=True),
            LogisticRegression(max_iter=1000),
        )
        search = GridSearchCV(pipeline, {"logisticregression__C": [0.3, 1, 3, 10, 30]}, cv=5)
        learned = np.concatenate([train, valid])
        search.fit([texts[n] for n in learned], labels[learned])
        answers[test] = search.predict([texts[n] for n in test])
    return answers


def answers_of(folds: Folds, records: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """The nets' answers ``[seeds, N]``, each sentence by the net that has not seen it."""
    answers = np.full((folds.config.num_seeds, len(folds.words)), -1)
    for record in records:
        test = folds.split(record["fit"])[2]
        seed = record["fit"] // folds.config.num_folds
        answers[seed, test] = record["answers"][: len(test)]
    return answers


def chosen_answers(entries: Sequence[Entry]) -> np.ndarray:
    """``[seeds, N]``: in each fold the answers of the row with the least loss on its validation.

    So what a fold is tested on has no say in its setting.
    """
    folds: Folds = entries[0].problem.about
    best = [
        min((entry.fitted.records[n] for entry in entries), key=lambda r: r["valid"]["loss"])
        for n in range(folds.num_fits)
    ]
    return answers_of(folds, best)


def baseline_right(folds: Folds, path: Path) -> np.ndarray | None:
    """Which sentences the baseline has right, ``[seeds, N]``; None where it is not to be had.

    Answers are kept in the command's folder by the hash of what they depend on: rows that differ
    in their nets alone have them in common.
    """
    if not folds.config.baseline:
        return None
    file, digest = path / "baseline.json", folds.hash_of_baseline()
    kept = _kept_answers(file)
    answers = kept.get(digest)
    if answers is None:
        try:
            say("baseline: TF-IDF and logistic regression on the same folds")
            answers = np.array([baseline(folds, n) for n in range(folds.config.num_seeds)])
        except ImportError:
            say("no baseline: it needs scikit-learn, pip install 'lstm-jax[search]'")
            return None
        lists = {name: own.tolist() for name, own in (kept | {digest: answers}).items()}
        write_whole(file, json.dumps(lists).encode() + b"\n")
    return answers == folds.sentences.labels


def _kept_answers(file: Path) -> dict[str, np.ndarray]:
    """The baseline's answers on file, ``{hash: [seeds, N]}``."""
    try:
        kept = json.loads(file.read_bytes())
        return {name: np.array(own, int) for name, own in kept.items() if len(name) == SHA256}
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return {}  # none yet, damaged, or of an earlier version: they are made again


def report(entries: Sequence[Entry], workdir: Path) -> None:
    """Prints ours beside the baseline for each row, and keeps it as table.md."""
    heads = ["row", "sentences", "weights", "ours", "TF-IDF + LR", "difference", "p", "verdict"]
    searched = [entry for entry in entries if entry.name in config_file.SEARCH]
    lines = []
    for entry in entries:
        folds: Folds = entry.problem.about
        ours = answers_of(folds, entry.fitted.records) == folds.sentences.labels
        theirs = baseline_right(folds, workdir)
        weights = f"{entry.fitted.records[0]['num_weights']:,}"
        lines.append([entry.name, f"{ours.shape[1]:,}", weights, *beside(ours, theirs)])
    if len(searched) > 1:
        folds = searched[0].problem.about
        ours = chosen_answers(searched) == folds.sentences.labels
        cells = beside(ours, baseline_right(folds, workdir))
        lines.append(["by validation", f"{ours.shape[1]:,}", "", *cells])
    table = markdown_table(heads, lines)
    print(f"\n{table}\n\n{NOTE}")
    write_whole(workdir / "table.md", f"{table}\n".encode())


def beside(ours: np.ndarray, theirs: np.ndarray | None) -> list[str]:
    """The cells of a line from what each has right, ``[seeds, N]``."""
    own = with_interval(accuracy(ours))
    if theirs is None:
        return [own, *["-"] * 4]
    found = compare(ours, theirs)
    return [
        own,
        with_interval(accuracy(theirs)),
        with_interval(found, signed=True),
        f"{found.p_value:.2g}",
        verdict(found),
    ]


SHA256 = 64  # hexadecimal digits
NOTE = """Accuracy on sentences not learned from, with 95% intervals: Wilson's; of the difference, a
bootstrap over sentences (and seeds). p: exact McNemar test of the first seed."""


def verdict(found: Difference) -> str:
    """Who won, as far as the interval tells."""
    return "won" if found.low > 0 else "lost" if found.high < 0 else "open"


def show(command_line: CommandLine) -> int | None:
    """--show: the class of a sentence and the weight of each word, from the first net of a run."""
    text = command_line.extra["show"]
    if not text:
        return None
    rows: list[tuple[str, Config]] = list(row_configs(command_line))
    (name, config), *more = rows
    workdir = Path(command_line.workdir or default_workdir(SENTIMENT, command_line))
    file = (workdir / name if more else workdir) / BEST
    if not file.is_file():
        raise ConfigError(f"--show: {file} is not there; run the same command without --show first")
    repeats = build(config, command_line.extra)
    require_data(read_run(file.parent), repeats.identity)
    folds: Folds = repeats.about
    params = load_weights(file, jax.eval_shape(repeats.model.init, jax.random.key(0)))
    shown = []
    for sentence in text.split("|"):
        words = tokenise(sentence)[: config.max_words]
        ids, lengths = encode_sentences([words], folds.vocabulary(folds.split(0)[0]))
        logits = repeats.net.logits(params, ids[0], lengths[0])
        weights = np.asarray(repeats.net.weights(params, ids[0], lengths[0]))[: len(words)]
        positive = float(jax.nn.softmax(logits)[1])
        shown.append((words, weights, f"positive with probability {positive:.2f}"))
        print(f"{shown[-1][2]}:  {sentence.strip()}")
        print("  ".join(f"{word} {share:.2f}" for word, share in zip(words, weights, strict=True)))
    picture = file.with_name("words.png")
    with writing(picture):
        plot_words(picture, shown, f"{config.pooling}: weight of each word")
    print(f"\npicture: {picture}")
    return 0


SENTIMENT = Fitting(
    name="sentiment",
    usage=__doc__ or "",
    config_path="configs/sentiment.py",
    fields=config_file.FIELDS,
    args=config_file.ARGS,
    build=build,
    report=report,
    check=check,
    extra_flags={
        **DATA_FLAG,
        "show": Field("", "say what a finished run makes of this sentence; more, parted by |"),
    },
    instead=show,
    **REPEATED,
)

if __name__ == "__main__":
    sys.exit(main(SENTIMENT))
