"""Cells ranked for what a reader can name, the page of coloured text, and the table of Karpathy."""

import hashlib
import html
import json
import re

import jax
import numpy as np
import pytest

from configs import karpathy as karpathy_config
from experiments.karpathy import EXPERIMENT, PAPER, _cells, ngrams
from lstm_jax import gru, lstm
from lstm_jax.config import make_config
from lstm_jax.fitting import Entry
from lstm_jax.fitting.problem import Fitted
from lstm_jax.language.looking import features, gate_shares, memories, rank, record_text
from lstm_jax.language.model import language
from lstm_jax.language.ngram import ngram_nats
from lstm_jax.language.page import cells_page, colour
from lstm_jax.language.problem import build_corpus, build_problem, made_text
from lstm_jax.network import num_weights
from lstm_jax.structures import layer, stack

TEXT = 'He said "no (not yet)" to\nAnna. "Go!\n\nThen Bob went.'


def test_features_are_those_of_a_reader():
    found = features(TEXT)
    inside = "".join(c for c, v in zip(TEXT, found["inside quotes"], strict=True) if v)
    assert inside == '"no (not yet)"Go!\n'  # an opening mark is inside; a new paragraph closes
    brackets = "".join(c for c, v in zip(TEXT, found["inside brackets"], strict=True) if v)
    assert brackets == "(not yet"
    capital = "".join(c for c, v in zip(TEXT, found["in a capitalised word"], strict=True) if v)
    assert capital == "HeAnnaGoThenBob"
    line = found["place in the line"]
    assert all(line[t] == 0 for t, c in enumerate(TEXT) if c == "\n")
    assert line[TEXT.index("Anna")] == 1 and line[TEXT.index("Bob") + 2] == 8
    assert found["place in the word"][TEXT.index("Anna") + 3] == 4
    assert found["place in the sentence"][TEXT.index("Then")] == 3


def test_ranking_is_by_the_size_of_the_correlation():
    rng = np.random.default_rng(0)
    feature = rng.normal(size=400)
    arrays = {"0/c": rng.normal(size=(400, 3)), "1/c": rng.normal(size=(400, 2))}
    arrays["1/c"][:, 1] -= 3 * feature
    arrays["0/c"][:, 2] += feature
    found = rank(arrays, {"f": feature})["f"]
    assert [(u.name, u.unit) for u in found[:2]] == [("1/c", 1), ("0/c", 2)]
    for unit in found:
        column = arrays[unit.name][:, unit.unit]
        assert unit.correlation == pytest.approx(np.corrcoef(column, feature)[0, 1], abs=1e-10)


def test_recorded_memories_and_gate_shares():
    model = language(5, stack(layer(lstm(5, 4)), layer(gru(4, 3))))
    symbols = np.random.default_rng(0).integers(0, 5, 30)
    arrays = record_text(model, model.init(jax.random.key(0), 3.0), symbols)
    held = memories(arrays)
    assert list(held) == ["tanh 0/c", "1/h"]
    np.testing.assert_array_equal(held["tanh 0/c"], np.tanh(arrays["0/c"]))
    np.testing.assert_array_equal(held["1/h"], arrays["1/h"])
    shares = gate_shares(arrays)["0/f"]
    assert shares.left.tolist() == [(arrays["0/f"][:, n] < 0.1).mean() for n in range(4)]
    assert shares.right.tolist() == [(arrays["0/f"][:, n] > 0.9).mean() for n in range(4)]


def test_the_page_holds_the_text_and_one_excerpt_a_feature():
    text = made_text(0, 40)
    known = features(text)
    arrays = {"c": np.stack([known["place in the word"], -known["place in the line"]], axis=1)}
    ranking = rank(arrays, known)
    page = cells_page("a < b", text, arrays, ranking, known)
    assert "<h1>a &lt; b</h1>" in page and "http" not in page
    blocks = re.findall(r"<pre>(.*?)</pre>", page, re.S)
    assert len(blocks) == len(ranking) == 3  # the made text has no quotes, brackets or capitals
    for block in blocks:
        assert html.unescape(re.sub(r"<.*?>", "", block)) in text
    values = np.array([0.5, 0.5, -1.0, 0.0])
    assert colour("ab&d", values) == '<span class="p6">ab</span><span class="m12">&amp;</span>d'


def test_rows_have_the_weights_of_the_lstm_in_their_name():
    for name in karpathy_config.GRID + karpathy_config.PAPER:
        config = karpathy_config.get_config(name)
        cell, size, _ = name.removeprefix("paper-").split("-")
        wanted = karpathy_config.count_weights("lstm", int(size), 1)
        if config.num_layers > 1 or cell != "lstm":
            own = karpathy_config.count_weights(cell, config.hidden_size, config.num_layers)
            assert abs(own / wanted - 1) < 0.04, name
        assert name.removeprefix("paper-") in PAPER
    config = karpathy_config.get_config("gru-64-2")
    text = "".join(chr(40 + n) for n in range(82)) * 40
    params = jax.eval_shape(build_problem(config, text).model.init, jax.random.key(0))
    # one bias vector a gate, and none twice
    assert num_weights(params) == karpathy_config.count_weights("gru", config.hidden_size, 2)


def test_ngrams_are_counted_on_the_same_parts_and_kept(tmp_path):
    config = karpathy_config.get_config("smoke-lstm-8-1")
    text = made_text(0, 60)
    problem = build_problem(config, text)
    entry = Entry("row", config, problem, None, tmp_path)
    found = ngrams(entry, tmp_path)
    corpus = build_corpus(config, text)
    parts = corpus.parts["train"], corpus.parts["test"]
    for n, nats in ngram_nats(*parts, len(corpus.vocabulary), [2, 5]).items():
        assert found[n] == pytest.approx(nats.mean(), rel=1e-12)
    assert ngrams(entry, tmp_path) == found
    (tmp_path / "ngrams.json").write_text("{")
    assert ngrams(entry, tmp_path) == found


def test_ngrams_of_other_parts_are_counted_again(tmp_path):
    """The same text, other shares: what is counted and what is foretold are others."""
    config, text = karpathy_config.get_config("smoke-lstm-8-1"), made_text(0, 60)

    def counted(folder, **changes):
        own = make_config(karpathy_config.FIELDS, **{**config, **changes})
        return ngrams(Entry("row", own, build_problem(own, text), None, tmp_path), folder)

    shares = {"train_share": 0.3, "valid_share": 0.1}
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    first, expected = counted(tmp_path), counted(fresh, **shares)
    assert counted(tmp_path, **shares) == expected != first
    assert counted(tmp_path) == first
    # as an earlier version kept it: of which parts, it does not say
    kept = {"text_sha256": hashlib.sha256(text.encode()).hexdigest(), "nats": {"2": 0.0}}
    (tmp_path / "ngrams.json").write_text(json.dumps(kept))
    assert counted(tmp_path) == first


@pytest.mark.parametrize(("text", "shown"), [("warpeace", "1.449"), ("made", "-")])
def test_the_papers_figures_are_beside_its_text_alone(text, shown, tmp_path):
    fields = karpathy_config.FIELDS
    result = {"num_weights": 9, "epochs": 1, "test": {"loss": 2.0, "error": 0.5}}
    fitted = Fitted((), [], result)
    entry = Entry("lstm-64-1", make_config(fields, text=text), None, fitted, tmp_path)
    assert _cells(entry)[4] == shown


@pytest.mark.parametrize("arg", [*karpathy_config.ARGS, "gru-128-2", "paper-rnn-256-3"])
def test_every_configuration_is_whole(arg):
    EXPERIMENT.check(karpathy_config.get_config(arg))
