"""The one host loop over epochs: train, validate, keep the best, save, resume.

    WORKDIR/epochs.jsonl      one line per epoch, without times
            best.safetensors  weights of the epoch with the least validation loss
            last.safetensors  weights after the last epoch
            start.safetensors  those that it began with, where they are of another run
            checkpoint.npz    all that the next update needs
            samples/          what the model has to show after each epoch
            result.json       best epoch and test, once the run is finished

The order of writing at the end of an epoch (weights, samples, record, checkpoint) lets a kill at
any instant cost at most the work since the checkpoint before: it is done again, to the same bits.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.config import Config
from lstm_jax.fitting.best import Best
from lstm_jax.fitting.board import FitBoard
from lstm_jax.fitting.optimizer import build_optimizer, build_schedule
from lstm_jax.fitting.problem import DivergedError, Fitted, Problem
from lstm_jax.fitting.start import make_start
from lstm_jax.fitting.steps import FitState, make_advance, make_evaluate, means
from lstm_jax.fitting.telling import Telling
from lstm_jax.interop.files import load_weights, save_weights
from lstm_jax.network import num_weights
from lstm_jax.progress import LiveLine
from lstm_jax.record import RunFolder, RunFolderError
from lstm_jax.record.folder import BEST, LAST, START
from lstm_jax.record.refusal import writing
from lstm_jax.types import Params
from lstm_jax.unroll import kernels_taken

SAVE_EVERY = 20.0  # seconds between checkpoints within an epoch
CALL_SECONDS = 1.0  # that a call of the compiled program is to take


def fit(
    problem: Problem,
    config: Config,
    folder: RunFolder | None = None,
    *,
    label: str = "fit",
    stopped: Callable[[], bool] = lambda: False,
    line: LiveLine | None = None,
) -> Fitted:
    """Fits a model for ``config.num_epochs`` epochs, or until validation stops getting better.

    Args:
      problem: model and data.
      config: with the fields of `lstm_jax.config.FITTING`.
      folder: where it is recorded and resumed from (unit "epoch"); None: nothing is written.
      label: what progress is told under.
      stopped: asked after each call; a fit that is stopped is saved first.
      line: where progress is shown; None: nowhere.

    Raises:
      DivergedError: where a loss or gradient is not finite; the last checkpoint stays.
      WeightsError: where ``config.init_from`` does not fit.
      RunFolderError: where the folder cannot be used.

    Example:
      >>> from lstm_jax.config import FITTING, make_config
      >>> from lstm_jax.fitting import Mean, Model, shuffled
      >>> def loss(w, carry, batch, key):
      ...     (x, y), weight = batch
      ...     squares = weight * (w * x - y) ** 2
      ...     mean = Mean(squares.sum(), weight.sum())
      ...     return mean.total / mean.weight, (carry, {"loss": mean})
      >>> model = Model(
      ...     init=lambda key, init_range=1.0: jnp.float32(0),
      ...     start=lambda batch: (),
      ...     loss=loss,
      ...     evaluate=lambda w, carry, batch: loss(w, carry, batch, None)[1],
      ... )
      >>> x = np.linspace(-1, 1, 8, dtype=np.float32)
      >>> problem = Problem(model, shuffled((x, 3 * x), 2))
      >>> config = make_config(FITTING, optimizer="sgd", momentum=0.0, learning_rate=0.5)
      >>> round(float(fit(problem, config).params), 3)
      3.0
    """
    loop = _Loop(problem, config, folder, label, line)
    result = folder.read_result() if folder else None
    if folder and result is not None:
        return Fitted(loop.read_best(), folder.records(), result)
    with ExitStack() as opened:
        loop.kernels = opened.enter_context(kernels_taken())
        loop.restore()
        if folder:
            opened.enter_context(writing(folder.path / "tb"))
            loop.board = opened.enter_context(FitBoard(folder.path / "tb", loop.step))
        while not loop.is_over():
            if not loop.run_epoch(stopped):
                return Fitted(loop.best.params, loop.records, None)
        return Fitted(loop.best.params, loop.records, loop.finish())


class _Loop:
    """The host's side of a fit: what is not in the compiled program's state."""

    def __init__(
        self,
        problem: Problem,
        config: Config,
        folder: RunFolder | None,
        label: str,
        line: LiveLine | None,
    ):
        self.problem, self.config, self.folder, self.label = problem, config, folder, label
        self.telling = Telling(line, label, config, problem.train)
        self.kernels: Mapping[str, str] = {}  # by cell, once the first program is made
        self.board: FitBoard | None = None
        self.num_steps = problem.train.num_steps
        self.key = jax.random.key(config.seed, impl="threefry2x32")
        self.optimizer = build_optimizer(config, self.num_steps)
        self.rate = build_schedule(config, self.num_steps)
        self.advance = make_advance(problem.model, problem.train, self.optimizer)
        passes = {"valid": problem.valid} if problem.valid else {}
        self.passes = {
            name: (make_evaluate(problem.model, batches), jax.device_put(batches.data))
            for name, batches in {**passes, **problem.test}.items()
        }
        self.data = jax.device_put(problem.train.data)
        self.chunk = config.chunk or 1
        self.records: list[dict[str, Any]] = []
        self.epoch_seconds: dict[str, float] = {}
        self.trained_seconds = 0.0
        self.trained_steps = 0
        self.saved = time.monotonic()

    # ---- beginning

    def restore(self) -> None:
        """The state to go on from: that of the checkpoint, else a fresh one."""
        loaded = self.folder.load_checkpoint() if self.folder else None
        start = make_start(
            self.problem.model,
            self.problem.train,
            self.optimizer,
            self.config,
            self._init_from(has_best=bool(loaded and loaded[1]["best_epoch"])),
        )
        state = start(self.key)
        self.best = Best(state.params)
        if self.folder is None or loaded is None:
            self.state, self.step = state, 0
            if self.folder and self.config.init_from:
                with writing(self.folder.path / START):
                    save_weights(self.folder.path / START, state.params)
            self._provenance()
            return
        arrays, meta = loaded
        self.state = _unflatten(arrays, state, self.folder.path)
        self.step = int(self.state.step)
        if meta["best_epoch"]:
            self.best.offer(int(meta["best_epoch"]), float(meta["best_loss"]), self.read_best())
        self.records = [r for r in self.folder.records() if r["epoch"] <= self.epochs_done]
        self._provenance()
        self.telling.say(
            f"{self.label}: going on in {self.folder.path} after {self.step:,} updates"
        )

    def _init_from(self, has_best: bool) -> str:
        """Where the weights that the fit began with are, "" where they are no longer needed.

        The run that they are of may be gone by now: the folder has its own copy.
        """
        if has_best or not self.config.init_from:
            return ""
        kept = self.folder.path / START if self.folder else None
        return str(kept) if kept and kept.is_file() else self.config.init_from

    def read_best(self) -> Params:
        """The weights of the best epoch, from the run folder."""
        assert self.folder is not None
        file = self.folder.path / BEST
        like = jax.eval_shape(self.problem.model.init, self.key)
        try:
            return load_weights(file, like)
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{file} cannot be used ({error}); give a new --workdir") from None

    @property
    def epochs_done(self) -> int:
        return self.step // self.num_steps

    def is_over(self) -> bool:
        """Whether all epochs are done, or validation has not got better for long enough."""
        out_of_patience = self.best.is_past(self.epochs_done, self.config.patience)
        return self.epochs_done >= self.config.num_epochs or out_of_patience

    # ---- an epoch

    def run_epoch(self, stopped: Callable[[], bool]) -> bool:
        """Trains to the end of the epoch and closes it; False where it was stopped before."""
        end = (self.epochs_done + 1) * self.num_steps
        began = time.monotonic()
        while self.step < end:
            self._call(end)
            self._show()
            if self.step < end and stopped():
                self._save()
                return False
            if self.step < end and time.monotonic() - self.saved > SAVE_EVERY:
                self._save()
        epoch = self.epochs_done
        train = means(jax.device_get(self.state.sums))
        self.epoch_seconds[str(epoch)] = round(time.monotonic() - began, 3)
        self._close_epoch(epoch, train)
        return not stopped() or self.is_over()

    def _call(self, end: int) -> None:
        """One call of the compiled program: about a second's updates."""
        until = min(self.step + self.chunk, end)
        began = time.monotonic()
        self.state = self.advance(self.state, self.data, self.key, jnp.int32(until))
        now, failed = int(self.state.step), bool(self.state.failed)
        seconds = time.monotonic() - began
        self.trained_seconds += seconds
        self.trained_steps += now - self.step
        if self.config.chunk is None and now > self.step:
            rate = (now - self.step) / max(seconds, 1e-6)
            # at most four times as many: the first call's time is mostly compilation
            self.chunk = max(1, min(int(CALL_SECONDS * rate), 4 * self.chunk))
        self.step = now
        if failed:
            self._refuse_divergence()

    def _refuse_divergence(self) -> None:
        epoch, n = divmod(self.step, self.num_steps)
        kept = f"; the last good checkpoint is in {self.folder.path}" if self.folder else ""
        raise DivergedError(
            f"{self.label}: the loss or its gradient is not finite at update {self.step:,} (epoch "
            f"{epoch + 1}, batch {n + 1} of {self.num_steps}){kept}; a smaller "
            "config.learning_rate or config.clip_norm may help"
        )

    def _close_epoch(self, epoch: int, train: Mapping[str, float]) -> None:
        found: dict[str, Any] = {"train": dict(train)}
        loss = -float(epoch)  # without validation the last epoch is the best
        if self.problem.valid is not None:
            found["valid"] = self._evaluate("valid", self.state.params)
            loss = found["valid"]["loss"]
        better = self.best.offer(epoch, loss, self.state.params)
        rate = float(jnp.asarray(self.rate(jnp.int32(self.step - 1))))
        record = {"epoch": epoch, "row": self.label, "step": self.step} | found
        record |= {"learning_rate": rate, "best": better, "seed": self.config.seed}
        self.records.append(record)
        samples = self.problem.samples
        texts = samples(self.state.params, epoch) if samples else {}
        if self.folder:
            self._write(self.folder, epoch, record, texts, better)
        if self.board:
            scalars = {f"{part}/{k}": v for part in found for k, v in found[part].items()}
            self.board.log(self.step, scalars | {"learning_rate": rate}, texts)
        self.telling.say_epoch(record, self.epoch_seconds[str(epoch)])

    def _write(
        self,
        folder: RunFolder,
        epoch: int,
        record: Mapping[str, Any],
        texts: Mapping[str, str],
        better: bool,
    ) -> None:
        for name in [BEST, LAST] if better else [LAST]:
            with writing(folder.path / name):
                save_weights(folder.path / name, self.state.params)
        if texts:
            whole = "\n\n".join(f"=== {name}\n{text}" for name, text in texts.items()) + "\n"
            folder.write_file(f"samples/epoch-{epoch:04d}.txt", whole.encode())
        folder.append(record)
        self._save()

    def _evaluate(self, name: str, params: Params) -> dict[str, float]:
        evaluate, data = self.passes[name]
        return means(jax.device_get(evaluate(params, data)))

    # ---- saving and showing

    def _save(self) -> None:
        if self.folder:
            arrays = {str(n): leaf for n, leaf in enumerate(jax.tree.leaves(self.state))}
            meta = {"best_epoch": self.best.epoch, "best_loss": self.best.loss}
            self.folder.save_checkpoint(jax.device_get(arrays), meta)
            self._provenance()
        self.saved = time.monotonic()

    def _provenance(self) -> None:
        if self.folder is None:
            return
        device = jax.devices()[0]
        self.folder.write_provenance(
            device_kind=device.device_kind,
            num_devices=jax.device_count(),
            num_weights=num_weights(self.state.params),
            kernels=self.kernels or None,
            steps_per_epoch=self.num_steps,
            trained_steps=self.trained_steps,
            trained_seconds=round(self.trained_seconds, 3),
            epoch_seconds=self.epoch_seconds,
        )

    def finish(self) -> dict[str, Any]:
        """Tests the best weights and writes result.json."""
        found = next((r for r in self.records if r["epoch"] == self.best.epoch), None)
        if found is None:  # no epoch was asked for, or none was better than the start
            found = (
                {"valid": self._evaluate("valid", self.best.params)} if self.problem.valid else {}
            )
            self._write_start()
        result: dict[str, Any] = {
            "row": self.label,
            "num_weights": num_weights(self.best.params),
            "epochs": self.epochs_done,
            "best_epoch": self.best.epoch,
            "best": {k: found[k] for k in ("train", "valid") if k in found} or None,
        }
        for name in self.problem.test:
            result[name] = self._evaluate(name, self.best.params)
        if self.folder:
            self.folder.write_result(result)
            self._provenance()
        return result

    def _write_start(self) -> None:
        """Keeps the weights that the fit began with, as the best and where there are no others."""
        if self.folder:
            for name in [BEST] if self.records else [BEST, LAST]:
                with writing(self.folder.path / name):
                    save_weights(self.folder.path / name, self.best.params)

    def _show(self) -> None:
        if self.telling.is_due():
            rate = self.trained_steps / max(self.trained_seconds, 1e-9)
            loss = means(jax.device_get(self.state.sums)).get("loss", math.nan)
            self.telling.show(self.step, rate, loss)


def _unflatten(arrays: Mapping[str, np.ndarray], like: FitState, path: Path) -> FitState:
    leaves, structure = jax.tree.flatten(like)
    wanted = {str(n): (leaf.shape, str(leaf.dtype)) for n, leaf in enumerate(leaves)}
    found = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
    if found != wanted:
        raise RunFolderError(
            f"{path}: the checkpoint is of another model or version; give a new --workdir"
        )
    return jax.tree.unflatten(structure, [jnp.array(arrays[name]) for name in wanted])
