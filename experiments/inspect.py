"""Looks into a run: what each gate does at each step, what a cell holds, what comes out.

python -m experiments.inspect --run=runs/adding/t100                       the first solved trial
python -m experiments.inspect --run=runs/adding/t100 --trial=3             another one
python -m experiments.inspect --run=runs/adding/t100 --sequence=7          another test sequence
python -m experiments.inspect --run=runs/adding/t100 --moment=11363        as it was then

Runs on data are looked into alike: char_lm, karpathy and music at their best epoch, sentiment and
vowels (a trial is a fit: seed and fold), forecasting (a trial is an origin, a sequence a network).
The run may be finished, stopped or running. Pictures (PNG and SVG) and the recording (npz) go to
its folder inspect/, the pictures and histograms over training to TensorBoard as well.
"""

import sys
from functools import partial
from typing import Any

from lstm_jax.config import make_config
from lstm_jax.inspect.command import main
from lstm_jax.inspect.histories import Inspectable
from lstm_jax.record.opening import CONFIG
from lstm_jax.record.reading import RunFiles
from lstm_jax.record.refusal import refuse

HERE: dict[str, Any] = {"data_dir": ""}
"""Data are looked for where LSTM_JAX_DATA says, in the cache, or downloaded."""


def open_text(files: RunFiles) -> Inspectable:
    """A run of char_lm or karpathy."""
    from configs.char_lm import FIELDS
    from lstm_jax.language.inspecting import open_language

    return open_language(files, partial(make_config, FIELDS))


def open_piece(files: RunFiles) -> Inspectable:
    """A run of music."""
    from configs.music import FIELDS
    from lstm_jax.music.inspecting import open_music

    return open_music(files, FIELDS)


def open_sentence(files: RunFiles) -> Inspectable:
    """A run of sentiment: the sentences of a fold's test part."""
    from experiments.sentiment import SENTIMENT, Folds
    from lstm_jax.fitting.inspecting import config_of_fit
    from lstm_jax.fitting.inspecting_repeats import open_repeats

    config = config_of_fit(files, SENTIMENT.fields)
    repeats = SENTIMENT.build(config, HERE)
    folds: Folds = repeats.about

    def about(trial: int, number: int) -> dict[str, Any]:
        train, _, test = folds.split(trial)
        words = folds.words[test[number]][: config.max_words] or ["<unk>"]
        names = list(folds.vocabulary(train).symbols)
        said = f"test sentence {number}, {len(words)} words"
        return {"written": words, "input_names": names, "said": said}

    names = ("negative", "positive")
    return open_repeats(files, repeats, config, f"sentiment {config.site}", names, about)


def open_utterance(files: RunFiles) -> Inspectable:
    """A run of vowels."""
    from experiments.vowels import VOWELS
    from lstm_jax.fitting.inspecting import config_of_fit
    from lstm_jax.fitting.inspecting_repeats import open_repeats

    config = config_of_fit(files, VOWELS.fields)
    repeats = VOWELS.build(config, HERE)
    classes = [f"class {name}" for name in repeats.about["test"].classes]
    return open_repeats(files, repeats, config, f"signals {config.data}", classes)


def open_origin(files: RunFiles) -> Inspectable:
    """A run of forecasting."""
    from configs.forecasting import FIELDS
    from lstm_jax.forecasting.inspecting import open_forecasting

    return open_forecasting(files, FIELDS)


KINDS = {
    "text_sha256": open_text,
    "transpose": open_piece,
    "site": open_sentence,
    "num_origins": open_origin,
    "pooling": open_utterance,
}
"""By a setting that only runs of this kind have; those before it left out."""


def open_fit(files: RunFiles) -> Inspectable:
    """A fit to a data set; RunFolderError for a kind that cannot be looked into."""
    for setting, opener in KINDS.items():
        if setting in files.config:
            return opener(files)
    return refuse(
        files.path / CONFIG,
        "is of no run that can be looked into; those are runs of trials, such as python -m "
        "experiments.adding, and of char_lm, karpathy, music, sentiment, vowels and forecasting",
    )


if __name__ == "__main__":
    sys.exit(main(__doc__ or "", open_fit))
