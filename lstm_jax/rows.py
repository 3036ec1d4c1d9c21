"""One row of a table: trained into its run folder, resumed, and summed up from its records."""

import json
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from lstm_jax.build import Built
from lstm_jax.config import Config
from lstm_jax.curves import Curves
from lstm_jax.inspect.plots import plot_learning_curves
from lstm_jax.inspect.run_text import run_markdown
from lstm_jax.inspect.tensorboard import RunBoard
from lstm_jax.keeping import WeightKeeper
from lstm_jax.lanes import Snapshot, lane_mesh
from lstm_jax.network import num_weights
from lstm_jax.plan import plan
from lstm_jax.plugins import settings_with_cell
from lstm_jax.progress import ProgressLine, print_above
from lstm_jax.record import RunFolder
from lstm_jax.record.counted import OF_TRIALS
from lstm_jax.record.provenance import sessions_on_file, total
from lstm_jax.record.refusal import writing
from lstm_jax.runner import Progress, TrialRecord, run_trials
from lstm_jax.summary import summarize
from lstm_jax.tables import Entry, PaperRow, comparison_markdown
from lstm_jax.trial import TrialState

FREE_FIELDS = ("num_lanes", "chunk", "rows")
"""Config fields that change no result: a resumed run may differ in them."""
PICTURE = "curves.png"
"""The learning curves of a row, made when its trials are through."""
INTERRUPTED = 130
"""The exit status of a run stopped by Ctrl-C or a termination signal, after saving."""


class Row(NamedTuple):
    """A row as it is run: everything but the folder."""

    name: str
    config: Config
    built: Built
    paper: PaperRow | None
    reading: str
    dealt: tuple[int, ...] | None = None  # the trials of a share of it

    @property
    def numbers(self) -> Sequence[int]:
        """The trials to be run: all, unless it is a share."""
        return range(self.config.num_trials) if self.dealt is None else self.dealt


def count_weights(built: Built) -> int:
    """The weights that a trial trains; nothing is computed.

    Example:
      >>> from configs.adding import get_config
      >>> from lstm_jax.build import build_trial
      >>> count_weights(build_trial(get_config("t100")))
      93
    """
    return num_weights(jax.eval_shape(built.trial.network.init, jax.random.key(0)))


def open_row(path: Path, row: Row, *, free_fields: Sequence[str] = FREE_FIELDS) -> RunFolder:
    """The run folder of a row, new or resumed; RunFolderError where it cannot be used."""
    return RunFolder.open(
        path,
        settings_with_cell(row.config),
        row.name,
        free_fields=free_fields,
        report=say,
        needs=OF_TRIALS.needs,
    )


def run_row(
    row: Row,
    folder: RunFolder,
    stopped: Callable[[], bool],
    devices: Sequence[Any] | None = None,
) -> Entry | None:
    """Runs one row to its end, or until stopped (then None); its line of the table.

    devices: on which; all there are unless given.
    """
    picture = folder.path / PICTURE
    if folder.is_complete(row.numbers) and picture.exists():
        return _finish(row, folder)
    snapshot = _load_snapshot(folder)
    start_step = snapshot.clock * row.built.trial.batch_size if snapshot else 0
    plain = json.loads(row.config.to_json())
    tb = folder.path / "tb"
    with (
        writing(tb),
        RunBoard(
            tb, row.name, len(row.numbers), config=plain, paper=row.paper, start_step=start_step
        ) as board,
    ):
        for record in folder.trials():
            board.log_trial(record)
        # A row that is given more trials gets a new picture.
        picture.unlink(missing_ok=True)
        _train(row, folder, board, snapshot, stopped, lane_mesh(devices))
        if not folder.is_complete(row.numbers):
            return None
        table = comparison_markdown([entry_of(row, folder)])
        board.log_text("run", _run_text(row, folder, table))
    return _finish(row, folder)


def _finish(row: Row, folder: RunFolder) -> Entry:
    """What is made from the records; again after a kill in the midst of it."""
    picture = folder.path / PICTURE
    if not picture.exists():
        with writing(picture):
            plot_learning_curves(
                picture,
                folder.load_curves(),
                folder.trials(),
                row.paper,
                "\n".join([row.name, *textwrap.wrap(row.reading, 90)]),
                row.config.error_limit if "error_limit" in row.config else None,
                row.config.curve_every,
            )
    folder.finalise()
    return entry_of(row, folder)


def _run_text(row: Row, folder: RunFolder, table: str = "") -> str:
    """The row's page in TensorBoard."""
    plain = json.loads(row.config.to_json())
    provenance = folder.provenance()
    return run_markdown(row.name, plain, paper=row.paper, provenance=provenance, table=table)


