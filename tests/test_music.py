"""Music: likelihoods, sampling, MIDI files, the command, the search's statistics and page."""

import hashlib
import json
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from configs import music as settings
from experiments.music import run
from lstm_jax.cells import lstm
from lstm_jax.config import ConfigError, make_config
from lstm_jax.data import Rolls, chords_of, piano_roll
from lstm_jax.fitting import in_order, make_evaluate
from lstm_jax.fitting.steps import means
from lstm_jax.music import odyssey
from lstm_jax.music.analysis import shares_of, top, versus
from lstm_jax.music.command import interval
from lstm_jax.music.frames import Likelihood, likelihood_of
from lstm_jax.music.midi import notes_of, write_midi
from lstm_jax.music.model import Music, MusicParams, music, piece_model
from lstm_jax.music.odyssey import asks_for_search
from lstm_jax.music.page import markdown, picture
from lstm_jax.music.problem import build_problem, check_room
from lstm_jax.music.sampling import sample_piece
from lstm_jax.music.search import load_trials
from lstm_jax.structures import layer, stack
from lstm_jax.unroll import Structure
from tests.generators import assert_default_generator_is_of_no_concern
from tests.tolerances import FALSE_ALARM_RATE


def pieces(num, seed=0, longest=8):
    rng = np.random.default_rng(seed)
    return [
        [sorted(rng.choice(np.arange(50, 80), 3, replace=False).tolist()) for _ in range(length)]
        for length in rng.integers(3, longest + 1, num)
    ]


def padded(chords):
    lengths = np.array([len(piece) for piece in chords], np.int32)
    notes = np.zeros((len(chords), lengths.max(), 88), np.uint8)
    for row, piece in zip(notes, chords, strict=True):
        row[: len(piece)] = piano_roll(piece)
    return notes, lengths


def own_file(path, **parts):
    parts = {"train": pieces(6), "valid": pieces(3, 1), "test": pieces(3, 2)} | parts
    path.write_text(json.dumps(parts))
    return path


# ---- the model


def test_the_loss_of_a_pass_is_the_pooled_likelihood():
    model = music(layer(lstm(88, 4)))
    params = model.init(jax.random.key(0))
    notes, lengths = padded(pieces(5))
    batches = in_order((notes, lengths), 2)  # the last batch is filled up
    found = means(make_evaluate(piece_model(model), batches)(params, batches.data))
    expected = likelihood_of(model.net)(params, notes, lengths)
    np.testing.assert_allclose(found["loss"], expected.per_frame, rtol=1e-5)


def test_training_alone_is_noisy_dropped_and_transposed():
    model = music(layer(lstm(88, 4)), dropout=0.4, input_dropout=0.2)
    params = model.init(jax.random.key(0))
    notes, lengths = padded(pieces(4))
    batch = ((jnp.asarray(notes), jnp.asarray(lengths)), jnp.ones(4))

    def loss(key, **options):
        fitted = piece_model(model, **options)
        return float(fitted.loss(params, (), batch, jax.random.key(key))[0])

    assert loss(0) != loss(1) and loss(0) == loss(0)
    assert loss(0, noise=0.5) != loss(0)
    plain = music(layer(lstm(88, 4)))
    # With the same weights for all keys, a transposed piece is as likely as it was.
    even = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.1), params)
    key = jax.random.key(0)
    as_is, shifted = (jax.jit(piece_model(plain, transpose=k).loss) for k in (0, 5))
    same = [float(one(even, (), batch, key)[0]) for one in (as_is, shifted)]
    assert same[0] == pytest.approx(same[1], rel=1e-5)
    other = [float(one(params, (), batch, key)[0]) for one in (as_is, shifted)]
    assert other[0] != pytest.approx(other[1], rel=1e-5)


def test_the_default_generator_changes_no_result():
    model = music(stack(layer(lstm(88, 4)), layer(lstm(4, 3)), dropout=0.5), dropout=0.4)
    params, key = model.init(jax.random.key(0)), jax.random.key(1, impl="threefry2x32")
    xs = jnp.asarray(padded(pieces(1))[0][0], jnp.float32)
    assert_default_generator_is_of_no_concern(model.net, params, xs, key)


