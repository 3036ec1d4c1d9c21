"""`python -m benchmarks`: arithmetic, refusals, and the page made of its records."""

import dataclasses
import importlib.util
import json
import time
from functools import partial

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import layers, report, scaling
from benchmarks.compare import Refused, ceiling, measure, ratios, regressions
from benchmarks.layers import TOLERANCE
from benchmarks.process import Ended, Process
from benchmarks.shapes import CHECKS, LARGE, LONG, MEDIUM, TINY, Row, Shape, rows
from benchmarks.worker import Apart, Here
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
    with lenient():
        made = measure([OURS, Row("flax")], TINY[:1], 1, Here)
    assert made["missing"]["Flax nnx"].startswith("does not give our results on T=5 B=4")
    assert {row["row"] for row in made["rows"]} == {"lstm_jax"}


@pytest.mark.parametrize("name", ["dx", "weight_hh_l0", "bias_ih_l0"])
def test_gradients_are_compared_as_well(monkeypatch, name):
    def wrong(row, shape, data):
        made = layers.build(row, shape, data)
        if row.library != "flax":
            return made
        return made._replace(answer=lambda: made.answer() | {name: 1.001 * made.answer()[name]})

    monkeypatch.setattr("benchmarks.worker.build", wrong)
    with lenient():
        made = measure([OURS, Row("flax")], TINY[:1], 1, Here)
    assert "apart by" in made["missing"]["Flax nnx"]


@pytest.mark.parametrize("library", ["torch", "flax", "haiku", "equinox"])
def test_weights_gradients_of_every_library_come_back_as_pytorchs(library):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is a peer")
    shape = TINY[1]  # two layers
    data = layers.example(shape)
    with lenient():
        own, theirs = (layers.build(Row(name), shape, data).answer() for name in ("ours", library))
    assert list(own) == ["ys", "dx", *layers.compared(shape)] == list(theirs)
    assert layers.apart(theirs, own) < 2e-6
    assert min(np.abs(array).max() for array in own.values()) > 1e-3


def test_keras_gives_our_results_in_a_process_of_its_own():
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is a peer")
    made = measure([OURS, Row("keras")], TINY[1:], 1, Apart)  # here it may run on PyTorch
    assert made["missing"] == {}
    assert all(0 < r["apart"] < 2e-6 for r in made["rows"] if r["row"] == "Keras 3 on JAX")


def test_one_wrong_unit_in_a_thousand_is_apart():
    rng = np.random.default_rng(0)
    ys = rng.uniform(-0.5, 0.5, (4, 1024))
    off = ys.copy()
    off[:, 7] = 0.0
    assert layers.apart({"ys": off}, {"ys": ys}) > TOLERANCE["bfloat16", "gpu"]
    assert layers.apart({"ys": ys + 1e-3 * ys.std()}, {"ys": ys}) == pytest.approx(1e-3, rel=0.1)


class Made:
    """A worker without a library: every call takes a second."""

    def __init__(
        self, row, shapes, folder=None, first=False, *, apart=0.0, platform="gpu", dies=()
    ):
        figures = {"apart": apart, "compile_seconds": {}, "memory": {}}
        device = {"platform": platform, "kind": "NVIDIA H200", "version": "cuda 13"}
        self.ready = {"shapes": [figures] * len(shapes), "settings": {}, "device": device}
        self.dies = dies

    def ask(self, question):
        if ("gemm" if question == "gemm" else question["job"]) in self.dies:
            raise Ended("gave no answer within 3 s and was stopped")
        return {"gflops": 100.0} if question == "gemm" else {"seconds": 1.0, "least": 0.5}

    def close(self):
        pass


@pytest.mark.parametrize("question", ["gemm", "training"])
def test_a_row_that_dies_leaves_the_others_figures(question):
    def start(row, *rest):
        return Made(row, *rest, dies=(question,) if row.library == "flax" else ())

    made = measure([OURS, Row("flax"), Row("torch")], TINY, 2, start)
    assert made["missing"] == {"Flax nnx": "gave no answer within 3 s and was stopped"}
    assert {row["row"] for row in made["rows"]} == {"lstm_jax", "PyTorch nn.LSTM"}
    assert all(row["num_repeats"] == 2 for row in made["rows"])


