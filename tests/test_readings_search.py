"""The search over readings: designs, programs, scores, resuming, its page and its flags."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments.readings import SEARCH
from lstm_jax.build import build_trial
from lstm_jax.paper.selection import items_of
from lstm_jax.record.lines import append_line
from lstm_jax.search import command, main
from lstm_jax.search.factors import FACTORS, reading_name, readings_of, text_of
from lstm_jax.search.groups import file_of, groups_of, load_groups
from lstm_jax.search.page import against, best_records, least_off, scores_of
from lstm_jax.search.scores import score_readings, score_row, spread_of_logs
from lstm_jax.tables import PaperRow

ROOT = Path(__file__).resolve().parents[1]
ITEMS = items_of(SEARCH.paper)
PAPER = PaperRow("t9-6a", "", "Table 9", 156, 20, 31_390, 1, 2560)
SMALL = ["--rows=t9-6a", "--trials=1", "--max_ratio=0.02"]


def trials(*counts, cap=None):
    """Records of solved trials; None in place of a count: stopped at the cap."""
    return [
        {"status": "EXHAUSTED", "num_sequences": cap}
        if count is None
        else {"status": "SOLVED", "num_sequences": count}
        for count in counts
    ]


def groups(row, design="single", names=None, trials=8):
    chosen = [factor for factor in FACTORS if names is None or factor.name in names]
    return groups_of(ITEMS[row], readings_of(chosen, design), chosen, trials=trials, max_ratio=4.0)


# ---- readings and programs


@pytest.mark.parametrize(
    ("design", "number"), [("single", 16), ("pairs", 16 + 103), ("full", 9 * 2**11)]
)
def test_designs(design, number):
    readings = readings_of(FACTORS, design)
    assert reading_name(readings[0]) == "text"
    assert len(readings) == len({reading_name(reading) for reading in readings}) == number


def test_learning_rate_and_init_share_a_program():
    (text, *others) = groups("t7-t100")
    assert [v.reading for v in text.variants] == ["text", "init_scale=5", "factor=2"]
    assert [text.hyper(n) for n in (0, 7, 8, 15, 16, 23)] == [
        *[(0.5, 0.1)] * 2,
        *[(0.5, 0.5)] * 2,
        *[(1.0, 0.1)] * 2,
    ]
    assert [group.name for group in others] == [
        "output_unit=identity",
        "output_delta=no_derivative",
        "error_tolerance=0.25",
        "direct=inputs",
        "ranges=swapped",
        "sees=cells",
        "sees=zeros",
        "input_gate_bias=drawn",
        "gate_bias=added",
        "initial_gate=0.5",
        "gradient_rule=full",
    ]
    assert all(group.num_trials == 8 for group in others)
    both = groups("t7-t100", "full", {"init_scale", "factor"})
    assert [len(group.variants) for group in both] == [4]
    assert both[0].hyper(31) == (1.0, 0.5)


def test_the_text_is_not_our_default():
    config = groups("t7-t100")[0].config()
    assert (config.output_unit, config.init_range) == ("logistic", 0.1)
    assert text_of(ITEMS["t7-t100"])["input_gate_bias"] == (-3.0, -6.0)
    swapped = groups("t7-t100", names={"ranges"})[1].config()
    assert (swapped.g, swapped.h) == ("h1", "g2")
    assert groups("t7-t100", names={"input_gate_bias"})[1].config().input_gate_bias == ()


@pytest.mark.parametrize(
    ("row", "factor", "applies"),
    [
        ("t1-lstm-3x2-0.5", "update_every", True),
        ("t2-lstm-2b", "update_every", True),
        ("t3-q50-p50", "update_every", False),  # its error comes at the end
        ("t9-6a", "update_every", False),
        ("t2-lstm-2b", "ranges", False),
        ("t2-lstm-2b", "sees", False),
        ("t8-140", "input_gate_bias", False),  # drawn as the text has it
        ("t4-t100-n1", "input_gate_bias", True),
        ("t4-t100-n1", "exam_set", True),
        ("t1-lstm-3x2-0.5", "exam_set", False),  # both of its sets are fixed
        ("t8-140", "gate_bias", False),
        ("t1-lstm-3x2-0.5", "initial_gate", True),
        ("t3-q50-p50", "initial_gate", False),  # nobody hears the gates
        ("t2-lstm-2b", "gradient_rule", True),
    ],
)
def test_a_change_without_meaning_makes_no_program(row, factor, applies):
    assert len(groups(row, names={factor})) == 1 + applies


def test_a_point_with_two_other_answers_gives_two_readings():
    text, cells, zeros = groups("t9-6a", "full", {"sees"})
    assert [g.config().sees for g in (text, cells, zeros)] == ["all", "cells", "zeros"]


def test_readings_of_the_cell_go_together():
    names = {"gate_bias", "initial_gate", "gradient_rule"}
    found = {g.name: g.config() for g in groups("t1-lstm-3x2-0.5", "full", names)}
    assert len(found) == 8
    config = found["gate_bias=added initial_gate=0.5 gradient_rule=full"]
    assert config.cell_options == ("gate_bias=added", "initial_gate=0.5")
    assert config.gradient_rule == "bptt"
    assert build_trial(config).trial.network.cell.spec.initial_gate == 0.5


def test_the_full_gradient_knows_no_updates_in_steps():
    names = {"update_every", "gradient_rule"}
    found = [g.name for g in groups("t1-lstm-3x2-0.5", "full", names)]
    assert found == ["text", "update_every=step", "gradient_rule=full"]


def test_the_cap_is_whole_exams():
    assert groups("t1-lstm-3x2-0.5")[0].max_sequences == 33_800  # 4 * 8,440, exams every 100
    assert groups("t7-t100")[0].max_sequences == 296_000


# ---- scores


def test_score_by_hand():
    counts = (20_000, 30_000, 40_000)
    score = score_row(trials(*counts), PAPER, 125_560)
    logs = [math.log(n) for n in counts]
    mean = sum(logs) / 3
    spread = math.sqrt(sum((x - mean) ** 2 for x in logs) / 2)
    ratio = mean + spread**2 / 2 - math.log(31_390)
    error = spread * math.sqrt(1 / 3 + 1 / 20)
    assert score.log_ratio == pytest.approx(ratio, rel=1e-12)
    assert score.error == pytest.approx(error, rel=1e-12)
    gauss = -0.5 * (ratio / error) ** 2 - math.log(error * math.sqrt(2 * math.pi))
    assert score.time_score == pytest.approx(gauss, rel=1e-12)
    # Jeffreys' prior and 3 of 3: the chance of 20 of 20 is B(23.5, 0.5) / B(3.5, 0.5)
    beta = [math.lgamma(a) - math.lgamma(a + 0.5) for a in (23.5, 3.5)]
    assert score.share_score == pytest.approx(beta[0] - beta[1], rel=1e-9)
    assert score.close and not score.bound and not against(score)


@pytest.mark.parametrize(
    ("counts", "spread"),
    [
        ((30_000, 30_010, 29_990), 0.1),  # of few trials, as if there were no chance at all
        ((900, 30_000, 900_000), 1.0),
        ((20_000, 90_000), 0.5),  # two show no spread
        ((20_000, 30_000, 40_000, None, None, None, None), 0.5),  # a minority does not either
    ],
)
def test_a_spread_that_trials_cannot_tell_is_kept_within_bounds(counts, spread):
    score = score_row(trials(*counts, cap=999_000), PAPER, 999_000)
    assert score.error == pytest.approx(spread * math.sqrt(1 / len(counts) + 1 / 20))


def test_half_of_the_trials_tell_their_spread():
    counts, cap = (30_000, 40_000, 60_000), 70_000
    score = score_row(trials(*counts, None, None, None, cap=cap), PAPER, cap)
    mean, spread = spread_of_logs(np.array(counts, float), np.full(3, float(cap)))
    assert 0.5 < spread < 1.0 and not score.bound
    assert score.error == pytest.approx(spread * math.sqrt(1 / 6 + 1 / 20))
    assert score.log_ratio == pytest.approx(mean + spread**2 / 2 - math.log(31_390))


@pytest.mark.parametrize("factor", [0.49, 0.51, 1.0, 1.98, 2.02])
def test_a_row_is_close_within_a_factor_of_two_and_a_bound_never_is(factor):
    mean = factor * 31_390 / math.exp(0.1**2 / 2)  # three equal counts have the least spread
    assert score_row(trials(*[mean] * 3), PAPER, 999_000).close == (0.5 < factor < 2)
    cap = round(factor * 31_390)
    bound = score_row(trials(None, None, cap=cap), PAPER, cap)
    assert bound.bound and not bound.close


def test_a_share_that_is_not_told_counts_as_all():
    found = [score_row(trials(30_000, 31_000, 33_000), PAPER._replace(solved=share), 125_560)
             for share in (1.0, math.nan, 0.5)]  # fmt: skip
    assert found[1].share_score == found[0].share_score > found[2].share_score


def test_censored_trials_lengthen_the_mean():
    drawn = np.random.default_rng(0).normal(math.log(50_000), 0.5, 4000)
    solved, cap = np.exp(drawn[drawn < math.log(60_000)]), 60_000.0
    mean, spread = spread_of_logs(solved, np.full(4000 - len(solved), cap))
    assert mean == pytest.approx(math.log(50_000), abs=0.04)
    assert spread == pytest.approx(0.5, abs=0.04)


def test_an_unsolved_row_is_a_bound():
    cap = 125_560
    score = score_row(trials(None, None, None, 100_000, cap=cap), PAPER, cap)
    assert score.bound and not score.close and against(score)
    assert score.log_ratio == pytest.approx(math.log(4))
    diverged = [{"status": "DIVERGED", "num_sequences": 7}] * 4
    assert score_row(diverged, PAPER, cap) == score._replace(
        num_solved=0, share_score=score_row(diverged, PAPER, cap).share_score
    )


def test_a_bound_below_the_published_mean_speaks_against_nothing():
    cap = 12_000
    score = score_row(trials(*[None] * 8, cap=cap), PAPER, cap)
    assert score.bound and score.log_ratio < -math.log(2)
    assert not against(score) and least_off(score) == 0.0


def test_failures_cost_a_reading_that_the_paper_does_not_have():
    cap = 125_560
    counts = (30_000, 31_000, 32_000, 29_000, 33_000, 28_000)
    all_solved = score_row(trials(*counts, cap=cap), PAPER, cap)
    some = score_row(trials(*counts[:4], None, None, cap=cap), PAPER, cap)
    assert some.share_score < all_solved.share_score - 2
    half = PAPER._replace(solved=0.5)
    assert score_row(trials(*counts[:3], None, None, None, cap=cap), half, cap).share_score > -3


def test_equal_counts_do_not_divide_by_zero():
    score = score_row(trials(31_390, 31_390, 31_390, None, cap=99_000), PAPER, 99_000)
    assert math.isfinite(score.score) and score.error > 0


def test_readings_are_sorted_over_the_rows_they_share():
    good = score_row(trials(31_000, 32_000, 33_000), PAPER, 125_560)
    bad = score_row(trials(1_000, 2_000, 3_000), PAPER, 125_560)
    ranked = score_readings({"text": {"a": bad, "b": good}, "other": {"a": good}})
    assert [score.reading for score in ranked] == ["other", "text"]
    assert ranked[0].total == pytest.approx(good.score)
    assert ranked[1].total == pytest.approx(bad.score) and ranked[1].num_close == 0


def test_the_longest_record_of_a_reading_counts():
    line = {"readings": ["text"], "records": [{"reading": "text"}], "max_sequences": 100}
    more = line | {"records": [{"reading": "text"}] * 2}
    assert best_records([line, line | {"max_sequences": 50}])["text"].max_sequences == 100
    assert len(best_records([line, more])["text"].records) == 2


# ---- running, resuming, the page


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A finished search: one program, two readings of one trial each."""
    workdir = tmp_path_factory.mktemp("search") / "readings"
    assert main(SEARCH, [*SMALL, "--factors=init_scale", f"--workdir={workdir}"]) == 0
    return workdir


