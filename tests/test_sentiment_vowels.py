"""The experiments on labelled sequences: nothing leaks, runs resume, errors are one line."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from configs import sentiment as sentiment_config
from configs import vowels as vowels_config
from experiments import sentiment, vowels
from experiments.sentiment import Folds, choose
from lstm_jax.config import make_config
from lstm_jax.data import Sentences, load_sentences, load_signals
from lstm_jax.fitting import main
from tests.datasets import real_data

ROOT = Path(__file__).resolve().parents[1]


def sentences_file(tmp_path, num=24):
    """Sentences of which one word tells the label; word n occurs in sentence n alone."""
    lines = [f"The word{chr(97 + n)} is {('bad', 'good')[n % 2]}.\t{n % 2}" for n in range(num)]
    path = tmp_path / "own_labelled.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def signals_files(tmp_path):
    """Two speakers, told apart by the mean of the first channel."""
    rng = np.random.default_rng(0)
    for part, num in (("TRAIN", 12), ("TEST", 8)):
        lines = ["@classLabel true a b", "@data"]
        for n in range(num):
            length = 3 + n % 4
            channels = [rng.normal(3.0 * (n % 2), 0.1, length), rng.normal(size=length)]
            texts = [",".join(f"{value:.4f}" for value in channel) for channel in channels]
            lines.append(":".join([*texts, "ab"[n % 2]]))
        (tmp_path / f"own_{part}.ts").write_text("\n".join(lines) + "\n")
    return tmp_path / "own"


def test_each_sentence_is_tested_once_and_words_come_from_the_training_part():
    rng = np.random.default_rng(0)
    texts = tuple(f"word{'abcdefghij'[n % 10]}{'abcdefghij'[n // 10]} same" for n in range(70))
    labels = rng.permutation(np.arange(70) % 2).astype(np.int32)
    read = Sentences(texts, labels, tuple("xy"[n % 2] for n in range(70)))
    folds = Folds(make_config(sentiment_config.FIELDS, num_folds=5, num_seeds=2), read)
    for seed in range(2):
        splits = [folds.split(5 * seed + fold) for fold in range(5)]
        tested = np.concatenate([test for _, _, test in splits])
        assert sorted(tested.tolist()) == list(range(70))
        for train, valid, test in splits:
            assert sorted([*train, *valid, *test]) == list(range(70))
            known = set(folds.vocabulary(train).symbols)
            assert known == {"<unk>", "same"} | {texts[n].split()[0] for n in train}
    repeat = folds.repeat(1)
    train, _, test = folds.split(1)
    own = repeat.train.inputs[: len(train)]
    # every sentence's first word is its own: known in training, unknown in the test
    assert (own[:, 0] > 0).all() and (repeat.test.inputs[: len(test), 0] == 0).all()
    assert (repeat.test.labels[: len(test)] == labels[test]).all()
    assert {tuple(part.labels.shape) for part in (folds.repeat(0).test, repeat.test)} == {(14,)}


def test_each_fold_takes_the_setting_that_its_validation_prefers(tmp_path):
    read = load_sentences(str(sentences_file(tmp_path)))
    folds = Folds(make_config(sentiment_config.FIELDS, num_folds=3, valid_share=0.3), read)
    sizes = [len(folds.split(n)[2]) for n in range(3)]

    def row(answer, losses):
        records = [
            {"fit": n, "valid": {"loss": loss}, "answers": [answer] * size}
            for n, (loss, size) in enumerate(zip(losses, sizes, strict=True))
        ]
        return SimpleNamespace(
            problem=SimpleNamespace(about=folds), fitted=SimpleNamespace(records=records)
        )

    entries = [row(0, (0.3, 0.9, 0.5)), row(1, (0.4, 0.2, 0.6))]
    (answers,) = sentiment.chosen_answers(entries)
    for fold, chosen in enumerate((0, 1, 0)):
        assert (answers[folds.split(fold)[2]] == chosen).all()


def test_channels_are_standardised_by_the_training_part_alone(tmp_path):
    parts = load_signals(str(signals_files(tmp_path)))
    config = make_config(vowels_config.FIELDS, valid_share=0.25)
    made = vowels.repeat(config, parts, 0)
    steps = np.concatenate(
        [x[:n] for x, n in zip(made.train.inputs, made.train.lengths, strict=True)]
    )
    np.testing.assert_allclose(steps.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(steps.std(0), 1, rtol=1e-5)
    far = {**parts, "test": parts["test"]._replace(inputs=parts["test"].inputs + 100)}
    other = vowels.repeat(config, far, 0)
    np.testing.assert_array_equal(other.train.inputs, made.train.inputs)
    assert other.test.inputs[0, 0].min() > made.test.inputs[0, 0].max() + 20
    assert len(made.train.labels) + len(made.valid.labels) == 12
    assert not made.test.inputs[0, made.test.lengths[0] :].any()


@pytest.mark.parametrize("name", ["sentiment", "vowels"])
def test_a_run_learns_reports_and_resumes(name, tmp_path, capsys):
    small = ["--config.hidden_size=4", "--config.pooling=mean", "--config.dropout=0"]
    small += ["--config.num_epochs=25", "--config.patience=0", "--config.learning_rate=0.05"]
    if name == "sentiment":
        fitting, data = sentiment.SENTIMENT, sentences_file(tmp_path)
        own = ["--config=configs/sentiment.py:all", "--config.num_folds=2"]
        own += ["--config.embedding_size=3", "--config.word_dropout=0", "--config.valid_share=0.3"]
        num_fits, num_tested = 2, 24
    else:
        fitting, data = vowels.VOWELS, signals_files(tmp_path)
        own = ["--config=configs/vowels.py:mean", "--config.num_seeds=2"]
        num_fits, num_tested = 2, 8
    command = [*own, *small, f"--config.data={data}", f"--workdir={tmp_path / 'run'}"]
    command += ["--config.baseline=false"]
    assert main(fitting, command) == 0
    said = capsys.readouterr().out
    file = tmp_path / "run" / "fits.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(records) == num_fits
    accuracy = np.mean([record["test"]["accuracy"] for record in records])
    assert accuracy == 1.0 and "1.000 [" in said
    if name == "sentiment":  # each is tested in one fold
        assert sum(len(record["answers"]) for record in records) == num_tested
    told = json.loads((tmp_path / "run" / "provenance.json").read_text())["sessions"][0]["kernels"]
    assert set(told.values()) == {"scan"} and all(cell.endswith("-> 4") for cell in told)
    before = file.read_bytes()
    assert main(fitting, command) == 0
    assert capsys.readouterr().out == said and file.read_bytes() == before
    if name == "sentiment":
        assert main(fitting, [*command, "--show=A good phone|It broke"]) == 0
        shown = capsys.readouterr().out
        assert "good 0.33" in shown and (tmp_path / "run" / "words.png").stat().st_size > 2000


def refused(fitting, argv, capsys):
    """The one line of a command that ends with status 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(fitting, argv)
    line = capsys.readouterr().err
    assert caught.value.code == 2 and line.startswith("error: ") and line.count("\n") == 1
    return line


