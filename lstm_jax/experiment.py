"""From a command line to the table: runs the rows of one published experiment, and resumes them."""

import hashlib
import json
import os
import shlex
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax

from lstm_jax import runtime
from lstm_jax.build import Built, build_trial
from lstm_jax.config import CommandLine, Config, Fields, check_standard, exit_with, parse_command_line, row_configs
from lstm_jax.curves import Curves
from lstm_jax.dry_run import describe_row
from lstm_jax.inspect.plots import plot_learning_curves
from lstm_jax.inspect.tensorboard import RunBoard
from lstm_jax.lanes import Snapshot, lane_mesh
from lstm_jax.network import num_weights
from lstm_jax.plan import plan
from lstm_jax.progress import ProgressLine
from lstm_jax.readings import Reading, describe_reading
from lstm_jax.record import RunFolder, RunFolderError
from lstm_jax.record.refusal import writing
from lstm_jax.runner import (
    Progress,
    TrialRecord,
    run_trials,
)
from lstm_jax.summary import summarize
from lstm_jax.tables import Entry, PaperRow, comparison_markdown, comparison_table
from lstm_jax.trial import TrialState

FREE_FIELDS = ("num_lanes", "chunk", "rows")
"""Config fields that change no result: a resumed run may differ in them."""
INTERRUPTED = 130
"""The exit status of a run stopped by Ctrl-C or a termination signal, after saving."""


class Experiment(NamedTuple):
    """A published experiment: its settings and its published rows, as data.

    Attributes:
      name: of the module and of the default run folder.
      usage: what the command does; the head of its help.
      config_path: the config file it starts from, relative to the checkout.
      fields: the table of config fields.
      args: ``{ARG: meaning}`` of ``--config=FILE:ARG``.
      paper: the published rows by the names of ours.
      readings: the paper's open points, each a config field.
      check: raises ``ConfigError`` for fields that contradict each other.
    """

    name: str
    usage: str
    config_path: str
    fields: Fields
    args: Mapping[str, str]
    paper: Mapping[str, PaperRow]
    readings: Sequence[Reading] = ()
    check: Callable[[Config], None] = check_standard


class _Row(NamedTuple):
    """A row as it is run: everything but the folder."""

    name: str
    config: Config
    built: Built
    paper: PaperRow | None
    reading: str


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
    try:
        rows = [
            _Row(
                name,
                config,
                build_trial(config),
                experiment.paper.get(name),
                describe_reading(config, experiment.readings),
            )
            for name, config in row_configs(command_line)
        ]
    except ValueError as error:
        exit_with(error)
    if command_line.dry_run:
        for row in rows:
            print(describe_row(row.name, row.config, row.built, row.paper))
            print(f"  reading   {row.reading}")
        print("\n".join(f"set {s.name}={s.value}: {s.why}" for s in made))
        return 0
    workdir = Path(command_line.workdir or default_workdir(experiment, command_line))
    try:
        return _run_rows(rows, workdir)
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


def _run_rows(rows: Sequence[_Row], workdir: Path) -> int:
    paths = [workdir / row.name if len(rows) > 1 else workdir for row in rows]
    entries: list[Entry] = []
    with ExitStack() as opened, _signals() as stopped:
        # All folders are opened first: a refusal of the last row must not come after an hour.
        folders = [
            opened.enter_context(
                RunFolder.open(
                    path,
                    json.loads(row.config.to_json()),
                    row.name,
                    free_fields=FREE_FIELDS,
                    report=_report,
                )
            )
            for row, path in zip(rows, paths, strict=True)
        ]
        for row, folder in zip(rows, folders, strict=True):
            entry = _run_row(row, folder, stopped)
            if entry is None:
                _report(f"stopped; everything so far is saved in {workdir}")
                _report(f"the same command goes on:  {_command()}")
                return INTERRUPTED
            entries.append(entry)
        _show(entries, workdir, paths)
    return 0


def _run_row(row: _Row, folder: RunFolder, stopped: Callable[[], bool]) -> Entry | None:
    """Runs one row to its end, or until stopped (then None); its line of the table."""
    num_trials = row.config.num_trials
    if folder.is_complete(num_trials):
        return _finish(row, folder)
    snapshot = _load_snapshot(folder)
    start_step = snapshot.clock * row.built.trial.batch_size if snapshot else 0
    plain = json.loads(row.config.to_json())
    tb = folder.path / "tb"
    with (
        writing(tb),
        RunBoard(tb, row.name, num_trials, config=plain, start_step=start_step) as board,
    ):
        for record in folder.trials():
            board.log_trial(record)
        _train(row, folder, board, snapshot, stopped)
        if not folder.is_complete(num_trials):
            return None
        board.log_text("paper | ours", comparison_markdown([_entry(row, folder)]))
    return _finish(row, folder)


def _finish(row: _Row, folder: RunFolder) -> Entry:
    """What is made from the records; again after a kill in the midst of it."""
    picture = folder.path / "curves.png"
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
    return _entry(row, folder)


def _entry(row: _Row, folder: RunFolder) -> Entry:
    records = folder.trials()[: row.config.num_trials]
    cost = _training_cost(folder.path)
    steps = cost["trained_sequences"] * row.built.trial.task.mean_length
    extra: dict[str, Any] = {"wall_s": cost["wall_seconds"], "reading": row.reading}
    if steps:
        extra["ns_per_trial_step"] = 1e9 * cost["trained_seconds"] / steps
    return row.paper, summarize(records, max_sequences=row.config.max_sequences), extra


def _train(
    row: _Row,
    folder: RunFolder,
    board: RunBoard,
    snapshot: Snapshot | None,
    stopped: Callable[[], bool],
) -> None:
    config, trial = row.config, row.built.trial
    mesh = lane_mesh()
    layout = plan(row.built, config, int(mesh.devices.size))
    folder.write_provenance(
        device_kind=mesh.devices.flat[0].device_kind,
        num_devices=layout.num_devices,
        command=["python", *sys.orig_argv[1:]],
        kernel=row.built.kernel,
        reading=row.reading,
        num_lanes=layout.num_lanes,
        chunk=layout.chunk,
    )
    weights = num_weights(jax.eval_shape(trial.network.init, jax.random.key(0)))
    shared = {"seed": config.seed, "num_weights": weights, "reading": row.reading}
    done = [_record(line) for line in folder.trials()]
    curves = Curves(config.curve_every)
    stored = folder.load_curves()
    line = ProgressLine(row.name, config.max_sequences)
    if done or snapshot:
        line.say(f"{row.name}: going on in {folder.path}; {len(done)} trials finished before")
    else:
        line.say(f"{row.name}: {config.num_trials} trials, records in {folder.path}")

    def finish(record: TrialRecord, state: TrialState) -> None:
        del state
        # The curve goes first: a trial on file is never run again, so its curve must be there.
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
        folder.save_checkpoint(snapshot.arrays, {"clock": snapshot.clock})
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
    with writing(workdir / "table.md"):
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