def test_the_scaling_regime_says_what_is_wrong_as_well():
    def start(row, *rest):
        return Made(row, *rest, apart=0.3 if row.library == "flax" else 0.0)

    made = scaling.measure_scaling(1, 2, start)
    assert "does not give our results" in made["missing"]["Flax nnx"]
    assert {row["job"] for row in made["rows"]} == {"training"}
    assert made["device"]["kind"] == "NVIDIA H200"
    assert "Not measured: Flax nnx: does not" in report.scaling_table(made)
    assert command._some_wrong(made)


def test_without_ours_or_on_another_platform_nothing_is_measured():
    class Absent(Made):
        def __init__(self, *rest):
            self.ready = {"missing": "ml_collections"}

    with pytest.raises(Refused, match="lstm_jax: not installed: ml_collections"):
        measure([OURS, Row("flax")], TINY[:1], 1, Absent)
    with pytest.raises(Refused, match=r"needs a gpu, and JAX's device here is NVIDIA H200 \(cpu\)"):
        measure([OURS], TINY[:1], 1, partial(Made, platform="cpu"), "gpu")
    with pytest.raises(Refused, match="lstm_jax gave no answer"):
        measure([OURS], TINY[:1], 1, partial(Made, dies=("forward",)))


def test_a_worker_without_an_answer_is_stopped():
    began = time.monotonic()
    with pytest.raises(Ended, match=r"gave no answer within 0\.5 s and was stopped"):
        Process("tests.silent", None, patience=(0.5, 0.5))
    assert time.monotonic() - began < 20


def large_run(monkeypatch, tmp_path, start, *flags):
    monkeypatch.setattr(command, "gpu_expected", lambda: True)
    monkeypatch.setattr(command, "Apart", start)
    monkeypatch.setattr(command, "RECORDS", tmp_path)
    status = command.main(["--regimes=large", "--repeats=2", "--record", *flags])
    return status, json.loads((tmp_path / "large-nvidia-h200.json").read_text())


def test_a_large_run_keeps_what_it_has_after_every_shape(monkeypatch, tmp_path, capsys):
    seen = []

    def start(row, shapes, *rest, patience):
        there = tmp_path / "large-nvidia-h200.json"
        seen.append(len(json.loads(there.read_text())["rows"]) if there.exists() else 0)
        if row.kernel == "persistent" and shapes[0].num_units == 1024:
            return Made(row, shapes, apart=0.3)
        if row == OURS and shapes[0] == LARGE[2]:
            raise Ended("failed with exit status 1; its message is above")
        return Made(row, shapes)

    status, made = large_run(monkeypatch, tmp_path, start, f"--json={tmp_path / 'x.json'}")
    assert status == 1, "a kernel of ours is wrong"
    assert sorted(seen) == seen and seen[-1] > 0
    assert json.loads((tmp_path / "x.json").read_text()) == [made]
    wrong = [why for name, why in made["missing"].items() if "persistent" in name]
    assert len(wrong) == 2 and all("does not give our results" in why for why in wrong)
    lost = f"lstm_jax, {LARGE[2].label}"
    assert "failed with exit status 1" in made["missing"][lost]
    assert {row["shape"] for row in made["rows"]} == {s.label for s in LARGE if s != LARGE[2]}
    assert [check["shape"] for check in made["checks"]] == [shape.label for shape in CHECKS]
    assert ceiling(made, LARGE[0].label) == 100.0 and len(made["gemm"]) > 2
    told = capsys.readouterr().out
    assert "Small shapes, apart:" in told and "NVIDIA H200" in report.headline(made)
    page = report.page({"nvidia-h200": {"large": made}})
    assert "## nvidia-h200" in page and report.NOT_RUN not in page


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


def test_kernels_for_one_type_of_numbers_are_asked_for_that_alone(monkeypatch, tmp_path):
    asked = {}

    def start(row, shapes, *rest, patience):
        asked.setdefault(shapes[0].label, []).append(row.kernel)
        return Made(row, shapes)

    status, _ = large_run(monkeypatch, tmp_path, start)
    assert status == 0
    own = [{k for k in asked[s.label] if k != "auto"} for s in LARGE]
    assert own == [{"persistent"}, {"cudnn"}, set(), {"cudnn"}]
    assert asked[LARGE[0].label][-1] == "persistent", "what may hang is started last"


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
