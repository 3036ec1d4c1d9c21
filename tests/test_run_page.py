"""The page of a run: what it says of which run, and that nothing in a run can break it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.reber import EXPERIMENT as REBER
from experiments.report import paper_row
from lstm_jax.experiment import main as run_experiment
from lstm_jax.inspect.runs import open_run
from lstm_jax.record.reading import read_run
from lstm_jax.report.command import main
from lstm_jax.report.inside import look_inside
from lstm_jax.report.player import MOST_UNITS, Panel, Playback, player_html
from lstm_jax.report.run_page import Inside, Picture, RunReport, run_html
from lstm_jax.tasks.reber import SYMBOLS
from tests.pages import Page, make_fit, make_fits, make_origins, make_playback, make_run

ROOT = Path(__file__).resolve().parents[1]


def report(*paths, inside=lambda run, trial, seed: Inside()):
    """The page that the command writes, and its words."""
    out = paths[0].parent / "page.html"
    assert main("", paper_row, inside, [f"--run={paths[0]}", f"--out={out}"]) == 0
    text = out.read_text(encoding="utf-8")
    return text, " ".join(" ".join(Page(text).words).split())


def data_of(text):
    """The JSON of the first player of a page."""
    (found,) = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)["sequences"]


def test_a_finished_run(tmp_path):
    text, words = report(make_run(tmp_path / "run"))
    assert "<title>adding: t100</title>" in text
    for said in (
        "finished 3 of 3 trials have ended.",
        "trials solved 3/3 95% 44% to 100%",
        "mean training sequences 61,000 paper 74,000",
        "74,000 | 61,000",
        "weights 93 paper 93",
        "Reading: init_range=0.5.",
        "1 SOLVED 61,000 2/2,560 0.0071",  # the second trial's line
        "input_gate_bias (-3.0, -6.0)",
        "versions.jax",
    ):
        assert said in words, said
    assert "ours: mean 61,000" in words  # within the picture of the curves


def test_the_page_is_whole_and_alone(tmp_path):
    seen = Inside([make_playback()], [Picture("<svg></svg>", "gates")])
    text, _ = report(make_run(tmp_path / "run"), inside=lambda *_: seen)
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert all(target.startswith("#") for target in page.targets)
    assert set(page.targets) - {f"#{name}" for name in page.ids} == set()
    assert not re.search(r"(?<!xmlns=\")https?://", text.replace("http://www.w3.org/", ""))
    assert "default-src 'none'; script-src 'sha256-" in text


@pytest.mark.parametrize(("num", "said"), [(0, "No trial has ended yet."), (1, "1 of 3 trials")])
def test_an_unfinished_run_says_so(tmp_path, num, said):
    text, words = report(make_run(tmp_path / "run", num_finished=num))
    assert 'class="state unfinished"' in text and said in words
    assert "will change" in words


def test_a_run_that_the_paper_does_not_have(tmp_path):
    text, words = report(make_run(tmp_path / "run", row="modern"))
    assert '<span class="paper">' not in text and "74,000" not in words
    assert "mean training sequences 61,000 of the solved trials" in words
    assert "modern 93 3/3 [44%, 100%] 61,000 61,000 [60,000" in words


def test_a_folder_of_rows(tmp_path):
    for row, num in (("t100", 3), ("t1000", 0), ("t500", 1), ("modern", 3)):
        make_run(tmp_path / "table" / row, row=row, num_finished=num)
    make_fits(tmp_path / "table" / "all")
    make_origins(tmp_path / "table" / "own")
    text, words = report(tmp_path / "table")
    page = Page(text)
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    assert "4 of 6 rows have run to their end." in words
    heads = re.findall(r"<h2 id=[^>]*>(.*?)</h2>", text)
    assert heads == [
        *("All rows, paper and ours", "Rows of our own"),
        *("Row all", "Row modern", "Row own", "Row t100", "Row t500", "Row t1000"),
    ]
    assert "853,000 | not run" in words and "209,000 | 60,000" in words


def test_a_fit_to_a_data_set(tmp_path):
    text, words = report(make_fit(tmp_path / "fit"))
    assert "<title>lstm</title>" in text
    for said in (
        "3 of at most 3 epochs.",
        "valid loss 2.2500 epoch 2",
        "test bits 3.2460",
        "weights 1,234",
        "3 0.8333 1.8333",
        "best: epoch 2",
        "Of epoch 0003. === temperature 1 <so it goes>",
    ):
        assert said in words, said


def test_a_fit_in_its_first_epochs(tmp_path):
    _, words = report(make_fit(tmp_path / "fit", num_epochs=1, finished=False))
    assert "unfinished 1 of at most 3 epochs" in words
    _, words = report(make_fit(tmp_path / "new", num_epochs=0, finished=False))
    assert "No epoch has ended yet." in words


def test_many_fits_of_a_data_set(tmp_path):
    path = make_fits(tmp_path / "fits")
    (path / "table.md").write_text("| all | 0.765 <[0.7, 0.8]> |\n")
    text, words = report(path)
    assert 'class="state finished"' in text and Page(text).open == []
    for said in (
        "4 of 4 fits have ended.",
        "test accuracy 0.7650 mean of 4, 0.7500 to 0.7800",
        "weights 321",
        "fit seed fold best epoch valid loss valid accuracy test loss test accuracy",
        "3 1 1 2 0.8750 0.7800 0.8750 0.7800",
        "| all | 0.765 <[0.7, 0.8]> |",
    ):
        assert said in words, said
    text, words = report(make_fits(tmp_path / "some", num_finished=3))
    assert 'class="state unfinished"' in text
    assert "3 of 4 fits have ended; the numbers are of those and will change." in words
    _, words = report(make_fits(tmp_path / "new", num_finished=0))
    assert "No fit has ended yet." in words


def test_forecasts_from_many_origins(tmp_path):
    text, words = report(make_origins(tmp_path / "origins"))
    assert 'class="state finished"' in text and Page(text).open == []
    for said in (
        "3 of 3 origins have ended.",
        "mean absolute error 1 of 3 origins",
        "best simple forecast 3 persistence",
        "network 1 1 persistence 3 3",
        "2 1992 1 3",
    ):
        assert said in words, said
    text, words = report(make_origins(tmp_path / "some", num_finished=1))
    assert 'class="state unfinished"' in text and "1 of 3 origins have ended; the" in words
    _, words = report(make_origins(tmp_path / "new", num_finished=0))
    assert "No origin has been forecast from yet." in words


def test_the_player_has_what_was_recorded(tmp_path):
    shown = make_playback(T=30, H=4)
    text, _ = report(make_run(tmp_path / "run"), inside=lambda *_: Inside([shown]))
    (sequence,) = data_of(text)
    assert (sequence["length"], sequence["marks"]) == (30, [3, 15])
    panels = {panel["name"]: panel for panel in sequence["panels"]}
    assert list(panels) == ["input", "input gate i", "cell state c", "output and target"]
    gate = np.array(panels["input gate i"]["values"]).T
    np.testing.assert_allclose(gate, shown.panels[1].values, rtol=1e-3)
    assert (panels["input gate i"]["low"], panels["input gate i"]["high"]) == (0, 1)
    assert panels["input"]["units"] == ["value", "marker"]
    assert panels["cell state c"]["lines"] and not panels["input gate i"]["lines"]
    assert panels["output and target"]["values"][1][:-1] == [None] * 29
    assert panels["output and target"]["values"][1][-1] == 0.5


def test_a_run_whose_weights_are_lost_says_so_and_has_all_else(tmp_path):
    _, words = report(make_run(tmp_path / "run"), inside=look_inside)
    assert "Nothing to see inside: the run keeps no weights of trial 0" in words
    assert "74,000 | 61,000" in words and str(tmp_path / "run") in words
    _, words = report(make_run(tmp_path / "new", num_finished=0), inside=look_inside)
    assert "Nothing to see inside: the run has no trial to look at yet" in words


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small run of the Reber grammar, which shows symbols, stopped by its cap."""
    path = tmp_path_factory.mktemp("reber") / "run"
    flags = ["--config=configs/reber.py:smoke", "--config.num_trials=2", "--config.num_test=8"]
    assert run_experiment(REBER, [*flags, "--config.max_sequences=200", f"--workdir={path}"]) == 0
    return path


