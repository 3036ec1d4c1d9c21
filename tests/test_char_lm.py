"""The character language model: what it computes, how it writes, and what it refuses."""

import itertools
import json
import math
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import char_lm as char_lm_config
from experiments.char_lm import EXPERIMENT
from lstm_jax import gru, lstm
from lstm_jax.config import make_config
from lstm_jax.data import Vocabulary
from lstm_jax.fitting import fit, main, make_evaluate, streams
from lstm_jax.fitting.steps import means
from lstm_jax.language.command import bits
from lstm_jax.language.generate import draw_symbol, writer
from lstm_jax.language.model import LanguageParams, language, text_model
from lstm_jax.language.problem import build_corpus, build_problem, made_text
from lstm_jax.parallel import spreads
from lstm_jax.structures import layer, stack
from lstm_jax.unroll import Structure
from tests.generators import assert_default_generator_is_of_no_concern

V, E, H = 5, 3, 4
TEXT = np.random.default_rng(1).integers(0, V, 61)


def small(**how):
    structure = stack(layer(lstm(E, 6)), layer(gru(6, H)))
    model = language(V, structure, **{"embedding_size": E, **how})
    return model._replace(apply=jax.jit(model.apply)), jax.jit(model.init)(jax.random.key(0), 0.8)


def config(**changes):
    values = {"text": "made", "num_epochs": 2, "batch_size": 2, "length": 7, "hidden_size": 8}
    values |= {"embedding_size": 4, "sample_length": 0}
    return make_config(char_lm_config.FIELDS, **{**values, **changes})


# ---- the model


def test_probabilities_are_those_of_a_loop_over_cells():
    model, params = small()
    _, log_p = model.apply(params, model.start(2), jnp.stack([TEXT[:9], TEXT[9:18]], 1), None)
    cells = lstm(E, 6), gru(6, H)
    steps = [jax.jit(cell.step) for cell in cells]
    for stream, symbols in enumerate((TEXT[:9], TEXT[9:18])):
        states = [cell.initial_state() for cell in cells]
        for t, symbol in enumerate(symbols):
            x = params.embedding[symbol]
            for n, step in enumerate(steps):
                states[n], x = step(params.layers[n], states[n], x)
            net = np.asarray(params.v, np.float64) @ np.asarray(x, np.float64) + params.b
            expected = net - np.log(np.exp(net).sum())
            np.testing.assert_allclose(log_p[t, stream], expected, atol=1e-5)


def nats_of_the_whole(model, params, symbols):
    _, log_p = model.apply(params, model.start(1), jnp.asarray(symbols[:-1])[:, None], None)
    return -np.asarray(log_p)[np.arange(len(symbols) - 1), 0, symbols[1:]]


@pytest.mark.parametrize("length", [7, 100])
def test_the_state_carried_from_segment_to_segment_is_the_text_in_one_go(length):
    model, params = small()
    batches = streams(TEXT, 1, length)
    found = means(make_evaluate(text_model(model), batches)(params, batches.data))
    nats = nats_of_the_whole(model, params, TEXT)
    assert math.isclose(found["loss"], nats.mean(), rel_tol=1e-5)
    assert math.isclose(found["error"], (nats > math.log(2)).mean(), rel_tol=1e-5)


def test_streams_are_contiguous_parts_each_from_an_empty_state():
    model, params = small()
    batches = streams(TEXT, 3, 7)
    found = means(make_evaluate(text_model(model), batches)(params, batches.data))
    parts = [TEXT[20 * n : 20 * n + 21] for n in range(3)]
    nats = np.concatenate([nats_of_the_whole(model, params, part) for part in parts])
    assert len(nats) == 60
    assert math.isclose(found["loss"], nats.mean(), rel_tol=1e-5)