def test_records_of_a_search(searched):
    (line,) = load_groups(searched / "t9-6a.jsonl")
    assert line["readings"] == ["text", "init_scale=5"] and line["group"] == "text"
    assert [record["reading"] for record in line["records"]] == ["text", "init_scale=5"]
    assert line["max_sequences"] == 628  # 0.02 * 31,390, rounded up
    assert {record["num_sequences"] for record in line["records"]} == {628}
    page = (searched / "readings.md").read_text()
    for part in (
        "| **text** ",
        "| init_scale=5 ",
        " t9-6a |",
        "31,390",
        ">0.02 0/1",
        "--max_ratio=0.02 --factors=init_scale\n",
    ):
        assert part in page
    assert str(searched) not in page


def test_what_is_on_file_is_not_run_again(searched, tmp_path, monkeypatch, capsys):
    workdir = tmp_path / "readings"
    shutil.copytree(searched, workdir)
    file = workdir / "t9-6a.jsonl"
    first = file.read_bytes()
    file.write_bytes(first + b'{"row": "t9-')  # killed in the midst of the second
    ran = []

    def run(group, built, stopped):
        ran.append(group.name)
        (record,) = trials(9_000)
        line = {"wall_s": 1.0, "records": [record | {"reading": "ranges=swapped"}]}
        return group.identity() | line

    monkeypatch.setattr(command, "run_group", run)
    flags = [*SMALL, "--factors=init_scale,ranges", f"--workdir={workdir}"]
    for _ in range(2):
        assert main(SEARCH, flags) == 0
    assert ran == ["ranges=swapped"]
    assert file.read_bytes().startswith(first) and len(load_groups(file)) == 2
    assert "on file" in capsys.readouterr().out
    assert main(SEARCH, [*flags, "--trials=2", "--dry_run"]) == 0
    assert "done" not in capsys.readouterr().out  # another number of trials is another group


