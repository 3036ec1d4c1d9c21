"""Fits to data are looked into as trials are, and what is shown is what their records say."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import forecasting, inspect, music, sentiment, vowels
from experiments.inspect import KINDS, open_fit
from lstm_jax.cells import lstm
from lstm_jax.fitting import main
from lstm_jax.fitting.inspecting import config_of_fit
from lstm_jax.forecasting.command import main as forecast
from lstm_jax.inspect.command import make_figures
from lstm_jax.inspect.histories import history, saturation
from lstm_jax.inspect.pictures import draw_answers, draw_sequence, svg_of
from lstm_jax.record import RunFolderError
from lstm_jax.record.reading import read_run
from lstm_jax.record.weights import WEIGHTS, read_weights
from lstm_jax.report.inside import look_inside
from lstm_jax.unroll import unroll
from tests.test_forecasting import FIELDS as SMALL_FORECAST
from tests.test_forecasting import series, write_csv
from tests.test_sentiment_vowels import sentences_file, signals_files

SMALL = ["--config.hidden_size=3", "--config.num_epochs=2", "--config.patience=0"]


def flags(values):
    return [f"--config.{name}={value}" for name, value in values.items()]


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    """Two folds with attention over both directions."""
    path = tmp_path_factory.mktemp("sentences")
    own = {"data": sentences_file(path), "num_folds": 2, "embedding_size": 4, "baseline": "false"}
    own |= {"valid_share": 0.3}
    command = ["--config=configs/sentiment.py:all", *SMALL, *flags(own)]
    assert main(sentiment.SENTIMENT, [*command, f"--workdir={path / 'run'}"]) == 0
    return path / "run"


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
    path = tmp_path_factory.mktemp("signals")
    own = {"data": signals_files(path), "num_seeds": 2, "baseline": "false", "num_layers": 2}
    command = ["--config=configs/vowels.py:last", *SMALL, *flags(own)]
    assert main(vowels.VOWELS, [*command, f"--workdir={path / 'run'}"]) == 0
    return path / "run"


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """Chords that go up; one piece too short to foretell anything of."""
    path = tmp_path_factory.mktemp("pieces")
    rng = np.random.default_rng(0)
    all_pieces = [
        [[int(p) for p in 50 + rng.choice(20, 3, replace=False)] for _ in range(length)]
        for length in (4, 6, 5)
    ]
    parts = {"train": all_pieces, "valid": all_pieces[:1], "test": [[[60]], *all_pieces[1:]]}
    (path / "own.json").write_text(json.dumps(parts))
    command = ["--config=configs/music.py:lstm", *SMALL, f"--config.data={path / 'own.json'}"]
    assert main(music.EXPERIMENT, [*command, f"--workdir={path / 'run'}"]) == 0
    return path / "run"


@pytest.fixture(scope="module")
def origins(tmp_path_factory):
    path = tmp_path_factory.mktemp("origins")
    own = SMALL_FORECAST | {"baselines": "persistence", "num_origins": 2, "season": 7}
    own["csv"] = write_csv(path / "demand.csv", series())
    command = ["--config=configs/forecasting.py:csv", *flags(own)]
    assert forecast(forecasting.EXPERIMENT, [*command, f"--workdir={path / 'run'}"]) == 0
    return path / "run"


def records_of(path, name):
    return [json.loads(line) for line in (path / name).read_text().splitlines()]


@pytest.mark.parametrize("kind", ["sentences", "signals"])
def test_answers_are_those_of_the_records(kind, request):
    path = request.getfixturevalue(kind)
    run = open_fit(read_run(path))
    assert run.trials() == [0, 1] and run.is_finished
    for trial, record in enumerate(records_of(path, "fits.jsonl")):
        assert run.moments(trial) == [0, record["best_epoch"]]
        looks = [run.look(trial, n) for n in range(run.num_sequences(trial))]
        answers = [int(seen.outputs[-1].argmax()) for seen in looks]
        assert answers == record["answers"][: len(looks)]
        right = np.mean([seen.meta["correct"] for seen in looks])
        assert right == pytest.approx(record["test"]["accuracy"])
        nats = np.mean([-np.log((s.outputs[-1] * s.targets[-1]).sum()) for s in looks])
        assert nats == pytest.approx(record["test"]["loss"], rel=1e-5)


def test_a_sentence_its_words_and_its_attention(sentences):
    run = open_fit(read_run(sentences))
    seen = run.look(1, 2)
    words = seen.meta["written"]
    assert words[0] == "the" and words[3] in ("good", "bad") and words[4] == "."
    assert ("good" in words) == (seen.targets[-1].tolist() == [0, 1])
    shown = [seen.meta["input_names"][n] for n in seen.inputs]
    assert shown[0] == "the" and shown[1] == "<unk>"  # a word of its own, not learned from
    shares = seen.arrays["pooling"][:, 0]
    assert len(shares) == len(words) and shares.sum() == pytest.approx(1, rel=1e-5)
    weights = run.weights(1)
    fold = run.params(1)
    xs = weights["embedding"][seen.inputs]
    assert seen.arrays["0/backward/f"].shape == seen.arrays["0/forward/f"].shape == (len(words), 3)
    hs = np.concatenate([seen.arrays[f"0/{way}/h"] for way in ("forward", "backward")], axis=1)
    u, b, v = (weights[f"pooling.{name}"] for name in "ubv")
    scores = np.tanh(hs @ u.T + b) @ v
    np.testing.assert_allclose(shares, np.exp(scores) / np.exp(scores).sum(), rtol=1e-5)
    nets = shares @ hs @ weights["readout.v"].T + weights["readout.b"]
    np.testing.assert_allclose(seen.outputs[-1], np.exp(nets) / np.exp(nets).sum(), rtol=1e-5)
    assert (hs != 0).all() and xs.shape == (len(words), 4)
    # Were the sentence to end after two words: nothing of the others is seen.
    files = read_run(sentences)
    net = sentiment.build(config_of_fit(files, sentiment.SENTIMENT.fields), inspect.HERE).net
    two = jax.nn.softmax(net.logits(fold, jnp.asarray(seen.inputs[:2])))
    np.testing.assert_allclose(seen.outputs[1], two, rtol=1e-5)
    text = svg_of(draw_sequence(seen)).decode()
    assert all(f">{word}<" in text for word in words) and "attention (additive): share" in text
    assert ">forget gate f, layer 0 backward: 3 units" in text and "sentiment all" in text
    assert "trial 1, seed 0, fold 1, epoch" in text


def test_a_signal_through_two_layers(signals):
    run = open_fit(read_run(signals))
    seen = run.look(0, 1)
    parts = vowels.load_signals(str(signals.parent / "own"))
    length = parts["test"].lengths[1]
    assert seen.inputs.shape == (length, 2) and len(seen.outputs) == length
    inner = run.params(0).structure[1].backward
    below = [seen.arrays[f"0/{way}/h"] for way in ("forward", "backward")]
    xs = jnp.asarray(np.concatenate(below, axis=1))
    _, hs = unroll(lstm(6, 3, switches=("NP",)), inner, xs, reverse=True)
    np.testing.assert_allclose(seen.arrays["1/backward/h"], hs, rtol=1e-5, atol=1e-6)
    shares = seen.arrays["pooling"][:, 0]
    assert shares[0] == shares[-1] == 0.5 and not shares[1:-1].any()
    # the start is what training began with: the run's own program gives it
    begun = history(run, 0).weights["readout.v"][0]
    problem = vowels.build(config_of_fit(read_run(signals), vowels.VOWELS.fields), inspect.HERE)
    key = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), 0)
    np.testing.assert_array_equal(begun, problem.net.init(key).readout.v)
    shares, over = saturation(run, 1)
    assert over["sequences"] == 8 and over["steps"] == parts["test"].lengths.sum()
    assert ">class b<" in svg_of(draw_sequence(seen)).decode()


def test_a_piece_and_what_is_expected_of_it(pieces):
    run = open_fit(read_run(pieces))
    assert run.num_sequences(0) == 2  # not the one of a single frame
    looks = [run.look(0, n) for n in range(2)]
    nll, frames = 0.0, 0
    for seen in looks:
        p = seen.outputs.astype(np.float64)
        nll -= np.log(np.where(seen.targets > 0, p, 1 - p)).sum()
        frames += len(p)
        assert (seen.inputs[1:] == seen.targets[:-1]).all() and (seen.inputs.sum(axis=1) == 3).all()
    result = json.loads((pieces / "result.json").read_text())
    assert nll / frames == pytest.approx(result["test"]["loss"], rel=1e-5)
    lowest = looks[0].inputs[0].argmax()
    assert looks[0].meta["input_names"][39] == "C4" and 50 <= 21 + lowest < 70
    text = svg_of(draw_sequence(looks[0])).decode()
    assert "test piece 1, 5 frames" in text and "keys that sound" in text
    assert f"{looks[0].meta['verdict']}" in text and ">input gate i, layer 0: 3 units" in text


def test_forecasts_are_those_of_the_records(origins):
    run = open_fit(read_run(origins))
    assert run.is_finished and run.trials() == [0, 1] and run.moments(0) == [0, 4]
    for trial, record in enumerate(records_of(origins, "trials.jsonl")):
        looks = [run.look(trial, n) for n in range(run.num_sequences(trial))]
        assert looks[0].targets[-1].tolist() == record["truth"]
        mean = np.mean([seen.outputs[-1] for seen in looks], axis=0)
        np.testing.assert_allclose(mean, record["forecasts"]["network"], rtol=1e-5)
        assert len(looks[0].outputs) == record["origin"]
        assert not np.allclose(looks[0].outputs[-1], looks[1].outputs[-1])
    known = series()
    np.testing.assert_allclose(looks[0].targets[:, 0], known[1 : record["origin"] + 1])
    text = svg_of(draw_sequence(looks[1])).decode()
    assert "network 1 of 2" in text and ">what came<" in text and ">demand<" in text
    assert "2 networks" in svg_of(draw_answers(looks)).decode()


@pytest.mark.parametrize("kind", ["pieces", "origins"])
def test_every_picture_is_drawn(kind, request):
    run = open_fit(read_run(request.getfixturevalue(kind)))
    seen = run.look(0)
    figures, past = make_figures(run, 0, seen)
    assert set(figures) >= {"overview", "gates", "cells", "answers", "training", "saturation"}
    assert past.moments == run.moments(0)
    for name, array in seen.arrays.items():
        assert past.arrays[name][run.moments(0).index(run.last_moment(0))].shape == array.shape


@pytest.mark.parametrize("kind", ["sentences", "origins"])
def test_the_page_of_a_fit_plays_what_its_network_does(kind, request):
    files = read_run(request.getfixturevalue(kind))
    inside = look_inside(files, 1, 0, open_fit)
    run = open_fit(files)
    assert (inside.problem, len(inside.playbacks), len(inside.pictures)) == ("", 3, 3)
    for shown, (number, moment) in zip(
        inside.playbacks, ((0, None), (1, None), (0, 0)), strict=True
    ):
        seen = run.look(1, number, moment)
        (output,) = (
            p for p in shown.panels if p.name.startswith("output") and "gate" not in p.name
        )
        np.testing.assert_array_equal(output.values[:, : seen.outputs.shape[1]], seen.outputs)
        verdict = seen.meta["verdict"]
        assert verdict[1:] in shown.note and f"sequence {number}" in shown.title
    assert "network untrained" in inside.playbacks[2].title
    with pytest.raises(RunFolderError, match="has no trial 2; valid: 0, 1"):
        look_inside(files, 2, 0, open_fit)


def test_the_page_of_a_fit_without_its_data_says_so(sentences, tmp_path):
    shutil.copytree(sentences, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["config"]["data"] = str(tmp_path / "gone.txt")
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    inside = look_inside(read_run(tmp_path / "run"), None, 0, open_fit)
    assert not inside.playbacks and "Nothing to see inside" in inside.problem
    assert "gone.txt" in inside.problem


def test_what_cannot_be_looked_into_is_one_line(signals, sentences, origins, tmp_path):
    run = open_fit(read_run(signals))
    for what, words in (
        (lambda: run.look(2), "has no trial 2; valid: 0, 1"),
        (lambda: run.look(0, 8), "has no test sequence 8; valid: 0 to 7"),
        (lambda: run.look(0, 0, 7), "keeps no weights of epoch 7; it has those of 0, "),
    ):
        with pytest.raises(RunFolderError, match=words):
            what()
    for path in (signals, sentences, origins):  # as earlier versions left them
        shutil.copytree(path, tmp_path / path.parent.name)
        (tmp_path / path.parent.name / WEIGHTS).unlink()
        with pytest.raises(RunFolderError, match="keeps no weights: its first fit has not ended"):
            open_fit(read_run(tmp_path / path.parent.name))
    config = json.loads((signals / "config.json").read_text())
    config["config"]["signals"] = [12, 9]
    shutil.copytree(signals, tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunFolderError, match=r"is of other data than are found now \(signals diff"):
        open_fit(read_run(tmp_path / "other"))


def test_weights_are_kept_once_and_move_no_record(signals, tmp_path):
    """A kill between the weights of a fit and its record: the fit is made again, to the same."""
    path = tmp_path / "run"
    shutil.copytree(signals, path)
    kept = {name: (path / name).read_bytes() for name in ("fits.jsonl", WEIGHTS)}
    (path / "fits.jsonl").write_bytes(kept["fits.jsonl"].split(b"\n")[0] + b"\n")
    own = {"data": signals.parent / "own", "num_seeds": 2, "baseline": "false", "num_layers": 2}
    command = ["--config=configs/vowels.py:last", *SMALL, *flags(own), f"--workdir={path}"]
    assert main(vowels.VOWELS, command) == 0
    assert {name: (path / name).read_bytes() for name in kept} == kept
    assert read_weights(path).trials() == [0, 1]


def test_a_kind_is_told_by_a_setting_of_its_own():
    from configs import char_lm, karpathy

    tables = {
        "open_text": (char_lm.FIELDS | {"text_sha256": 0}, karpathy.FIELDS | {"text_sha256": 0}),
        "open_piece": (music.config.FIELDS,),
        "open_sentence": (sentiment.SENTIMENT.fields,),
        "open_utterance": (vowels.VOWELS.fields,),
        "open_origin": (forecasting.config.FIELDS,),
    }
    for name, fields in ((name, fields) for name, some in tables.items() for fields in some):
        assert next(opener for key, opener in KINDS.items() if key in fields).__name__ == name
