"""Looking into a run: its weights give its records, recordings are exact, bad input is a line."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import adding
from experiments.inspect import main, open_fit
from lstm_jax.build import build_trial
from lstm_jax.cells import gru
from lstm_jax.config import make_config
from lstm_jax.inspect.histories import history, saturation
from lstm_jax.inspect.looks import load_look, look, running_truth, save_look
from lstm_jax.inspect.pictures import draw_cells, draw_gates, draw_sequence, svg_of
from lstm_jax.inspect.pictures.style import gates_of, is_gate, memories_of
from lstm_jax.inspect.runs import open_run
from lstm_jax.network import network
from lstm_jax.readout import readout
from lstm_jax.record import RunFolderError
from lstm_jax.record.weights import WEIGHTS
from lstm_jax.rows import Row, open_row, run_row
from lstm_jax.runner import TrialRecord
from lstm_jax.tasks import adding as adding_task
from lstm_jax.tasks import multiplication
from lstm_jax.tasks.reber import embedded_reber, reber_sets
from lstm_jax.trial import Hyper
from lstm_jax.unroll import unroll

SMALL = {
    "T": 11,
    "num_trials": 3,
    "num_lanes": 2,
    "chunk": 60,
    "max_sequences": 400,
    "num_test": 64,
    "num_correct": 10,
    "error_limit": 0.2,
    "rows": ("small",),
}


def trained(path, config, stopped=lambda: False):
    row = Row("small", config, build_trial(config), None, "as written")
    with open_row(path, row) as folder:
        run_row(row, folder, stopped)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("adding") / "small", make_config(adding.FIELDS, **SMALL))


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    """A run stopped after its first chunk, with trials in its lanes."""
    path = tmp_path_factory.mktemp("stopped") / "small"
    return trained(path, make_config(adding.FIELDS, **SMALL), lambda: True)


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


def call(*flags):
    """Exit status of the command."""
    try:
        return main("usage", open_fit, list(flags))
    except SystemExit as end:
        return end.code


def test_the_weights_kept_are_those_of_the_records(finished):
    run = open_run(finished)
    assert run.trials() == [0, 1, 2] and run.is_finished
    trial = run.built.trial
    test = jax.jit(lambda params, state: trial.evaluate(params, trial.test_key(state), 64))
    for n, record in run.records.items():
        assert run.moments(n)[-1] == record["num_sequences"]
        state = trial.init(run.key(), jnp.int32(n), Hyper(jnp.float32(0.5), jnp.float32(0.5)))
        result = test(run.params(n), state)
        assert int(result.num_wrong) == record["num_wrong"]
        np.testing.assert_allclose(result.mean_error, record["mean_test_error"], rtol=1e-6)


def test_weights_on_the_way_are_those_of_so_many_updates(finished):
    run = open_run(finished)
    trial = run.built.trial
    rates = Hyper(*map(jnp.float32, (run.config.learning_rate, run.config.init_range)))
    start = jax.jit(trial.init)(run.key(), jnp.int32(2), rates)
    between = [moment for moment in run.moments(2) if 0 < moment < run.moments(2)[-1]]
    assert between and all(moment % 60 == 0 for moment in between)
    clocks = jnp.arange(between[-1], dtype=jnp.int32)
    state, _ = jax.jit(lambda state: jax.lax.scan(trial.update, state, clocks))(start)
    for moment, expected in ((0, start.params), (between[-1], state.params)):
        kept = run.params(2, moment)
        for leaf, other in zip(*map(jax.tree.leaves, (kept, expected)), strict=True):
            np.testing.assert_allclose(leaf, other, rtol=2e-5, atol=1e-6)


def test_a_look_is_the_test_sequence_through_the_network(finished, tmp_path):
    run = open_run(finished)
    seen = run.look(1, 5)
    example, params = run.example(5, 1), run.params(1)
    _, hs = unroll(run.network.cell, params.cell, example.inputs, length=example.length)
    stop = int(example.length)
    np.testing.assert_allclose(seen.arrays["h"], hs[:stop], rtol=1e-6)
    nets = np.asarray(hs)[:stop] @ np.asarray(params.readout.v).T + np.asarray(params.readout.b)
    np.testing.assert_allclose(seen.outputs, nets, rtol=1e-5, atol=1e-6)  # an identity unit
    assert seen.meta["length"] == stop == len(seen.inputs) == len(seen.arrays["i"])
    assert seen.inputs[seen.marks, 1].tolist() == [1.0] * len(seen.marks)
    assert seen.meta["correct"] == (abs(seen.outputs[-1, 0] - example.targets[0]) < 0.04)
    assert np.isnan(seen.targets[:-1]).all() and seen.targets[-1, 0] == example.targets[0]
    np.testing.assert_allclose(0.5 + seen.truth[-1] / 4, example.targets[0], atol=1e-6)

    path = save_look(tmp_path / "a.npz", seen)
    with np.load(path, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["array/c"], seen.arrays["c"])
        assert json.loads(file["meta.json"])["axes"]["c"] == ["t", "unit"]
    back = load_look(path)
    assert back.meta == seen.meta
    np.testing.assert_array_equal(back.marks, seen.marks)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(RunFolderError, match=r"a.npz is damaged, or no recording"):
        load_look(path)


def test_shares_and_histories_are_counts_over_looks(finished):
    run = open_run(finished)
    shares, over = saturation(run, 0)
    looks = [run.look(0, n) for n in range(over["sequences"])]
    gates = np.concatenate([seen.arrays["i"] for seen in looks])
    assert len(gates) == over["steps"]
    np.testing.assert_allclose(shares["i"].left, (gates < 0.1).mean(axis=0))
    np.testing.assert_allclose(shares["o"].right, 0 * shares["o"].right, atol=1)
    past = history(run, 0)
    assert past.moments == run.moments(0)
    np.testing.assert_array_equal(past.arrays["i"][-1], run.look(0).arrays["i"])
    np.testing.assert_array_equal(past.weights["readout.v"][0], run.params(0, 0).readout.v)


def test_what_is_a_gate_and_what_a_memory():
    ones, half = np.ones((3, 2)), np.full((3, 2), 0.5)
    lstm = {"0/i": half, "0/f": ones, "0/z": half, "0/c": half, "0/h": half, "0/net_z": 0 * half}
    assert gates_of(lstm) == ["0/i"]  # f is 1: a switch has taken it away
    assert memories_of(lstm) == ["0/c"]
    gru = {"z": half, "r": half, "n": half, "h": half}
    assert gates_of(gru) == ["r", "z"] and memories_of(gru) == ["h"]
    own = {"keep": half, "net_keep": 0 * half, "drop": half, "net_drop": half}
    assert is_gate("keep", own) and not is_gate("drop", own)
    deep = {"0/i": half, "0/c": half, "0/h": half, "1/h": half, "h": half}
    assert memories_of(deep) == ["0/c", "1/h"]


def test_the_command_writes_pictures_and_tensorboard(copy, capsys):
    assert call(f"--run={copy}", "--trial=1", "--sequence=2") == 0
    out = capsys.readouterr().out
    status = open_run(copy).records[1]["status"]
    assert f"trial 1, {status} after" in out and "test sequence 2" in out
    folder = copy / "inspect" / "trial001"
    names = {"overview", "gates", "cells", "answers", "training", "saturation"}
    assert {file.stem for file in folder.glob("*.png")} == names
    for name in names:
        svg = (folder / f"{name}.svg").read_text()
        assert "trial 1," in svg, "the title names the trial"
    assert load_look(folder / "sequence2.npz").meta["trial"] == 1
    (events,) = (copy / "tb" / "inspect").iterdir()
    assert events.stat().st_size < 1_200_000
    again = svg_of(draw_sequence(open_run(copy).look(1, 2)))
    assert again == (folder / "overview.svg").read_bytes()


def test_a_run_that_is_not_finished(unfinished):
    run = open_run(unfinished)
    assert not run.is_finished and run.moments(0) == [0, 60]
    assert run.default_trial() == 0
    title = run.look(run.default_trial()).title
    assert title.startswith("adding, run ") and "trial 0, UNFINISHED, 60 sequences so far" in title


def test_symbols():
    """The letters of a string of the grammar, through a network that was never trained."""
    task, cell = embedded_reber(num_pairs=1, num_strings=2), gru(7, 3)
    net = network(cell, readout(3, 7))
    run = SimpleNamespace(
        path=Path("runs/reber"),
        name="row",
        network=net,
        task=task,
        params=lambda *_: net.init(jax.random.key(0)),
        last_moment=lambda _: 0,
        example=lambda n, trial: task.test(None, n, trial),
        status=lambda *_: "NEW",
    )
    seen = look(run, 0)
    assert seen.is_symbols and seen.marks.tolist() == [1, len(seen.inputs) - 2]
    shown = "".join(seen.meta["input_names"][symbol] for symbol in seen.inputs)
    assert shown == reber_sets(1, 2)[0][1][0][:-1]
    text = svg_of(draw_sequence(seen)).decode()
    assert all(f">{letter}<" in text for letter in shown)
    assert ">update gate z: 3 units" in text


def test_gates_and_states_of_any_shape_are_drawn():
    """One gate for all units, a truth value, and a matrix as memory."""
    task, plain = adding_task(T=11), gru(2, 3)

    def gates(params, state, x):
        i = jax.nn.sigmoid(x[0])
        outer = jnp.outer(jnp.arange(1.0, 4.0, dtype=x.dtype), jnp.arange(1.0, 4.0, dtype=x.dtype))
        return plain.gates(params, state, x) | {"i": i, "on": x[1] > 0, "c": i * outer}

    cell = plain._replace(gates=gates, observe=None, parts=None)
    net = network(cell, readout(3, 1))
    run = SimpleNamespace(
        path=Path("runs/own"),
        name="row",
        network=net,
        task=task,
        params=lambda *_: net.init(jax.random.key(0)),
        last_moment=lambda _: 0,
        example=lambda n, trial: task.test(jax.random.key(1), n, trial),
        status=lambda *_: "NEW",
    )
    seen = look(run, 0)
    opened = 1 / (1 + np.exp(-seen.inputs[:, 0]))
    np.testing.assert_allclose(seen.arrays["i"][:, 0], opened, rtol=1e-5)
    np.testing.assert_array_equal(seen.arrays["on"][:, 0], seen.inputs[:, 1] > 0)
    rows = [i * j for i in (1, 2, 3) for j in (1, 2, 3)]
    np.testing.assert_allclose(seen.arrays["c"], opened[:, None] * rows, rtol=1e-5)
    text = svg_of(draw_sequence(seen)).decode()
    assert ">input gate i<" in text and "9 units" in text
    for draw in (draw_gates, draw_cells):
        assert svg_of(draw(seen))


def bad(copy):
    """(what is wrong, flags, the line)."""
    yield "no run", ["--run=/no/such/run"], "/no/such/run does not exist; give the folder"
    yield "no flag", [], "--run=: give the folder of a run"
    yield "trial", [f"--run={copy}", "--trial=3"], "has no trial 3; valid: 0 to 2"
    yield "moment", [f"--run={copy}", "--moment=61"], "keeps no weights of trial 0 after 61"
    yield "flag", ["--trail=3"], "--trail: no such flag; nearest: trial"
    yield "value", [f"--run={copy}", "--trial=x"], "--trial=x: must be"


def test_bad_input_is_one_line(copy, capsys):
    def refused(flags, line):
        assert call(*flags) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and err.startswith("error: ")
        assert line in err

    for _, flags, line in bad(copy):
        refused(flags, line)
    data = bytearray((copy / WEIGHTS).read_bytes())
    data[len(data) // 3] ^= 1
    (copy / WEIGHTS).write_bytes(data)
    refused([f"--run={copy}"], "weights.bin is damaged in record")
    (copy / WEIGHTS).unlink()
    refused([f"--run={copy}"], "keeps no weights of trial 0 (runs of earlier versions kept none)")
    with (copy / "trials.jsonl").open("a") as file:
        file.write("{torn\n")
    refused([f"--run={copy}"], "trials.jsonl is damaged in line 4")
    shutil.copytree(copy / "tb", copy / "other")
    refused([f"--run={copy / 'other'}"], "holds no run (no config.json")
    there = json.loads((copy / "config.json").read_bytes())
    del there["config"]["task"]
    (copy / "trials.jsonl").unlink()
    (copy / "config.json").write_text(json.dumps(there))
    refused([f"--run={copy}"], "is of no run that can be looked into; those are runs of trials, ")
    with pytest.raises(RunFolderError, match="is a run of another kind: its settings name no task"):
        open_run(copy)


@pytest.mark.slow
def test_a_run_without_weights_is_trained_again(copy, capsys):
    """To the same bits, and nothing of the run itself is touched."""
    kept = open_run(copy).weights(2)
    (copy / WEIGHTS).unlink()
    before = {f.name: f.read_bytes() for f in copy.iterdir() if f.is_file()}
    assert call(f"--run={copy}", "--trial=2", "--retrain") == 0
    assert "training trial 2 again" in capsys.readouterr().out
    run = open_run(copy)
    for name, array in run.weights(2).items():
        np.testing.assert_array_equal(array, kept[name])
    assert {f.name: f.read_bytes() for f in copy.iterdir() if f.is_file()} == before


def test_a_trial_that_ends_otherwise_is_refused(copy, monkeypatch, capsys):
    (copy / WEIGHTS).unlink()

    def another(*_, on_finish, **__):
        on_finish(TrialRecord(1, "SOLVED", 17, 0, 1, 0.0, 0.0), None)

    monkeypatch.setattr("lstm_jax.inspect.retraining.run_trials", another)
    assert call(f"--run={copy}", "--trial=1", "--retrain") == 2
    line = "cannot be trained again here: trial 1 came to SOLVED after 17 sequences, where its"
    assert line in capsys.readouterr().err


def test_saturation_is_the_share_of_steps_strictly_beyond_a_tenth_and_nine_tenths():
    """As Karpathy et al. 2015 count it, over all steps of all sequences, long or short."""
    low, high = np.float32(0.1), np.float32(0.9)
    gates = [
        np.array([[0.05, 0.95], [low, high], [0.5, 0.91]], np.float32),
        np.array([[0.02, 0.2]], np.float32),
        np.array([[0.99, 0.0]], np.float32),  # of a sequence that the run has not
    ]

    def look(trial, sequence, moment):
        assert (trial, moment) == (3, 7)
        array = gates[sequence]
        return SimpleNamespace(arrays={"i": array}, meta={"length": len(array)})

    run = SimpleNamespace(num_sequences=lambda trial: 2, look=look)
    shares, over = saturation(run, 3, 7)
    assert over == {"sequences": 2, "steps": 4}
    assert (shares["i"].left.tolist(), shares["i"].right.tolist()) == ([0.5, 0.0], [0.0, 0.5])


@pytest.mark.parametrize("task", [adding_task(T=11), multiplication(T=11)])
def test_what_a_perfect_memory_counts_ends_at_the_answer(task):
    """Also where a mark falls on the first pair, which is not shown as one."""
    sample = jax.jit(task.sample)
    ends, first = [], 0
    for n in range(30):
        example = sample(jax.random.fold_in(jax.random.key(0), n))
        truth, _ = running_truth(task, example)
        answer = 0.5 + truth / 4 if task.name == "adding" else truth
        ends.append(answer[int(example.length) - 1] - float(example.targets[0]))
        shown = np.flatnonzero(np.asarray(task.marks(example)))
        first += len(shown) == 1
        nothing = 0.0 if task.name == "adding" else 1.0
        assert (truth[: shown[0]] == nothing).all() and (truth[shown[-1] :] == truth[-1]).all()
    np.testing.assert_allclose(ends, 0, atol=1e-6)
    assert first
