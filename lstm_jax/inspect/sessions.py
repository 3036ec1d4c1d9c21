"""Sessions of TensorBoard's HParams page: a setting, and what its trials came to.

A run folder is at most one session, so the trials of a setting are one session with their means.
Sessions of one group name are one row of the page, averaged: the same setting from several seeds.
`SummaryWriter.add_hparams` names no group and makes a stray run at each call: it is not used. No
`Experiment` summary is written: TensorBoard takes the first it finds for all runs, which would
hide the fields of every other setting in the same log folder; without one it joins them itself.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstm_jax.inspect.event_file import PREFIX, EventFile, tensorboardx


def write_session(
    folder: Path,
    group: str,
    hparams: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    *,
    start_time: float | None = None,
) -> None:
    """One session, whole: the outcomes of some trials, averaged if there are several.

    Args:
      folder: of the session, made if absent; what it held is replaced.
      group: sessions of one name are one row of the page.
      hparams: settings, by name.
      records: at least `trial`, `status` and `num_sequences`; one or more.
      start_time: seconds since the epoch; None: now.

    Raises:
      OSError: the folder or its file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     record = {"trial": 0, "status": "SOLVED", "num_sequences": 900}
    ...     write_session(Path(folder), "gru", {"learning_rate": 0.01}, [record])
    ...     [file.name for file in Path(folder).iterdir()]
    ['events.out.tfevents.0.trial']
    """
    tbx = tensorboardx()
    step = max(int(record["num_sequences"]) for record in records)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "partial"  # a name that TensorBoard does not read
    file = EventFile(partial)
    file.add(session_start(group, hparams, time.time() if start_time is None else start_time), 0)
    for tag, values in outcomes(records).items():
        if values:
            file.add(tbx.summary.scalar(tag, float(np.mean(values))), step)
    text = "\n".join(f"- {_outcome(record)}" for record in records)
    file.add(tbx.summary.text("trial/outcome", text), step)
    file.add(session_end(all(r["status"] == "SOLVED" for r in records)), step)
    file.close()
    os.replace(partial, folder / f"{PREFIX}0.trial")


def session_start(group: str, hparams: Mapping[str, Any], start_time: float) -> Any:
    """The summary that makes a run folder a session, with its settings and its group."""
    tbx = tensorboardx()
    _, start, _ = tbx.summary.hparams(_hparams(hparams), {})
    plugin_data = start.value[0].metadata.plugin_data
    data = tbx.hparams.HParamsPluginData.FromString(plugin_data.content)
    data.session_start_info.group_name = group
    data.session_start_info.start_time_secs = start_time
    plugin_data.content = data.SerializeToString()
    return start


def session_end(solved: bool) -> Any:
    """The summary that ends a session: a success, or a failure."""
    tbx = tensorboardx()
    _, _, end = tbx.summary.hparams({}, {})
    plugin_data = end.value[0].metadata.plugin_data
    data = tbx.hparams.HParamsPluginData.FromString(plugin_data.content)
    data.session_end_info.end_time_secs = time.time()
    status = "STATUS_SUCCESS" if solved else "STATUS_FAILURE"
    data.session_end_info.status = tbx.api.Status.Value(status)
    plugin_data.content = data.SerializeToString()
    return end


def outcomes(records: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """What the page has a mean of: solved, of all the trials; the rest, of the solved ones.

    >>> outcomes([{"trial": 0, "status": "EXHAUSTED", "num_sequences": 9}])["trial/solved"]
    [0.0]
    """
    winners = [record for record in records if record["status"] == "SOLVED"]

    def known(field: str) -> list[float]:
        values = [record.get(field) for record in winners]
        return [float(v) for v in values if v is not None and math.isfinite(v)]

    return {
        "trial/solved": [float(record["status"] == "SOLVED") for record in records],
        "trial/sequences_to_solve": known("num_sequences"),
        "trial/num_wrong": known("num_wrong"),
        "trial/mean_test_error": known("mean_test_error"),
    }


def _hparams(config: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """Fields as TensorBoard takes them: one type per column, so None and tuples are text."""
    return {
        key: value if isinstance(value, (bool, int, float, str)) else str(value)
        for key, value in config.items()
    }


def _outcome(record: Mapping[str, Any]) -> str:
    text = (
        f"Trial {record['trial']}: {record['status']} after {record['num_sequences']:,} sequences"
    )
    if record.get("num_wrong") is not None and record.get("num_test"):
        text += f"; {record['num_wrong']:,} of {record['num_test']:,} test sequences wrong"
    return text + "."
