"""Sweeps: axes, designs, statistics against published and counted values, runs and resumes."""

import itertools
import json
import math

import jax
import numpy as np
import pytest
from scipy import stats

from configs import ablation as settings
from experiments.ablation import ABLATION
from lstm_jax.ablation import command, main
from lstm_jax.ablation.analysis import Comparison, best, compare, point_results, shares_of
from lstm_jax.ablation.axes import Axis, grid, parse_axis, sample
from lstm_jax.ablation.command import PAGE, RECORDS
from lstm_jax.ablation.design import cell_values, config_of, groups_of, points_of
from lstm_jax.ablation.page import markdown
from lstm_jax.ablation.pictures import heat_map, short
from lstm_jax.ablation.running import line_of, load
from lstm_jax.ablation.variance import variance_shares
from lstm_jax.cells import CELLS
from lstm_jax.config import ConfigError, make_config
from lstm_jax.config.standard import CELL_NAMES, SWITCHES
from tests.tolerances import FALSE_ALARM_RATE

FIELDS = settings.TASKS["adding"][0]


def config(**values):
    return make_config(settings.FIELDS, **values)


def solved(*counts, **more):
    return [{"status": "SOLVED", "num_sequences": n, "values": {}, **more} for n in counts]


def unsolved(*counts, **more):
    return [{"status": "EXHAUSTED", "num_sequences": n, "values": {}, **more} for n in counts]


# ---- axes


def test_a_grid_is_every_combination_once():
    axes = [Axis("a", (1, 2, 3)), Axis("b", (True, False)), Axis("c", ("x",))]
    points = grid(axes)
    expected = {(a, b, "x") for a, b in itertools.product((1, 2, 3), (True, False))}
    assert {(p["a"], p["b"], p["c"]) for p in points} == expected and len(points) == 6


def test_a_logarithmic_range_has_equal_ratios_and_a_linear_one_equal_steps():
    log = parse_axis("learning_rate=log:0.001:1:7", FIELDS).grid()
    np.testing.assert_allclose(np.diff(np.log(log)), math.log(10) / 2, rtol=1e-4)
    assert (log[0], log[-1]) == (0.001, 1.0)
    flat = parse_axis("momentum=uniform:0:0.9:4", FIELDS).grid()
    np.testing.assert_allclose(flat, [0.0, 0.3, 0.6, 0.9])
    assert parse_axis("hidden_size=log:2:32:5", FIELDS).grid() == (2, 4, 8, 16, 32)


def test_random_points_are_log_uniform():
    axis = parse_axis("learning_rate=log:0.0001:1", FIELDS)
    drawn = np.array([p["learning_rate"] for p in sample([axis], 2000, seed=3)])
    u = (np.log10(drawn) + 4) / 4
    assert stats.kstest(u, "uniform").pvalue > FALSE_ALARM_RATE
    listed = [p["T"] for p in sample([parse_axis("T=20|30", FIELDS)], 2000, seed=3)]
    assert stats.binomtest(listed.count(20), 2000).pvalue > FALSE_ALARM_RATE
    assert sample([axis], 5, seed=3) == sample([axis], 5, seed=3) != sample([axis], 5, seed=4)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("learning_rat=0.1", ["no such field", "nearest: learning_rate"]),
        ("learning_rate", ["NAME=A|B|C"]),
        ("learning_rate=", ["NAME=A|B|C"]),
        ("learning_rate=log:1", ["log:LOW:HIGH"]),
        ("learning_rate=log:0:1", ["0 < LOW < HIGH"]),
        ("learning_rate=uniform:1:1", ["LOW < HIGH"]),
        ("learning_rate=log:0.1:1:0", ["COUNT"]),
        ("learning_rate=-1|1", ["learning_rate=-1.0", "> 0"]),
        ("learning_rate=fast", ["learning_rate=fast", "a number"]),
        ("hidden_size=0|4", ["hidden_size=0"]),
        ("hidden_size=4|4", ["twice"]),
        ("output_unit=uniform:0:1", ["output_unit is no number"]),
        ("output_unit=softmax", ["output_unit=softmax", "logistic"]),
    ],
)
def test_what_is_no_axis_is_told_in_one_line(text, parts):
    with pytest.raises(ConfigError) as told:
        parse_axis(text, FIELDS)
    assert "\n" not in str(told.value)
    for part in ["config.axes=", *parts]:
        assert part in str(told.value)