def test_a_bootstrap_interval_covers_a_known_mean():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(60):
        frames = rng.integers(20, 60, 40)
        nll = frames * (8.5 + rng.normal(0, 1, 40))
        low, high = interval(Likelihood(nll, frames))
        hits += low <= 8.5 <= high
    assert stats.binomtest(hits, 60, 0.95).pvalue > FALSE_ALARM_RATE


# ---- sampling and MIDI


def test_keys_are_drawn_with_the_probabilities_that_the_model_states():
    model = music(layer(lstm(88, 4)))
    params = model.init(jax.random.key(0))
    params = params._replace(b=jnp.linspace(-3.0, 1.0, 88))
    start = jnp.asarray(padded(pieces(1))[0][0, :3], jnp.float32)
    net = np.asarray(model.net(params, start)[-1], np.float64)
    for temperature in (1.0, 0.5):
        draw = jax.jit(
            jax.vmap(lambda key, t=temperature: sample_piece(model, params, key, start, 4, t)[3])
        )
        drawn = np.asarray(draw(jax.random.split(jax.random.key(1), 2000)))
        expected = 1 / (1 + np.exp(-net / temperature))
        z = (drawn.mean(axis=0) - expected) / np.sqrt(expected * (1 - expected) / 2000)
        assert stats.kstest(z, "norm").pvalue > FALSE_ALARM_RATE
        # the keys do not know of each other
        assert abs(np.corrcoef(drawn[:, 60:].T)[np.triu_indices(28, 1)]).mean() < 0.03


def test_a_longer_piece_begins_with_the_shorter_one_and_hears_itself():
    model = music(layer(lstm(88, 4)))
    params = model.init(jax.random.key(0))
    start = jnp.zeros((2, 88)).at[:, 40].set(1.0)
    short, long = (sample_piece(model, params, jax.random.key(3), start, n, 0.9) for n in (6, 9))
    np.testing.assert_array_equal(long[:6], short)
    np.testing.assert_array_equal(long[:2], start)
    # frame t is drawn from what the whole piece before it makes the model say
    coins = jax.random.uniform(jax.random.fold_in(jax.random.key(3), 8), (88,))
    net = model.net(params, long[:8])[-1]
    np.testing.assert_array_equal(long[8], coins < jax.nn.sigmoid(net / 0.9))
    for bad in ({"length": 1}, {"temperature": 0.0}):
        with pytest.raises(ValueError, match="sample_piece"):
            sample_piece(model, params, jax.random.key(0), start, **{"length": 4, **bad})


