"""Rows of a table side by side: one device each, the short ones from the front, the long ones too.

A row of ten trials fills the vectors of one core. Spread over two cores its lanes are half empty
and take nearly as long, so two rows on a core each take little more time than one on both.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from lstm_jax.record import RunFolder
from lstm_jax.rows import Row, run_row
from lstm_jax.tables import Entry

Job = tuple[Row, RunFolder]


def devices_each(num_rows: int) -> int:
    """How many devices a row has for itself: one, or all where there is no other row.

    Example:
      >>> devices_each(1) == jax.device_count(), devices_each(2)
      (True, 1)
    """
    return 1 if num_rows > 1 else jax.device_count()


def run_rows(
    rows: Sequence[Row], folders: Sequence[RunFolder], stopped: Callable[[], bool]
) -> Iterator[tuple[Row, Entry]]:
    """Runs the rows to their ends, as many at once as there are devices; yields each as it ends.

    Every other device takes rows from the end of the list: where the long ones stand last, they
    are not what all wait for. What a row gives does not depend on its device or its neighbours.

    Args:
      rows: what to run.
      folders: of each row, opened.
      stopped: asked after each chunk of each row; True ends all, everything saved. Rows that did
        not end are not yielded.

    Raises:
      Exception: what a row raises, once the others are saved and stopped.
    """
    jobs: deque[Job] = deque()
    for row, folder in zip(rows, folders, strict=True):
        if not folder.is_complete(row.numbers):
            jobs.append((row, folder))
        elif (entry := run_row(row, folder, stopped)) is not None:
            yield row, entry
    if len(jobs) < 2 or jax.device_count() < 2:
        for row, folder in jobs:
            if not stopped() and (entry := run_row(row, folder, stopped)) is not None:
                yield row, entry
        return
    halt = threading.Event()
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def halted() -> bool:
        return halt.is_set() or stopped()

    def serve(device: Any, take: Callable[[], Job]) -> None:
        failed = None
        try:
            with jax.default_device(device):
                while not halted():
                    try:
                        row, folder = take()
                    except IndexError:  # no row is left
                        break
                    ended.put((row, run_row(row, folder, halted, [device])))
        except BaseException as error:
            halt.set()
            failed = error
        ended.put(failed)

    devices = jax.devices()[: len(jobs)]
    takes = (jobs.popleft, jobs.pop)
    for number, device in enumerate(devices):
        # Daemons: who presses Ctrl-C a second time does not wait for the end of a chunk.
        threading.Thread(target=serve, args=(device, takes[number % 2]), daemon=True).start()
    failed: BaseException | None = None
    working = len(devices)
    try:
        while working:
            got = ended.get()
            if isinstance(got, tuple):
                if got[1] is not None:
                    yield got
                continue
            working -= 1
            failed = failed or got
    finally:
        halt.set()
    if failed is not None:
        raise failed
