"""Searches: what is minimised, workers on one study, and what a kill leaves."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

from experiments.search import EXPERIMENTS
from lstm_jax.runner import TrialRecord
from lstm_jax.tuning import main
from lstm_jax.tuning.command import PAGE
from lstm_jax.tuning.objective import cost
from lstm_jax.tuning.study import JOURNAL

optuna = pytest.importorskip("optuna", reason="pip install -e '.[search]'")

ROOT = Path(__file__).resolve().parents[1]
TINY = (
    *("--experiment=temporal_order", "--config=configs/temporal_order.py:smoke"),
    *("--config.max_sequences=200", "--config.num_trials=2", "--config.num_test=8"),
    *("--axes=learning_rate=log:0.01:1,output_unit=logistic|identity", "--trials=3"),
)


def search(*argv):
    with jax.numpy_dtype_promotion("standard"):
        return main(EXPERIMENTS, "usage", argv)


def study_in(folder):
    path = str(folder / JOURNAL)
    backend = optuna.storages.journal.JournalFileBackend(path)
    return optuna.load_study(study_name="search", storage=optuna.storages.JournalStorage(backend))


def record(status, num_sequences, error=0.0):
    return TrialRecord(0, status, num_sequences, 0, 1, error, error)


def test_cost_orders_settings_as_a_user_would():
    cap = 10_000
    fast, slow = [record("SOLVED", 300)], [record("SOLVED", 9_000)]
    near, far = [record("EXHAUSTED", cap, 0.02)], [record("EXHAUSTED", cap, 0.4)]
    broken = [record("DIVERGED", 17, math.nan)]
    costs = [cost(records, cap) for records in (fast, slow, near, far, broken)]
    assert costs == sorted(costs) and len(set(costs)) == 5
    assert cost(fast + broken, cap) == pytest.approx((costs[0] + costs[4]) / 2)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    assert search(*TINY, f"--workdir={folder}") == 0
    return folder


def test_a_search_tries_what_was_asked_and_names_the_best(searched):
    study = study_in(searched)
    assert len(study.trials) == 3
    best = min((t for t in study.trials if t.value is not None), key=lambda t: t.value)
    page = (searched / PAGE).read_text()
    assert f"--config.learning_rate={best.params['learning_rate']:.4g}" in page
    for trial in study.trials:
        assert 0.01 <= trial.params["learning_rate"] <= 1.0


def test_the_same_command_again_has_nothing_to_do_and_more_trials_go_on(searched, capsys):
    before = (searched / JOURNAL).read_bytes()
    assert search(*TINY, f"--workdir={searched}", "--report") == 0
    assert (searched / JOURNAL).read_bytes().startswith(before)
    assert len(study_in(searched).trials) == 3


def test_another_search_is_refused_the_folder(searched, capsys):
    with pytest.raises(SystemExit) as ended:
        search(*TINY, "--config.T=21", f"--workdir={searched}")
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.count("\n") == 1 and "another search" in told


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--experiment=addin"], "nearest: adding"),
        (["--axes=learning_rat=0.1|1"], "nearest: learning_rate"),
        (["--axes=seed=1|2"], "seed"),
        (["--axes=learning_rate=0.1|1,learning_rate=2|3"], "twice"),
        (["--trials=0"], "--trials=0"),
        (["--sampler=grid"], "tpe, random"),
        (["--config.rows=t100,t500"], "one row"),
    ],
)
def test_bad_input_is_one_line_and_status_2(flags, part, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        search(*flags, f"--workdir={tmp_path / 'x'}")
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.count("\n") == 1 and part in told, told
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_workers_share_a_study_and_a_killed_one_loses_its_running_setting_only(tmp_path):
    command = [sys.executable, "-m", "experiments.search", *TINY[:-1], "--trials=8"]
    command += ["--sampler=random", "--pruner=none", f"--workdir={tmp_path}"]
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "1"}
    workers = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    deadline = time.monotonic() + 240
    states = optuna.trial.TrialState
    while time.monotonic() < deadline:
        time.sleep(0.5)
        if (tmp_path / JOURNAL).exists():
            done = [t for t in study_in(tmp_path).trials if t.state == states.COMPLETE]
            if len(done) >= 2:
                break
    workers[0].send_signal(signal.SIGKILL)
    workers[0].communicate()
    out, _ = workers[1].communicate(timeout=240)
    assert workers[1].returncode == 0, out
    trials = study_in(tmp_path).trials
    complete = [t for t in trials if t.state == states.COMPLETE]
    assert 8 <= len(complete) <= 9
    assert len(trials) - len(complete) <= 1  # what the killed worker was trying
    assert json.dumps(sorted(t.number for t in trials)) == json.dumps(list(range(len(trials))))


def test_a_torn_last_line_costs_its_setting_and_no_more(searched, tmp_path):
    shutil.copytree(searched, tmp_path / "run")
    journal = tmp_path / "run" / JOURNAL
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    journal.write_bytes(whole[: -len(lines[-1]) // 2])
    assert search(*TINY, f"--workdir={tmp_path / 'run'}") == 0
    kept = journal.read_bytes()
    assert kept.startswith(b"".join(lines[:-1])) and len(kept) > len(whole) - len(lines[-1])


def test_a_damaged_journal_is_told_by_its_name(tmp_path, capsys):
    (tmp_path / JOURNAL).write_bytes(b"no journal\nat all\n")
    with pytest.raises(SystemExit) as ended:
        search(*TINY, f"--workdir={tmp_path}")
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1 and f"{JOURNAL} is damaged" in said
    assert (tmp_path / JOURNAL).read_bytes() == b"no journal\nat all\n"


def test_a_report_on_no_search_makes_no_folder(tmp_path, capsys):
    with pytest.raises(SystemExit):
        search(*TINY, "--report", f"--workdir={tmp_path / 'none'}")
    assert "has no finished setting" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
