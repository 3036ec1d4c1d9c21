"""A command's work on several machines: together the shares are the whole, bit for bit."""

import json
import shutil

import numpy as np
import pytest

from configs.adding import get_config
from experiments.adding import EXPERIMENT
from experiments.paper1997 import PAPER
from lstm_jax.build import build_trial
from lstm_jax.experiment import main, this_command
from lstm_jax.paper.command import main as run_paper
from lstm_jax.paper.records import _info
from lstm_jax.record import RunFolder
from lstm_jax.record.reading import read_run
from lstm_jax.record.refusal import RunFolderError
from lstm_jax.record.weights import WeightLog, read_weights
from lstm_jax.row_shares import deal, opened_rows
from lstm_jax.rows import PICTURE, Row
from lstm_jax.shares import Share, gather, share_of

SMALL = [
    "--config.T=11",
    "--config.num_trials=35",  # two full blocks of lanes and a part of one
    "--config.max_sequences=200",
    "--config.num_correct=3",
    "--config.error_limit=0.5",
    "--config.num_test=64",
    "--config.curve_every=50",
    "--config.chunk=40",
]
FILES = ("trials.jsonl", "curves.npz")
MADE = {"T": 5, "num_trials": 9}


def run(workdir, *more):
    return main(EXPERIMENT, [*SMALL, *more, f"--workdir={workdir}"])


def contents(workdir):
    return [(workdir / name).read_bytes() for name in FILES]


def numbers_in(workdir):
    return [record["trial"] for record in read_run(workdir).trials]