def test_a_tuple_and_auto_can_be_listed():
    assert parse_axis("input_gate_bias=()|-3,-6", FIELDS).values == ((), (-3.0, -6.0))
    assert parse_axis("clip_norm=auto|1", FIELDS).values == (None, 1.0)


def test_a_grid_over_a_range_needs_a_count():
    with pytest.raises(ConfigError, match="COUNT"):
        points_of(ABLATION, config(axes=("learning_rate=log:0.01:1",)))
    points = points_of(ABLATION, config(axes=("learning_rate=log:0.01:1",), num_samples=4))
    assert len(points) == 3 * 4


# ---- designs


def test_names_of_cells_are_those_of_the_library():
    assert set(CELL_NAMES) == set(CELLS)
    for name in SWITCHES:
        assert cell_values(name, 8) == {"cell": "lstm", "switches": (name,)}
    assert cell_values("lstm97", 8) == {"cell": "lstm97", "num_blocks": 4, "block_size": 2}
    assert cell_values("lstm97", 5) == {"cell": "lstm97", "num_blocks": 5, "block_size": 1}
    with pytest.raises(ConfigError, match="joined by"):
        cell_values("NIG+gru", 8)


def test_the_odyssey_is_nine_variants_ten_rates_five_seeds_on_three_tasks():
    made = settings.get_config("odyssey")
    points = points_of(ABLATION, made)
    groups = groups_of(ABLATION, made, points, "sweep", made.num_seeds)
    assert len(points) == 9 * 3 * 10 and len(groups) == 9 * 3
    assert sum(group.num_trials for group in groups) == 9 * 3 * 10 * 5


