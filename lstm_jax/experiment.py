"""From a command line to the table: runs the rows of one published experiment, and resumes them."""

import hashlib
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections

from lstm_jax import runtime
from lstm_jax.build import Built, build_trial
from lstm_jax.config import CommandLine, Fields, exit_with, parse_command_line, row_configs
from lstm_jax.curves import Curves
from lstm_jax.dry_run import describe_row
from lstm_jax.inspect.plots import plot_learning_curves
from lstm_jax.inspect.tensorboard import RunBoard
from lstm_jax.network import num_weights
from lstm_jax.progress import ProgressLine
from lstm_jax.record import RunFolder, RunFolderError
from lstm_jax.record.refusal import writing
from lstm_jax.runner import (
    Progress,
    Snapshot,
    TrialRecord,
    choose_chunk,
    choose_lanes,
    lane_mesh,
    run_trials,
)
from lstm_jax.summary import summarize
from lstm_jax.tables import Entry, PaperRow, comparison_markdown, comparison_table

FREE_FIELDS = ("num_lanes", "chunk", "rows")
"""Config fields that change no result: a resumed run may differ in them."""
INTERRUPTED = 130
"""The exit status of a run stopped by Ctrl-C or a termination signal, after saving."""


class Experiment(NamedTuple):
    """A published experiment: its settings and its published rows, as data.

    Attributes:
      name: of the module and of the default run folder.
      task: a key of ``TASKS``.
      usage: what the command does; the head of its help.
      config_path: the config file it starts from, relative to the checkout.
      fields: the table of config fields.
      args: ``{ARG: meaning}`` of ``--config=FILE:ARG``.
      check: raises ``ConfigError`` for fields that contradict each other.
      paper: the published rows by name.
    """

    name: str
    task: str
    usage: str
    config_path: str
    fields: Fields
    args: Mapping[str, str]
    check: Callable[[ml_collections.ConfigDict], None]
    paper: Mapping[str, PaperRow]


def main(experiment: Experiment, argv: Sequence[str] | None = None) -> int:
    """Runs the experiment for a command line; returns the exit status.

    0: every row ran to its end (solved or not). 2: one line on stderr said what was wrong, with
    nothing computed. 130: stopped; everything is saved and the same command goes on.
    """
    command_line = parse_command_line(
        sys.argv[1:] if argv is None else argv,
        fields=experiment.fields,
        default_config_path=experiment.config_path,
        arg_names=experiment.args,
        usage=experiment.usage,
        check=experiment.check,
    )
    made = runtime.configure()
    rows = row_configs(command_line)
    try:
        built = [build_trial(config, experiment.task) for _, config in rows]
    except ValueError as error:
        exit_with(error)
    if command_line.dry_run:
        for (row, config), one in zip(rows, built, strict=True):
            print(describe_row(row, config, one, experiment.paper.get(row)))
        print("\n".join(f"set {s.name}={s.value}: {s.why}" for s in made))
        return 0
    workdir = Path(command_line.workdir or default_workdir(experiment, command_line))
    try:
        return _run_rows(experiment, rows, built, workdir)
    except RunFolderError as error:
        exit_with(error)


def default_workdir(experiment: Experiment, command_line: CommandLine) -> Path:
    """``runs/NAME/ARG``, with a short hash where the user changed what decides results."""
    changed = {k: v for k, v in command_line.overrides.items() if k not in FREE_FIELDS}
    own = Path(command_line.config_path).name != Path(experiment.config_path).name
    name = command_line.config_arg or "run"
    if own:
        name = f"{Path(command_line.config_path).stem}-{name}"
    if changed:
        text = json.dumps(changed, sort_keys=True)
        name += "-" + hashlib.sha256(text.encode()).hexdigest()[:8]
    return Path("runs") / experiment.name / name


def _run_rows(
    experiment: Experiment,
    rows: Sequence[tuple[str, ml_collections.ConfigDict]],
    built: Sequence[Built],
    workdir: Path,
) -> int:
    several = len(rows) > 1
    folders = [workdir / row if several else workdir for row, _ in rows]
    # All folders are opened first: a refusal of the last row must not come after an hour.
    opened = []
    try:
        for (row, config), path in zip(rows, folders, strict=True):
            plain = json.loads(config.to_json())
            opened.append(
                RunFolder.open(path, plain, row, free_fields=FREE_FIELDS, report=_report)
            )
        entries: list[Entry] = []
        with _signals() as stopped:
            for (row, config), one, folder in zip(rows, built, opened, strict=True):
                entry = _run_row(experiment.paper.get(row), row, config, one, folder, stopped)
                if entry is None:
                    print(
                        f"\nstopped; everything so far is saved in {workdir}\n"
                        f"the same command goes on:  {_command()}",
                        file=sys.stderr,
                    )
                    return INTERRUPTED
                entries.append(entry)
    finally:
        for folder in opened:
            folder.close()
    _show(entries, workdir, folders)
    return 0


def _run_row(
    paper: PaperRow | None,
    row: str,
    config: ml_collections.ConfigDict,
    built: Built,
    folder: RunFolder,
    stopped: Callable[[], bool],
) -> Entry | None:
    """Runs one row to its end, or until stopped (then None); its line of the table."""
    if folder.is_complete(config.num_trials):
        return _entry(paper, config, built, folder)
    with writing(folder.path / "tb"):
        snapshot = _load_snapshot(folder)
        start_step = snapshot.clock * built.trial.batch_size if snapshot else 0
        plain = json.loads(config.to_json())
        with RunBoard(
            folder.path / "tb", group=row, config=plain, start_step=start_step
        ) as board:
            _train(row, config, built, folder, board, snapshot, stopped)
            if not folder.is_complete(config.num_trials):
                return None
            folder.finalise()
            entry = _entry(paper, config, built, folder)
            board.log_text("paper | ours", comparison_markdown([entry]))
    plot_learning_curves(
        folder.path / "curves.png",
        folder.load_curves(),
        folder.trials(),
        paper,
        f"{row}: {built.reading}",
        config.error_limit,
        config.curve_every,
    )
    return entry