def test_a_stopped_group_is_not_on_file(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "run_group", lambda *rest: None)
    assert main(SEARCH, [*SMALL, f"--workdir={tmp_path}"]) == 130
    assert not list(tmp_path.glob("*.jsonl"))


def test_a_change_without_meaning_leaves_the_rows_score(tmp_path):
    line = {"row": "t3-q50-p50", "group": "text", "trials": 3, "max_sequences": 120_000, "seed": 0}
    line |= {
        "readings": ["text"],
        "records": [r | {"reading": "text"} for r in trials(30_000, 31_000, 32_000)],
    }
    other = line | {
        "row": "t9-6a",
        "readings": ["text", "input_gate_bias=drawn"],
        "records": [
            *line["records"],
            *(r | {"reading": "input_gate_bias=drawn"} for r in line["records"]),
        ],
    }
    for found in (line, other):
        append_line(file_of(tmp_path, found["row"]), found)
    loaded = {row: load_groups(file_of(tmp_path, row)) for row in ("t3-q50-p50", "t9-6a")}
    scores = scores_of(SEARCH, loaded)
    assert set(scores) == {"text", "input_gate_bias=drawn"}
    assert scores["input_gate_bias=drawn"]["t3-q50-p50"] == scores["text"]["t3-q50-p50"]
    assert main(SEARCH, ["--report", f"--workdir={tmp_path}"]) == 0
    assert "(=)" in (tmp_path / f"{tmp_path.name}.md").read_text()


