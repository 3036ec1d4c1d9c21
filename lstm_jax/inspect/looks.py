"""One sequence through one network of a run, step by step: what pictures are made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from lstm_jax.network import Network
from lstm_jax.record import archive
from lstm_jax.record.refusal import reason, refuse
from lstm_jax.recording import record_network
from lstm_jax.tasks.task import Example, Task
from lstm_jax.types import Params


class Look(NamedTuple):
    """A recorded sequence, cut at its end; all arrays are NumPy's.

    Attributes:
      inputs: ``[T, D]`` numbers, or ``[T]`` whole numbers: the symbols shown.
      targets: ``[T, K]``; NaN where no target is set.
      outputs: ``[T, K]``, the output units at every step, also where nothing is asked of them.
      arrays: ``{name: [T, units]}`` as `lstm_jax.recording.record` names them: gates, memory,
        outputs of the hidden layer, net inputs; in the form of `by_unit`.
      marks: the steps on which the answer depends, or at which the lag ends, ``[m]``.
      truth: ``[T]``, what the task itself counts along the sequence (the sum so far); or None.
      meta: JSON values: "run", "row", "task", "trial", "sequence", "sequences" (of training),
        "status", "length", "input_names", "output_names", "truth" (its name), "correct", "error"
        (mean absolute), "axes" and "units".
    """

    inputs: np.ndarray
    targets: np.ndarray
    outputs: np.ndarray
    arrays: dict[str, np.ndarray]
    marks: np.ndarray
    truth: np.ndarray | None
    meta: dict[str, Any]

    @property
    def is_symbols(self) -> bool:
        """Whether each step shows a symbol."""
        return self.inputs.ndim == 1

    @property
    def title(self) -> str:
        """Run, trial, how it stands, and the sequence: the head of every picture."""
        m = self.meta
        said = m.get("said", f"test sequence {m['sequence']}, {m['length']} steps")
        return f"{m['task']}, run {m['run']}: trial {m['trial']}, {m['status']}\n{said}"


class Trained(Protocol):
    """What `look` looks into: trials whose weights are known at moments of their training.

    Attributes:
      path: of the run's folder.
      name: of its row.
    """

    path: Path
    name: str

    @property
    def network(self) -> Network:
        """The network that each trial trains."""
        ...

    @property
    def task(self) -> Task:
        """What it learns."""
        ...

    def params(self, trial: int, sequences: int | None = None) -> Params:
        """The weights of a trial after so many training sequences, or the last ones known."""
        ...

    def last_moment(self, trial: int) -> int:
        """The last number of sequences after which a trial's weights are known."""
        ...

    def example(self, seed: int, trial: int = 0) -> Example:
        """A test sequence of a trial, by its number."""
        ...

    def status(self, trial: int, sequences: int | None = None) -> str:
        """How the trial stood then, in words."""
        ...


def look(run: Trained, trial: int, sequence: int = 0, sequences: int | None = None) -> Look:
    """A trial's test sequence of a number, through its weights after so many training sequences.

    Args:
      run: the run.
      trial: one of its trials.
      sequence: 0 is the first of those that the trial was or will be tested on.
      sequences: one of the trial's moments; None: the last.

    Raises:
      RunFolderError: in one line, where the run has no such trial or no such weights.
    """
    params = run.params(trial, sequences)
    moment = run.last_moment(trial) if sequences is None else sequences
    example = run.example(sequence, trial)
    outputs, arrays = jax.device_get(recorder(run.network)(params, example))
    meta = {
        "run": f"{run.path.resolve().parent.name}/{run.path.resolve().name}",
        "row": run.name,
        "trial": trial,
        "sequence": sequence,
        "sequences": moment,
        "status": run.status(trial, moment),
    }
    return _look(run.task, jax.device_get(example), outputs, arrays, meta)


@cache
def recorder(network: Network) -> Callable[[Params, Example], tuple[Any, Any]]:
    """``(params, example) -> (outputs [T, K], arrays)``, compiled once for a network."""

    def run(params: Params, example: Example) -> tuple[Any, Any]:
        seen = record_network(network, params, example.inputs, length=example.length)
        return seen.ys, seen.arrays

    return jax.jit(run)