def test_a_midi_file_is_read_back_to_the_same_roll(tmp_path):
    mido = pytest.importorskip("mido", reason="the extra music is not installed")
    rng = np.random.default_rng(0)
    roll = (rng.random((20, 88)) < 0.2).astype(np.uint8)
    roll[4] = 0  # a rest
    write_midi(tmp_path / "a.mid", roll, frames_per_minute=90)
    data = (tmp_path / "a.mid").read_bytes()
    kind, size, form, tracks, ticks = struct.unpack(">4sIHHH", data[:14])
    assert (kind, size, form, tracks) == (b"MThd", 6, 0, 1) and data[14:18] == b"MTrk"
    file = mido.MidiFile(tmp_path / "a.mid")
    back, now, sounding = np.zeros_like(roll), 0, {}
    for message in file.tracks[0]:
        now += message.time
        if message.type == "note_on":
            assert message.note not in sounding
            sounding[message.note] = now
        elif message.type == "note_off":
            back[sounding.pop(message.note) // ticks : now // ticks, message.note - 21] = 1
        elif message.type == "set_tempo":
            assert mido.tempo2bpm(message.tempo) == pytest.approx(90, rel=1e-4)
    np.testing.assert_array_equal(back, roll)
    assert now == 20 * ticks and not sounding and file.length == pytest.approx(20 * 60 / 90)


def test_notes_are_held_over_frames():
    roll = piano_roll([[60, 64], [60], [], [60]])
    assert notes_of(roll) == [(0, 60, 2), (0, 64, 1), (3, 60, 1)]


# ---- the command


def arguments(file, workdir, *more):
    return [
        "--config=configs/music.py:smoke",
        f"--config.data={file}",
        "--config.hidden_size=4",
        "--config.num_epochs=2",
        "--config.batch_size=3",
        f"--workdir={workdir}",
        *more,
    ]


def test_a_run_reports_and_writes_a_piece(tmp_path, capsys):
    file = own_file(tmp_path / "own.json")
    assert run(arguments(file, tmp_path / "run")) == 0
    out = capsys.readouterr().out
    assert "8.38" in out and "Bai et al. 2018" in out
    (found,) = json.loads((tmp_path / "run" / "likelihoods.json").read_text())
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert found["test_nll"] == pytest.approx(result["test"]["loss"], rel=1e-5)
    assert found["test_frames"] == sum(len(piece) - 1 for piece in pieces(3, 2))
    low, high = found["test_interval"]
    assert low <= found["test_nll"] <= high
    pytest.importorskip("mido", reason="the extra music is not installed")
    midi = tmp_path / "piece.mid"
    more = [f"--generate={midi}", "--length=12", "--given=2", "--start=1"]
    assert run(arguments(file, tmp_path / "run", *more)) == 0
    assert "12 frames" in capsys.readouterr().out
    assert midi.read_bytes()[:4] == b"MThd"
    assert midi.with_suffix(".png").read_bytes()[1:4] == b"PNG"


def test_a_run_without_epochs_is_reported_each_time(tmp_path, capsys):
    argv = arguments(own_file(tmp_path / "own.json"), tmp_path / "run", "--config.num_epochs=0")
    told = []
    for _ in range(2):
        assert run(argv) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1] and "8.38" in told[0]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--config.data=no-such.json"], ["no-such.json"]),
        (["--config.transpose=24"], ["config.transpose=24", "room for 3 semitones"]),
        (["--config.bidirectional=true"], ["config.bidirectional=true", "next frame"]),
        (["--generate=no/such/folder/a.mid"], ["there is no folder"]),
        (["--generate=a.mid"], ["holds no run"]),
        (["--temperature=0"], ["--temperature=0", "> 0"]),
        (["--config.dropout=1"], ["config.dropout=1", "to 0.99"]),
    ],
)
def test_bad_input_is_one_line(more, words, tmp_path, capsys):
    file = own_file(tmp_path / "own.json", train=[*pieces(3), [[105], [60]]])
    with pytest.raises(SystemExit) as end:
        run(arguments(file, tmp_path / "run", *more))
    said = capsys.readouterr().err
    assert end.value.code == 2 and said.startswith("error: ") and said.count("\n") == 1
    for word in words:
        assert word in said


def test_a_piece_of_one_frame_predicts_nothing(tmp_path, capsys):
    file = own_file(tmp_path / "own.json", test=[[[60]]])
    with pytest.raises(SystemExit):
        run(arguments(file, tmp_path / "run"))
    assert "test has no piece of 2 frames" in capsys.readouterr().err


def test_every_argument_makes_a_config():
    for arg in settings.ARGS:
        assert set(settings.get_config(arg).keys()) == set(settings.FIELDS)
    for arg in settings.SEARCHES:
        assert set(settings.get_config(arg).keys()) == set(settings.SEARCH_FIELDS)
        assert asks_for_search([f"--config=configs/music.py:{arg}", "--dry_run"])
    assert not asks_for_search(["--config=configs/music.py:lstm", "--workdir=a:odyssey"])


def test_a_search_says_what_it_would_cost(tmp_path, capsys):
    asked = ["--config=configs/music.py:odyssey", "--dry_run", f"--workdir={tmp_path}"]
    assert run(asked) == 0
    assert "1,800 trials of 9 variants, 1,800 not on file" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        run(["--config=configs/music.py:odyssey", "--config.variants=V,NFGX"])
    assert end.value.code == 2 and "NFGX" in capsys.readouterr().err


def test_trials_of_two_files_of_pieces_do_not_end_in_one_table(tmp_path, monkeypatch, capsys):
    file, folder = own_file(tmp_path / "own.json"), tmp_path / "search"
    monkeypatch.setattr(odyssey, "_run", lambda *given: 0)  # no trial: the folder is what counts
    monkeypatch.setattr(odyssey, "report", lambda *given: 0)
    argv = ["--config=configs/music.py:odyssey", f"--config.data={file}", f"--workdir={folder}"]
    report = [argv[0], argv[2], "--report"]
    assert run(argv) == run(argv) == run(report) == 0
    settings = json.loads((folder / "config.json").read_text())
    assert settings["sha256_of_pieces"] == hashlib.sha256(file.read_bytes()).hexdigest()
    own_file(file, train=pieces(6, 7))
    with pytest.raises(SystemExit) as end:
        run(argv)
    said = capsys.readouterr().err
    assert end.value.code == 2 and "sha256_of_pieces" in said and said.count("\n") == 1
    # as an earlier version left it: of the data that it goes on with, from then on
    del settings["sha256_of_pieces"]
    (folder / "config.json").write_text(json.dumps(settings))
    assert run(report) == run(argv) == 0
    own_file(file)
    with pytest.raises(SystemExit):
        run(argv)
    file.unlink()
    assert run(report) == 0