@pytest.mark.parametrize("name", ["sentiment", "vowels"])
def test_a_run_is_of_its_data_and_no_other(name, tmp_path, capsys):
    """Labels swapped in the file, everything of the same size: the nets' answers would be scored
    against others than they learned. Folders of earlier versions tell no hash: they go on."""
    if name == "sentiment":
        fitting, file = sentiment.SENTIMENT, sentences_file(tmp_path)
        argv = [
            "--config=configs/sentiment.py:all",
            "--config.num_folds=2",
            f"--config.data={file}",
        ]
        swap, more = str.maketrans({"0": "1", "1": "0"}), ["--config.valid_share=0.3"]
    else:
        fitting, file = vowels.VOWELS, signals_files(tmp_path).with_name("own_TEST.ts")
        argv = ["--config=configs/vowels.py:mean", f"--config.data={tmp_path / 'own'}"]
        swap, more = str.maketrans({"a": "b", "b": "a"}), ["--config.num_seeds=1"]
    run = tmp_path / "run"
    argv += [*more, "--config.hidden_size=2", "--config.num_epochs=1", f"--workdir={run}"]
    argv += ["--config.baseline=false"]
    assert main(fitting, argv) == 0
    settings = json.loads((run / "config.json").read_text())
    head, begun, data = file.read_text().partition("@data")
    right = head + begun + data
    other = head + begun + data.translate(swap) if begun else head.translate(swap)
    file.write_text(other)
    line = refused(fitting, argv, capsys)
    assert "sha256_of_" in line and "give another --workdir" in line
    if name == "sentiment":
        assert "is of other data" in refused(fitting, [*argv, "--show=x"], capsys)
    file.write_text(right)
    assert main(fitting, argv) == 0
    old = {k: v for k, v in settings["config"].items() if not k.startswith("sha256")}
    (run / "config.json").write_text(json.dumps(settings | {"config": old}))
    assert main(fitting, argv) == 0  # and is of this data from now on
    assert json.loads((run / "config.json").read_text()) == settings


@pytest.mark.parametrize(
    ("fitting", "settings", "said"),
    [
        (sentiment.SENTIMENT, ["init_from=RUN"], "config.init_from=RUN: must be empty"),
        (vowels.VOWELS, ["init_from=RUN", "valid_share=0.2"], "config.init_from=RUN: with"),
        (vowels.VOWELS, ["patience=1"], "config.patience=1: needs a validation part"),
    ],
)
def test_settings_that_leak_or_do_nothing_are_refused(fitting, settings, said, tmp_path, capsys):
    argv = [f"--config.{setting}" for setting in settings]
    assert said in refused(fitting, [*argv, f"--workdir={tmp_path / 'run'}"], capsys)
    assert not (tmp_path / "run").exists()


