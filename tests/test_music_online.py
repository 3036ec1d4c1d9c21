"""Online learning of the odyssey: gradients, padded programs, updates, ends, resumed searches."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from lstm_jax.config import ConfigError, make_config
from lstm_jax.music.frames import Likelihood, frame_nll, likelihood_of, next_frames
from lstm_jax.music.odyssey import FREE_FIELDS, _groups
from lstm_jax.music.online import (
    DIVERGED,
    EXHAUSTED,
    STATUS_NAMES,
    STOPPED,
    Hyper,
    hidden_axes,
    learner,
    loss_and_gradient,
    make_epoch,
    net_inputs,
    pad,
    pieces,
)
from lstm_jax.music.protocol import (
    AXES,
    ODYSSEY_FIELDS,
    SEARCHED,
    Setting,
    groups_of,
    initial_weights,
    maker,
    program_size,
    settings_of,
)
from lstm_jax.music.search import TRIALS, Data, _record, _start, load_trials, run_group
from tests.generators import assert_default_generator_is_of_no_concern
from tests.oracles.cells.lstm import lstm as lstm_oracle
from tests.tolerances import FALSE_ALARM_RATE


def rolls(num=6, longest=9, seed=0):
    """Sparse random notes over 88 keys."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, longest + 1, num).astype(np.int32)
    lengths[0] = longest
    notes = (rng.random((num, longest, 88)) < 0.05).astype(np.uint8)
    for n, length in enumerate(lengths):
        notes[n, length:] = 0
    return notes, lengths


def hyper(size, rate=1e-3, momentum=0.5, noise=0.0):
    return Hyper(*map(jnp.float32, (rate, momentum, noise)), jnp.int32(size))


@functools.cache  # one program serves many settings
def program(variant, size, num_epochs, patience):
    make = maker(variant)
    net = make(size)
    train, valid = pieces(*rolls(), num_classes=2), pieces(*rolls(4, 7, seed=1), num_classes=1)
    of = {"num_epochs": num_epochs, "patience": patience, "rescale": True}
    epoch = make_epoch(net, train, valid, hidden_axes(make, size), **of)
    return net, jax.jit(lambda one: epoch(one, train, valid))


def run(variant="V", size=4, of=4, num_epochs=12, patience=12, epochs=1, **values):
    """A trial of `size` units in the program of `of` units; its states after each epoch."""
    net, step = program(variant, of, num_epochs, patience)
    weights = pad(initial_weights(maker(variant)(size), (3,)), net)
    one = learner(jax.random.key(5), hyper(size, **values), weights)
    states = []
    for _ in range(epochs):
        one = step(one)
        states.append(one)
    return states


@pytest.mark.parametrize("variant", ["FGR", "NIG+NOAF", "gru"])
def test_the_gradient_is_that_of_the_definition(variant):
    net = maker(variant)(5)
    params = initial_weights(net, (0,))
    notes, lengths = rolls()
    xs, ys, valid = next_frames(jnp.asarray(notes[1]), jnp.int32(lengths[1]))

    def loss(params):
        return jnp.where(valid, frame_nll(net_inputs(net)(params, xs), ys), 0.0).sum()

    expected = jax.value_and_grad(loss)(params)
    found = loss_and_gradient(net)(params, xs, ys, valid)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    for a, b in zip(*map(jax.tree.leaves, (found[1], expected[1])), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)


def test_a_cell_without_parts_is_refused():
    net = maker("V")(4)
    with pytest.raises(ValueError, match="not cut into parts"):
        loss_and_gradient(net._replace(cell=net.cell._replace(parts=None)))