@pytest.mark.skipif(jax.device_count() < 2, reason="one device: nothing to spread over")
@pytest.mark.parametrize(("num_streams", "is_wide"), [(32, True), (33, False), (2, False)])
def test_devices_add_up_gradients_and_nothing_before_them(num_streams, is_wide):
    """A sum of mere numbers is that of the weights; a batch not spread is one device's alone."""
    num_streams *= jax.device_count() // 2
    model = text_model(language(5, layer(lstm(5, 3))))
    batches = streams(np.arange(num_streams * 12 + 1) % 5, num_streams, 4)
    batch, params = batches.take(batches.data, (), jnp.int32(1)), model.init(jax.random.key(0))
    args = (params, model.start(batch), batch, jax.random.key(1))
    step = jax.jit(jax.value_and_grad(model.loss, has_aux=True))
    text = step.lower(*args).compile().as_text()
    sums = re.findall(r"= (\S+|\(.*?\)) all-reduce(?:-start)?\(", text)
    assert bool(sums) == is_wide and all(re.search(r"\[\d", shapes) for shapes in sums)
    (loss, (_, metrics)), _ = step(*args)
    assert len(loss.sharding.device_set) == (jax.device_count() if is_wide else 1)
    assert float(metrics["loss"].weight) == num_streams * 4
    np.testing.assert_allclose(loss, metrics["loss"](), rtol=1e-6)


def test_a_uniform_model_needs_ln_v_nats():
    model, params = small()
    params = jax.tree.map(jnp.zeros_like, params)
    batches = streams(TEXT, 2, 7)
    found = means(make_evaluate(text_model(model), batches)(params, batches.data))
    assert math.isclose(found["loss"], math.log(V), rel_tol=1e-6)
    assert math.isclose(bits(found["loss"]), math.log2(V), rel_tol=1e-6)
    assert found["error"] == 1.0


def test_one_hot_inputs_are_the_rows_of_an_embedding():
    one_hot = language(V, layer(gru(V, H)))
    embedded = language(V, layer(gru(V, H)), embedding_size=V)
    params = jax.jit(one_hot.init)(jax.random.key(0))
    assert params.embedding is None
    same = params._replace(embedding=jnp.eye(V))
    symbols = jnp.asarray(TEXT[:8])[:, None]
    _, one = jax.jit(one_hot.apply)(params, one_hot.start(1), symbols, None)
    _, other = jax.jit(embedded.apply)(same, embedded.start(1), symbols, None)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_tied_softmax_has_the_embedding_as_its_weights():
    model = language(V, layer(gru(H, H)), embedding_size=H, tied=True)
    params = jax.jit(model.init)(jax.random.key(0))
    assert params.v is None
    symbols = jnp.asarray(TEXT[:8])[:, None]
    apply = jax.jit(model.apply)
    _, one = apply(params, model.start(1), symbols, None)
    _, other = apply(params._replace(v=params.embedding), model.start(1), symbols, None)
    np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(ValueError, match="tied"):
        language(V, layer(gru(E, H)), embedding_size=E, tied=True)


def test_dropout_is_drawn_by_key_and_only_in_training():
    model, params = small(dropout=0.5)
    symbols = jnp.asarray(TEXT[:8])[:, None]
    calls = [model.apply(params, model.start(1), symbols, key)[1] for key in (None, None)]
    noisy = [model.apply(params, model.start(1), symbols, jax.random.key(n))[1] for n in (0, 0, 1)]
    assert np.array_equal(*calls)
    assert np.array_equal(noisy[0], noisy[1])
    assert not np.allclose(noisy[0], noisy[2]) and not np.allclose(noisy[0], calls[0])


def test_the_default_generator_changes_no_result():
    """A key says by itself what it is of; a user may set another default for keys of their own."""
    model = language(V, layer(gru(E, H)), embedding_size=E, dropout=0.5)
    key = jax.random.key(0, impl="threefry2x32")
    given = model.init(key), model.start(1), jnp.asarray(TEXT[:8])[:, None]
    assert_default_generator_is_of_no_concern(model.apply, *given, key)
    with jax.default_prng_impl("rbg"):
        jax.eval_shape(model.apply, *given, jax.random.key(7))


# ---- the text


def test_a_text_is_split_by_position():
    text = made_text(0, 100)
    corpus = build_corpus(config(train_share=0.7, valid_share=0.2), text)
    parts = [corpus.vocabulary.decode(part) for part in corpus.parts.values()]
    assert "".join(parts) == text
    assert [round(len(part) / len(text), 2) for part in parts] == [0.7, 0.2, 0.1]
    assert corpus.vocabulary.symbols == tuple(sorted(set(text)))


