"""The study of a search, in a journal that workers on several machines can share."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lstm_jax.ablation.axes import Axis
from lstm_jax.config import CommandLine, ConfigError
from lstm_jax.record.refusal import reason, refuse, writing

JOURNAL = "journal.log"


def optuna_module() -> Any:
    """Optuna, imported late: it is an extra. ConfigError without it."""
    try:
        import optuna
    except ImportError:
        raise ConfigError("a search needs Optuna: pip install -e '.[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_study(workdir: Path, command_line: CommandLine, axes: Sequence[Axis]) -> Any:
    """The study in a folder, new or as it stands; RunFolderError where it is another one."""
    optuna = optuna_module()
    storage = optuna.storages
    with writing(workdir):
        workdir.mkdir(parents=True, exist_ok=True)
        path = str(workdir / JOURNAL)
        # A lock by creating a file holds on network file systems, too.
        lock = storage.journal.JournalFileOpenLock(path)
        _mend(workdir / JOURNAL, lock)
        backend = storage.journal.JournalFileBackend(path, lock_obj=lock)
        try:
            journal = storage.JournalStorage(backend)
        except (ValueError, LookupError, TypeError) as error:
            refuse(workdir / JOURNAL, f"is damaged ({reason(error)}); give another --workdir")
    study = optuna.create_study(
        study_name="search",
        storage=journal,
        load_if_exists=True,
        sampler=_sampler(optuna, command_line.extra["sampler"]),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=0)
        if command_line.extra["pruner"] == "median"
        else optuna.pruners.NopPruner(),
    )
    what = {
        "config": json.loads(command_line.config.to_json()),
        "axes": [json.loads(json.dumps(axis._asdict())) for axis in axes],
    }
    known = study.user_attrs.get("search")
    if known is None:
        study.set_user_attr("search", what)
    elif known != what:
        refuse(
            workdir, "holds another search (its settings or axes differ); give another --workdir"
        )
    return study


def _mend(file: Path, lock: Any) -> None:
    """Takes off a last line cut short by a kill or a full disk: what is appended would join it."""
    if not file.exists():
        return
    lock.acquire()
    try:
        content = file.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(file, whole)
    finally:
        lock.release()


def _sampler(optuna: Any, name: str) -> Any:
    # Without a seed: workers that start alike must not all try the same settings.
    if name == "random":
        return optuna.samplers.RandomSampler()
    # A worker takes the settings that others are running as bad ones, so that it looks elsewhere.
    return optuna.samplers.TPESampler(constant_liar=True, multivariate=True)


def finished(study: Any) -> list[Any]:
    """The settings that were tried, those given up on the way included."""
    states = optuna_module().trial.TrialState
    return study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED))


def complete(study: Any) -> list[Any]:
    """The settings that ran to their ends, the best first."""
    states = optuna_module().trial.TrialState
    found = study.get_trials(deepcopy=False, states=(states.COMPLETE,))
    return sorted(found, key=lambda trial: trial.value)
