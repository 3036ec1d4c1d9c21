"""The loop over epochs: what comes out, batch by batch, and that no kill changes it."""

import json
import math
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.config import FITTING, ConfigError, check_fitting, make_config
from lstm_jax.fitting import (
    DivergedError,
    Model,
    Problem,
    WeightsError,
    build_optimizer,
    build_schedule,
    fit,
    in_order,
    loop,
    mean_of,
    shuffled,
    start,
    start_weights,
    streams,
)
from lstm_jax.fitting.best import Best
from lstm_jax.fitting.inspecting import EpochWeights
from lstm_jax.interop.files import save_weights
from lstm_jax.record import RunFolder, RunFolderError
from lstm_jax.record.reading import read_run

ROOT = Path(__file__).resolve().parents[1]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(11, 3)).astype(np.float32)
Y = X @ np.array([1.0, -2.0, 0.5], np.float32) + 0.1 * RNG.normal(size=11).astype(np.float32)


def linear(scale: float = 1.0) -> Model:
    """Least squares; the carry counts the batches of the epoch, so that a reset would show."""

    def loss(w, carry, batch, key):
        (x, y), weight = batch
        noise = 0.01 * jax.random.normal(key, y.shape)
        squares = (x @ w + noise - y) ** 2
        return scale * mean_of(squares, weight).total, (carry + 1, measure(squares, weight, carry))

    def evaluate(w, carry, batch):
        (x, y), weight = batch
        return carry + 1, measure((x @ w - y) ** 2, weight, carry)

    def measure(squares, weight, carry):
        return {"loss": mean_of(squares, weight), "batch": mean_of(carry[None])}

    def init(key, init_range=0.1):
        return init_range * jax.random.normal(key, (3,))

    return Model(init, lambda batch: jnp.float32(0), loss, evaluate)


def problem(**changes):
    parts = {
        "model": linear(),
        "train": shuffled((X, Y), 4),
        "valid": in_order((X[:5], Y[:5]), 2),
        "test": {"test": in_order((X[5:], Y[5:]), 4)},
    }
    return Problem(**{**parts, **changes})


@pytest.fixture
def compiled_once(monkeypatch):
    """One program for all fits of a test, which differ in nothing that it depends on."""
    places = {"make_init": start, "make_advance": loop, "make_evaluate": loop}
    for name, place in places.items():
        make = getattr(place, name)
        first = {}

        def once(model, batches, *more, make=make, first=first):
            return first.setdefault(batches.num_examples, make(model, batches, *more))

        monkeypatch.setattr(place, name, once)
    parts = problem()
    monkeypatch.setattr(sys.modules[__name__], "problem", lambda: parts)


def config(**changes):
    values = {"num_epochs": 4, "learning_rate": 0.05, "optimizer": "adam"}
    return make_config(FITTING, **{**values, **changes})


def folder(path, settings):
    return RunFolder.open(
        path, json.loads(settings.to_json()), "fit", free_fields=("chunk",), unit="epoch"
    )


def contents(path):
    names = ("epochs.jsonl", "result.json", "best.safetensors", "last.safetensors")
    return [(path / name).read_bytes() for name in names]


def fitted(path, settings, **changes):
    with folder(path, settings) as opened:
        return fit(problem(**changes), settings, opened)


# ---- batches


def batches_of(batches, epoch_key):
    order = batches.arrange(batches.data, epoch_key)
    return [batches.take(batches.data, order, jnp.int32(n)) for n in range(batches.num_steps)]


def test_every_example_is_in_one_batch_of_an_epoch_and_orders_differ():
    batches = shuffled({"n": np.arange(11)}, 4)
    orders = []
    for epoch in range(2):
        found = []
        for examples, weight in batches_of(batches, jax.random.key(epoch)):
            assert weight.shape == (4,)
            found += [int(n) for n, w in zip(examples["n"], weight, strict=True) if w]
        assert sorted(found) == list(range(11))
        orders.append(found)
    assert orders[0] != orders[1] != list(range(11))
    found = [
        n for e, w in batches_of(in_order({"n": np.arange(11)}, 4), None) for n in e["n"][w > 0]
    ]
    assert [int(n) for n in found] == list(range(11))


