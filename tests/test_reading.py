"""Run folders read from outside: whatever a run is doing, and one line for what is no run."""

import json

import numpy as np
import pytest

from lstm_jax.record import RunFolder, RunFolderError
from lstm_jax.record.counted import counted_by
from lstm_jax.record.reading import find_runs, read_run

CONFIG = {"T": 100, "num_trials": 2, "input_gate_bias": (-3.0, -6.0)}


def make_run(path, num_trials=1, **config):
    with RunFolder.open(path, CONFIG | config, "t100") as folder:
        folder.write_provenance(device_kind="cpu", num_devices=1)
        for trial in reversed(range(num_trials)):
            record = {"trial": trial, "status": "SOLVED", "num_sequences": 900 + trial}
            folder.append_trial({"row": "t100"} | record)
        folder.save_curves({1: np.array([0.5]), 0: np.array([0.2, 0.1])}, 1000)
    return path


def contents(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_a_run_is_read_as_it_was_written(tmp_path):
    run = read_run(make_run(tmp_path / "run", num_trials=2))
    assert (run.row, run.config["T"], run.is_finished) == ("t100", 100, True)
    assert [record["trial"] for record in run.trials] == [0, 1]
    assert list(run.curves) == [0, 1] and run.curve_every == 1000
    np.testing.assert_array_equal(run.curves[0], np.float32([0.2, 0.1]))
    assert run.sessions[0]["device_kind"] == "cpu"


def test_a_run_that_was_given_more_trials_asks_for_those(tmp_path):
    make_run(tmp_path / "run", num_trials=2)
    more = CONFIG | {"num_trials": 4}
    with RunFolder.open(tmp_path / "run", more, "t100", free_fields=["num_trials"]) as folder:
        folder.write_provenance(device_kind="cpu", num_devices=1, num_trials=None)
        folder.write_provenance(device_kind="cpu", num_devices=1, num_trials=4)
        folder.append_trial({"row": "t100", "trial": 3, "status": "SOLVED", "num_sequences": 9})
    run = read_run(tmp_path / "run")
    assert (run.num_asked, run.config["num_trials"], run.is_finished) == (4, 4, False)


MEASURES = {"loss": 0.5, "accuracy": 0.75}
RECORDS = {
    "trials": {"status": "SOLVED", "num_sequences": 9},
    "origins": {"label": "1990", "truth": [1.0], "forecasts": {"network": [2.0]}, "intervals": {}},
    "fits": {"seed": 0, "num_weights": 9, "best_epoch": 1, "test": MEASURES, "answers": [0]},
    "epochs": {"train": {"loss": 0.5}, "best": True},
}
KINDS = {
    "trials": ({"num_trials": 2}, "trial"),
    "origins": ({"num_origins": 2}, "trial"),
    "fits": ({"num_seeds": 2}, "fit"),
    "epochs": ({"num_epochs": 2}, "epoch"),
}


@pytest.mark.parametrize("wrong", [{"trial": -1}, {"num_sequences": -1}])
def test_a_number_of_trials_or_sequences_is_none_below_zero(tmp_path, wrong):
    with RunFolder.open(tmp_path, {"num_trials": 2}, "row") as folder:
        folder.append({"trial": 0} | RECORDS["trials"])
    assert read_run(tmp_path).records
    line = json.dumps({"trial": 1} | RECORDS["trials"] | wrong)
    with (tmp_path / "trials.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RunFolderError, match="trials.jsonl is damaged in line 2"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("word", "changes", "said"),
    [
        ("trials", {"num_sequences": "9"}, "num_sequences is a text where an integer is needed"),
        ("origins", {"label": None}, "label is null where a text is needed"),
        ("origins", {"forecasts": {"naive": [2.0]}}, "forecasts.network is missing"),
        ("origins", {"forecasts": {"network": 2.0}}, "forecasts.network is a number where a list"),
        ("origins", {"truth": ["x"]}, r"truth\[0\] is a text where an integer or a number"),
        ("fits", {"num_weights": ...}, "num_weights is missing"),
        ("fits", {"test": {"loss": 1.0}}, "test.accuracy is missing"),
        ("fits", {"valid": None}, "valid is null where an object is needed"),
        ("epochs", {"train": None}, "train is null where an object is needed"),
        ("epochs", {"train": {"loss": "x"}}, "train.loss is a text"),
    ],
)
def test_a_record_of_another_form_is_told_with_its_line_and_what_it_lacks(
    tmp_path, word, changes, said
):
    settings, unit = KINDS[word]
    kind = counted_by(settings)
    assert kind.word == word
    wrong = {n: v for n, v in ({unit: 1} | RECORDS[word] | changes).items() if v is not ...}
    with RunFolder.open(tmp_path, settings, "row", unit=unit, needs=kind.needs) as folder:
        folder.append({unit: 0} | RECORDS[word])
        folder.append(wrong)
    file = tmp_path / f"{unit}s.jsonl"
    with pytest.raises(RunFolderError, match=f"{file.name} is damaged in line 2 .{said}"):
        read_run(tmp_path)
    with pytest.raises(RunFolderError, match=f"{file.name} line 2 is damaged .{said}"):
        RunFolder.open(tmp_path, settings, "row", unit=unit, needs=kind.needs)


@pytest.mark.parametrize(
    ("unit", "settings", "asked", "word"),
    [
        ("trial", {"num_trials": 3}, 3, "trials"),
        ("trial", {"num_origins": 4, "num_updates": 9}, 4, "origins"),
        ("fit", {"num_seeds": 3, "num_epochs": 20}, 3, "fits"),
        ("fit", {"num_seeds": 2, "num_folds": 3, "num_epochs": 20}, 6, "fits"),
    ],
)
def test_a_run_is_finished_when_all_it_counts_is_on_file(tmp_path, unit, settings, asked, word):
    with RunFolder.open(tmp_path, settings, "row", unit=unit) as folder:
        for number in reversed(range(asked)):
            assert not read_run(tmp_path).is_finished
            folder.append({unit: number} | RECORDS[counted_by(settings).word])
    run = read_run(tmp_path)
    assert run.is_finished and (run.counted.word, run.num_asked) == (word, asked)
    assert [record[unit] for record in run.records] == list(range(asked))
    assert run.trials == (run.records if word == "trials" else [])


def test_a_fit_is_finished_with_its_result_whatever_its_epochs(tmp_path):
    with RunFolder.open(tmp_path, {"num_epochs": 2}, "row", unit="epoch") as folder:
        for epoch in (1, 2):
            folder.append({"epoch": epoch, "step": 9, "train": {}, "best": True})
        assert not read_run(tmp_path).is_finished  # the test is still to come
        folder.write_result({"best_epoch": 1})
    assert read_run(tmp_path).is_finished
    assert [record["epoch"] for record in read_run(tmp_path).records] == [1, 2]


def test_a_run_that_another_process_holds_is_read_and_left_as_it_is(tmp_path):
    path = make_run(tmp_path / "run")
    with RunFolder.open(path, CONFIG, "t100"), open(path / "trials.jsonl", "ab") as file:
        file.write(b'{"trial": 1, "status": "SOL')  # just being written
        file.flush()
        before = contents(path)
        run = read_run(path)
        assert len(run.trials) == 1 and not run.is_finished
        assert contents(path) == before


def test_a_run_that_has_just_begun(tmp_path):
    RunFolder.open(tmp_path / "run", CONFIG, "t100").close()
    run = read_run(tmp_path / "run")
    assert (run.trials, run.curves, run.curve_every, run.sessions) == ([], {}, 0, [])


def test_a_folder_of_rows_is_its_runs_in_order(tmp_path):
    for name in ("t1000", "t100", "t500"):
        make_run(tmp_path / name)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "table.md").write_text("")
    (tmp_path / "config.json").write_text('{"rows": ["t100"]}')  # of a sweep, say
    assert [run.name for run in find_runs(tmp_path)] == ["t100", "t500", "t1000"]
    assert find_runs(tmp_path / "t500") == [tmp_path / "t500"]


