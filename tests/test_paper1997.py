"""The whole paper as one command: its rows, its flags, resuming, reports and exported records."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

from experiments.paper1997 import ORDER, PAPER
from lstm_jax.paper import main
from lstm_jax.paper.estimates import estimate, runs_on_file
from lstm_jax.paper.records import RowRecords
from lstm_jax.paper.selection import build_row, items_of
from lstm_jax.report import load_records
from lstm_jax.report.results import BEGIN, END
from lstm_jax.rows import INTERRUPTED

ROOT = Path(__file__).resolve().parents[1]
ROWS = ("t9-6a", "t8-140")
SMALL = [f"--rows={','.join(ROWS)}", "--trials=2", "--max_sequences=30000"]
REPORT = ("report.html", "report.md", "pictures/ratios.png", "pictures/table-9.png")


def command(workdir, *more):
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.paper1997", *SMALL, *more, f"--workdir={workdir}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def contents(workdir):
    names = ("trials.jsonl", "curves.npz")
    return [(workdir / row / name).read_bytes() for row in ROWS for name in names]


def refused(capsys, *argv):
    """The one line that the command refuses the arguments with."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(PAPER, argv)
    assert ended.value.code == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A run in this process; the folder and what it printed."""
    workdir = tmp_path_factory.mktemp("paper") / "run"
    assert main(PAPER, [*SMALL, f"--workdir={workdir}"]) == 0
    return workdir


@pytest.fixture
def checkout(unbroken, tmp_path):
    """A README with an empty table, and the exported records below it."""
    (tmp_path / "README.md").write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    folder = tmp_path / "results" / "paper1997"
    assert main(PAPER, [f"--workdir={unbroken}", f"--export={folder}"]) == 0
    return folder


# ---- which rows there are


def test_dry_run_lists_every_row_with_the_papers_weights(capsys, tmp_path):
    workdir = tmp_path / "none"
    assert main(PAPER, ["--dry_run", "--json", f"--workdir={workdir}"]) == 0
    lines = json.loads(capsys.readouterr().out)
    assert [line["row"] for line in lines] == list(ORDER)
    own = [line["row"] for line in lines if "lstm" in line["row"] or line["row"] > "t3"]
    assert len(own) == 31
    assert [line["row"] for line in lines[:31]] == own, "a rival comes before a row of the method"
    published = {name: item.paper for name, item in items_of(PAPER).items()}
    for line in lines:
        assert line["num_weights"] == line["paper_weights"] == published[line["row"]].num_weights
        assert line["num_trials"] == published[line["row"]].num_trials
        assert line["max_sequences"] > 0 and line["reading"]
        assert line["expected_seconds"] is None or line["expected_seconds"] > 0
    assert not workdir.exists()


def test_dry_run_says_a_line_a_row(capsys):
    assert main(PAPER, ["--dry_run", "--tables=7,9", "--trials=3"]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "t7-t100",
        "t9-6a",
        "t9-6b",
        "t7-t500",
        "t7-t1000",
    ]
    assert "adding:t100" in lines[0] and "93 | 93 weights" in lines[0] and "3 trials" in lines[0]
    assert total.startswith("5 rows, 15 trials, about ")


def test_the_expected_time_is_that_of_the_run_on_file():
    item = items_of(PAPER)["t7-t500"]  # cap 500,000; 500 to 550 steps, 525 in the mean
    row = build_row(item, num_trials=3)
    run = RowRecords([{"num_sequences": n} for n in (100_000, 900_000)], {"ns_per_trial_step": 7})
    expected = 3 * (100_000 + 500_000) / 2 * 525 * 7e-9
    found = estimate(row, item, run, 2)
    assert found.measured and found.expected_seconds == pytest.approx(expected, abs=0.06)
    lower = build_row(item, num_trials=3, max_sequences=50_000)
    assert estimate(lower, item, run, 2).expected_seconds == pytest.approx(expected / 6, abs=0.06)
    # beside other work: wall time says ten times as much, the cores were busy as long
    info = {"ns_per_trial_step": 70, "processor_ns_per_trial_step": 7 * len(jax.devices())}
    beside = estimate(row, item, RowRecords(run.records, info), 2)
    assert beside.expected_seconds == pytest.approx(expected, abs=0.06)
    nothing = estimate(row, item, None, 2)
    assert not nothing.measured and nothing.expected_seconds != found.expected_seconds


def test_the_expected_time_of_a_row_without_a_published_number_comes_from_its_run():
    item = items_of(PAPER)["t1-rtrl3"]
    row = build_row(item)
    assert estimate(row, item, None, 2).expected_seconds is None
    run = RowRecords([{"num_sequences": 1_000}], {"ns_per_trial_step": 1_000.0})
    steps = 30 * 1_000 * row.built.trial.task.mean_length
    assert estimate(row, item, run, 2).expected_seconds == pytest.approx(1e-6 * steps, abs=0.06)


def test_exported_runs_are_found_for_expected_times(checkout, tmp_path):
    found = runs_on_file(checkout, [*ROWS, "t7-t100"])
    assert sorted(found) == sorted(ROWS)
    for run in found.values():
        assert run.info["ns_per_trial_step"] > 0
        assert "processor_ns_per_trial_step" not in run.info, "the other row was at work as well"
    assert runs_on_file(tmp_path, ROWS) == {}
    (checkout / "rows.json").write_text("{")
    assert runs_on_file(checkout, ROWS) == {}


def test_no_published_row_is_forgotten():
    run = {row.name for e in PAPER.experiments.values() for row in e.paper.values()}
    assert set(ORDER) == run - {"literal"}  # the text as it stands is no row of the paper's
    assert len(ORDER) == len(set(ORDER))
    shown = [name for table in PAPER.tables for name in table.rows]
    assert sorted(shown) == sorted([*ORDER, *(row.name for row in PAPER.cited)])
    for table in PAPER.tables:
        sources = {items_of(PAPER)[name].paper.source for name in table.rows if name in ORDER}
        assert sources == {table.title}
    assert set(PAPER.explanations) <= set(ORDER)


def test_the_trial_counts_are_the_papers():
    trials = {name: item.paper.num_trials for name, item in items_of(PAPER).items()}
    counts = {"t1": 30, "t2": 18, "t3": 20, "t9-6a": 20}
    assert trials == {name: counts.get(name, counts.get(name[:2], 10)) for name in ORDER}


@pytest.mark.parametrize(
    ("flags", "rows"),
    [
        (["--rows=lstm", "--tables=1"], 5),
        (["--rows=rivals", "--tables=1,2"], 9),
        (["--rows=rivals"], 9),
        (["--rows=t9-6a,rivals", "--tables=1,9"], 4),
        (["--tables=(3)"], 9),
        (["--smoke"], 6),
    ],
)
def test_choosing_rows(capsys, flags, rows):
    assert main(PAPER, ["--dry_run", "--json", *flags]) == 0
    assert len(json.loads(capsys.readouterr().out)) == rows


# ---- what is refused


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--tables=10"], ["--tables=10", "1, 2, 3"]),
        (["--tables=7,seven"], ["--tables=7,seven", "no such table"]),
        (["--tables="], ["--tables=", "numbers"]),
        (["--trials=0"], ["--trials=0", "paper or an integer from 1"]),
        (["--trials=many"], ["--trials=many", "paper or an integer"]),
        (["--trials=1.5"], ["--trials=1.5", "paper or an integer"]),
        (["--rows=t9-6c"], ["t9-6c", "nearest", "t9-6a"]),
        (["--rows=rival"], ["rival", "nearest: rivals"]),
        (["--rows=t1-rcc"], ["t1-rcc", "cited"]),
        (["--rows=t9-6a", "--tables=1"], ["no row is in both"]),
        (["--max_sequences=0"], ["--max_sequences=0", "integer from 1"]),
        (["--max_sequences=99"], ["--max_sequences=99", "at least 100"]),
        (["--workdir="], ["--workdir=", "path"]),
        (["--dryrun"], ["--dryrun", "nearest: dry_run"]),
        (["--dry"], ["--dry", "nearest: dry_run"]),
        (["--config.T=11"], ["--config.T", "no such flag"]),
        (["t9-6a"], ["t9-6a", "--name=value"]),
        (["--tables"], ["--tables", "expected one argument"]),
        (["--json"], ["--json", "--dry_run"]),
        (["--dry_run", "--report"], ["one of them"]),
        (["--smoke", "--export"], ["--smoke"]),
        (["--report", "--workdir=no/such/run"], ["no/such/run", "no folder with records"]),
        (["--export", "--workdir=no/such/run"], ["no/such/run", "no folder with records"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("-") else "",
)
def test_mistakes_are_one_line(capsys, argv, parts):
    error = refused(capsys, *argv)
    for part in parts:
        assert part in error


def test_another_number_of_weights_is_refused(capsys, tmp_path):
    (title, adding), *_ = [(t, e) for t, e in PAPER.experiments.items() if e.name == "adding"]
    wrong = adding._replace(
        paper=adding.paper | {"t100": adding.paper["t100"]._replace(num_weights=94)}
    )
    paper = PAPER._replace(experiments=dict(PAPER.experiments) | {title: wrong})
    for flags in (["--dry_run"], [f"--workdir={tmp_path / 'none'}"]):
        with pytest.raises(SystemExit) as ended:
            main(paper, ["--rows=t7-t100", *flags])
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "93 weights, the paper's 94" in error
    assert not (tmp_path / "none").exists()


# ---- running and resuming


def test_records_and_report_of_a_run(unbroken):
    for row, weights in zip(ROWS, (156, 93), strict=True):
        records = load_records(unbroken / row / "trials.jsonl")
        assert [record["trial"] for record in records] == [0, 1]
        assert {record["row"] for record in records} == {row}
        assert {record["num_weights"] for record in records} == {weights}
        assert all(record["num_sequences"] <= 30_000 for record in records)
        assert all(record["reading"] for record in records)
    for name in REPORT:
        assert (unbroken / name).stat().st_size > 0
    text = (unbroken / "report.md").read_text()
    assert "2 of 31 were run." in text
    assert "2 trials; the paper's mean is of 20" in text
    assert "Deviations from the papers" in text


def test_a_finished_run_is_shown_again_and_left_alone(unbroken, capsys):
    before = contents(unbroken)
    assert main(PAPER, [*SMALL, f"--workdir={unbroken}"]) == 0
    assert contents(unbroken) == before
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("t9-6a ") and "31,390 | " in first and "[1 of 2]" in first
    assert second.startswith("t8-140 ") and "482,000 | " in second and "[2 of 2]" in second
    assert any(line.startswith("| t8-140 ") for line in rest)
    assert not any(BEGIN in line for line in rest)


def test_stopped_and_killed_runs_end_as_the_unbroken_one(unbroken, tmp_path):
    def sessions():
        files = [tmp_path / row / "provenance.json" for row in ROWS]
        return [f.exists() and len(json.loads(f.read_text())["sessions"]) for f in files]

    for number, stop in enumerate((signal.SIGTERM, signal.SIGKILL), start=1):
        # in the first chunk of both rows; then where the row that is left goes on
        process = command(tmp_path)
        until = time.monotonic() + 120
        while (min if number == 1 else max)(sessions()) < number and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(stop)
        _, errors = process.communicate()
        assert process.returncode in (INTERRUPTED, -signal.SIGKILL), errors
        if stop == signal.SIGTERM:
            assert "the same command goes on:  python -m experiments.paper1997" in errors
    process = command(tmp_path)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert contents(tmp_path) == contents(unbroken)


def test_more_trials_later(unbroken, tmp_path, capsys):
    shutil.copytree(unbroken, tmp_path / "run")
    row = tmp_path / "run" / "t9-6a"
    picture = (row / "curves.png").read_bytes()
    more = ["--rows=t9-6a", "--trials=3", "--max_sequences=30000"]
    assert main(PAPER, [*more, f"--workdir={tmp_path / 'run'}"]) == 0
    before = load_records(unbroken / "t9-6a" / "trials.jsonl")
    after = load_records(row / "trials.jsonl")
    assert after[:2] == before and len(after) == 3
    assert (row / "curves.png").read_bytes() != picture
    assert "3 trials; the paper's mean is of 20" in (tmp_path / "run" / "report.md").read_text()
    capsys.readouterr()
    fewer = ["--rows=t9-6a", "--trials=2", "--max_sequences=30000"]
    assert main(PAPER, [*fewer, f"--workdir={tmp_path / 'run'}"]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("| t9-6a")]
    assert "/2 |" in line, "the table is of the trials that were asked for"
    assert main(PAPER, [*more, f"--workdir={tmp_path / 'new'}"]) == 0
    assert load_records(tmp_path / "new" / "t9-6a" / "trials.jsonl") == after
    (session,) = json.loads((tmp_path / "new" / "t9-6a" / "provenance.json").read_text())[
        "sessions"
    ]
    busy, wall = session["processor_seconds"], session["trained_seconds"]
    assert 0 < busy < 1.2 * len(jax.devices()) * wall, "no core is busy longer than there is"


def test_another_cap_is_another_run(unbroken, capsys):
    before = contents(unbroken)
    flags = ["--rows=t9-6a", "--trials=2", "--max_sequences=20000"]
    error = refused(capsys, *flags, f"--workdir={unbroken}")
    assert "max_sequences is 30000 there and 20000 here" in error
    assert contents(unbroken) == before


# ---- reports and exported records


def test_the_report_is_made_from_records_alone(unbroken, checkout):
    before = [(unbroken / name).read_bytes() for name in REPORT]
    for name in REPORT:
        (unbroken / name).unlink()
    assert main(PAPER, ["--report", f"--workdir={unbroken}"]) == 0
    assert [(unbroken / name).read_bytes() for name in REPORT] == before
    assert main(PAPER, ["--report", f"--workdir={checkout}"]) == 0
    assert [(checkout / name).read_bytes() for name in REPORT] == before


def test_a_row_in_progress_is_not_reported(unbroken, tmp_path, capsys):
    shutil.copytree(unbroken, tmp_path / "run")
    file = tmp_path / "run" / "t9-6a" / "trials.jsonl"
    first, second = file.read_text().splitlines()
    file.write_text(f"{first}\n{second[:50]}")
    assert main(PAPER, ["--report", f"--workdir={tmp_path / 'run'}"]) == 0
    assert "report on 1 of 40 rows" in capsys.readouterr().out
    assert file.read_text().endswith(second[:50]), "a report writes no records"


def test_exported_records_are_those_of_the_run_and_name_no_machine(unbroken, checkout):
    info = json.loads((checkout / "rows.json").read_text())
    assert sorted(info) == sorted(ROWS)
    for row in ROWS:
        exported = (checkout / f"{row}.jsonl").read_bytes()
        assert exported == (unbroken / row / "trials.jsonl").read_bytes()
        assert info[row]["num_trials"] == 2
        assert info[row]["max_sequences"] == 30_000
        assert info[row]["settings"]["T"] == 100
        assert info[row]["provenance"]["versions"]["jax"]
        assert info[row]["provenance"]["num_cpus"] >= 1
    written = "".join(file.read_text() for file in checkout.iterdir())
    for place in (str(unbroken.parent), str(ROOT), str(Path.home()), sys.prefix):
        assert f"{place}/" not in written and f'{place}"' not in written
    if len(socket.gethostname()) > 5:  # a short one may be part of a word
        assert socket.gethostname() not in written


def test_a_second_export_keeps_the_other_rows(unbroken, checkout):
    again = ["--rows=t9-6a", f"--workdir={unbroken}", f"--export={checkout}"]
    before = {file.name: file.read_bytes() for file in checkout.iterdir()}
    assert main(PAPER, again) == 0
    assert {file.name: file.read_bytes() for file in checkout.iterdir()} == before


def test_exported_records_are_not_exported(checkout, capsys):
    error = refused(capsys, f"--workdir={checkout}", f"--export={checkout}")
    assert "exported records already" in error


def test_the_table_of_the_readme_is_that_of_the_records(checkout, capsys):
    readme = checkout.parents[1] / "README.md"
    text = readme.read_text()
    assert text.startswith(f"before\n{BEGIN}\n") and text.endswith(f"{END}\nafter\n")
    assert "| t9-6a " in text
    assert main(PAPER, [f"--check={checkout}"]) == 0

    readme.write_text(text.replace("31,390", "31,391"))
    assert main(PAPER, [f"--check={checkout}"]) == 1
    assert "--report" in capsys.readouterr().err
    assert main(PAPER, ["--report", f"--workdir={checkout}"]) == 0
    assert readme.read_text() == text
    assert main(PAPER, [f"--check={checkout}"]) == 0

    file = checkout / "t9-6a.jsonl"
    record, *rest = file.read_text().splitlines(keepends=True)
    one = json.loads(record)
    one |= {"status": "SOLVED", "num_sequences": one["num_sequences"] // 2}
    file.write_text("".join([json.dumps(one) + "\n", *rest]))
    assert main(PAPER, [f"--check={checkout}"]) == 1


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "t9-6a.jsonl").unlink(), "has no records"),
        (lambda folder: (folder / "rows.json").unlink(), "has no rows.json"),
        (lambda folder: (folder / "rows.json").write_text("{"), "damaged"),
        (lambda folder: (folder / "t9-6z.jsonl").write_text(""), "no row of the paper"),
        (lambda folder: drop_a_line(folder / "t9-6a.jsonl"), "without a gap"),
        (lambda folder: (folder / "t9-6a.jsonl").write_text("{}\n"), "line 1"),
        (lambda folder: (folder.parents[1] / "README.md").write_text("none"), "markers"),
    ],
)
def test_what_is_wrong_with_exported_records_is_said(checkout, capsys, damage, said):
    damage(checkout)
    capsys.readouterr()
    try:
        status = main(PAPER, [f"--check={checkout}"])
    except SystemExit as ended:
        status = ended.code
    assert status in (1, 2)
    assert said in capsys.readouterr().err


def drop_a_line(file):
    file.write_text(file.read_text().partition("\n")[2])


def test_no_table_and_no_records_agree(tmp_path):
    (tmp_path / "README.md").write_text("nothing yet")
    assert main(PAPER, [f"--check={tmp_path / 'results' / 'paper1997'}"]) == 0


def test_the_committed_records_agree_with_the_readme():
    assert main(PAPER, [f"--check={ROOT / 'results' / 'paper1997'}"]) == 0