@pytest.mark.parametrize(("num", "num_streams", "length"), [(23, 3, 4), (12, 5, 50), (9, 2, 4)])
def test_streams_predict_every_symbol_but_the_first_once(num, num_streams, length):
    symbols = np.arange(num)
    batches = streams(symbols, num_streams, length)
    said = []
    before = None
    for batch in batches_of(batches, None):
        inputs, targets, weight = map(np.asarray, batch)
        assert inputs.shape == (length, min(num_streams, num - 1))
        assert (targets == inputs + 1)[weight > 0].all()
        for stream in range(inputs.shape[1]):
            if before is not None and weight[0, stream]:  # goes on where the last batch ended
                assert inputs[0, stream] == before[stream]
        before = targets[-1]
        said += targets[weight > 0].tolist()
    assert sorted(said) == list(range(1, num))


def test_no_examples_and_no_text_are_one_line():
    for make in (
        lambda: shuffled(np.zeros((0, 3)), 2),
        lambda: shuffled((np.zeros(3), np.zeros(4)), 2),
        lambda: streams(np.zeros(1, int), 2, 3),
    ):
        with pytest.raises(ValueError, match="needed") as refused:
            make()
        assert "\n" not in str(refused.value)


# ---- updates


def test_updates_are_those_of_a_plain_loop():
    """SGD with momentum on the same batches and noise, written out in NumPy float64."""
    settings = config(optimizer="sgd", momentum=0.5, learning_rate=0.01, weight_decay=0.1)
    parts = problem()
    found = fit(parts, settings)
    root = jax.random.key(settings.seed, impl="threefry2x32")
    w = np.array(parts.model.init(jax.random.fold_in(root, 0)), np.float64)
    velocity = np.zeros(3)
    losses = []
    for epoch in range(4):
        key = jax.random.fold_in(jax.random.fold_in(root, 1), epoch)
        total = 0.0
        for n, ((x, y), weight) in enumerate(batches_of(parts.train, jax.random.fold_in(key, 0))):
            own = jax.random.fold_in(jax.random.fold_in(key, 1), n)
            noise = 0.01 * np.asarray(jax.random.normal(own, (4,)), np.float64)
            x, y, weight = (np.asarray(a, np.float64) for a in (x, y, weight))
            error = x @ w + noise - y
            total += (weight * error**2).sum()
            gradient = 2 * (weight * error) @ x
            velocity = 0.5 * velocity + gradient
            w = w - 0.01 * (velocity + 0.1 * w)
        losses.append(total / 11)
    np.testing.assert_allclose([r["train"]["loss"] for r in found.records], losses, rtol=1e-5)
    assert [r["step"] for r in found.records] == [3, 6, 9, 12]
    assert all(r["train"]["batch"] == 1.0 for r in found.records)  # 0, 1, 2: begun anew


def test_validation_and_test_are_means_over_examples_not_batches():
    found = fit(problem(), config())
    w = np.asarray(found.params, np.float64)
    best = min(found.records, key=lambda r: r["valid"]["loss"])
    assert found.result["best_epoch"] == best["epoch"]
    for name, (x, y) in {"valid": (X[:5], Y[:5]), "test": (X[5:], Y[5:])}.items():
        expected = ((x @ w - y) ** 2).mean()
        said = found.result[name] if name == "test" else found.result["best"]["valid"]
        assert math.isclose(said["loss"], expected, rel_tol=1e-5)


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_the_number_of_updates_a_call_changes_no_bit(chunk):
    one = fit(problem(), config(chunk=chunk))
    other = fit(problem(), config(chunk=3))
    assert one.records == other.records
    assert one.result == other.result