def _spoil(path, kind):
    if kind == "gone":
        return path / "nowhere"
    if kind == "a file":
        return path / "config.json"
    if kind == "other folder":
        (path / "x").mkdir()
        return path / "x"
    if kind == "config":
        (path / "config.json").write_text("{")
    if kind == "format":
        (path / "config.json").write_text(json.dumps({"format": "lstm_jax run 0"}))
    if kind == "search":
        (path / "config.json").write_text('{"variants": ["V"]}')
    if kind == "no config":
        (path / "config.json").unlink()
    if kind == "record":
        text = (path / "trials.jsonl").read_text()
        (path / "trials.jsonl").write_text(text[:20] + "\n" + text)
    if kind == "curves":
        data = (path / "curves.npz").read_bytes()
        (path / "curves.npz").write_bytes(data[:-9])
    return path


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("gone", "nowhere does not exist; give the folder of a run"),
        ("a file", "config.json is a file; give the folder"),
        ("other folder", "x holds no run"),
        ("config", "config.json is damaged"),
        ("format", "config.json is not of a run of this version"),
        ("search", "config.json is of no run: a search"),
        ("no config", "run holds no run (no config.json)"),
        ("record", "trials.jsonl is damaged in line 1"),
        ("curves", "curves.npz is damaged"),
    ],
)
def test_what_is_no_run_or_damaged_is_one_line(tmp_path, kind, told):
    where = _spoil(make_run(tmp_path / "run"), kind)
    with pytest.raises(RunFolderError) as error:
        [read_run(run) for run in find_runs(where)]
    assert told in str(error.value) and "\n" not in str(error.value)
