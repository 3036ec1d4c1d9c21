"""Many small fits of one model: the folds of a cross-validation, or a net from several seeds.

The fits have the same shapes, so one compiled program trains them all, one after the other. (Side
by side as lanes of one program each took 1.1 to 1.3 times as long, 10 bidirectional LSTMs of 32
units on two cores.) A finished fit is one record; a kill costs the fit that was under way, which
is done again to the same bits.

    WORKDIR/fits.jsonl   one line per fit: what it was, its validation and test, what it answered
            best.safetensors  weights of the first fit in its best epoch
            weights.bin   those of every fit, for looking into
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.classifier import Classifier
from lstm_jax.config import Config
from lstm_jax.fitting.batches import Batches, in_order, shuffled
from lstm_jax.fitting.best import Best
from lstm_jax.fitting.board import FitBoard
from lstm_jax.fitting.classification import Labelled
from lstm_jax.fitting.model import Model
from lstm_jax.fitting.optimizer import build_optimizer
from lstm_jax.fitting.problem import DivergedError, Fitted
from lstm_jax.fitting.start import make_start
from lstm_jax.fitting.steps import FitState, make_advance, make_evaluate, means
from lstm_jax.interop.files import save_weights
from lstm_jax.lanes import named_leaves
from lstm_jax.network import num_weights
from lstm_jax.progress import LiveLine
from lstm_jax.record import RunFolder
from lstm_jax.record.folder import BEST
from lstm_jax.record.refusal import writing
from lstm_jax.record.weights import WeightLog
from lstm_jax.types import Array, Params
from lstm_jax.unroll import kernels_taken

PARTS = ("train", "valid", "test")


class Repeat(NamedTuple):
    """One of the fits.

    Attributes:
      notes: JSON values that say which it is, such as fold and seed; part of its record.
      seed: root of its randomness.
      train, valid, test: its data; of the same shapes in all fits. Without `valid` the last epoch
        counts, else that with the least validation loss.
    """

    notes: Mapping[str, Any]
    seed: int
    train: Labelled
    valid: Labelled | None
    test: Labelled


class Repeats(NamedTuple):
    """What a config stands for: a model, and the fits of it.

    Attributes:
      net: the classifier, for its answers.
      model: the same as it is fitted.
      num_fits: how many there are.
      make: ``n -> Repeat``, the n-th.
      identity: JSON values that tell this data from other; part of the settings of a run folder.
      about: whatever else the experiment's report needs.
    """

    net: Classifier
    model: Model
    num_fits: int
    make: Callable[[int], Repeat]
    identity: Mapping[str, Any] = {}
    about: Any = None


def fit_repeats(
    repeats: Repeats,
    config: Config,
    folder: RunFolder | None = None,
    *,
    label: str = "fits",
    stopped: Callable[[], bool] = lambda: False,
    line: LiveLine | None = None,
) -> Fitted:
    """Makes all fits that the folder has no record of; as `lstm_jax.fitting.fit` takes arguments.

    Returns:
      The weights of the fit made last (() if none was), the records of all, and a result, None
      where it was stopped before the end.

    Raises:
      DivergedError: where a loss or gradient is not finite.
      WeightsError: where ``config.init_from`` does not fit.
      ValueError: where the fits differ in shape.
    """
    records = {r["fit"]: r for r in folder.records()} if folder else {}
    log = WeightLog(folder.path) if folder else None
    programs, params = None, ()
    for number in range(repeats.num_fits):
        if number in records:
            continue
        if stopped():
            return Fitted(params, [records[n] for n in sorted(records)], None)
        repeat = repeats.make(number)
        programs = programs or _Programs(repeats, repeat, config)
        began = time.monotonic()
        with kernels_taken() as kernels:
            done = programs.fit(repeat, f"{label}, fit {number}", stopped)
        if done is None:
            return Fitted(params, [records[n] for n in sorted(records)], None)
        params, found = done
        records[number] = {"fit": number, "row": label, **repeat.notes, **found}
        if folder and log:
            weights = {name: np.asarray(leaf)[None] for name, leaf in named_leaves(params)}
            log.keep([number], [found["best_epoch"]], [1], weights)
            _keep(folder, records[number], params, kernels)
        if line:
            seconds = time.monotonic() - began
            line.say(
                f"{label}  {number + 1}/{repeats.num_fits}  {_said(repeat, found)}  {seconds:.1f} s"
            )
    return Fitted(params, [records[n] for n in sorted(records)], {"num_fits": repeats.num_fits})


def _said(repeat: Repeat, found: Mapping[str, Any]) -> str:
    parts = [f"{name} {value}" for name, value in repeat.notes.items()]
    parts += [f"epoch {found['best_epoch']}  accuracy:"]
    parts += [f"{p} {found[p]['accuracy']:.4f}" for p in ("valid", "test") if p in found]
    return "  ".join(parts)


def _keep(
    folder: RunFolder, record: Mapping[str, Any], params: Params, kernels: Mapping[str, str]
) -> None:
    if record["fit"] == 0:
        with writing(folder.path / BEST):
            save_weights(folder.path / BEST, params)
    folder.append(record)
    device = jax.devices()[0]
    folder.write_provenance(
        device_kind=device.device_kind,
        num_devices=jax.device_count(),
        kernels=kernels or None,  # of this session's first fit, whose programs serve all
    )
    with writing(folder.path / "tb"), FitBoard(folder.path / "tb", record["fit"]) as board:
        scalars = {
            f"{part}/{name}": value
            for part in ("valid", "test")
            if part in record
            for name, value in record[part].items()
        }
        board.log(record["fit"], scalars)


class _Programs:
    """The compiled programs that all fits share."""

    def __init__(self, repeats: Repeats, first: Repeat, config: Config):
        self.config, self.model = config, repeats.model
        self.shapes = _shapes(first)
        self.batches = shuffled(first.train, config.batch_size)
        self.optimizer = build_optimizer(config, self.batches.num_steps)
        self.start = make_start(self.model, self.batches, self.optimizer, config)
        self.advance = make_advance(self.model, self.batches, self.optimizer)
        self.passes = {
            name: make_evaluate(self.model, self._pass(data))
            for name, data in (("valid", first.valid), ("test", first.test))
            if data is not None
        }
        self.logits = jax.jit(jax.vmap(repeats.net.logits, (None, 0, 0)))

    def _pass(self, data: Labelled) -> Batches:
        return in_order(data, max(self.config.batch_size, 128))

    def fit(
        self, repeat: Repeat, label: str, stopped: Callable[[], bool]
    ) -> tuple[Params, dict[str, Any]] | None:
        """(weights of the best epoch, what they came to); None where it was stopped."""
        if _shapes(repeat) != self.shapes:
            raise ValueError(f"{label}: its data has other shapes than those of the first fit")
        key = jax.random.key(repeat.seed, impl="threefry2x32")
        state = self.start(key)
        data = jax.device_put(jax.tree.map(np.asarray, repeat.train))
        best = Best(state.params)
        losses: dict[str, list[float]] = {"train_loss": [], "valid_loss": []}
        for epoch in range(1, self.config.num_epochs + 1):
            if stopped():
                return None
            state = self._epoch(state, data, key, epoch, label)
            losses["train_loss"].append(means(jax.device_get(state.sums))["loss"])
            loss = -float(epoch)  # without validation the last epoch is the best
            if repeat.valid is not None:
                loss = self._measure("valid", state.params, repeat.valid)["loss"]
                losses["valid_loss"].append(loss)
            best.offer(epoch, loss, state.params)
            if best.is_past(epoch, self.config.patience):
                break
        params = best.params
        found: dict[str, Any] = {"num_weights": num_weights(params), "best_epoch": best.epoch}
        found |= {name: values for name, values in losses.items() if values}
        for name, part in (("valid", repeat.valid), ("test", repeat.test)):
            if part is not None:
                found[name] = self._measure(name, params, part)
        logits = np.asarray(self.logits(params, repeat.test.inputs, repeat.test.lengths))
        found["answers"] = np.argmax(logits, axis=1).tolist()
        return params, found

    def _epoch(self, state: FitState, data: Any, key: Array, epoch: int, label: str) -> FitState:
        state = self.advance(state, data, key, jnp.int32(epoch * self.batches.num_steps))
        if bool(state.failed):
            raise DivergedError(
                f"{label}: the loss or its gradient is not finite in epoch {epoch}; a smaller "
                "config.learning_rate or config.clip_norm may help"
            )
        return state

    def _measure(self, name: str, params: Params, data: Labelled) -> dict[str, float]:
        return means(jax.device_get(self.passes[name](params, jax.tree.map(np.asarray, data))))


def _shapes(repeat: Repeat) -> list[tuple[tuple[int, ...], str]]:
    leaves = jax.tree.leaves((repeat.train, repeat.valid, repeat.test))
    return [(np.shape(leaf), str(np.asarray(leaf).dtype)) for leaf in leaves]


def describe_repeats(name: str, config: Config, repeats: Repeats) -> str:
    """What a row would run, in words, for --dry_run; nothing is computed."""
    params = jax.eval_shape(repeats.model.init, jax.random.key(0))
    first = repeats.make(0)
    sizes = [f"{p} {len(d.labels):,}" for p in PARTS if (d := getattr(first, p)) is not None]
    return "\n".join(
        [
            f"{name}: {num_weights(params):,} weights",
            f"  fits      {repeats.num_fits}, of at most {config.num_epochs} epochs each",
            f"  examples  {', '.join(sizes)}",
        ]
    )


REPEATED: dict[str, Any] = {
    "run": fit_repeats,
    "describe": describe_repeats,
    "unit": "fit",
    "small": True,
}
"""What an experiment whose rows are `Repeats` has in its `lstm_jax.fitting.Fitting`."""