def test_patience_ends_a_run_and_the_best_weights_are_kept():
    target = in_order((X, 0 * Y + 100), 11)  # ever further away
    found = fit(problem(valid=target), config(num_epochs=50, patience=3, learning_rate=0.5))
    best = found.result["best_epoch"]
    assert found.result["epochs"] == best + 3 < 50
    assert [r["best"] for r in found.records[best:]] == [False] * 3
    # Those weights and no later ones are handed on, and tested.
    w = np.asarray(found.params, np.float64)
    losses = [r["valid"]["loss"] for r in found.records]
    assert math.isclose(((X @ w - 100) ** 2).mean(), losses[best - 1], rel_tol=1e-6)
    assert not math.isclose(losses[-1], losses[best - 1], rel_tol=1e-5)
    tested = ((X[5:] @ w - Y[5:]) ** 2).mean()
    assert math.isclose(found.result["test"]["loss"], tested, rel_tol=1e-4)


def test_the_best_weights_are_a_copy_and_the_first_of_equals():
    """The state that they are of is donated; a NaN is no loss, and a tie brings nothing better."""
    w = np.zeros(2)
    best = Best({"w": w})
    offers = [(1, math.nan), (2, 0.5), (3, math.nan), (4, 0.5), (5, 0.25), (6, 0.3)]
    taken = []
    for epoch, value in offers:
        w[:] = epoch
        if best.offer(epoch, value, {"w": w}):
            taken.append(epoch)
        w[:] = -1
        assert best.params["w"].tolist() == [best.epoch] * 2
    assert taken == [2, 5] and (best.epoch, best.loss) == (5, 0.25)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "nesterov", "rmsprop"])
def test_every_optimizer_learns(optimizer):
    found = fit(problem(), config(optimizer=optimizer, learning_rate=0.02, num_epochs=30))
    assert found.records[-1]["train"]["loss"] < 0.3 * found.records[0]["train"]["loss"]


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "rmsprop", "adam"])
def test_optimizers_are_their_formulas(name, weight_decay, standard_promotion):
    """In NumPy; the decay of weights is decoupled: beside the rule, which does not see it."""
    rate, mu, decay = 0.1, 0.7, 0.6
    settings = config(
        optimizer={"momentum": "sgd"}.get(name, name),
        momentum=0.0 if name == "sgd" else mu,
        decay=decay,
        learning_rate=rate,
        weight_decay=weight_decay,
    )
    optimizer = build_optimizer(settings, 10)
    w = np.array([1.0, -2.0], np.float32)
    state, first, second = optimizer.init(w), np.zeros(2), np.zeros(2)
    for n, g in enumerate(np.random.default_rng(0).normal(size=(4, 2)), start=1):
        if name == "rmsprop":
            second = decay * second + (1 - decay) * g**2
            expected = g / second**0.5
        elif name == "adam":
            first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
            expected = first / (1 - 0.9**n) / (second / (1 - 0.999**n)) ** 0.5
        else:
            first = g + (0.0 if name == "sgd" else mu) * first
            expected = g + mu * first if name == "nesterov" else first
        update, state = optimizer.update(np.float32(g), state, w)
        np.testing.assert_allclose(update, -rate * (expected + weight_decay * w), rtol=1e-4)
        w = w + np.asarray(update)