def _entry(
    paper: PaperRow | None, config: ml_collections.ConfigDict, built: Built, folder: RunFolder
) -> Entry:
    records = folder.trials()[: config.num_trials]
    cost = _training_cost(folder.path)
    steps = cost["trained_sequences"] * built.trial.task.mean_length
    extra: dict[str, Any] = {"wall_s": cost["wall_seconds"], "reading": built.reading}
    if steps:
        extra["ns_per_trial_step"] = 1e9 * cost["trained_seconds"] / steps
    return paper, summarize(records, max_sequences=config.max_sequences), extra


def _train(
    row: str,
    config: ml_collections.ConfigDict,
    built: Built,
    folder: RunFolder,
    board: RunBoard,
    snapshot: Snapshot | None,
    stopped: Callable[[], bool],
) -> None:
    trial = built.trial
    mesh = lane_mesh()
    num_devices = mesh.devices.size
    num_lanes = choose_lanes(config.num_trials, num_devices, config.num_lanes or 0)
    chunk = config.chunk or choose_chunk(
        trial.task.length, num_lanes // num_devices, trial.batch_size
    )
    folder.write_provenance(
        device_kind=mesh.devices.flat[0].device_kind,
        num_devices=int(num_devices),
        command=[sys.executable, *sys.orig_argv[1:]],
        kernel=built.kernel,
        reading=built.reading,
        num_lanes=num_lanes,
        chunk=chunk,
    )
    weights = num_weights(jax.eval_shape(trial.network.init, jax.random.key(0)))
    shared = {"seed": config.seed, "num_weights": weights, "reading": built.reading}
    done = [_record(line) for line in folder.trials()]
    curves = Curves(config.curve_every)
    stored = folder.load_curves()
    line = ProgressLine(row, config.max_sequences)
    if done or snapshot:
        line.say(f"{row}: going on in {folder.path}; {len(done)} trials finished before")

    def finish(record: TrialRecord, state: Any) -> None:
        del state
        # The curve goes first: a trial on file is never run again, so its curve must be there.
        finished = {int(r["trial"]) for r in folder.trials()} | {record.trial}
        stored.update({n: curves[n] for n in finished if n not in stored})
        folder.save_curves(stored, config.curve_every)
        full = {"row": row} | record._asdict() | shared
        folder.append_trial(full)
        board.log_trial(full)

    def after_chunk(progress: Progress, take: Callable[[], Snapshot]) -> None:
        snapshot = take()
        meta = {"clock": snapshot.clock, "next_trial": snapshot.next_trial}
        folder.save_checkpoint(snapshot.arrays, meta)
        folder.write_provenance(
            trained_sequences=progress.trained_sequences,
            trained_seconds=round(progress.trained_seconds, 3),
        )
        _log_progress(board, progress)
        line.show(progress)

    try:
        run_trials(
            trial,
            jax.random.key(config.seed, impl="threefry2x32"),
            num_trials=config.num_trials,
            num_lanes=num_lanes,
            chunk=chunk,
            hyper=lambda n: (config.learning_rate, config.init_range),
            num_test=config.num_test,
            curves=curves,
            done=done,
            snapshot=snapshot,
            on_finish=finish,
            on_chunk=after_chunk,
            should_stop=stopped,
            mesh=mesh,
        )
    finally:
        line.close()


def _log_progress(board: RunBoard, progress: Progress) -> None:
    solved = sum(record.status == "SOLVED" for record in progress.finished)
    board.log_progress(
        progress.step,
        errors=list(progress.errors.values()),
        num_trials=progress.num_trials,
        num_running=len(progress.running),
        num_solved=solved,
        num_failed=len(progress.finished) - solved,
        sequences_per_second=progress.trained_sequences / max(progress.trained_seconds, 1e-9),
    )


def _record(line: Mapping[str, Any]) -> TrialRecord:
    return TrialRecord(*(line[name] for name in TrialRecord._fields))


def _load_snapshot(folder: RunFolder) -> Snapshot | None:
    loaded = folder.load_checkpoint()
    if loaded is None:
        return None
    arrays, meta = loaded
    return Snapshot(arrays, int(meta["clock"]), int(meta["next_trial"]))


def _training_cost(path: Path) -> dict[str, float]:
    """Wall seconds, and seconds and sequences of training, summed over a run's sessions."""
    names = ("wall_seconds", "trained_seconds", "trained_sequences")
    try:
        sessions = json.loads((path / "provenance.json").read_bytes())["sessions"]
    except (OSError, ValueError, KeyError):
        return dict.fromkeys(names, 0.0)
    return {name: sum(session.get(name, 0.0) for session in sessions) for name in names}


def _show(entries: Sequence[Entry], workdir: Path, folders: Sequence[Path]) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(comparison_table(entries))
    (workdir / "table.md").write_text(comparison_markdown(entries))
    print()
    for folder in folders:
        print(f"learning curves:  {folder / 'curves.png'}")
    print(f"TensorBoard:      tensorboard --logdir={shlex.quote(str(workdir))}")


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
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


def _report(message: str) -> None:
    print(message, file=sys.stderr)


def _command() -> str:
    return shlex.join(["python", *sys.orig_argv[1:]])