@pytest.mark.usefixtures("standard_promotion")
def test_a_short_periodic_text_is_learnt_by_heart():
    problem = build_problem(
        config(num_epochs=60, learning_rate=0.03, cell="gru", length=20), "abcad\n" * 40
    )
    found = fit(problem, config(num_epochs=60, learning_rate=0.03, length=20, cell="gru"))
    assert found.result["test"]["loss"] < 0.05
    assert found.result["test"]["error"] < 0.05  # all but the start, where nothing is known yet


# ---- writing


def test_drawing_follows_the_tempered_distribution():
    p = np.array([0.5, 0.1, 0.3, 0.1])
    log_p = jnp.log(jnp.asarray(p, jnp.float32))
    keys = jax.random.split(jax.random.key(0), 4000)
    for temperature, top_k in ((1.0, 4), (0.5, 4), (1.0, 2), (np.inf, 4), (3e38, 2)):
        draw = jax.vmap(lambda key, t=temperature, k=top_k: draw_symbol(
            log_p, key, jnp.float32(t), jnp.int32(k)))  # fmt: skip
        found = np.bincount(draw(keys), minlength=4) / 4000
        expected = p ** (1 / temperature) * (np.argsort(np.argsort(-p)) < top_k)
        expected /= expected.sum()
        # 4000 draws: a standard error of at most 0.008
        np.testing.assert_allclose(found, expected, atol=0.035)
        assert (found[expected == 0] == 0).all()


def test_writing_is_decided_by_the_key_and_the_likeliest_at_temperature_zero():
    model, params = small()
    write = writer(model)

    def text(key, length=40, temperature=1.0, top_k=None):
        return np.concatenate(
            list(write(params, [1, 2], jax.random.key(key), length, temperature, top_k))
        )

    assert np.array_equal(text(0), text(0))
    assert not np.array_equal(text(0), text(1))
    assert np.array_equal(text(0, 70)[:40], text(0))
    assert np.array_equal(text(0, temperature=1.0, top_k=1), text(1, temperature=0.0))
    symbols = [1, 2]  # greedily, from the whole text each time
    for symbol in text(5, 6, 0.0):
        _, log_p = model.apply(params, model.start(1), jnp.asarray(symbols)[:, None], None)
        assert symbol == int(jnp.argmax(log_p[-1, 0]))
        symbols.append(int(symbol))


# ---- the command


SMALL = [
    *("--config=configs/char_lm.py:smoke", "--config.num_epochs=2", "--config.hidden_size=8"),
    "--config.batch_size=64",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("char_lm") / "run"
    assert main(EXPERIMENT, [*SMALL, f"--workdir={path}"]) == 0
    return path


def test_a_run_without_epochs_is_reported_each_time(tmp_path, capsys):
    argv = [*SMALL, "--config.num_epochs=0", f"--workdir={tmp_path / 'run'}"]
    told = []
    for _ in range(2):
        assert main(EXPERIMENT, argv) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1] and "0 of 0" in told[0]
    assert (tmp_path / "run" / "best.safetensors").is_file()