def test_clipping_bounds_the_step():
    optimizer = build_optimizer(config(optimizer="sgd", momentum=0.0, clip_norm=1.0), 10)
    gradient = {"w": jnp.array([30.0, 40.0])}
    update, _ = optimizer.update(gradient, optimizer.init(gradient), gradient)
    np.testing.assert_allclose(update["w"], [-0.05 * 0.6, -0.05 * 0.8], rtol=1e-6)
    small = {"w": jnp.array([0.6, -0.7])}  # a norm below 1, which is of all weights together
    update, _ = optimizer.update(small, optimizer.init(small), small)
    np.testing.assert_allclose(update["w"], [-0.05 * 0.6, 0.05 * 0.7], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [1, 1, 1, 1, 1]),
        ({"schedule": "exponential", "schedule_after": 2}, [1, 1, 0.5, 0.25, 0.125]),
        ({"schedule": "exponential", "schedule_after": 0}, [1, 0.5, 0.25, 0.125, 0.0625]),
        ({"schedule": "step", "schedule_after": 2}, [1, 1, 0.5, 0.5, 0.25]),
        ({"schedule": "cosine"}, [(1 + math.cos(math.pi * e / 5)) / 2 for e in range(5)]),
    ],
)
def test_schedules(changes, expected):
    rate = build_schedule(
        config(learning_rate=0.1, num_epochs=5, schedule_factor=0.5, **changes), 7
    )
    np.testing.assert_allclose(
        [float(rate(jnp.int32(7 * e))) for e in range(5)], 0.1 * np.array(expected), rtol=1e-5
    )


# ---- records and resuming


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, compiled_once):
    settings = config(chunk=1)
    fitted(tmp_path / "unbroken", settings)
    for calls in (1, 3, 4, 7):  # in an epoch and at the end of one
        left = iter([False] * calls)
        path = tmp_path / str(calls)
        with folder(path, settings) as opened:
            stopped = fit(problem(), settings, opened, stopped=lambda left=left: next(left, True))
        assert stopped.result is None
        assert not (path / "result.json").exists()
        again = fitted(path, settings)
        assert again.result is not None
        assert contents(path) == contents(tmp_path / "unbroken")
    before = contents(tmp_path / "unbroken")
    assert fitted(tmp_path / "unbroken", settings).result == again.result  # nothing left to do
    assert contents(tmp_path / "unbroken") == before


def test_a_kill_between_any_two_writes_costs_no_bit(tmp_path, monkeypatch, compiled_once):
    """Dies at the n-th write of a file, for every n; the same command then ends the same."""
    settings = config(num_epochs=2, chunk=1)
    fitted(tmp_path / "unbroken", settings)
    from lstm_jax.record import archive

    class Killed(BaseException):
        pass

    def dying(write, left):
        def written(*arguments):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return write(*arguments)

        return written

    for n in range(40):
        path, left = tmp_path / str(n), [n]
        with monkeypatch.context() as patch:
            for name in ("write_beside", "put_in_place", "append"):
                patch.setattr(archive, name, dying(getattr(archive, name), left))
            try:
                fitted(path, settings)
            except Killed:
                pass
            else:
                break
        fitted(path, settings)
        assert contents(path) == contents(tmp_path / "unbroken"), n
    assert 10 < n < 39


KILLED = """
    import sys
    sys.path.insert(0, {root!r})
    import time
    import tests.test_fitting as own
    settings = own.config(num_epochs=40, chunk=1)
    with own.folder({path!r}, settings) as opened:
        print("begun", flush=True)
        own.fit(own.problem(), settings, opened, stopped=lambda: time.sleep(0.002))
"""


@pytest.mark.slow
def test_kill_9(tmp_path):
    def start(path):
        code = textwrap.dedent(KILLED.format(root=str(ROOT), path=str(path)))
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    unbroken = start(tmp_path / "unbroken")
    unbroken.communicate()
    assert unbroken.returncode == 0
    for n in range(5):
        process = start(tmp_path / "killed")
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.3 + 0.1 * n)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    last = start(tmp_path / "killed")
    last.communicate()
    assert last.returncode == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "unbroken")


def test_a_loss_that_is_not_finite_is_one_line_and_keeps_the_checkpoint(tmp_path):
    settings = config(num_epochs=5)
    x = X.copy()
    with folder(tmp_path, settings) as opened:
        fit(problem(), settings, opened, stopped=lambda: (tmp_path / "epochs.jsonl").exists())
    before = (tmp_path / "checkpoint.npz").read_bytes()
    x[3, 1] = np.nan
    for _ in range(2):
        with pytest.raises(DivergedError) as refused:
            fitted(tmp_path, settings, train=shuffled((x, Y), 4))
        said = str(refused.value)
        assert "\n" not in said and "epoch 2" in said and "update" in said and str(tmp_path) in said
    assert (tmp_path / "checkpoint.npz").read_bytes() == before
    assert fitted(tmp_path, settings).result is not None