def entry_of(row: Row, folder: RunFolder) -> Entry:
    """The line of the table that the records of a row come to."""
    numbers = set(row.numbers)
    records = [record for record in folder.trials() if record["trial"] in numbers]
    cost = training_cost(folder.path)
    steps = cost["trained_sequences"] * row.built.trial.task.mean_length
    extra: dict[str, Any] = {"wall_s": cost["wall_seconds"], "reading": row.reading}
    if steps:
        extra["ns_per_trial_step"] = 1e9 * cost["trained_seconds"] / steps
    return row.paper, summarize(records, max_sequences=row.config.max_sequences), extra


def _train(
    row: Row,
    folder: RunFolder,
    board: RunBoard,
    snapshot: Snapshot | None,
    stopped: Callable[[], bool],
    mesh: Mesh,
) -> None:
    config, trial = row.config, row.built.trial
    layout = plan(row.built, config, int(mesh.devices.size), len(row.numbers))
    folder.write_provenance(
        device_kind=mesh.devices.flat[0].device_kind,
        num_devices=layout.num_devices,
        command=["python", *sys.orig_argv[1:]],
        kernel=row.built.kernel,
        reading=row.reading,
        num_lanes=layout.num_lanes,
        chunk=layout.chunk,
        num_trials=config.num_trials,
        mean_length=float(trial.task.mean_length),
    )
    board.log_text("run", _run_text(row, folder))
    shared = {"seed": config.seed, "num_weights": count_weights(row.built), "reading": row.reading}
    done = [_record(line) for line in folder.trials()]
    curves = Curves(config.curve_every)
    stored = folder.load_curves()
    weights = WeightKeeper(folder.path, shared["num_weights"], snapshot)
    line = ProgressLine(row.name, config.max_sequences)
    if done or snapshot:
        line.say(f"{row.name}: going on in {folder.path}; {len(done)} trials finished before")
    else:
        line.say(f"{row.name}: {len(row.numbers)} trials, records in {folder.path}")

    def finish(record: TrialRecord, state: TrialState) -> None:
        # Both go first: a trial on file is never run again, so its curve must be there.
        weights.keep_final(state)
        stored[record.trial] = curves[record.trial]
        folder.save_curves(stored, config.curve_every)
        plain = record._asdict()
        if not plain["stages"]:
            del plain["stages"]
        full = {"row": row.name} | plain | shared
        folder.append_trial(full)
        board.log_trial(full)

    def after_chunk(progress: Progress, take: Callable[[], Snapshot]) -> None:
        snapshot = take()
        weights.keep_due(snapshot)
        folder.save_checkpoint(snapshot.arrays, {"clock": snapshot.clock})
        folder.write_provenance(
            trained_sequences=progress.trained_sequences,
            trained_seconds=round(progress.trained_seconds, 3),
            processor_seconds=progress.processor_seconds,
        )
        _log_progress(board, progress)
        line.show(progress)

    try:
        run_trials(
            trial,
            jax.random.key(config.seed, impl="threefry2x32"),
            num_trials=config.num_trials,
            num_lanes=layout.num_lanes,
            chunk=layout.chunk,
            hyper=lambda n: (config.learning_rate, config.init_range),
            num_test=config.num_test,
            curves=curves,
            done=done,
            snapshot=snapshot,
            on_finish=finish,
            on_chunk=after_chunk,
            should_stop=stopped,
            mesh=mesh,
            numbers=row.numbers,
        )
    finally:
        line.close()


def _log_progress(board: RunBoard, progress: Progress) -> None:
    solved = sum(record.status == "SOLVED" for record in progress.finished)
    board.log_progress(
        progress.step,
        errors=list(progress.errors.values()),
        num_running=len(progress.running),
        num_solved=solved,
        num_failed=len(progress.finished) - solved,
        sequences_per_second=progress.trained_sequences / max(progress.trained_seconds, 1e-9),
    )


def _record(line: Mapping[str, Any]) -> TrialRecord:
    # Rows without an exam have no stages on file.
    return TrialRecord(**{k: line[k] for k in TrialRecord._fields if k in line})


def _load_snapshot(folder: RunFolder) -> Snapshot | None:
    loaded = folder.load_checkpoint()
    if loaded is None:
        return None
    arrays, meta = loaded
    return Snapshot(arrays, int(meta["clock"]))


def training_cost(path: Path) -> dict[str, float]:
    """Wall seconds, and seconds and sequences of training, summed over a run's sessions."""
    names = ("wall_seconds", "trained_seconds", "trained_sequences")
    sessions = sessions_on_file(path)
    return {name: total(sessions, name) for name in names}


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """A first Ctrl-C or termination signal asks for a stop after the chunk, a second one ends."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(number: int, frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        os.write(2, b"\nstopping after this chunk, to save ...\n")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say(message: str) -> None:
    """A line on stderr, above what is live there."""
    print_above(message, sys.stderr)