def test_the_player_shows_what_the_network_does(trained):
    """Inputs, gates, state and outputs of the page are those of the network, run step by step."""
    text, words = report(trained, inside=look_inside)
    first, _, untrained = data_of(text)
    run = open_run(trained)
    example = run.example(0, 0)
    length = int(example.length)
    assert first["length"] == untrained["length"] == length
    for sequence, moment in ((first, None), (untrained, 0)):
        params = run.params(0, moment)
        net, state = run.network, run.network.cell.initial_state()
        shown = {panel["name"]: np.array(panel["values"], float) for panel in sequence["panels"]}
        for t in range(length):
            x = np.eye(7, dtype=np.float32)[int(example.inputs[t])]
            gates = net.cell.gates(params.cell, state, x)
            state, h = net.cell.step(params.cell, state, x)
            output = net.readout.output(net.readout.net(params.readout, net.seen(h, x)))
            for name, value in (
                *(("input gate i", gates["i"]), ("cell state c", gates["c"])),
                *(("cell output h", h), ("output", output), ("target", example.targets[t])),
            ):
                np.testing.assert_allclose(shown[name][:, t], value, rtol=2e-3, atol=2e-4)
    names = {panel["name"]: panel["units"] for panel in first["panels"]}
    assert names["output"] == list(SYMBOLS)
    assert set(names["input"]) == {SYMBOLS[int(s)] for s in example.inputs[:length]}
    marks = np.flatnonzero(np.asarray(run.task.marks(example))[:length])
    assert first["marks"] == marks.tolist() == [1, length - 2]
    assert untrained["title"] == "test sequence 0, network untrained"
    assert "weights into i" in words  # within the picture of the training