def test_trials_of_two_texts_of_a_cell_do_not_end_in_one_table(tmp_path, monkeypatch, capsys):
    cell = tmp_path / "mine.py"
    cell.write_text("from lstm_jax.cells import gru\n\n\ndef mine(D, H):\n    return gru(D, H)\n")
    file, folder = own_file(tmp_path / "own.json"), tmp_path / "search"
    monkeypatch.setattr(odyssey, "report", lambda *given: 0)
    argv = ["--config=configs/music.py:odyssey", f"--config.data={file}", f"--workdir={folder}"]
    argv += [f"--config.variants={cell}:mine", "--config.num_epochs=1", "--config.patience=1"]
    argv += ["--config.axes=learning_rate=uniform:0.1:0.2,hidden_size=4"]
    argv += ["--config.num_samples=1"]
    assert run(argv) == run(argv) == 0
    (line,) = load_trials(folder)
    assert line["cell_sha256"] == hashlib.sha256(cell.read_bytes()).hexdigest()
    cell.write_text(cell.read_text().replace("gru(D, H)", "gru(D, H, reset='before')"))
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        run(argv)
    said = capsys.readouterr().err
    assert end.value.code == 2 and "cell_sha256" in said and said.count("\n") == 1
    assert load_trials(folder) == [line]


# ---- what a search shows


def trials(variant, shift, num=20, seed=0):
    """Trials whose likelihood depends on the setting, and by `shift` on the variant."""
    rng, own = np.random.default_rng(0), np.random.default_rng(seed)
    return [
        {
            "variant": variant,
            "trial": n,
            "values": {"learning_rate": float(f"{10 ** rng.uniform(-6, -2):.6g}")},
            "status": "STOPPED",
            "epochs": 20,
            "valid_nll": (nll := float(rng.uniform(8.4, 12)) + shift + own.normal(0, 0.05)),
            "test_nll": nll + 0.05,
        }
        for n in range(num)
    ]


def test_pairs_show_what_tops_cannot():
    found = {"V": trials("V", 0.0), "NFG": trials("NFG", 0.2, seed=1), "NP": trials("NP", 0, 20, 2)}
    worse, same = versus(found, "V", 0.1)
    assert (worse.variant, worse.verdict) == ("NFG", "worse") and worse.num_pairs == 20
    assert worse.low < 0.2 < worse.high and worse.q_paired < 0.01
    assert same.verdict == "no difference shown"
    # the same numbers by hand
    a, b = (np.array([r["test_nll"] for r in found[name]]) for name in ("NFG", "V"))
    assert worse.paired == pytest.approx(np.median(a - b))
    assert worse.p_paired == pytest.approx(stats.wilcoxon(a - b).pvalue)
    tops = [sorted(x)[:2] for x in (a, b)]
    assert worse.p_welch == pytest.approx(stats.ttest_ind(*tops, equal_var=False).pvalue)
    other = [r | {"values": {"learning_rate": 0.5}} for r in found["NFG"]]
    unpaired = versus({"V": found["V"], "NFG": other}, "V", 0.5)[0]
    assert unpaired.num_pairs == 0 and unpaired.verdict == "no difference shown"


def test_the_best_are_chosen_by_validation():
    records = [
        {"valid_nll": 9.0, "test_nll": 8.0},
        {"valid_nll": None, "test_nll": None},
        {"valid_nll": 8.5, "test_nll": 9.5},
    ]
    assert top(records, 0.3) == [records[2]] and len(top(records, 1.0)) == 3