def test_a_folder_of_other_settings_or_of_trials_is_refused(tmp_path):
    fitted(tmp_path, config(num_epochs=1))
    with pytest.raises(RunFolderError, match="learning_rate is 0.05 there and 0.1 here"):
        folder(tmp_path, config(num_epochs=1, learning_rate=0.1))


# ---- starting from weights


def test_init_from_a_run_goes_on_from_its_best_weights(tmp_path):
    first = fitted(tmp_path, config(num_epochs=1))
    second = fit(problem(), config(num_epochs=0, init_from=str(tmp_path)))
    assert np.array_equal(second.params, first.params)
    third = fit(problem(), config(num_epochs=0, init_from=str(tmp_path / "last.safetensors")))
    assert np.array_equal(third.params, first.params)


@pytest.mark.parametrize("begun", [False, True])
def test_without_epochs_the_weights_that_a_fit_begins_with_are_its_best(tmp_path, begun):
    """Tested, kept and found again: weights of another run on other data, say."""
    first = fitted(tmp_path / "first", config(num_epochs=1))
    settings = config(num_epochs=0, init_from=str(tmp_path / "first") if begun else "")
    found = fitted(tmp_path / "run", settings)
    assert np.array_equal(found.params, first.params) == begun
    assert found.result["best_epoch"] == 0 and set(found.result["best"]) == {"valid"}
    again = fitted(tmp_path / "run", settings)
    assert np.array_equal(again.params, found.params) and again.result == found.result
    looked = EpochWeights(read_run(tmp_path / "run"), problem().model.init, settings)
    assert looked.moments(0) == [0] and np.array_equal(looked.params(0, 0), found.params)


@pytest.mark.parametrize("calls", [1, 4, None])
def test_a_run_goes_on_where_those_that_it_began_from_are_gone(tmp_path, compiled_once, calls):
    """Stopped in its first epoch, at its end, and finished: to the bits of an unbroken one."""
    fitted(tmp_path / "first", config(num_epochs=1))
    settings = config(chunk=1, init_from=str(tmp_path / "first"))
    fitted(tmp_path / "unbroken", settings)
    left = iter([] if calls is None else [False] * calls)
    with folder(tmp_path / "run", settings) as opened:
        fit(problem(), settings, opened, stopped=lambda: calls is not None and next(left, True))
    shutil.rmtree(tmp_path / "first")
    again = fitted(tmp_path / "run", settings)
    assert again.result is not None
    assert contents(tmp_path / "run") == contents(tmp_path / "unbroken")
    with pytest.raises(WeightsError, match="no such file or folder"):  # one that has not begun
        fitted(tmp_path / "new", settings)


def test_weights_that_do_not_fit_are_a_line_each(tmp_path):
    save_weights(tmp_path / "w.npz", {"a": np.ones(2), "b": np.ones(3)})
    with pytest.raises(WeightsError) as refused:
        start_weights(str(tmp_path / "w.npz"), {"a": np.ones(3), "c": np.ones(3)})
    lines = str(refused.value).splitlines()
    assert len(lines) == 3 and all(str(tmp_path) in line for line in lines)
    assert "'a'" in lines[0] and "'c'" in lines[1] and "'b'" in lines[2]
    for nothing in (tmp_path, tmp_path / "none"):
        with pytest.raises(WeightsError) as refused:
            start_weights(str(nothing), {})
        assert "\n" not in str(refused.value)


def test_a_step_schedule_needs_its_period():
    with pytest.raises(ConfigError):
        check_fitting(config(schedule="step", schedule_after=0))