def test_many_units_are_cut_and_counted():
    wide = Playback("wide", [Panel("h", np.zeros((5, 70)), [str(n) for n in range(70)])])
    (sequence,) = data_of(player_html([wide], "wide"))
    assert len(sequence["panels"][0]["values"]) == MOST_UNITS
    assert sequence["panels"][0]["left"] == 70 - MOST_UNITS


def test_sequences_that_cannot_be_played():
    with pytest.raises(ValueError, match="no sequence to play"):
        player_html([], "none")
    torn = Playback("torn", [Panel(n, np.zeros((T, 1)), ["1"]) for n, T in (("a", 3), ("b", 4))])
    with pytest.raises(ValueError, match="'torn': its panels differ in length"):
        player_html([torn], "torn")


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \" '"


def test_names_and_settings_are_text_whatever_they_say(tmp_path):
    path = make_run(tmp_path / "run", row=EVIL, note=EVIL)
    shown = make_playback(title=EVIL)._replace(note=EVIL)
    text, words = report(path, inside=lambda *_: Inside([shown], problem=EVIL))
    page = Page(text)
    assert page.open == []
    assert text.count("<script") == 2 and "<img" not in text  # the data and the player
    assert data_of(text)[0]["title"] == EVIL
    assert " ".join(EVIL.split()) in words


def test_the_same_run_gives_the_same_page(tmp_path):
    run = read_run(make_run(tmp_path / "run"))
    reports = [RunReport(run, paper_row(run), Inside([make_playback()]))]
    assert run_html(reports, "x") == run_html(reports, "x")
    with pytest.raises(ValueError, match="no run"):
        run_html([], "x")


def test_the_published_row_is_found_by_task_and_name(tmp_path):
    names = {}
    for task, row in (("adding", "t500"), ("adding", "t7-t500"), ("adding", "own"), ("x", "t500")):
        run = read_run(make_run(tmp_path / f"{task}-{row}", row=row, task=task))
        names[task, row] = getattr(paper_row(run), "name", None)
    assert list(names.values()) == ["t7-t500", "t7-t500", None, None]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "--run=: give the folder of a run"),
        (["--run=RUN/nowhere"], "nowhere does not exist"),
        (["--run=RUN/trials.jsonl"], "trials.jsonl is a file"),
        (["--run=RUN", "--trial=3"], "RUN has no trial 3; valid: 0 to 2"),
        (["--run=RUN", "--trial=x"], "--trial=x: must be an integer"),
        (["--run=RUN", "--out=RUN/trials.jsonl/x.html"], "could not be written"),
        (["--run=RUN", "--out=RUN/pipe"], "--out=RUN/pipe: is there and is no file"),
        (["--run=RUN", "--out=RUN"], "--out=RUN: is there and is no file"),
        (["--rum=RUN"], "--rum: no such flag; nearest: run"),
        (["RUN"], "RUN: every argument is a flag"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, capsys, flags, told):
    run = make_run(tmp_path / "run")
    os.mkfifo(run / "pipe")  # as a device is: what is written must not take its place
    given = [flag.replace("RUN", str(run)) for flag in flags]
    with pytest.raises(SystemExit) as ended:
        main("", paper_row, look_inside, given)
    assert ended.value.code == 2
    said = capsys.readouterr().err.replace(str(run), "RUN")
    assert said.count("\n") == 1 and told in said
    assert not (run / "report.html").exists()


def test_a_torn_record_is_one_line_from_the_command(tmp_path):
    run = make_run(tmp_path / "run")
    text = (run / "trials.jsonl").read_text()
    (run / "trials.jsonl").write_text("{" + text)
    command = [sys.executable, "-m", "experiments.report", f"--run={run}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "trials.jsonl is damaged in line 1" in done.stderr and done.stdout == ""
