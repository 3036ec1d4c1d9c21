"""Studies: what is measured on the way, against loops and NumPy; records, resumes and refusals."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import adding
from configs import drift as drift_settings
from configs import error_flow as flow_settings
from experiments.drift import STUDY as DRIFT
from experiments.error_flow import STUDY as FLOW
from lstm_jax.build import build_trial
from lstm_jax.config import ConfigError, make_config
from lstm_jax.error_flow import error_flow
from lstm_jax.probing import command, main
from lstm_jax.probing.drift import TIMES, drift_measure
from lstm_jax.probing.drift_picture import values_at
from lstm_jax.probing.engine import run_probed, spacing
from lstm_jax.probing.flow import decay, flow_measure, measured_lags, probe_examples
from lstm_jax.probing.flow_page import page
from lstm_jax.probing.flow_picture import curves_of
from lstm_jax.trial import Hyper
from lstm_jax.unroll import unroll
from tests.oracles import adapters
from tests.variants import randomised

TINY = {"T": 11, "num_trials": 2, "num_test": 16}


# ---- the engine


def test_trials_are_measured_at_the_sequences_asked_for():
    plain = {"cell": "elman", "hidden_size": 2, "gradient_rule": "bptt"}
    config = make_config(adding.FIELDS, max_sequences=50, **TINY | plain)
    built = build_trial(config)

    def measure(params):
        return {"w": np.asarray(params.cell.w)[0]}

    records, probes = run_probed("tiny", built, config, measure, (20, 40), lambda: False)
    key = jax.random.key(config.seed, impl="threefry2x32")
    rates = Hyper(jnp.float32(config.learning_rate), jnp.float32(config.init_range))
    update = jax.jit(built.trial.update)
    for record in records:
        state, seen = built.trial.init(key, jnp.int32(record.trial), rates), {}
        for count in range(51):
            if count in (0, 20, 40, 50):
                seen[count] = np.asarray(state.params.cell.w)[0]
            state, _ = update(state, jnp.int32(count))
        found = probes[record.trial]
        assert [probe.sequences for probe in found] == [0, 20, 40, 50]
        for probe in found:
            np.testing.assert_allclose(probe.values["w"], seen[probe.sequences], rtol=1e-3)
        assert found[0].values["w"] != found[1].values["w"] != found[2].values["w"]
    assert probes[0][0].values["w"] != probes[1][0].values["w"]


def test_looks_fall_on_updates_and_exams():
    config = make_config(adding.FIELDS, batch_size=16, gradient_rule="bptt")
    assert spacing(config, (160, 800)) == 160
    with pytest.raises(ConfigError, match=r"probe_at=100,800.* must be multiples of 16 here"):
        spacing(config, (100, 800))
    fields, values = drift_settings.EXPERIMENTS["two_sequence"]
    assert spacing(make_config(fields, **values), (500, 700)) == 100
    with pytest.raises(ConfigError, match="must be multiples of 100 here"):
        spacing(make_config(fields, **values), (150,))


# ---- error flow


def network_of(cell, **values):
    config = make_config(adding.FIELDS, **TINY | {"cell": cell, "gradient_rule": "bptt"} | values)
    trial = build_trial(config).trial
    shapes = jax.eval_shape(trial.network.init, jax.random.key(0))
    return trial.network, trial.task, randomised(shapes, np.random.default_rng(3), 0.5)


def test_flow_is_the_mean_over_sequences_and_below_its_bounds():
    network, task, params = network_of("elman", hidden_size=5)
    found = flow_measure(network, task, part="memory", num_sequences=3)(params)
    examples, each, bounds = probe_examples(task, 3), [], []
    assert len(set(examples.length.tolist())) > 1
    for xs, length in zip(examples.inputs, examples.length, strict=True):
        with jax.enable_x64():
            wide = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, float)), params)
            error = wide.readout.v[0]
            flow = error_flow(network.cell, wide.cell, jnp.asarray(xs[:length], float), error)
            norms = np.linalg.norm(flow.h, axis=1)
            _, hs = unroll(network.cell, wide.cell, jnp.asarray(xs[:length], float))
        each.append(np.log(norms / norms[0])[:11])
        r = np.asarray(wide.cell.r)
        steps = [np.linalg.norm((1 - h**2)[:, None] * r, 2) for h in np.asarray(hs)]
        bounds.append(np.cumsum([0.0, *np.log(steps[-2::-1])])[:11])
    np.testing.assert_allclose(found["full_bound"], np.exp(np.mean(bounds, axis=0)), rtol=1e-9)
    np.testing.assert_allclose(found["full"], np.exp(np.mean(each, axis=0)), rtol=1e-9)
    lags = np.array(measured_lags(11))
    assert lags.tolist() == list(range(1, 12))
    assert np.all(found["full"] <= found["full_bound"] * (1 + 1e-9))
    spectral, _, largest = found["weight_bounds"]
    for factor in (spectral, largest):  # both bound the 2-norm
        assert np.all(factor ** (lags - 1) >= found["full"] * (1 - 1e-9))
    assert not np.any(np.isfinite(found["truncated"]))  # no flow at all


def test_1997_net_keeps_the_error_under_its_own_rule():
    network, task, params = network_of("lstm97")
    found = flow_measure(network, task, part="cell", num_sequences=2)(params)
    np.testing.assert_allclose(found["truncated"], 1.0, rtol=1e-12)
    np.testing.assert_allclose(found["truncated_bound"], 1.0, rtol=1e-12)
    assert np.all(found["full"] <= found["full_bound"] * (1 + 1e-9))
    assert np.ptp(found["full"]) > 1e-6 and "weight_bounds" not in found


def test_decay_finds_the_rate_it_was_given():
    lags, rng = np.arange(1, 41), np.random.default_rng(0)
    rates = np.linspace(0.5, 0.9, 15)
    noise = rng.normal(0, 0.05, (15, 40))
    found = decay(lags, np.log(rates[:, None]) * lags + noise)
    assert found.rate == pytest.approx(0.7, rel=3e-3) and found.low < 0.7 < found.high
    assert found.half_life == pytest.approx(math.log(2) / -math.log(found.rate))
    # 15 trials: the interval's ends are the 4th and the 12th (binomial, 96.5%)
    assert (found.low, found.high) == pytest.approx((rates[3], rates[11]), rel=3e-3)
    flat = decay(lags, np.zeros((6, 40)))
    assert (flat.rate, flat.low, flat.high, flat.half_life) == (1.0, 1.0, 1.0, math.inf)
    assert math.isnan(decay(lags, np.zeros((5, 40))).low)


def test_a_flow_of_zero_has_the_factor_zero_and_what_is_not_known_is_left_out():
    lags, logs = np.arange(1, 41), np.log(0.6) * np.arange(1, 41) * np.ones((7, 1))
    logs[0, 30:] = np.nan
    assert decay(lags, logs)[:3] == pytest.approx((0.6, 0.6, 0.6))
    logs[:4, 20:] = -np.inf
    found = decay(lags, logs)
    assert (found.rate, found.half_life, found.trials) == (0.0, 0.0, 7)
    assert found.high == pytest.approx(0.6)


@pytest.mark.parametrize("old", [False, True])
def test_every_net_counts_on_the_page(old):
    """One net that underflows, one that is exactly zero, one without numbers, three plain ones."""
    lags = np.array(measured_lags(700))
    names = ("full", "truncated", "full_bound", "truncated_bound")

    def probe(rate, dead_from=None):
        logs = np.log(rate) * (lags - 1.0)
        values = [float(f"{v:.4g}") for v in np.exp(logs)]
        kept = [float(f"{v:.4g}") for v in logs]
        if dead_from:
            cut = int((lags < dead_from).sum())
            values[cut:], kept[cut:] = [0.0] * (len(lags) - cut), [None] * (len(lags) - cut)
        return {"full": values} | ({} if old else {"full_log": kept})

    probes = [probe(0.31), probe(0.9, 12), probe(0.8), probe(0.7), probe(0.6)]
    assert 0.0 in probes[0]["full"]
    probes.append({"full": [None] * len(lags)} | ({} if old else {"full_log": [None] * len(lags)}))
    none = {name: [None] * len(lags) for name in names[1:]}
    trials = [
        {"status": "FAILED", "probes": [{"sequences": 0} | none | found, {"sequences": 9} | none]}
        for found in probes
    ]
    line = {"settings": {"T": 700}, "label": "own", "task": "t", "wall_s": 1, "trials": trials}
    text, _ = page([line], "command", flow_settings.get_config("smoke"))
    first, last = [row.split("|") for row in text.splitlines() if row.startswith("| own |")]
    assert "at initialisation, 5 of 6 nets" in first[2] and "after training, 0 of 6" in last[2]
    # The median of 0.31, 0, 0.8, 0.7 and 0.6; without the first two it would be 0.7.
    assert float(first[4].split("[")[0]) == 0.6 and last[4].strip() == "-"
    assert "exactly zero" in text and ("too small for float64" in text) == old
    norm = first[6].strip()
    assert float(norm) == pytest.approx(0.6**699, rel=0.05)


# ---- drift


def test_drift_is_what_the_numpy_net_does():
    network, task, params = network_of("lstm97", input_gate_bias=(-1.0, 0.5))
    found = drift_measure(network, task, num_sequences=5)(params)
    examples = probe_examples(task, 5)
    states, last, gates, outputs = [], [], [], []
    arguments = {"num_blocks": 2, "block_size": 2}
    for xs, length in zip(examples.inputs, examples.length, strict=True):
        start = network.cell.initial_state()
        steps = adapters.steps("lstm97", arguments, params.cell, start, xs[:length])
        c = np.array([np.zeros(4), *(step["c"] for step in steps)])
        at = np.round(np.arange(TIMES) / (TIMES - 1) * int(length) - 1e-9).astype(int)
        states.append(abs(c[at]).mean(axis=1))
        last.append(c[-1])
        gates.append(np.mean([step["i"] for step in steps], axis=0))
        outputs.append(steps[-1]["h"])
    last, outputs = np.array(last), np.array(outputs)
    logistic = 1 / (1 + np.exp(-last))
    expected = {
        "end": abs(last).mean(axis=0),
        "common": abs(last.mean(axis=0)),
        "slope": (4 * logistic * (1 - logistic)).mean(axis=0),
        "gate": np.mean(gates, axis=0),
        "bias_share": outputs.mean(axis=0) ** 2 / (outputs**2).mean(axis=0),
        "overlap": abs(np.corrcoef(outputs.T)[:2, 2:]).mean(),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-4, err_msg=name)
    np.testing.assert_allclose(found["state"][[0, -1]], np.mean(states, axis=0)[[0, -1]], rtol=2e-4)


def test_states_that_drift_are_seen_and_gates_that_are_shut_prevent_it():
    network, task, params = network_of("lstm97")
    quiet = jax.tree.map(lambda leaf: 0.0 * leaf, params.cell)
    measure, ends = drift_measure(network, task, num_sequences=4), {}
    for bias in (-6.0, 6.0):
        cell = quiet._replace(b_z=jnp.ones(4), b_i=jnp.full(2, bias))
        ends[bias] = measure(params._replace(cell=cell))
    z = 4 / (1 + math.exp(-1)) - 2
    mean_length = probe_examples(task, 4).length.mean()
    for bias, found in ends.items():
        np.testing.assert_allclose(found["end"], mean_length * z / (1 + math.exp(-bias)), rtol=1e-4)
        np.testing.assert_allclose(found["common"], found["end"], rtol=1e-5)
        np.testing.assert_allclose(
            found["state"], np.linspace(0, 1, TIMES) * found["end"][0], atol=0.05 * found["end"][0]
        )
    assert ends[6.0]["slope"].max() < 0.01 and ends[-6.0]["slope"].min() > 0.99


def test_conditions_that_change_nothing_are_left_out():
    names = [group.name for group in DRIFT.groups(drift_settings.get_config("all"))]
    assert [name for name in names if name.startswith("adding ")] == [
        "adding published",
        "adding no_input_bias",
    ]
    assert len([name for name in names if name.startswith("two_sequence")]) == 4
    biases = {
        group.name: (group.config.input_gate_bias, group.config.output_gate_bias)
        for group in DRIFT.groups(drift_settings.get_config("all"))
    }
    narrow = drift_settings.get_config("paper")
    narrow.init_range = 0.1
    assert {group.config.init_range for group in DRIFT.groups(narrow)} == {0.1}
    assert biases["two_sequence neither"] == ((), ())
    assert biases["two_sequence no_output_bias"] == ((-1.0, -3.0, -5.0), ())


def test_a_trial_that_has_ended_keeps_its_last_value():
    trials = [
        {"probes": [{"sequences": 0, "end": [1.0]}, {"sequences": 5, "end": [2.0]}]},
        {"probes": [{"sequences": 0, "end": [3.0]}, {"sequences": 8, "end": [4.0]}]},
    ]
    assert values_at({"trials": trials}, "end", 7).ravel().tolist() == [2.0, 3.0]
    assert values_at({"trials": trials}, "end", math.inf).ravel().tolist() == [2.0, 4.0]


# ---- the commands

SMALL = ["--config.T=11", "--config.num_trials=2", "--config.max_sequences=64"]


def run_with(monkeypatch, run):
    """Has the command run its groups so."""
    monkeypatch.setattr(command, "GROUPS", command.GROUPS._replace(run=run))


def test_error_flow_runs_resumes_and_reports(tmp_path, monkeypatch, capsys, standard_promotion):
    del standard_promotion  # optax.adam
    argv = ["--config=configs/error_flow.py:smoke", f"--workdir={tmp_path}", *SMALL]
    assert main(FLOW, argv) == 0
    out, _ = capsys.readouterr()
    assert "| lstm97 |" in out and "truncated, as in 1997" in out
    assert (tmp_path / "error-flow.png").read_bytes()[:4] == b"\x89PNG"
    lines = [json.loads(line) for line in (tmp_path / "groups.jsonl").read_text().splitlines()]
    assert [line["group"] for line in lines] == ["elman", "lstm97"]
    for line, own in zip(lines, (97, 93), strict=True):
        assert line["num_weights"] == own
        assert [t["probes"][-1]["sequences"] for t in line["trials"]] == [64, 64]
        curves = np.array(curves_of(line, "full", 0))
        assert curves.shape == (2, 11) and np.all(curves[:, 0] == 1)
    assert np.all(np.diff(np.log(curves_of(lines[0], "full", 0)), axis=1).mean(axis=1) < -0.3)
    np.testing.assert_allclose(curves_of(lines[1], "truncated", -1), 1.0)

    # A kill in the midst of the last line: that group, and no other, runs again.
    file, again = tmp_path / "groups.jsonl", []
    file.write_text(file.read_text()[:-100])
    run_with(monkeypatch, lambda group, _: again.append(group.name) or lines[1])
    assert main(FLOW, argv) == 0 and again == ["lstm97"]
    assert [json.loads(line) for line in file.read_text().splitlines()] == lines
    assert len(json.loads((tmp_path / "provenance.json").read_text())["sessions"]) == 2

    def refuse(*_):
        raise AssertionError("nothing is left to run")

    run_with(monkeypatch, refuse)
    assert main(FLOW, argv) == 0
    capsys.readouterr()
    assert main(FLOW, ["--report", f"--workdir={tmp_path}"]) == 0  # with the settings on file
    said = capsys.readouterr().out
    assert "error_flow.py:smoke --config.T=11 --config.num_trials=2" in said
    with pytest.raises(SystemExit) as end:
        main(FLOW, [*argv, "--config.seed=1"])
    assert end.value.code == 2 and "holds another study" in capsys.readouterr().err


def test_drift_runs_and_a_stop_loses_no_finished_group(tmp_path, monkeypatch, capsys):
    argv = ["--config=configs/drift.py:smoke", f"--workdir={tmp_path}"]
    argv += ["--config.max_sequences=60", "--config.probe_at=20,40", "--config.num_trials=2"]
    true_run = command.GROUPS.run

    def stop_in_second(group, should_stop):
        return None if group.name.endswith("no_input_bias") else true_run(group, should_stop)

    run_with(monkeypatch, stop_in_second)
    assert main(DRIFT, argv) == command.INTERRUPTED
    said = capsys.readouterr().err
    assert "stopped; every finished group is in" in said and "the same command goes on:" in said
    run_with(monkeypatch, true_run)
    assert main(DRIFT, argv) == 0
    out, _ = capsys.readouterr()
    assert out.count("as published") == 4 and out.count("no input-gate bias") == 4
    assert (tmp_path / "drift-adding.png").stat().st_size > 20_000
    lines = [json.loads(line) for line in (tmp_path / "groups.jsonl").read_text().splitlines()]
    ends = [values_at(line, "end", 0).mean() for line in lines]
    assert ends[1] > 3 * ends[0]  # drift, before any training


@pytest.mark.parametrize(
    ("study", "argv", "said"),
    [
        (FLOW, ["--config.cells=elman,elman"], "one or more different names"),
        (FLOW, ["--config.cells=elmn"], "config.cells=elmn: must be V"),
        (FLOW, ["--config.cells=examples/own_cell.py:jant"], "no such name in it; nearest: janet"),
        (FLOW, ["--config.part=cell"], "the state of elman has no c, only h"),
        (FLOW, ["--config.part=gate"], "one of memory, state, hidden, cell"),
        (FLOW, ["--config.T=5"], "config.T=5: must be an integer from 11"),
        (FLOW, ["--report"], "has no finished group to report on"),
        (DRIFT, ["--config.tasks=adding,reber"], "some of adding, adding_500"),
        (DRIFT, ["--config.conditions=()"], "one or more different values"),
        (DRIFT, ["--config.tasks=two_sequence", "--config.probe_at=150"], "multiples of 100 here"),
        (DRIFT, ["--config=configs/drift.py:papr"], "no such ARG; nearest: paper"),
    ],
)
def test_refusals_are_one_line_before_anything_runs(study, argv, said, tmp_path, capsys):
    first = [] if argv[0].startswith("--config=") else [f"--config=configs/{study.name}.py:smoke"]
    with pytest.raises(SystemExit) as end:
        main(study, [*first, *argv, f"--workdir={tmp_path / 'new'}"])
    error = capsys.readouterr().err
    assert end.value.code == 2 and error.count("\n") == 1 and said in error
    assert not (tmp_path / "new").exists()


def test_configs_are_what_the_help_says(capsys):
    for study, settings in ((FLOW, flow_settings), (DRIFT, drift_settings)):
        for arg in settings.ARGS:
            assert study.groups(settings.get_config(arg))
        with pytest.raises(SystemExit) as end:
            main(study, ["--help"])
        assert end.value.code == 0 and "--config.num_sequences=" in capsys.readouterr().out
    assert main(FLOW, ["--dry_run"]) == 0
    assert capsys.readouterr().out.startswith("elman ")
