"""Which weights a run keeps on file while its trials are in flight, and as they end."""

import os

import numpy as np

from lstm_jax.lanes import EMPTY, Snapshot, named_leaves, part
from lstm_jax.record.weights import WeightLog, is_moment
from lstm_jax.trial import RUNNING, TrialState


class WeightKeeper:
    """Keeps the weights of a row's trials in its folder, as they end and at some moments before.

    Args:
      path: the run folder.
      num_weights: of one network.
      snapshot: where the run goes on, or None.
    """

    def __init__(self, path: str | os.PathLike[str], num_weights: int, snapshot: Snapshot | None):
        self._log = WeightLog(path)
        self._num_weights = num_weights
        self._before = {} if snapshot is None else _sequences(snapshot)

    def keep_final(self, state: TrialState) -> None:
        """The weights that a trial ended with."""
        arrays = {name: np.asarray(leaf)[None] for name, leaf in named_leaves(state.params)}
        trial, sequences, status = map(int, (state.trial, state.sequences, state.status))
        self._log.keep([trial], [sequences], [status], arrays)

    def keep_due(self, snapshot: Snapshot) -> None:
        """Those of the trials in flight for which a moment has come."""
        before, now = self._before, _sequences(snapshot)
        due = [n for n in now if is_moment(before.get(n, 0), now[n], self._num_weights)]
        self._before = now
        if due:
            lanes = [snapshot.arrays["numbers"].tolist().index(n) for n in due]
            leaves = part(snapshot.arrays, "lanes/params.")
            arrays = {name: leaf[lanes] for name, leaf in leaves.items()}
            self._log.keep(due, [now[n] for n in due], [RUNNING] * len(due), arrays)


def _sequences(snapshot: Snapshot) -> dict[int, int]:
    """Training sequences of each trial in flight."""
    columns = (snapshot.arrays[name].tolist() for name in ("numbers", "lanes/sequences"))
    return {n: sequences for n, sequences in zip(*columns, strict=True) if n != EMPTY}