@pytest.mark.parametrize("variant", ["FGR", "NFG+NIAF"])
def test_units_that_are_padding_never_come_to_life(variant):
    exact = run(variant, 5, 5, epochs=2, noise=0.3)[-1]
    padded = run(variant, 5, 8, epochs=2, noise=0.3)[-1]
    assert jax.tree.leaves(padded.params)[0].shape[0] == 8
    expected = pad(jax.device_get(exact.params), maker(variant)(8))
    for a, b in zip(*map(jax.tree.leaves, (padded.params, expected)), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    np.testing.assert_allclose(padded.best_valid, exact.best_valid, rtol=1e-5)


def test_an_epoch_is_nesterov_descent_piece_by_piece():
    net, rate, momentum = maker("V")(4), 2e-3, 0.8
    (state,) = run(rate=rate, momentum=momentum)
    key = jax.random.fold_in(jax.random.key(5), 0)
    order = jax.random.permutation(jax.random.split(key)[0], 6)
    notes, lengths = rolls()
    params, step = initial_weights(net, (3,)), rate * (1 - momentum)
    velocity = jax.tree.map(np.zeros_like, params)

    def loss(params, xs, ys):
        return frame_nll(net_inputs(net)(params, xs), ys).sum()

    grad = jax.jit(jax.grad(loss))
    # Sutskever et al. 2013 with the gradient at the point looked ahead to: phi = theta + mu v.
    for n in order.tolist():
        frames = notes[n, : lengths[n]].astype(np.float32)
        g = grad(params, frames[:-1], frames[1:])
        new = jax.tree.map(lambda v, g: momentum * v - step * np.asarray(g), velocity, g)
        # params holds phi: theta' = phi - mu v + v', phi' = theta' + mu v'
        params = jax.tree.map(
            lambda p, v, w: p - momentum * v + w + momentum * w, params, velocity, new
        )
        velocity = new
    for a, b in zip(*map(jax.tree.leaves, (state.params, params)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_noise_enters_the_training_alone():
    quiet, loud = (run(noise=noise)[0] for noise in (0.0, 0.7))
    assert float(abs(quiet.params.cell.w_z - loud.params.cell.w_z).max()) > 1e-5
    still = [run(noise=noise, rate=1e-30)[0] for noise in (0.0, 0.7)]
    assert float(still[0].best_valid) == float(still[1].best_valid)


def test_the_default_generator_changes_no_result():
    _, step = program("V", 4, 12, 12)
    assert_default_generator_is_of_no_concern(step.__wrapped__, *run())


def test_when_a_trial_ends():
    ends = {"num_epochs": 4, "patience": 3}
    idle = run(**ends, epochs=4, rate=1e-30)
    assert [int(s.status) for s in idle] == [0, 0, 0, STOPPED]
    assert (int(idle[-1].best_epoch), int(idle[-1].epoch)) == (1, 4)
    assert [int(s.status) for s in run(**ends, epochs=4)] == [0, 0, 0, EXHAUSTED]
    wild = run(**ends, rate=1e38)[-1]
    assert int(wild.status) == DIVERGED and np.isfinite(wild.best.cell.w_z).all()


def test_the_best_weights_are_kept():
    states = run(epochs=12, rate=0.25, momentum=0.9)
    measure = likelihood_of(net_inputs(maker("V")(4)))
    notes, lengths = rolls(4, 7, seed=1)
    values = [measure(state.params, notes, lengths).per_frame for state in states]
    last = states[-1]
    assert int(last.best_epoch) == 1 + int(np.argmin(values)) < 12
    np.testing.assert_allclose(measure(last.best, notes, lengths).per_frame, min(values), rtol=1e-5)
    np.testing.assert_allclose(float(last.best_valid), min(values), rtol=1e-5)


def test_the_likelihood_is_that_of_a_plain_computation():
    net = maker("V")(5)
    params = initial_weights(net, (1,))
    notes, lengths = rolls(5, 8, seed=2)
    found = likelihood_of(net_inputs(net))(params, notes, lengths)
    p = {k: np.float64(v) for k, v in params.cell._asdict().items() if v is not None}
    v, b = np.float64(params.readout.v), np.float64(params.readout.b)
    total, frames, means = 0.0, 0, []
    for roll, length in zip(notes.astype(float), lengths.tolist(), strict=True):
        state, nll = {"c": np.zeros(5), "h": np.zeros(5)}, 0.0
        for t in range(length - 1):
            state = lstm_oracle(p, state, roll[t], switches=())
            state = state[0] if isinstance(state, tuple) else state
            prob = 1 / (1 + np.exp(-(v @ state["h"] + b)))
            target = roll[t + 1]
            nll -= np.log(np.where(target == 1, prob, 1 - prob)).sum()
        total, frames = total + nll, frames + length - 1
        means.append(nll / (length - 1))
    np.testing.assert_allclose(found.per_frame, total / frames, rtol=1e-5)
    np.testing.assert_allclose(found.per_piece, np.mean(means), rtol=1e-5)
    assert found.per_frame != pytest.approx(found.per_piece, rel=3e-5)


# ---- the protocol


def test_what_is_drawn_has_the_published_distributions():
    config = make_config(ODYSSEY_FIELDS, num_samples=3000, variants=("V",))
    values = [setting.values for setting in settings_of(config)["V"]]
    assert tuple(ODYSSEY_FIELDS["axes"].default) == AXES
    drawn = {name: np.array([v[name] for v in values]) for name in values[0]}
    uniform = {
        "hidden_size": (np.log(drawn["hidden_size"]) - np.log(20)) / np.log(10),
        "learning_rate": (np.log10(drawn["learning_rate"]) + 6) / 4,
        "momentum": (np.log10(1 - drawn["momentum"]) + 2) / 2,
        "noise": drawn["noise"],
    }
    # whole numbers: spread each over the reals that are rounded to it
    jitter = np.random.default_rng(0).uniform(-0.5, 0.5, 3000)
    uniform["hidden_size"] = np.log((drawn["hidden_size"] + jitter) / 20) / np.log(10)
    for name, u in uniform.items():
        u = u[(u > 0.02) & (u < 0.98)]  # the ends are rounded
        assert stats.kstest((u - 0.02) / 0.96, "uniform").pvalue > FALSE_ALARM_RATE, name
    assert drawn["hidden_size"].min() >= 20 and drawn["hidden_size"].max() <= 200
    assert drawn["momentum"].min() >= 0 and drawn["momentum"].max() <= 0.99


def test_variants_share_settings_or_draw_their_own():
    own = settings_of(make_config(ODYSSEY_FIELDS, num_samples=4, shared_draws=False))
    assert own["V"][0].values != own["NP"][0].values
    more = settings_of(make_config(ODYSSEY_FIELDS, num_samples=9, shared_draws=False))
    assert more["NP"][:4] == own["NP"]
    shared = settings_of(make_config(ODYSSEY_FIELDS, num_samples=4))
    assert [s.values for s in shared["V"]] == [s.values for s in shared["FGR"]]
    assert shared["V"][0].seed != shared["FGR"][0].seed


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"variants": ("NFGG",)}, "config.cells=NFGG"),
        ({"axes": ("size=log:1:2",)}, "no such field"),
        ({"axes": ("noise=uniform:0:1", "noise=0|1")}, "twice"),
        ({"axes": ("momentum=1-log:0.5:2",)}, "momentum"),
    ],
)
def test_a_search_that_cannot_be_is_refused(values, words):
    with pytest.raises(ConfigError, match=words):
        settings_of(make_config(ODYSSEY_FIELDS, **values))