def test_the_page_of_a_search():
    found = {"V": trials("V", 0.0), "NFG": trials("NFG", 0.3, seed=1)}
    found["NFG"][3] |= {"status": "DIVERGED", "test_nll": None, "valid_nll": None}
    config = make_config(settings.SEARCH_FIELDS)
    costs = [{"wall_s": 100.0, "cpu_s": 90.0, "trials": 40}]
    text = markdown(found, costs, config)
    best = min(found["V"], key=lambda r: r["valid_nll"])
    assert f"{best['valid_nll']:.3f}, {best['test_nll']:.3f}" in text
    assert "worse" in text and "1 min 30 s" in text and "Wilcoxon" in text
    drawn = picture(found, 0.1)
    assert len(drawn.axes) == 2 and drawn.axes[0].collections


def test_chords_survive_the_roll():
    chords = pieces(1)[0]
    assert chords_of(piano_roll(chords)) == chords


# ---- what training draws, seen through models that show it in their loss


def losses_of_two_pieces(net, notes, *, num=400, **options):
    """The loss of each of two pieces of equal length, ``[num, 2]``, over `num` keys of training."""
    model = piece_model(Music(None, None, net), **options)
    lengths = jnp.full(2, notes.shape[1], jnp.int32)

    @jax.jit
    @jax.vmap
    def losses(key):
        alone = [
            model.loss(None, (), ((notes, lengths), weight), key)[1][1]["loss"].total
            for weight in jnp.eye(2)
        ]
        return jnp.stack(alone)

    return np.asarray(losses(jax.random.split(jax.random.key(7), num)), np.float64)


def test_transpositions_are_uniform_over_both_ends_and_of_each_piece():
    """One key is held, and the net input of key k is 60 + k: the loss tells which key it was."""
    pitch, reach = 40, 2
    notes = jnp.zeros((2, 3, 88)).at[:, :, pitch].set(1.0)
    logits = 60.0 + jnp.arange(88.0)  # softplus is the identity up there
    found = losses_of_two_pieces(
        lambda params, xs, key: jnp.broadcast_to(logits, xs.shape), notes, transpose=reach
    )
    shifts = (logits.sum() - found / 2 - 60.0 - pitch).round().astype(int)
    seen = [(shifts == n).sum() for n in range(-reach, reach + 1)]
    assert sum(seen) == shifts.size
    assert stats.chisquare(seen).pvalue > FALSE_ALARM_RATE
    assert stats.pearsonr(*shifts.T).pvalue > FALSE_ALARM_RATE


def test_noise_is_normal_on_the_inputs_alone_and_of_each_piece():
    """Where no key sounds, a net input of 60 + x costs 60 + x, if the target is still 0."""
    notes = jnp.zeros((2, 2, 1))
    found = losses_of_two_pieces(lambda params, xs, key: 60.0 + xs, notes, noise=0.5) - 60.0
    assert stats.kstest(found.ravel(), stats.norm(0, 0.5).cdf).pvalue > FALSE_ALARM_RATE
    assert stats.pearsonr(*found.T).pvalue > FALSE_ALARM_RATE


def test_dropout_of_inputs_and_of_outputs_is_drawn_apart():
    """Through layers and output units that change nothing, a number passes both or is lost."""
    as_it_is = Structure(
        "layer", 88, 88, None, None, lambda params, xs, state=None, *, key=None: (None, xs)
    )
    model = music(as_it_is, dropout=0.5, input_dropout=0.5)
    params = MusicParams(None, jnp.eye(88), jnp.zeros(88))
    net = np.asarray(jax.jit(model.net)(params, jnp.ones((60, 88)), jax.random.key(2)))
    assert set(net.ravel().tolist()) == {0.0, 4.0}
    assert stats.binomtest(int((net > 0).sum()), net.size, 0.25).pvalue > FALSE_ALARM_RATE


def test_dropout_between_layers_is_of_training_alone():
    model = music(stack(layer(lstm(88, 4)), layer(lstm(4, 3)), dropout=0.5))
    params, xs = model.init(jax.random.key(0)), jnp.ones((5, 88))
    drawn = jax.jit(model.net)(params, xs, jax.random.key(1))
    assert not jnp.allclose(drawn, jax.jit(model.net)(params, xs))


# ---- the statistics of a search, by hand