def test_points_share_a_program_only_where_nothing_static_differs():
    made = config(tasks=("adding",), cells=("NP",), axes=("hidden_size=4|8", "init_range=0.1|0.2"))
    points = points_of(ABLATION, made)
    groups = groups_of(ABLATION, made, points, "sweep", 3)
    assert [len(group.points) for group in groups] == [20, 20]
    for group in groups:
        assert {point.values["hidden_size"] for point in group.points} == {group.config.hidden_size}
        for trial in range(group.num_trials):
            values = group.points[trial // 3].values
            assert group.hyper(trial) == (values["learning_rate"], values["init_range"])


def test_every_task_and_recipe_makes_a_valid_config_of_each_named_sweep():
    for arg in settings.ARGS:
        made = settings.get_config(arg)
        made.unlock()
        made.recipes = tuple(settings.RECIPES)
        for point in points_of(ABLATION, made):
            assert config_of(ABLATION, made, point, 1).cell in CELLS


# ---- statistics

# Freireich et al. 1963, remission of leukaemia in weeks under 6-mercaptopurine and placebo.
MERCAPTOPURINE = solved(6, 6, 6, 7, 10, 13, 16, 22, 23) + unsolved(
    6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35
)
PLACEBO = solved(1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)


def test_the_test_is_the_log_rank_test():
    capped = [r | {"num_sequences": 35} if r["status"] != "SOLVED" else r for r in MERCAPTOPURINE]
    (found,) = compare({("t", "r", "V"): PLACEBO, ("t", "r", "NP"): capped}, "V", 35)
    # the same follow-up for all that is censored: expected counts by hand, group by group
    times = sorted({r["num_sequences"] for r in PLACEBO + capped if r["status"] == "SOLVED"})
    excess = variance = 0.0
    for time in times:
        at_risk = [sum(r["num_sequences"] >= time for r in g) for g in (capped, PLACEBO)]
        events = [
            sum(r["num_sequences"] == time and r["status"] == "SOLVED" for r in g)
            for g in (capped, PLACEBO)
        ]
        n, d = sum(at_risk), sum(events)
        excess += events[0] - d * at_risk[0] / n
        if n > 1:
            variance += d * at_risk[0] / n * (1 - at_risk[0] / n) * (n - d) / (n - 1)
    assert found.p == pytest.approx(stats.chi2.sf(excess**2 / variance, 1), rel=1e-6)


def test_the_effect_is_counted_over_all_pairs():
    own = solved(10, 20, 30) + unsolved(100)
    other = solved(20, 40) + unsolved(100, 100)
    (found,) = compare({("t", "r", "V"): other, ("t", "r", "NP"): own}, "V", 100)
    times = ([10, 20, 30, 101], [20, 40, 101, 101])
    pairs = [(a < b) + 0.5 * (a == b) for a, b in itertools.product(*times)]
    assert found.effect == pytest.approx(np.mean(pairs))
    assert found.low < found.effect < found.high


def test_the_interval_of_the_effect_is_that_of_delong():
    """His variance from the shares of pairs that each trial wins; a probability has no more."""
    rng = np.random.default_rng(2)
    own, other = rng.normal(400, 100, 50).round(), rng.normal(440, 100, 60).round()
    records = {("t", "r", "V"): solved(*other.tolist()), ("t", "r", "NP"): solved(*own.tolist())}
    (found,) = compare(records, "V", 1000)
    pairs = (own[:, None] < other) + 0.5 * (own[:, None] == other)
    deviation = math.sqrt(pairs.mean(1).var(ddof=1) / 50 + pairs.mean(0).var(ddof=1) / 60)
    half = 1.96 * deviation
    expected = (found.effect - half, found.effect + half)
    assert (found.low, found.high) == pytest.approx(expected, abs=0.15 * half)
    ahead = solved(*range(100, 107), 320)
    (found,) = compare(
        {("t", "r", "V"): solved(*range(300, 308)), ("t", "r", "a"): ahead}, "V", 999
    )
    assert 0.5 < found.low < found.effect < found.high <= 1


def test_a_trial_solved_at_the_cap_is_ahead_of_an_unsolved_one():
    (found,) = compare(
        {("t", "r", "V"): unsolved(*[100] * 6), ("t", "r", "NP"): solved(*[100] * 6)}, "V", 100
    )
    assert found.effect == 1.0 and found.verdict == "better"


def test_a_diverged_trial_is_followed_to_the_cap():
    early = [r | {"status": "DIVERGED"} for r in unsolved(*[3] * 8)]
    late = unsolved(*[100] * 8)
    records = {("t", "r", "V"): solved(*range(40, 48)), ("t", "r", "a"): early}
    (first,) = compare(records, "V", 100)
    (second,) = compare({**records, ("t", "r", "a"): late}, "V", 100)
    assert first.p == second.p and first.verdict == "worse"


def test_p_values_are_corrected_over_the_whole_family():
    rng = np.random.default_rng(0)
    records = {("t", "r", "V"): solved(*rng.integers(100, 900, 12).tolist())}
    for k in range(6):
        records["t", "r", f"c{k}"] = solved(*rng.integers(100, 900 - 100 * k, 12).tolist())
    found = compare(records, "V", 1000)
    p = np.array([c.p for c in found])
    order = np.argsort(p)
    stepped = p[order] * len(p) / np.arange(1, len(p) + 1)
    expected = np.empty_like(p)
    expected[order] = np.minimum.accumulate(stepped[::-1])[::-1]
    np.testing.assert_allclose([c.q for c in found], np.minimum(expected, 1))
    alone = Comparison("t", "r", "c", effect=0.8, low=0.6, high=0.9, p=0.01, q=0.06)
    assert alone.verdict == "no difference shown"  # it is the corrected one that counts
    assert alone._replace(q=0.01).verdict == "better"
    assert alone._replace(q=0.01, effect=0.45).verdict == "worse"
    assert alone._replace(q=math.nan).verdict == "no difference shown"


def test_a_task_without_the_baseline_is_compared_with_nothing():
    records = {("t", "r", "NP"): solved(1, 2), ("u", "r", "V"): solved(3, 4)}
    assert compare(records, "V", 9) == []


def test_nothing_solved_anywhere_shows_no_difference():
    (found,) = compare({("t", "r", "V"): unsolved(9, 9), ("t", "r", "NP"): unsolved(9, 9)}, "V", 9)
    assert (found.effect, found.p, found.verdict) == (0.5, 1.0, "no difference shown")


def test_the_best_point_has_most_solved_then_the_least_median():
    def at(rate, records):
        return [r | {"values": {"learning_rate": rate}} for r in records]

    records = (
        at(0.1, solved(10) + unsolved(100)) + at(0.2, solved(90, 80)) + at(0.3, solved(70, 60))
    )
    assert best(point_results(records, 100)).values == {"learning_rate": 0.3}
    # the median of those, which one slow trial does not move
    records = at(0.1, solved(50, 55, 60)) + at(0.2, solved(40, 45, 99))
    assert best(point_results(records, 100)).values == {"learning_rate": 0.2}


def draws_of_three_settings(num_points):
    """Points of a rate drawn log-uniformly, a momentum 1 - log-uniform, and a category."""
    rng = np.random.default_rng(0)
    rate, slip = np.exp(rng.uniform(np.log(1e-4), 0.0, (2, num_points)))
    cell = rng.permutation(np.arange(num_points) % 6)
    names = ("V", "NIG", "NFG", "NOG", "NP", "FGR")
    points = [
        {"learning_rate": float(r), "momentum": float(1 - m), "cell": names[c]}
        for r, m, c in zip(rate, slip, cell, strict=True)
    ]
    effects = np.log(rate), np.log(slip), 4.0 * (cell == 2)
    return points, effects


def test_shares_of_a_grid_are_those_of_the_design():
    rng = np.random.default_rng(1)
    rates, cells, seeds = (0.01, 0.1, 1.0, 10.0), ("V", "NP", "FGR"), 4
    table = rng.normal(size=(len(rates), len(cells), seeds))
    points = [
        {"learning_rate": rate, "cell": cell}
        for rate in rates
        for cell in cells
        for _ in range(seeds)
    ]
    found = variance_shares(points, table.ravel().tolist())
    of_rates, of_cells = table.mean((1, 2)), table.mean((0, 2))
    means = table.mean(2)
    rest = means - of_rates[:, None] - of_cells[None] + table.mean()
    parts = np.array([of_rates.var(), of_cells.var(), (rest**2).mean(), table.var(2).mean()])
    assert parts.sum() == pytest.approx(table.var())  # the design is orthogonal
    assert [
        found.alone["learning_rate"],
        found.alone["cell"],
        found.together,
        found.chance,
    ] == pytest.approx((parts / table.var()).tolist())
    shuffled = rng.permutation(len(points))
    again = variance_shares([points[i] for i in shuffled], table.ravel()[shuffled].tolist())
    assert again.together == pytest.approx(found.together)


def test_shares_are_of_the_logarithms_and_what_was_not_solved_counts_as_the_cap():
    """A cell and a rate that each take ten times as long are no interaction."""
    diverged = [{"status": "DIVERGED", "num_sequences": 7}]
    of_point = {
        ("V", 0.1): solved(100),
        ("V", 0.2): solved(1_000),
        ("NP", 0.1): solved(1_000),
        ("NP", 0.2): diverged,
    }
    records = [
        record | {"cell": cell, "values": {"learning_rate": rate}}
        for (cell, rate), own in of_point.items()
        for record in own
    ]
    found = shares_of(records, 10_000)
    assert found.alone == pytest.approx({"cell": 0.5, "learning_rate": 0.5})
    assert (found.together, found.chance) == pytest.approx((0, 0), abs=1e-12)


def test_shares_of_drawn_points_follow_the_scale_they_were_drawn_on():
    pytest.importorskip("optuna", reason="pip install -e '.[search]'")
    points, effects = draws_of_three_settings(300)
    found = variance_shares(points, sum(effects).tolist())
    wanted = np.array([effect.var() for effect in effects])
    names = ("learning_rate", "momentum", "cell")
    for name, share in zip(names, wanted / wanted.sum(), strict=True):
        assert found.alone[name] == pytest.approx(share, abs=0.06), name
    assert found.chance is None and sum(found.alone.values()) + found.together == pytest.approx(1.0)


def test_what_settings_explain_together_is_given_to_none_of_them():
    pytest.importorskip("optuna", reason="pip install -e '.[search]'")
    points, (rate, slip, _) = draws_of_three_settings(300)
    score = (rate - rate.mean()) * (slip - slip.mean())
    assert variance_shares(points, score.tolist()).together > 0.8


def test_a_grid_with_more_trials_at_some_points_is_not_counted_out():
    """There the parts do not add up: levels of one setting differ in what they have of others."""
    pytest.importorskip("optuna", reason="pip install -e '.[search]'")
    points = [{"cell": c, "size": n} for c in ("V", "NP") for n in (4, 8)]
    assert variance_shares(points * 3, [0.0, 1.0, 4.0, 5.0] * 3).chance == pytest.approx(0)
    assert (
        variance_shares([*points * 3, points[0]], [0.0, 1.0, 4.0, 5.0] * 3 + [0.0]).chance is None
    )


def test_nothing_is_shared_where_nothing_differs():
    points, _ = draws_of_three_settings(12)
    assert variance_shares(points, [7.0] * 12) is None
    assert (
        variance_shares(
            [{"cell": "V", "learning_rate": p["learning_rate"]} for p in points], range(12)
        )
        is None
    )


def test_shares_of_tuples_are_those_of_their_names():
    points = [{"switches": s, "size": n} for s in ([], ["NP"], ["NP", "CIFG"]) for n in (4, 8)]
    found = variance_shares(points, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.alone == pytest.approx({"switches": 32 / 35, "size": 3 / 35})


# ---- the page


def line_of_group(stage, cell, counts, cap=1000):
    point = {"task": "t", "recipe": "r", "cell": cell, "values": {"learning_rate": 0.1}}
    records = [
        point | r | {"seed": seed}
        for seed, r in enumerate(solved(*counts) if counts else unsolved(cap, cap))
    ]
    return {"stage": stage, "points": [point], "num_weights": 9, "wall_s": 1.0, "records": records}


def verdicts(*lines, baseline="V"):
    page = markdown("x", lines, baseline=baseline, cap=1000, command="x")
    cells = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| ")]
    return {row[0].strip(): [item.strip() for item in row[3:]] for row in cells[1:]}


def test_a_cell_without_fresh_seeds_has_no_verdict_yet():
    sweep = [line_of_group("sweep", cell, [500, 600]) for cell in ("V", "NIG", "NOG")]
    fresh = [line_of_group("confirm", cell, [500, 600]) for cell in ("V", "NIG")]
    found = verdicts(*sweep, *fresh)
    assert found["V"][-1] == "baseline" and found["NIG"][-1] == "no difference shown"
    assert found["NOG"][1:] == ["-", "-", "-", "-", "fresh seeds still to come"]
    alone = verdicts(*sweep, fresh[1])
    assert [alone[cell][-1] for cell in ("V", "NIG", "NOG")] == [
        "baseline, its fresh seeds still to come",
        "V still to come",
        "fresh seeds still to come",
    ]
    assert verdicts(*sweep)["NOG"][-1] == "no difference shown"


# ---- pictures


def test_the_heat_map_shows_shares_and_medians():
    records = [
        r | {"values": {"learning_rate": 0.1}} for r in solved(4000, 4200) + unsolved(9000, 9000)
    ]
    results = {("adding", "adam"): {"V": point_results(records, 9000)}}
    (axes, _) = heat_map(results).axes
    (image,) = axes.get_images()
    assert image.get_array().tolist() == [[0.5]]
    assert [text.get_text() for text in axes.texts] == [short(4200)]


# ---- runs


TINY = (
    *(
        "--config=configs/ablation.py:smoke",
        "--config.cells=NP,elman",
        "--config.max_sequences=100",
    ),
    *("--config.axes=T=20", "--config.hidden_size=3", "--config.confirm_seeds=2"),
)


def run_tiny(folder):
    with jax.numpy_dtype_promotion("standard"):  # optax.adam: float ** int32
        assert main(ABLATION, [*TINY, f"--workdir={folder}"]) == 0


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    run_tiny(folder)
    return folder


def lines_of(folder):
    lines = [json.loads(line) for line in (folder / RECORDS).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "wall_s"} for line in lines]


def test_a_sweep_leaves_records_a_page_a_picture_and_sessions(swept):
    lines = lines_of(swept)
    assert [line["stage"] for line in lines] == ["sweep", "sweep", "confirm", "confirm"]
    assert [len(line["records"]) for line in lines] == [4, 4, 2, 2]
    for line in lines:
        for record in line["records"]:
            assert record["values"].keys() == {"learning_rate", "T"}
    page = (swept / PAGE).read_text()
    assert "| NP" in page and "| elman" in page and "baseline" in page
    assert (swept / "heat-map.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((swept / "tb").rglob("events*"))) == 2 * 2 + 2


def test_what_is_on_file_is_not_run_again_and_what_is_lost_is(swept, tmp_path, capsys):
    text = (swept / RECORDS).read_text()
    (tmp_path / "config.json").write_text((swept / "config.json").read_text())
    kept = text.splitlines(keepends=True)
    (tmp_path / RECORDS).write_text("".join(kept[:3]) + kept[3][: len(kept[3]) // 2])
    run_tiny(tmp_path)
    assert capsys.readouterr().out.count("on file") == 3
    assert lines_of(tmp_path) == lines_of(swept)


def test_shares_of_a_sweep_come_together(swept, tmp_path, monkeypatch, capsys):
    """Both stages: the second begins where every share's part of the first is there."""
    made, ran = load(swept / RECORDS), []

    def run_group(group, should_stop):
        ran.append((group.stage, group.points[0].cell))
        return dict(line_of(group, made) or {})

    monkeypatch.setattr(command, "GROUPS", command.GROUPS._replace(run=run_group))

    def run(*share):
        assert main(ABLATION, [*TINY, f"--workdir={tmp_path}", *share]) == 0
        done, ran[:] = list(ran), []
        return done, capsys.readouterr()

    cells = [line["points"][0]["cell"] for line in made[:2]]
    done, said = run("--share=1/2")
    assert done == [("sweep", cells[0])]
    assert "1 of 2 groups of the sweep are other shares'" in said.err
    assert "share 1/2 is through: 1 group in" in said.out
    done, _ = run("--share=2/2")
    assert done == [("sweep", cells[1]), ("confirm", cells[1])]
    assert run("--share=1/2")[0] == [("confirm", cells[0])]
    done, said = run()
    assert done == [] and said.out.count("of a share") == 4
    assert lines_of(tmp_path) == lines_of(swept)
    assert (tmp_path / "ablation.md").read_text() == (swept / "ablation.md").read_text()
    sessions = json.loads((tmp_path / "provenance.json").read_text())["sessions"]
    shares = ["1-of-2", "1-of-2", "2-of-2", None]  # the first was started twice
    assert [session.get("share") for session in sessions] == shares
    assert all("--share" not in session["command"][-1] for session in sessions[-1:])
    assert run()[1].out.count("on file") == 4
    assert json.loads((tmp_path / "provenance.json").read_text())["sessions"] == sessions


def test_another_sweep_is_refused_its_folder(swept, capsys):
    with pytest.raises(SystemExit) as ended:
        main(ABLATION, [*TINY, "--config.hidden_size=4", f"--workdir={swept}"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "another sweep" in told


def test_a_page_anew_has_the_settings_of_its_records(swept, capsys):
    before = (swept / PAGE).read_text()
    (swept / PAGE).unlink()
    plain = "--config=configs/ablation.py:smoke"
    with jax.numpy_dtype_promotion("standard"):
        assert main(ABLATION, [plain, "--report", f"--workdir={swept}"]) == 0
    assert (swept / PAGE).read_text() == before
    with pytest.raises(SystemExit) as ended:
        main(ABLATION, [*TINY, "--config.cells=elman,NP", "--report", f"--workdir={swept}"])
    assert ended.value.code == 2
    assert "holds another sweep: cells is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "part"),
    [
        ("--config.cells=lstm79", "config.cells=lstm79"),
        ("--config.cells=NP,NP", "different values"),
        ("--config.cells=CIFG+NIG", "CIFG"),
        ("--config.tasks=()", "config.tasks"),
        ("--config.axes=depth=2", "no such field"),
        ("--config.axes=learning_rate=0.1,learning_rate=0.2", "twice"),
        ("--config.cells=nowhere.py:cell", "nowhere.py"),
    ],
)
def test_bad_input_is_one_line_and_status_2(flag, part, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(ABLATION, ["--config=configs/ablation.py:smoke", flag, f"--workdir={tmp_path / 'x'}"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and part in told
    assert not (tmp_path / "x").exists()