def test_the_committed_page_has_the_committed_records():
    folder = ROOT / "results" / "readings"
    page = (ROOT / "docs" / "readings.md").read_text()
    files = sorted(folder.glob("*.jsonl"))
    assert files
    for file in files:
        assert file.stem in ITEMS and f"`{file.stem}`" in page
        for reading in best_records(load_groups(file)):
            assert reading in page


# ---- what is refused


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--design=double"], ["--design=double", "single"]),
        (["--factors=output"], ["output", "nearest: output_unit"]),
        (["--factors=sees,see"], ["see", "nearest: sees"]),
        (["--factors="], ["--factors=", "names"]),
        (["--rows=t9-6c"], ["t9-6c", "no such row"]),
        (["--rows=t1-elman"], ["t1-elman", "rival"]),
        (["--rows=t1-rcc"], ["t1-rcc", "cited"]),
        (["--trials=0"], ["--trials=0", "from 1"]),
        (["--trials=many"], ["--trials=many", "integer"]),
        (["--max_ratio=0"], ["--max_ratio=0"]),
        (["--max_ratio=x"], ["--max_ratio=x"]),
        (["--max_ratio=nan"], ["--max_ratio=nan"]),
        (["--workdir="], ["--workdir=", "path"]),
        (["--dryrun"], ["--dryrun", "nearest: dry_run"]),
        (["--dry_run", "--report"], ["one of them"]),
        (["t9-6a"], ["t9-6a", "--name=value"]),
        (["--rows"], ["--rows", "expected one argument"]),
        (["--report", "--workdir=no/such"], ["no/such", "no finished group"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("-") else "",
)
def test_mistakes_are_one_line(capsys, argv, parts):
    with pytest.raises(SystemExit) as ended:
        main(SEARCH, argv)
    assert ended.value.code == 2
    out, error = capsys.readouterr()
    assert out == "" and error.startswith("error: ") and error.count("\n") == 1
    for part in parts:
        assert part in error


def test_damaged_records_are_named(tmp_path, capsys):
    (tmp_path / "t9-6a.jsonl").write_text('{"row": 1}\n')
    with pytest.raises(SystemExit) as ended:
        main(SEARCH, ["--report", f"--workdir={tmp_path}"])
    assert ended.value.code == 2
    assert "t9-6a.jsonl is damaged in line 1" in capsys.readouterr().err


def test_the_pages_commands_ask_for_what_is_on_file_and_no_more(capsys):
    page = (ROOT / "docs" / "readings.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("python -m ")]
    assert any("--design=" in line for line in lines)
    asked = set()
    for line in lines:
        assert main(SEARCH, [*line.split()[3:], "--dry_run"]) == 0
        programs = [row for row in capsys.readouterr().out.splitlines() if " readings " in row]
        assert programs and all("done" in row for row in programs), line
        asked |= set(programs)
    kept = [load_groups(file) for file in (ROOT / "results" / "readings").glob("*.jsonl")]
    assert len(asked) == sum(map(len, kept))