def test_a_comparison_is_that_of_scipy_and_numpy():
    shifts = {"NFG": 0.3, "NP": -0.4, "NIG": 0.06, "NOG": 0.02}
    found = {"V": trials("V", 0.0)}
    found |= {name: trials(name, shift, seed=n) for n, (name, shift) in enumerate(shifts.items())}
    made = versus(found, "V", 0.5)
    nll = {name: np.array([r["test_nll"] for r in own]) for name, own in found.items()}
    tops = {name: np.sort(values)[:10] for name, values in nll.items()}  # test is valid + 0.05
    for one in made:
        a, b = tops[one.variant], tops["V"]
        assert one.difference == pytest.approx(a.mean() - b.mean())
        assert one.p_rank == pytest.approx(stats.mannwhitneyu(a, b).pvalue)
    for name in ("welch", "rank", "paired"):
        p, q = ([getattr(one, f"{kind}_{name}") for one in made] for kind in "pq")
        # Benjamini & Hochberg 1995: the least of p_j m / j over the ranks j from its own up
        order, m = np.argsort(p), len(p)
        steps = np.array(p)[order] * m / np.arange(1, m + 1)
        np.testing.assert_allclose(
            np.array(q)[order], np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1)
        )
    assert [one.verdict for one in made[:2]] == ["worse", "better"]


def test_without_pairs_the_tops_decide():
    found = {"V": trials("V", 0.0)}
    for name, shift in (("NFG", 3.0), ("NP", -3.0)):
        own = trials(name, shift, seed=1)
        found[name] = [r | {"values": {"learning_rate": 0.5}} for r in own]
    assert [one.verdict for one in versus(found, "V", 0.5)] == ["worse", "better"]


def test_the_interval_of_the_pairs_is_that_of_their_median():
    """One pair is far off: a mean would follow it."""
    found = {"V": trials("V", 0.0), "NFG": trials("NFG", 0.2, seed=1)}
    found["NFG"][0]["test_nll"] = found["V"][0]["test_nll"] + 50.0
    for record in found["NFG"]:
        record["valid_nll"] += 5.0  # which is not what is compared
    (one,) = versus(found, "V", 0.5)
    # ranks 6 and 15 of 20 are the 95% interval of a median by the binomial distribution
    deltas = np.sort(
        [a["test_nll"] - b["test_nll"] for a, b in zip(found["NFG"], found["V"], strict=True)]
    )
    assert one.paired == pytest.approx(np.median(deltas))
    assert deltas[3] <= one.low <= deltas[7] and deltas[12] <= one.high <= deltas[16]


def test_what_has_learnt_nothing_counts_as_a_fair_coin_for_each_key():
    coin = 88 * np.log(2)
    found = {"V": trials("V", 0.0), "NFG": trials("NFG", 0.0)}
    for n, lost in enumerate((None, 1e6)):
        found["NFG"][n] |= {"test_nll": lost, "valid_nll": lost}
    (one,) = versus(found, "V", 1.0)
    own = [r["test_nll"] for r in found["V"]]
    assert one.difference == pytest.approx((2 * coin - own[0] - own[1]) / len(own))


def test_shares_are_those_of_the_test():
    """The variant decides the test alone; the validation is the setting's."""
    records = [
        {"variant": v, "trial": n, "values": {"momentum": m}, "valid_nll": 9 + m, "test_nll": test}
        for n, (v, m, test) in enumerate(
            (v, m, 9.0 + (v == "NP")) for v in ("V", "NP") for m in (0.1, 0.9) for _ in range(2)
        )
    ]
    found = shares_of(records)
    assert found is not None and found.alone["variant"] == pytest.approx(1.0)


# ---- what is fitted to what


def test_each_part_of_the_pieces_is_used_for_what_it_is_named(tmp_path):
    file = own_file(tmp_path / "own.json")
    problem = build_problem(make_config(settings.FIELDS, data=str(file)), {"data_dir": ""})
    used = {"train": problem.train, "valid": problem.valid, **problem.test}
    for name, chords in json.loads(file.read_text()).items():
        for one, other in zip(used[name].data, padded(chords), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("lowest", "highest", "room"), [(3, 60, 3), (30, 82, 5), (0, 87, 0)])
def test_a_piece_is_transposed_as_far_as_the_keyboard_goes(lowest, highest, room):
    notes = np.zeros((2, 4, 88), np.uint8)
    notes[0, 1, lowest] = notes[1, 2, highest] = 1
    rolls = Rolls(notes, np.array([4, 4], np.int32))
    check_room(make_config(settings.FIELDS, transpose=room), rolls)
    with pytest.raises(ConfigError, match=f"room for {room} semitones"):
        check_room(make_config(settings.FIELDS, transpose=room + 1), rolls)
