"""From a configuration to a language model and its text, and back from a run folder."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from lstm_jax.build import build_structure
from lstm_jax.config import Config, ConfigError, check_fitting
from lstm_jax.data import DataError, Vocabulary, load_text, split_by_position
from lstm_jax.fitting import Problem, WeightsError, find_weights, streams
from lstm_jax.interop.files import load_weights
from lstm_jax.language.generate import writer
from lstm_jax.language.model import Language, language, text_model
from lstm_jax.record import RunFolderError
from lstm_jax.record.folder import BEST
from lstm_jax.record.opening import CONFIG
from lstm_jax.record.refusal import from_json
from lstm_jax.types import Params

PARTS = ("train", "valid", "test")


class Corpus(NamedTuple):
    """A text as numbers, cut by position."""

    vocabulary: Vocabulary
    parts: dict[str, np.ndarray]  # "train", "valid", "test": [N] int32
    sha256: str  # of its UTF-8 bytes, line ends already "\n"


def check_text(config: Config) -> None:
    """Raises ConfigError where fields of a language model contradict each other."""
    check_fitting(config)
    if config.bidirectional:
        raise ConfigError(
            "config.bidirectional=true: a language model must not see what it is to predict"
        )
    if config.tied and config.embedding_size != config.hidden_size:
        raise ConfigError(
            f"config.tied=true: needs config.embedding_size={config.embedding_size} to be "
            f"config.hidden_size={config.hidden_size}"
        )
    if config.train_share + config.valid_share >= 1:
        raise ConfigError(
            f"config.train_share={config.train_share:g}: with config.valid_share="
            f"{config.valid_share:g} it leaves nothing for the test"
        )


def build_corpus(config: Config, text: str, vocabulary: Vocabulary | None = None) -> Corpus:
    """A text as numbers.

    Args:
      config: of the run.
      text: its characters.
      vocabulary: None: that of the run that weights come from, or else the text's own.

    Raises:
      DataError: one line: one symbol only, a part with fewer than two, or characters that the
        vocabulary of ``config.init_from`` does not have.
    """
    if vocabulary is None and config.init_from:
        vocabulary = read_vocabulary(find_weights(config.init_from).parent)
    vocabulary = vocabulary or Vocabulary.of(text)
    try:
        symbols = vocabulary.encode(text, unknown=config.unknown)
    except DataError as error:
        raise DataError(f"{config.text}: {error}; config.unknown=skip leaves them out") from None
    if len(set(symbols.tolist())) < 2:
        raise DataError(
            f"{config.text}: {len(symbols):,} characters, all the same; a language model needs at "
            "least two different ones"
        )
    shares = (config.train_share, config.valid_share)
    parts = split_by_position(symbols, (*shares, 1 - sum(shares)))
    for name, part in zip(PARTS, parts, strict=True):
        if len(part) < 2:
            raise DataError(
                f"{config.text}: {len(symbols):,} characters leave {len(part)} to the {name} "
                "part, which needs 2"
            )
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Corpus(vocabulary, dict(zip(PARTS, parts, strict=True)), digest)


def build_language(config: Config, num_symbols: int) -> Language:
    """The model that a configuration describes."""
    size = config.embedding_size or None
    return language(
        num_symbols,
        build_structure(config, size or num_symbols),
        embedding_size=size,
        tied=config.tied,
        dropout=config.dropout,
    )


def build_problem(config: Config, text: str, vocabulary: Vocabulary | None = None) -> Problem:
    """A text and the model of it, to be fitted; arguments as of `build_corpus`."""
    corpus = build_corpus(config, text, vocabulary)
    model = build_language(config, len(corpus.vocabulary))
    how = {"num_streams": config.batch_size, "length": config.length}
    identity = {
        "text_sha256": corpus.sha256,
        "vocabulary": json.loads(corpus.vocabulary.to_json()),
    }
    return Problem(
        text_model(model),
        streams(corpus.parts["train"], **how),
        streams(corpus.parts["valid"], **how),
        {"test": streams(corpus.parts["test"], **how)},
        identity,
        sampler(config, model, corpus) if config.sample_length else None,
    )


def build_named(config: Config, extra: Mapping[str, Any]) -> Problem:
    """`build_problem` on the text that the configuration names.

    A run that was begun from other weights has their vocabulary in its own folder, ``extra`` has
    which: it goes on where those are gone.
    """
    own = vocabulary_on_file(extra["folder"], config.init_from) if config.init_from else None
    return build_problem(config, run_text(config, extra["data_dir"]), own)


def run_text(config: Config, data_dir: str) -> str:
    """The text that the configuration names."""
    return made_text(config.seed) if config.text == "made" else load_text(config.text, data_dir)


def first_symbol(vocabulary: Vocabulary, read: Callable[[], Corpus]) -> int:
    """What a text of the model's own is begun after: a line's end, else what its text begins with.

    Args:
      vocabulary: of the model.
      read: gives the text; called only where the vocabulary has no line's end.

    Example:
      >>> from lstm_jax.config import make_config
      >>> from configs.char_lm import FIELDS
      >>> corpus = build_corpus(make_config(FIELDS), "no line ends here. " * 9)
      >>> corpus.vocabulary.decode([first_symbol(corpus.vocabulary, lambda: corpus)])
      'n'
    """
    there = vocabulary.numbers.get("\n")
    return int(read().parts["train"][0]) if there is None else there


def sampler(
    config: Config, model: Language, corpus: Corpus
) -> Callable[[Params, int], dict[str, str]]:
    """Texts at several temperatures, each begun after `first_symbol`."""
    first = first_symbol(corpus.vocabulary, lambda: corpus)
    write = writer(model)
    root = jax.random.key(config.seed, impl="threefry2x32")

    def samples(params: Params, epoch: int) -> dict[str, str]:
        texts = {}
        for temperature in config.temperatures:
            key = jax.random.fold_in(jax.random.fold_in(root, 2), epoch)
            found = write(params, [first], key, config.sample_length, temperature)
            text = corpus.vocabulary.decode(n for piece in found for n in piece)
            texts[f"temperature {temperature:g}"] = text
        return texts

    return samples


# ---- back from a run folder


class Written(NamedTuple):
    """A language model as a run folder holds it."""

    config: Config
    vocabulary: Vocabulary
    model: Language
    params: Params


def read_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary of a run; WeightsError, one line, where the folder has none."""
    return _read_settings(folder)[1]


