"""`python -m benchmarks`: arithmetic, refusals, and the page made of its records."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import layers, report, scaling
from benchmarks.compare import Refused, ceiling, measure, ratios, regressions
from benchmarks.shapes import LARGE, LONG, MEDIUM, TINY, Row, Shape, rows
from benchmarks.worker import Here
from tests.peers import lenient

OURS = Row("ours")


def record(**seconds):
    """A made record: seconds by row, on one shape."""
    made = [
        {"row": name, "shape": "s", "job": "training", "seconds": taken}
        for name, taken in seconds.items()
    ]
    return {"cpu": "x", "cores": 2, "rows": made, "gemm": {"a": 100.0, "b": 80.0}}


def test_a_ratio_is_their_time_over_ours():
    made = record(lstm_jax=0.02, torch=0.03, flax=0.01)
    found = ratios(made["rows"], "lstm_jax")
    assert found["lstm_jax", "s", "training"] == 1
    assert found["torch", "s", "training"] == pytest.approx(1.5)
    assert found["flax", "s", "training"] == pytest.approx(0.5)
    assert ceiling(made) == 100


def test_regressions_are_of_ours_on_the_same_kind_of_machine():
    before, after = record(lstm_jax=1.0, torch=1.0), record(lstm_jax=1.5, torch=9.0)
    (line,) = regressions(after, before)
    assert "lstm_jax, s, training: 1.50 times" in line
    assert regressions(before, after) == []
    assert regressions(after, None) == []
    assert regressions(after, before | {"cpu": "y"}) == []
    assert regressions(after, before | {"cores": 4}) == []
    assert regressions(record(lstm_jax=1.29), before) == []


def test_flops_are_those_of_the_products():
    T, B, D, H = 7, 3, 5, 2
    by_hand = T * B * 2 * (D * 4 * H + H * 4 * H)
    assert Shape(T, B, D, H).flops("forward") == by_hand
    deep = by_hand + T * B * 2 * (H * 4 * H + H * 4 * H)
    assert Shape(T, B, D, H, num_layers=2).flops("training") == 3 * deep


def test_the_regimes_are_those_of_the_page():
    peers = {"ours", "torch", "flax", "haiku", "equinox", "keras"}
    assert {row.library for row in rows("medium", 2)} == peers
    for regime in ("medium", "long", "large"):
        assert rows(regime)[0].library == "ours"
        assert len({row.label for row in rows(regime)}) == len(rows(regime))
    assert {shape.num_steps for shape in LONG} == {10_000, 100_000}
    assert {(s.num_units, s.dtype) for s in LARGE} >= {(1024, "bfloat16"), (2048, "float32")}
    assert [s.num_units for s in MEDIUM] == [128, 512, 256]


def test_two_layers_are_the_same_in_every_library_and_get_timed(monkeypatch):
    pytest.importorskip("torch", reason="torch is a peer")
    monkeypatch.setattr("lstm_jax.runtime.num_cores", lambda: 1)  # threads wait for each other
    with lenient():
        made = measure([OURS, Row("torch"), Row("flax")], TINY[1:], 1, Here)
    assert made["missing"] == {}
    figures = {(r["row"], r["job"]): r for r in made["rows"]}
    assert len(figures) == 6
    for r in figures.values():
        assert r["seconds"] > 0 and r["apart"] < 1e-6
        assert r["gflops"] == pytest.approx(
            1e-9 * TINY[1].flops(r["job"]) / r["seconds"], rel=1e-12
        )
    assert figures["lstm_jax", "training"]["compile_seconds"] > 0
    table = report.layer_tables(made | {"regime": "quick"})
    assert table.count("\n| ") == 4  # the head and three lines


def test_a_peer_with_another_weight_is_refused(monkeypatch):
    def wrong(row, shape, data):
        if row.library == "flax":
            off = np.array(data.params[0].b_f)
            off[0] += 1e-3
            data = data._replace(params=(data.params[0]._replace(b_f=off), *data.params[1:]))
        return layers.build(row, shape, data)

    monkeypatch.setattr("benchmarks.worker.build", wrong)
    with lenient(), pytest.raises(Refused, match=r"^Flax nnx does not give our results on T=5 B=4"):
        measure([OURS, Row("flax")], TINY[:1], 1, Here)


def test_gradients_are_compared_as_well(monkeypatch):
    def wrong(row, shape, data):
        made = layers.build(row, shape, data)
        if row.library != "flax":
            return made
        return made._replace(answer=lambda: (made.answer()[0], 1.001 * made.answer()[1]))

    monkeypatch.setattr("benchmarks.worker.build", wrong)
    with lenient(), pytest.raises(Refused, match="apart by"):
        measure([OURS, Row("flax")], TINY[:1], 1, Here)


def test_a_library_that_is_not_installed_is_said_and_skipped():
    class Absent:
        ready = {"missing": "haiku"}

        def close(self):
            pass

    def start(row, *rest):
        return Absent() if row.library == "haiku" else Here(row, *rest)

    made = measure([OURS, Row("haiku")], TINY[:1], 1, start)
    assert made["missing"] == {"Haiku": "not installed: haiku"}
    assert {row["row"] for row in made["rows"]} == {"lstm_jax"}
    assert "Not measured: Haiku: not installed: haiku." in report.layer_tables(
        made | {"regime": "medium"}
    )


def test_bad_arguments_are_one_line(capsys, monkeypatch):
    with pytest.raises(SystemExit) as stopped:
        command.main(["--regimes=huge"])
    assert stopped.value.code == 2
    assert "'huge' is not one of paper, medium" in capsys.readouterr().err
    monkeypatch.setattr(command, "gpu_expected", lambda: False)
    assert command.main(["--regimes=large"]) == 1
    assert "needs an NVIDIA GPU" in capsys.readouterr().err


def test_kernels_for_one_type_of_numbers_are_asked_for_that_alone(monkeypatch):
    asked = []

    def noted(table, sizes, repeats, start):
        kernels = {row.kernel for row in table}
        asked.extend((size.num_units, size.dtype, kernels) for size in sizes)
        return {"rows": [], "gemm": {}, "settings": {}, "missing": {}}

    monkeypatch.setattr(command, "gpu_expected", lambda: True)
    monkeypatch.setattr(command, "measure", noted)
    command.run("large", 7, 2)
    assert asked == [
        (1024, "float32", {"auto", "cudnn"}),
        (1024, "bfloat16", {"auto", "persistent"}),
        (2048, "float32", {"auto", "cudnn"}),
        (2048, "bfloat16", {"auto"}),
    ]


def test_the_power_of_growth():
    assert scaling.slope([1, 2, 4], [3, 6, 12]) == pytest.approx(1)


def test_the_page_says_what_the_records_say():
    records = report.load()
    written = report.PAGE.read_text(encoding="utf-8")
    assert written == report.page(records), "run python -m benchmarks --report"
    for machine, by_regime in records.items():
        assert all("/root" not in json.dumps(record) for record in by_regime.values())
        if {"paper", "scaling"} <= set(by_regime):
            picture = report.PAGE.parent / report.picture_name(machine)
            assert 0 < picture.stat().st_size < scaling.MAX_BYTES
        medium = by_regime.get("medium")
        if medium is not None:
            assert {r["shape"] for r in medium["rows"]} == {shape.label for shape in MEDIUM}
            assert min(r["num_repeats"] for r in medium["rows"]) >= 7
            assert max(r["apart"] for r in medium["rows"]) <= 1e-5


def test_the_plots_are_drawn_from_records(tmp_path):
    def line(row, shape, seconds):
        return {"row": row.label, "shape": shape.label, "job": "training", "seconds": seconds}

    ours = [scaling.ALONE, scaling.together(2)]
    made = [line(ours[0], shape, 1e-6 * shape.num_steps) for shape in scaling.LENGTHS]
    made += [line(row, shape, 1e-4) for row in ours for shape in scaling.SIZES]
    trials = [
        {"row": f"lstm_jax, {n} lanes", "shape": "T=100", "num_lanes": n, "num_cores": cores}
        | {"seconds": 1e-8}
        for n in (1, 16)
        for cores in (1, 2)
    ]
    path = tmp_path / "plots.png"
    scaling.draw({"cores": 2, "rows": made}, {"rows": trials}, path)
    assert 10_000 < path.stat().st_size < scaling.MAX_BYTES


def test_rows_go_through_json():
    row = Row("ours", num_devices=2, small=True)
    assert Row(**json.loads(json.dumps(dataclasses.asdict(row)))) == row
