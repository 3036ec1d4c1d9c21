"""A trial of a run trained once more, for its weights: the same numbers lead to the same ones."""

from __future__ import annotations

from collections.abc import Callable

from lstm_jax.inspect.runs import RETRAINED, Run
from lstm_jax.keeping import WeightKeeper
from lstm_jax.lanes import Snapshot, lane_mesh
from lstm_jax.network import num_weights
from lstm_jax.plan import plan
from lstm_jax.record.refusal import refuse, writing
from lstm_jax.runner import Progress, TrialRecord, run_trials
from lstm_jax.trial import TrialState


def retrain(run: Run, trial: int) -> TrialRecord:
    """Trains a finished trial again and keeps its weights in the run's folder `inspect`.

    A trial depends on the run's seed and its own number alone, so it ends as it did, and nothing
    else of the run is touched.

    Raises:
      RunFolderError: in one line, where the run has no such finished trial, or where the trial
        ends otherwise than its record: this version, or this machine, computes something else.
    """
    run.require_trial(trial)
    record = run.records.get(trial)
    if record is None:
        return refuse(run.path, f"has no record of trial {trial} yet: start the run again instead")
    folder = run.path / RETRAINED
    with writing(folder):
        folder.mkdir(exist_ok=True)
    weights = num_weights(run.params(trial, 0))
    keeper = WeightKeeper(folder, weights, None)
    ended: list[TrialRecord] = []

    def finish(again: TrialRecord, state: TrialState) -> None:
        ended.append(again)
        if (again.status, again.num_sequences) == (record["status"], record["num_sequences"]):
            keeper.keep_final(state)

    def after_chunk(progress: Progress, take: Callable[[], Snapshot]) -> None:
        keeper.keep_due(take())

    mesh = lane_mesh()
    layout = plan(run.built, run.config, int(mesh.devices.size))
    others = range(trial)
    run_trials(
        run.built.trial,
        run.key(),
        num_trials=trial + 1,
        num_lanes=layout.num_lanes,
        chunk=layout.chunk,
        hyper=lambda n: (run.config.learning_rate, run.config.init_range),
        num_test=1,
        done=[TrialRecord(n, "", 0, 0, 0, 0.0, 0.0) for n in others],
        on_finish=finish,
        on_chunk=after_chunk,
        mesh=mesh,
    )
    (again,) = ended
    if (again.status, again.num_sequences) != (record["status"], record["num_sequences"]):
        return refuse(
            run.path,
            f"cannot be trained again here: trial {trial} came to {again.status} after "
            f"{again.num_sequences:,} sequences, where its record says {record['status']} after "
            f"{record['num_sequences']:,}; use the version and the kind of machine it was made on",
        )
    return again