def vocabulary_on_file(folder: Path, init_from: str) -> Vocabulary | None:
    """That of a run begun from these weights; None where the folder has no such run."""
    if not (folder / CONFIG).is_file():
        return None
    values, vocabulary = _read_settings(folder)
    return vocabulary if values.get("init_from") == init_from else None


def read_run(folder: Path, make: Callable[..., Config]) -> Written:
    """The model of a run folder with the weights of its best epoch.

    Args:
      folder: of a run, finished or not.
      make: ``(**fields) -> config``, for the experiment's table of fields.

    Raises:
      WeightsError: one line, where the folder is no such run or has no weights yet.
    """
    values, vocabulary = _read_settings(folder)
    config = make(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    model = build_language(config, len(vocabulary))
    like = jax.eval_shape(model.init, jax.random.key(0))
    try:
        params = load_weights(folder / BEST, like)
    except FileNotFoundError:
        raise WeightsError(f"{folder}: holds no weights yet; its first epoch has to end") from None
    except (OSError, ValueError) as error:
        raise WeightsError(str(error)) from None
    return Written(config, vocabulary, model, params)


def _read_settings(folder: Path) -> tuple[dict[str, Any], Vocabulary]:
    file = folder / CONFIG
    try:
        values = dict(from_json(file.read_bytes())["config"])
        values.pop("text_sha256")
        return values, Vocabulary.from_json(json.dumps(values.pop("vocabulary")))
    except FileNotFoundError:
        raise WeightsError(f"{folder}: no run folder of a language model (no {CONFIG})") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, RunFolderError):
            raise
        raise WeightsError(f"{file}: not of a run of a language model") from None


def made_text(seed: int, num_sentences: int = 1500) -> str:
    """Sentences of a small grammar: a text where no file is at hand.

    Example:
      >>> made_text(0, 2)
      'a river was silent. a grey river followed a small princess.\\n'
    """
    rng = np.random.default_rng(seed)

    def one(*words: str) -> str:
        return words[rng.integers(len(words))]

    def noun() -> str:
        adjective = one("", "", "old ", "small ", "young ", "grey ")
        return (
            one("the ", "a ") + adjective + one("captain", "horse", "letter", "river", "princess")
        )

    sentences = []
    for n in range(num_sentences):
        verb = one("saw", "found", "followed", "forgot")
        state = one("cold", "small", "silent", "late")
        sentences.append(one(f"{noun()} {verb} {noun()}.", f"{noun()} was {state}."))
        if n % 4 == 3 or n + 1 == num_sentences:
            sentences[-1] += "\n"
    return " ".join(sentences).replace("\n ", "\n")
