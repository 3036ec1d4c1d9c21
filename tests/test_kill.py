"""`kill -9` at a random moment, then the same command: the records equal an unbroken run's."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NUM_KILLS = int(os.environ.get("LSTM_JAX_KILLS", "20"))
COMMAND = [sys.executable, "-m", "experiments.adding", "--config=configs/adding.py:smoke"]


def start(workdir):
    return subprocess.Popen(
        [*COMMAND, f"--workdir={workdir}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(workdir):
    process = start(workdir)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return [(workdir / name).read_bytes() for name in ("trials.jsonl", "curves.npz")]


@pytest.mark.slow
def test_killed_runs_end_as_the_unbroken_one(tmp_path):
    began = time.monotonic()
    finish(tmp_path / "warm")  # fills the compilation cache, so that kills fall into the run
    unbroken = finish(tmp_path / "unbroken")
    duration = (time.monotonic() - began) / 2
    moments = random.Random(0)
    interrupted = 0
    for n in range(NUM_KILLS):
        workdir = tmp_path / f"killed-{n}"
        process = start(workdir)
        time.sleep(moments.uniform(0.0, duration))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        interrupted += process.returncode == -signal.SIGKILL
        assert finish(workdir) == unbroken, f"run {n} differs after its kill"
    print(f"\n{interrupted} of {NUM_KILLS} runs were killed before they ended; all are identical")
    assert interrupted > NUM_KILLS / 4, "most kills came after the end: they show nothing"