def test_rounds_treat_variants_alike_and_share_programs():
    found = settings_of(make_config(ODYSSEY_FIELDS, num_samples=25, variants=("V", "NP")))
    groups = groups_of(list(found.values()), 10)
    assert sorted((s.variant, s.trial) for g in groups for s in g.settings) == sorted(
        (s.variant, s.trial) for own in found.values() for s in own
    )
    order = [s.trial // 10 for g in groups for s in g.settings]
    assert order == sorted(order)
    for group in groups:
        assert {program_size(s.values["hidden_size"]) for s in group.settings} == {group.size}
        assert {s.variant for s in group.settings} == {group.variant}


@pytest.mark.slow
def test_a_search_that_is_stopped_ends_with_the_same_records(tmp_path):
    axes = ("hidden_size=3|5", "learning_rate=log:1e-3:1e-2")
    config = make_config(
        ODYSSEY_FIELDS, variants=("V",), num_samples=3, num_epochs=3, patience=2, axes=axes
    )
    data = Data(rolls(), rolls(4, 7, seed=1), rolls(3, 8, seed=2))
    settings = settings_of(config)
    (group,) = _groups(settings, config, [])
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run_group(group, config, data, whole, lambda: False, lambda line: None)

    calls = iter(range(99))
    assert not run_group(group, config, data, parts, lambda: next(calls) >= 4, lambda line: None)
    (parts / TRIALS).write_bytes((parts / TRIALS).read_bytes()[:-30])  # a kill within a write
    done = len(load_trials(parts))
    (rest,) = _groups(settings, config, load_trials(parts))
    assert 0 < done < 3 and len(rest.settings) == 3 - done
    assert run_group(rest, config, data, parts, lambda: False, lambda line: None)

    def lines(folder):
        return sorted(json.dumps(line) for line in load_trials(folder))

    assert lines(parts) == lines(whole) and len(lines(whole)) == 3
    assert "num_epochs" not in FREE_FIELDS


# ---- what is drawn anew


def test_order_and_noise_are_of_each_epoch_and_piece():
    """Descent by plain updates; the numbers are those of the epoch's key, folded with the piece."""
    net, rate, noise = maker("V")(4), 2e-2, 0.7
    state = run(rate=rate, momentum=0.0, noise=noise, epochs=2)[-1]
    train, params = pieces(*rolls(), num_classes=2), initial_weights(net, (3,))

    def loss(params, xs, ys, valid):
        return jnp.where(valid, frame_nll(net_inputs(net)(params, xs), ys), 0.0).sum()

    grad, orders = jax.jit(jax.grad(loss)), []
    for epoch in range(2):
        key_order, key_noise = jax.random.split(jax.random.fold_in(jax.random.key(5), epoch))
        orders.append(jax.random.permutation(key_order, 6).tolist())
        for n in orders[-1]:
            roll = train.notes[n, : train.bounds[train.classes[n]]]
            xs, ys, valid = next_frames(roll, train.lengths[n])
            own = jax.random.normal(jax.random.fold_in(key_noise, n), xs.shape)
            g = grad(params, xs + noise * own, ys, valid)
            params = jax.tree.map(lambda w, g: w - np.float32(rate) * np.asarray(g), params, g)
    assert orders[0] != orders[1]
    for a, b in zip(*map(jax.tree.leaves, (state.params, params)), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def a_setting(variant="V", trial=0):
    given = {name: field.default for name, field in SEARCHED.items()}
    return Setting(variant, trial, given | {"hidden_size": 3})


def test_every_trial_begins_with_weights_and_a_key_of_its_own():
    """Of its seed, its variant and its number; and with its own settings in the shared program."""
    starts = []
    for variant in ("V", "NIAF"):  # of the same shapes
        make = maker(variant)
        net = make(4)
        for trial, seed in ((0, 0), (1, 0), (0, 1)):
            starts.append(_start(a_setting(variant, trial), make, net, seed))
    for of in (lambda s: s.key, lambda s: s.params.cell.w_z, lambda s: s.params.readout.v):
        assert len({np.asarray(of(start)).tobytes() for start in starts}) == len(starts)
    hyper, values = starts[0].hyper, a_setting().values
    assert {name: float(getattr(hyper, name)) for name in values} == pytest.approx(values)


def test_a_record_is_of_the_weights_of_the_best_epoch():
    make = maker("V")
    fresh = _start(a_setting(), make, make(4), 0)
    state = fresh._replace(
        best=jax.tree.map(np.ones_like, fresh.params),
        epoch=np.int32(9),
        best_epoch=np.int32(4),
        status=np.int32(STOPPED),
    )
    parts = Data(*((None, np.array(lengths)) for lengths in ([2, 3], [4], [5, 8])))

    def measure(params, notes, lengths):
        assert (np.asarray(params.cell.w_z) == 1).all()
        return Likelihood(np.float64(lengths) ** 2, lengths)

    record = _record(a_setting(), make, state, measure, parts)
    assert [record[f"{part}_nll"] for part in Data._fields] == [2.6, 4.0, round(89 / 13, 6)]
    assert record["test_nll_per_piece"] == 6.5
    assert (record["epochs"], record["best_epoch"]) == (9, 4)
    assert record["status"] == STATUS_NAMES[STOPPED]
    # 3 cells: 4 (88 + 3 + 1) 3 and three peepholes each, 88 output units of 3 + 1
    assert record["num_weights"] == 4 * 92 * 3 + 9 + 88 * 4


def test_the_settings_of_the_published_search_are_drawn_again():
    """Each trial on file has the settings that its number stands for now."""
    folder = Path(__file__).parents[1] / "results/music/odyssey"
    kept = json.loads((folder / "config.json").read_text())
    own = {name: kept[name] for name in ODYSSEY_FIELDS}  # the others say of which data
    own = {name: tuple(v) if isinstance(v, list) else v for name, v in own.items()}
    settings = settings_of(make_config(ODYSSEY_FIELDS, **own))
    lines = [json.loads(line) for line in (folder / TRIALS).read_text().splitlines()]
    assert len(lines) == 82
    for line in lines:
        drawn = settings[line["variant"]][line["trial"]].values
        assert {name: drawn[name] for name in line["values"]} == line["values"]