def test_the_command_leaves_records_samples_and_pictures(run, capsys):
    records = [json.loads(line) for line in (run / "epochs.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert records[1]["valid"]["loss"] < math.log(23)
    samples = (run / "samples" / "epoch-0002.txt").read_text()
    assert [f"=== temperature {t}" in samples for t in ("0.5", "0.8", "1")] == [True] * 3
    assert (run / "fit.png").stat().st_size > 5000
    before = (run / "epochs.jsonl").read_bytes()
    assert main(EXPERIMENT, [*SMALL, f"--workdir={run}"]) == 0  # nothing left to do
    assert (run / "epochs.jsonl").read_bytes() == before
    result = json.loads((run / "result.json").read_text())["test"]["loss"]
    assert f"{result:.3f} ({bits(result):.3f})" in capsys.readouterr().out
    (session,) = json.loads((run / "provenance.json").read_text())["sessions"]
    (kernel,) = session["kernels"].values()  # 64 streams go to two devices or more, if they can
    assert kernel == ("deferred" if spreads(64) and jax.device_count() <= 4 else "scan")


def test_the_written_text_goes_on_from_the_seed(run, capsys):
    argv = ["--generate=the old ", f"--workdir={run}", "--length=50", "--top_k=3"]
    texts = []
    for more in ([], [], ["--sample_seed=1"]):
        assert main(EXPERIMENT, [*argv, *more]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    assert texts[0].startswith("the old ") and len(texts[0]) == 8 + 50 + 1


def test_another_text_goes_on_from_the_weights_in_their_vocabulary(run, tmp_path, capsys):
    own = tmp_path / "own.txt"
    own.write_text("the captain saw the river. " * 40 + "Z")
    argv = [*SMALL, f"--config.text={own}", f"--config.init_from={run}"]
    with pytest.raises(SystemExit):
        main(EXPERIMENT, [*argv, f"--workdir={tmp_path / 'a'}"])
    assert "'Z'" in capsys.readouterr().err
    argv += ["--config.unknown=skip", f"--workdir={tmp_path / 'a'}"]
    assert main(EXPERIMENT, argv) == 0
    kept = json.loads((tmp_path / "a" / "config.json").read_text())["config"]["vocabulary"]
    assert Vocabulary.from_json(json.dumps(kept)).symbols == tuple(sorted(set(made_text(0))))
    wrong = ["--config.hidden_size=9", f"--workdir={tmp_path / 'b'}"]
    capsys.readouterr()
    assert main(EXPERIMENT, [*argv, *wrong]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 5 and all(line.startswith("error: config.init_from=") for line in lines)


def test_a_run_goes_on_where_the_run_that_it_began_from_is_gone(run, tmp_path, capsys):
    first, own = tmp_path / "first", tmp_path / "own"
    shutil.copytree(run, first)
    text = tmp_path / "own.txt"
    text.write_text("the captain saw the river. " * 40)  # fewer symbols than the first has
    argv = [*SMALL, f"--config.text={text}", f"--config.init_from={first}", f"--workdir={own}"]
    assert main(EXPERIMENT, argv) == 0
    told = capsys.readouterr().out
    shutil.rmtree(first)
    assert main(EXPERIMENT, argv) == 0
    assert capsys.readouterr().out == told
    (own / "result.json").unlink()  # killed before the test
    assert main(EXPERIMENT, argv) == 0
    assert capsys.readouterr().out == told


def test_an_empty_beginning_needs_no_line_end(tmp_path, capsys):
    text = tmp_path / "own.txt"
    text.write_text("no line ends here. " * 40)
    argv = [*SMALL, "--config.sample_length=0", f"--config.text={text}"]
    assert main(EXPERIMENT, [*argv, f"--workdir={tmp_path / 'run'}"]) == 0
    written = []
    for begin in ("", "n"):  # as the samples of the run begin: after what the text begins with
        capsys.readouterr()
        how = [f"--generate={begin}", f"--workdir={tmp_path / 'run'}", "--length=20"]
        assert main(EXPERIMENT, how) == 0
        written.append(capsys.readouterr().out.removeprefix(begin))
    assert written[0] == written[1] and len(written[0]) == 21


BAD = {
    "empty": (b"", "empty"),
    "one character": (b"x", "at least two"),
    "one symbol": (b"x" * 99, "at least two"),
    "too short": (b"abcabcabcabca", "test part"),
    "not text": (b"\xff\xfe\xffabc", "UTF-8"),
    "missing": (None, "no such file"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_text_that_cannot_be_used_is_one_line(case, tmp_path, capsys):
    content, expected = BAD[case]
    file = tmp_path / "text.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        main(EXPERIMENT, [*SMALL, f"--config.text={file}", f"--workdir={tmp_path / 'run'}"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.count("\n") == 1 and expected in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--generate=the Q"], "'Q'"),
        (["--generate=the", "--top_k=0"], "top_k"),
        (["--generate=the", "--temperature=-1"], "temperature"),
        (["--config.bidirectional=true"], "bidirectional"),
        (["--config.tied=true"], "tied"),
        (["--config.train_share=0.9", "--config.valid_share=0.2"], "nothing for the test"),
        (["--config.init_from=no/such"], "no such file"),
    ],
)
def test_a_mistake_is_one_line(run, argv, expected, capsys):
    try:
        status = main(EXPERIMENT, [*SMALL, *argv, f"--workdir={run}"])
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr().err
    assert status == 2
    assert said.count("\n") == 1 and expected in said


def test_generating_needs_a_trained_run(tmp_path, capsys):
    for more in ([], [f"--workdir={tmp_path}"]):
        with pytest.raises(SystemExit) as ended:
            status = main(EXPERIMENT, ["--generate=a", *more])
            raise SystemExit(status)
        assert ended.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("arg", char_lm_config.ARGS)
def test_every_configuration_is_whole(arg):
    EXPERIMENT.check(char_lm_config.get_config(arg))


def test_made_text_is_of_its_seed():
    assert made_text(0) == made_text(0) != made_text(1)
    lines = made_text(0, 10).splitlines()
    assert len(list(itertools.chain(lines))) == 3 and made_text(0, 10).endswith("\n")


# ---- what training drops, and what a fresh model is


def test_dropout_of_the_embedding_and_of_the_outputs_is_drawn_apart_for_each_symbol():
    """Through layers that change nothing, a number passes both or is lost."""
    as_it_is = Structure(
        "layer", 4, 4, None, lambda: None, lambda params, xs, state=None, *, key=None: (None, xs)
    )
    model = language(V, as_it_is, embedding_size=4, dropout=0.5)
    params = LanguageParams(jnp.ones((V, 4)), None, jnp.eye(V, 4), jnp.zeros(V))
    symbols = jnp.zeros((60, 20), jnp.int32)
    _, log_p = jax.jit(model.apply)(params, None, symbols, jax.random.key(2))
    outputs = np.asarray(log_p[..., :4] - log_p[..., 4:]).round(4)
    assert set(np.ravel(outputs).tolist()) == {0.0, 4.0}
    kept = outputs > 0
    # four standard errors, and those of a step or a stream are no more alike than of any two
    assert abs(kept.mean() - 0.25) < 4 * math.sqrt(0.25 * 0.75 / kept.size)
    for axis in (0, 1, 2):
        means = kept.mean(axis=tuple({0, 1, 2} - {axis}))
        assert means.std() < 2 * math.sqrt(0.25 * 0.75 / (kept.size / kept.shape[axis]))


def test_streams_of_the_same_text_are_dropped_apart_between_layers():
    model = language(V, stack(layer(gru(V, H)), layer(gru(H, H)), dropout=0.5))
    params = jax.jit(model.init)(jax.random.key(0))
    symbols = jnp.stack([jnp.asarray(TEXT[:8], jnp.int32)] * 2, axis=1)
    apply = jax.jit(model.apply)
    _, drawn = apply(params, model.start(2), symbols, jax.random.key(1))
    _, still = apply(params, model.start(2), symbols, None)
    assert not np.allclose(drawn[:, 0], drawn[:, 1]) and not np.allclose(drawn, still)


@pytest.mark.parametrize(("tied", "of_v", "of_e"), [(False, 25**-0.5, 1.0), (True, None, 25**-0.5)])
def test_fresh_weights_lie_within_their_ranges(tied, of_v, of_e):
    """The vectors of a tied softmax are the short ones of a softmax's weights."""
    model = language(40, layer(gru(25, 25)), embedding_size=25, tied=tied)
    for given in ((), (0.3,)):
        params = model.init(jax.random.key(0), *given)
        for weights, span in ((params.embedding, of_e), (params.v, of_v)):
            if weights is not None:
                largest = float(jnp.abs(weights).max())
                bound = given[0] if given else span
                assert 0.95 * bound < largest <= bound
        assert not params.b.any()


def test_each_part_of_the_text_is_used_for_what_it_is_named():
    """Whoever selected by the test, or tested on what was selected by, would see it here."""
    settings = config(train_share=0.6, valid_share=0.25)
    text = made_text(0, 60)
    parts = build_corpus(settings, text).parts
    problem = build_problem(settings, text)
    used = {"train": problem.train, "valid": problem.valid, **problem.test}
    assert used.keys() == parts.keys()
    for name, part in parts.items():
        expected = streams(part, settings.batch_size, settings.length).data
        for one, other in zip(used[name].data, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_samples_are_drawn_at_the_temperature_they_are_named_after_and_anew_each_epoch():
    settings = config(sample_length=50, temperatures=(0.0, 1.0))
    problem = build_problem(settings, made_text(0, 60))
    params = jax.jit(problem.model.init)(jax.random.key(0))
    first, again, later = (problem.samples(params, epoch) for epoch in (1, 1, 2))
    assert first == again and first.keys() == {"temperature 0", "temperature 1"}
    assert first["temperature 0"] == later["temperature 0"]  # the likeliest have no epoch
    assert first["temperature 1"] != later["temperature 1"]
    assert all(len(text) == 50 for text in first.values())