def test_a_baseline_of_other_folds_or_words_is_made_again(tmp_path, monkeypatch):
    """Search rows share a folder: what was answered for two folds is none of four folds'."""
    read = load_sentences(str(sentences_file(tmp_path, 26)))
    made = []

    def counted(folds, seed):
        made.append(folds.config.num_folds)
        return np.full(len(folds.words), folds.config.num_folds % 2)

    monkeypatch.setattr(sentiment, "baseline", counted)

    def right(read=read, **changes):
        config = make_config(sentiment_config.FIELDS, **{"valid_share": 0.25, **changes})
        return sentiment.baseline_right(Folds(config, read), tmp_path)

    first = right(num_folds=2)
    assert (right(num_folds=2) == first).all() and made == [2]
    assert (right(num_folds=3) != first).all() and made == [2, 3]
    right(num_folds=3, seed=1)
    right(num_folds=3, seed=1, valid_share=0.5)
    right(read._replace(texts=("other", *read.texts[1:])), num_folds=3, seed=1, valid_share=0.5)
    assert made == [2, 3, 3, 3, 3]


def test_what_cannot_be_used_is_one_line(tmp_path, capsys):
    path = sentences_file(tmp_path)

    def error(fitting, *argv):
        return refused(fitting, [*argv, f"--workdir={tmp_path / 'run'}"], capsys)

    where = f"--config.data={path}"
    row = "--config=configs/sentiment.py:all"
    assert "must be one of own, all" in error(sentiment.SENTIMENT, where, "--config.site=amazon")
    many = "--config.num_folds=20"
    assert "cannot be in 20 folds" in error(sentiment.SENTIMENT, row, where, many)
    assert "config.num_folds=20: " in error(sentiment.SENTIMENT, row, where, many)
    share = "--config.valid_share=0.001"
    said = error(sentiment.SENTIMENT, row, where, share)
    assert "config.valid_share=0.001: " in said and "at least 1000 are needed" in said
    signals = signals_files(tmp_path)
    argv = (f"--config.data={signals}", "--config=configs/vowels.py:mean")[::-1]
    said = error(vowels.VOWELS, *argv, share, "--config.baseline=false")
    assert "config.valid_share=0.001: " in said
    train = tmp_path / "own_TRAIN.ts"
    lines = train.read_text().splitlines()
    for kept, part in ((slice(2, None, 2), "are of class a"), (slice(2, 5), "no class has 5")):
        train.write_text("\n".join([*lines[:2], *lines[kept]]) + "\n")
        said = error(vowels.VOWELS, *argv, "--dry_run")
        assert str(signals) in said and part in said and "--config.baseline=false" in said
    (tmp_path / "empty.txt").write_text("")
    empty = f"--config.data={tmp_path / 'empty.txt'}"
    assert "the file is empty" in error(sentiment.SENTIMENT, empty)
    assert "is not there" in error(sentiment.SENTIMENT, row, where, "--show=x")
    nowhere = f"--config.data={tmp_path / 'nowhere'}"
    assert "nowhere_TRAIN.ts, and none of the named sets (vowels)" in error(vowels.VOWELS, nowhere)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "fitting", [sentiment.SENTIMENT, vowels.VOWELS], ids=["sentiment", "vowels"]
)
def test_every_arg_is_a_config(fitting):
    module = sentiment_config if fitting.name == "sentiment" else vowels_config
    for arg in fitting.args:
        config = module.get_config(arg)
        for row in config.rows:
            if arg != "smoke" and len(config.rows) > 1:
                assert module.get_config(row).rows == (row,)


def test_the_real_sentences_fall_into_even_folds():
    read = load_sentences(data_dir=real_data())
    assert len(choose(read, "imdb").texts) == 1000
    folds = Folds(make_config(sentiment_config.FIELDS), read)
    assert folds.sizes == [2430, 270, 300]
    for number in range(10):
        counts = Counter(folds.strata[n] for n in folds.split(number)[2])
        assert set(counts.values()) == {50} and len(counts) == 6


@pytest.mark.parametrize("name", ["sentiment", "vowels"])
def test_the_guide_says_what_the_records_say(name):
    text = (ROOT / "docs" / "guide" / f"{name}.md").read_text()
    rows = [file.stem for file in sorted((ROOT / "results" / name).glob("*.jsonl"))]
    assert len(rows) >= 5
    for row in rows:
        lines = (ROOT / "results" / name / f"{row}.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        right = [record["test"]["accuracy"] * len(record["answers"]) for record in records]
        accuracy = sum(right) / sum(len(record["answers"]) for record in records)
        if row.startswith("all-"):
            assert f"{accuracy:.3f} [" in text
        else:
            weights = records[0]["num_weights"]
            (line,) = [line for line in text.splitlines() if line.startswith(f"| {row} ")]
            assert f"{accuracy:.3f} [" in line and f" {weights:,} " in line