def weights_in(workdir):
    kept = read_weights(workdir)
    return {
        (trial, moment): (kept.status(trial, moment), kept.arrays(trial, moment))
        for trial in kept.trials()
        for moment in kept.moments(trial)[-1:]  # those on the way depend on the chunks
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole")
    assert run(workdir) == 0
    return workdir


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("shared")
    for number in (2, 1):
        assert run(workdir, f"--share={number}/2") == 0
    return workdir


@pytest.mark.parametrize("text", ["0/2", "3/2", "1/0", "-1/2", "1", "1/2/3", "a/b", "", "1/ 2"])
def test_what_is_no_share(text, capsys):
    assert share_of(text) is None
    with pytest.raises(SystemExit) as end:
        main(EXPERIMENT, [f"--share={text}"])
    error = capsys.readouterr().err
    assert end.value.code == 2 and error.count("\n") == 1
    assert f"--share={text}: must be" in error and "K/N, the K-th of N shares" in error


@pytest.mark.parametrize("rule", ["traces", "bptt"])
def test_each_trial_is_in_one_share(rule):
    """For any number of shares; with lanes that cost no more than one, whole blocks of them."""
    rows = []
    for name, num_trials in (("a", 35), ("b", 3), ("c", 16), ("d", 1)):
        config = get_config("t100")
        config.num_trials, config.gradient_rule = num_trials, rule
        rows.append(Row(name, config, build_trial(config), None, ""))
    asked = sorted((row.name, n) for row in rows for n in row.numbers)
    assert len(asked) == 55
    for total in (1, 2, 3, 7, 60):
        parts = [deal(rows, Share(number, total)) for number in range(1, total + 1)]
        dealt = [(row.name, n) for part in parts for row in part for n in row.numbers]
        assert sorted(dealt) == asked
        loads = [sum(len(row.numbers) for row in part) for part in parts]
        if rule == "bptt":
            assert max(loads) - min(loads) <= 1
        else:
            starts = {(row.name, n // 16) for part in parts for row in part for n in row.numbers}
            homes = [
                (row.name, block)
                for part in parts
                for row in part
                for block in {n // 16 for n in row.numbers}
            ]
            assert sorted(homes) == sorted(starts), "a block in two shares"


def test_the_shares_are_the_whole(whole, shared, capsys):
    assert numbers_in(shared / "shares/1-of-2") == [*range(16), 32, 33, 34]
    assert numbers_in(shared / "shares/2-of-2") == [*range(16, 32)]
    assert not (shared / "trials.jsonl").exists()
    assert run(shared) == 0
    said = capsys.readouterr()
    assert "t100: 19 trials of" in said.err and "t100: 16 trials of" in said.err
    assert contents(shared) == contents(whole)
    ours, theirs = weights_in(shared), weights_in(whole)
    assert ours.keys() == theirs.keys() and len(ours) == 35
    for moment, (status, arrays) in theirs.items():
        assert ours[moment][0] == status
        for name, leaf in arrays.items():
            np.testing.assert_array_equal(ours[moment][1][name], leaf)
    sessions = read_run(shared).sessions
    assert [session.get("share") for session in sessions] == ["1-of-2", "2-of-2", None]
    board = [*(shared / "tb/trials").glob("events*")]
    assert len(board) == 1 and board[0].stat().st_size > 1000

    # And again: nothing is taken twice, nothing changes.
    before = {p: p.read_bytes() for p in shared.glob("*.*") if p.is_file() and p.name != "table.md"}
    assert run(shared) == 0
    assert before == {path: path.read_bytes() for path in before}
    assert "trials of" not in capsys.readouterr().err


def test_what_no_share_has_is_run(whole, shared, tmp_path):
    shutil.copytree(shared / "shares/2-of-2", tmp_path / "shares/2-of-2")
    assert run(tmp_path) == 0
    assert contents(tmp_path) == contents(whole)


def test_a_share_without_trials_says_so(tmp_path, capsys):
    assert run(tmp_path, "--share=9/9") == 0
    said = capsys.readouterr().out
    assert "share 9/9 is through: it has no trials" in said
    assert "--share" not in said.splitlines()[-1]
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--config.seed=1"], "holds a different run: seed is"),
        (["--config.num_trials=36"], "holds a different run: num_trials is"),
    ],
)
def test_shares_of_other_settings_are_refused(shared, tmp_path, capsys, change, said):
    shutil.copytree(shared / "shares", tmp_path / "shares")
    with pytest.raises(SystemExit) as end:
        run(tmp_path, *change)
    error = capsys.readouterr().err
    assert end.value.code == 2 and said in error and "shares/1-of-2" in error
    assert not (tmp_path / "trials.jsonl").exists()


def test_a_share_that_is_being_run_is_refused(shared, tmp_path, capsys):
    shutil.copytree(shared / "shares", tmp_path / "shares")
    part = tmp_path / "shares/2-of-2"
    own = read_run(part)
    with (
        RunFolder.open(part, own.config, own.row, free_fields=("rows",)),
        pytest.raises(SystemExit) as end,
    ):
        run(tmp_path)
    assert end.value.code == 2
    assert "2-of-2 is in use by a live process" in capsys.readouterr().err


def made(path, outcomes, config=MADE, row="t"):
    """A folder of trials that have ended after so many sequences."""
    with RunFolder.open(path, config, row) as folder:
        folder.write_provenance(num_trials=9)
        weights = WeightLog(path)
        for trial, count in outcomes.items():
            curves = folder.load_curves() | {trial: np.full(3, count, np.float32)}
            weights.keep([trial], [count], [1], {"w": np.full((1, 2), count, np.float32)})
            folder.save_curves(curves, 50)
            folder.append_trial({"trial": trial, "status": "SOLVED", "num_sequences": count})
    return read_run(path)


def test_what_is_on_file_is_kept_and_the_difference_told(tmp_path):
    share, said = made(tmp_path / "share", {0: 10, 1: 20, 2: 30}), []
    made(tmp_path / "whole", {1: 21})
    with RunFolder.open(tmp_path / "whole", MADE, "t") as folder:
        assert gather(folder, share, "1-of-2", said.append) == 2
        assert [r["num_sequences"] for r in folder.trials()] == [10, 21, 30]
        curves = folder.load_curves()
        assert [float(curves[n][0]) for n in range(3)] == [10, 21, 30]
    kept = read_weights(tmp_path / "whole")
    assert [kept.moments(n) for n in range(3)] == [[10], [21], [30]]
    (line,) = said
    assert "trial 1 ended otherwise (num_sequences is 21 there and 20 here)" in line


def test_a_kill_while_gathering_loses_nothing(tmp_path, monkeypatch):
    """Stopped after each number of its writes; the next call ends with the same folder."""
    share = made(tmp_path / "share", {0: 10, 1: 20, 2: 30})
    wanted = None
    for writes in range(12, 0, -1):
        path = tmp_path / f"whole-{writes}"
        made(path, {5: 50})
        left = [writes]

        def counted(method, left=left):
            def call(*arguments):
                if left[0] == 0:
                    raise KeyboardInterrupt
                left[0] -= 1
                return method(*arguments)

            return call

        with monkeypatch.context() as patch:
            for owner, name in (
                (RunFolder, "append_trial"),
                (RunFolder, "save_curves"),
                (RunFolder, "add_sessions"),
                (WeightLog, "keep"),
            ):
                patch.setattr(owner, name, counted(getattr(owner, name)))
            with RunFolder.open(path, MADE, "t") as folder:
                try:
                    gather(folder, share, "1-of-2", pytest.fail)
                except KeyboardInterrupt:
                    assert writes < 8
        with RunFolder.open(path, MADE, "t") as folder:
            gather(folder, share, "1-of-2", pytest.fail)
            folder.finalise()
        found = [(path / name).read_bytes() for name in FILES]
        moments = [read_weights(path).moments(n) for n in (0, 1, 2, 5)]
        shares = [session.get("share") for session in read_run(path).sessions]
        assert moments == [[10], [20], [30], [50]] and shares == [None, "1-of-2"]
        wanted = wanted or found
        assert found == wanted


@pytest.mark.parametrize("damage", ["curves.npz", "weights.bin", "the end of weights.bin"])
def test_half_a_copy_is_refused(tmp_path, damage):
    """Copied in the order of names, the weights come after the trials that go without a look."""
    made(tmp_path / "share", {0: 10, 1: 20, 2: 30})
    file = tmp_path / "share" / damage.split()[-1]
    if damage.startswith("the end"):
        file.write_bytes(file.read_bytes()[:-9])
    else:
        file.unlink()
    number = 2 if damage.startswith("the end") else 0
    with (
        RunFolder.open(tmp_path / "whole", MADE, "t") as folder,
        pytest.raises(RunFolderError, match=rf"has trial {number} without .* copy the folder"),
    ):
        gather(folder, read_run(tmp_path / "share"), "1-of-2", pytest.fail)
    assert not (tmp_path / "whole/trials.jsonl").exists()
    assert not (tmp_path / "whole/weights.bin").exists()


def test_all_weights_of_a_share_are_one_write(tmp_path, monkeypatch):
    share, writes = made(tmp_path / "share", {0: 10, 1: 20, 2: 30}), []
    WeightLog(tmp_path / "share").keep([1, 2], [5, 7], [0, 0], {"w": np.eye(2, dtype=np.float32)})
    keep = WeightLog.keep
    monkeypatch.setattr(WeightLog, "keep", lambda *given: writes.append(keep(*given)))
    with RunFolder.open(tmp_path / "whole", MADE, "t") as folder:
        gather(folder, share, "1-of-2", pytest.fail)
    ours, theirs = (read_weights(tmp_path / name) for name in ("whole", "share"))
    assert [ours.moments(n) for n in range(3)] == [[10], [5, 20], [7, 30]] and len(writes) == 1
    for number, moment in ((0, 10), (1, 5), (1, 20), (2, 7), (2, 30)):
        assert ours.status(number, moment) == theirs.status(number, moment)
        np.testing.assert_array_equal(
            ours.arrays(number, moment)["w"], theirs.arrays(number, moment)["w"]
        )


def test_a_picture_without_a_shares_trials_does_not_outlive_a_kill(tmp_path, monkeypatch):
    config = get_config("t100")
    config.num_trials = 2
    row, plain = Row("t100", config, build_trial(config), None, ""), json.loads(config.to_json())
    made(tmp_path / "shares/2-of-2", {1: 20}, plain, row.name)
    made(tmp_path, {0: 10}, plain, row.name)
    (tmp_path / PICTURE).write_bytes(b"of one trial")

    def killed(message):
        raise KeyboardInterrupt

    monkeypatch.setattr("lstm_jax.row_shares.say", killed)
    with pytest.raises(KeyboardInterrupt), opened_rows([row], tmp_path, apart=False):
        pass
    assert numbers_in(tmp_path) == [0, 1] and not (tmp_path / PICTURE).exists()


@pytest.mark.parametrize(
    ("place", "apart", "said"),
    [
        ("shares/1-of-2", True, "1-of-2 is a share of one row alone; take it away"),
        ("shares/1-of-2/t100", False, "1-of-2 holds no run .no config.json.: a share of several"),
    ],
)
def test_a_share_of_one_row_is_none_of_several(tmp_path, place, apart, said):
    made(tmp_path / place, {0: 10})
    with (
        pytest.raises(RunFolderError, match=said),
        opened_rows([], tmp_path, apart=apart),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["shares"]


def test_an_exported_row_names_the_machine_that_trained_it():
    kinds = ("gpu", "login")
    sessions = [{"device_kind": kind, "command": ["python", kind]} for kind in kinds]
    sessions[0] |= {"trained_sequences": 9, "mean_length": 5.0, "trained_seconds": 1.0}
    info = _info({"max_sequences": 9}, sessions, {}, 1)
    assert info["provenance"] == {"device_kind": "gpu"} and info["command"] == "python login"


@pytest.mark.parametrize("flag", [["--share=2/4"], ["--share", "2/4"]])
def test_the_command_of_the_whole(monkeypatch, flag):
    start = ["python3", "-m", "experiments.paper1997", "--rows=lstm"]
    monkeypatch.setattr("sys.orig_argv", [*start, *flag, "--trials=3"])
    said = this_command(without="--share")
    assert said == "python -m experiments.paper1997 --rows=lstm --trials=3"
    assert this_command().split()[4:] == [*flag, "--trials=3"]


def test_the_rows_of_a_paper_are_dealt_out(capsys):
    """Every row with its trials in some share, as --dry_run tells; and each share has some."""

    def dealt(*flags):
        assert run_paper(PAPER, ["--dry_run", "--json", "--rows=lstm", *flags]) == 0
        lines = json.loads(capsys.readouterr().out)
        return {line["row"]: line["num_trials"] for line in lines}

    everything, parts = dealt(), [dealt(f"--share={k}/4") for k in range(1, 5)]
    assert all(parts)
    for row, num_trials in everything.items():
        assert sum(part.get(row, 0) for part in parts) == num_trials
    assert max(map(len, parts)) <= 2 + min(map(len, parts))