def _look(
    task: Task,
    example: Example,
    outputs: np.ndarray,
    arrays: Mapping[str, np.ndarray],
    meta: dict[str, Any],
) -> Look:
    length = int(example.length)
    targets = np.full_like(outputs, np.nan)
    if task.timing == "end":
        targets[length - 1] = example.targets
        answer: Any = outputs[length - 1]
    else:
        targets[:] = np.where(np.asarray(example.mask)[:, None], example.targets, np.nan)
        answer = outputs
    truth, name = running_truth(task, example)
    meta = meta | {
        "task": task.name,
        "length": length,
        "timing": task.timing,
        "input_names": list(task.inputs) or [f"input {n}" for n in range(task.input_size)],
        "output_names": list(task.outputs) or [f"output {n}" for n in range(task.target_size)],
        "truth": name,
        "correct": bool(task.correct(answer, example)),
        "error": float(task.error(answer, example)),
        "axes": {key: ["t", "unit"] for key in arrays},
        "units": {"t": "time steps, from 0", "sequences": "training sequences"},
    }
    return Look(
        inputs=np.asarray(example.inputs)[:length],
        targets=targets[:length],
        outputs=outputs[:length],
        arrays={key: value[:length] for key, value in by_unit(arrays).items()},
        marks=np.flatnonzero(np.asarray(task.marks(example))[:length]),
        truth=None if truth is None else truth[:length],
        meta=meta,
    )


def by_unit(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Recorded arrays ``[T, ...]`` as ``[T, units]``, truth values as 0 and 1.

    The form of most; one number a step is of one unit, a matrix has its rows in a line.

    >>> found = by_unit({"on": np.array([True, False]), "C": np.zeros((2, 3, 3))})
    >>> found["on"].tolist(), found["C"].shape
    ([[1.0], [0.0]], (2, 9))
    """
    floats = {n: a.astype(np.float32) if a.dtype == np.bool_ else a for n, a in arrays.items()}
    return {n: a.reshape(len(a), prod(a.shape[1:])) for n, a in floats.items()}


def running_truth(task: Task, example: Example) -> tuple[np.ndarray | None, str]:
    """What a perfect memory would count along the sequence, and its name; (None, "") for none.

    >>> from lstm_jax import adding
    >>> example = adding(T=11).sample(jax.random.key(3))
    >>> truth, name = running_truth(adding(T=11), example)
    >>> name, bool(abs(0.5 + truth[-1] / 4 - example.targets[0]) < 1e-6)
    ('sum of the marked values so far', True)
    """
    if task.name not in ("adding", "multiplication"):
        return None, ""
    shown, marked = np.asarray(example.inputs)[:, 0], np.asarray(task.marks(example))
    if task.name == "adding":
        return np.cumsum(np.where(marked, shown, 0.0)), "sum of the marked values so far"
    return np.cumprod(np.where(marked, shown, 1.0)), "product of the marked values so far"


def save_look(path: str | os.PathLike[str], seen: Look) -> Path:
    """Writes a recording as an npz that `numpy.load` reads, without pickles; whole or absent.

    The arrays have the names of ``Look.arrays`` below "array/", and "inputs", "targets",
    "outputs", "marks", "truth" as they are; meta.json in it holds the rest.

    Raises:
      RunFolderError: where it cannot be written.

    >>> import tempfile
    >>> empty = np.zeros((2, 1), np.float32)
    >>> seen = Look(empty, empty, empty, {"0/i": empty}, np.array([1]), None, {"trial": 3})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_look(folder + "/a.npz", seen)
    ...     back = load_look(path)
    ...     np.load(path)["array/0/i"].shape
    (2, 1)
    >>> back.meta, back.arrays["0/i"].shape, back.truth is None
    ({'trial': 3}, (2, 1), True)
    """
    path = Path(path)
    whole = {f: getattr(seen, f) for f in ("inputs", "targets", "outputs", "marks", "truth")}
    arrays = {name: array for name, array in whole.items() if array is not None}
    arrays |= {f"array/{name}": array for name, array in seen.arrays.items()}
    archive.write_whole(path, archive.pack(arrays, seen.meta))
    return path


def load_look(path: str | os.PathLike[str]) -> Look:
    """A recording that `save_look` wrote.

    Raises:
      RunFolderError: in one line, where there is none or the file is damaged.

    >>> load_look("none.npz")
    Traceback (most recent call last):
    lstm_jax.record.refusal.RunFolderError: none.npz cannot be read (No such file or directory)
    """
    file = Path(path)
    try:
        arrays, meta = archive.unpack(file.read_bytes())
    except OSError as error:
        refuse(file, f"cannot be read ({reason(error)})")
    except ValueError as error:
        refuse(file, f"is damaged, or no recording ({reason(error)}); record it again")
    try:
        inputs, targets, outputs = (arrays.pop(n) for n in ("inputs", "targets", "outputs"))
        marks, truth = arrays.pop("marks"), arrays.pop("truth", None)
    except KeyError as error:
        refuse(file, f"is no recording of a sequence (it has no {error})")
    named = {name.removeprefix("array/"): array for name, array in arrays.items()}
    return Look(inputs, targets, outputs, named, marks, truth, meta)
