"""Rows side by side: in which order they are taken, and what a stop or a failure of one does."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import jax
import pytest

from lstm_jax import side_by_side

WAIT = 30.0
pytestmark = pytest.mark.skipif(jax.device_count() < 2, reason="one device takes row by row")


class Folder:
    def __init__(self, complete=False):
        self.complete = complete

    def is_complete(self, trials):
        return self.complete


def rows_of(names) -> Any:
    return [SimpleNamespace(name=name, numbers=range(1)) for name in names]


def run(monkeypatch, names, work, stopped=lambda: False, folders: Any = None):
    """The names of the rows that are yielded; `work(name, stopped, devices)` stands for a row."""
    monkeypatch.setattr(
        side_by_side,
        "run_row",
        lambda row, _, stopped, devices=None: work(row.name, stopped, devices),
    )
    two = jax.devices()[:2]
    monkeypatch.setattr(jax, "devices", lambda: two)
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    folders = folders or [Folder() for _ in names]
    return [row.name for row, _ in side_by_side.run_rows(rows_of(names), folders, stopped)]


def test_two_at_once_from_both_ends_each_on_a_device_of_its_own(monkeypatch):
    meet, seen = threading.Barrier(2), []

    def work(name, stopped, devices):
        (device,) = devices
        assert jax.numpy.ones(1).devices() == {device}, "what a row computes beside its lanes"
        meet.wait(WAIT)  # would break where one row waits for the other
        seen.append((name, device.id))
        meet.wait(WAIT)
        return name

    assert sorted(run(monkeypatch, "abcd", work)) == list("abcd")
    first, second = sorted(seen[:2]), sorted(seen[2:])
    assert [name for name, _ in first] == ["a", "d"]
    assert [name for name, _ in second] == ["b", "c"]
    assert {name: device for name, device in seen if name in "ab"} == {"a": 0, "b": 0}


def test_what_is_complete_comes_first_and_the_last_row_has_all_devices(monkeypatch):
    seen = []
    folders = [Folder(complete=True), Folder(), Folder(complete=True)]
    given = run(monkeypatch, "abc", lambda *call: seen.append(call) or call[0], folders=folders)
    assert given == ["a", "c", "b"]
    assert [devices for _, _, devices in seen] == [None, None, None]


def test_a_stop_ends_all_and_starts_no_other(monkeypatch):
    asked, begun = threading.Event(), []

    def work(name, stopped, devices):
        begun.append(name)
        if len(begun) == 2:
            asked.set()
        until = time.monotonic() + WAIT
        while not stopped() and time.monotonic() < until:
            time.sleep(0.001)

    assert run(monkeypatch, "abcd", work, asked.is_set) == []
    assert sorted(begun) == ["a", "d"]


def test_what_fails_stops_the_others_first_and_is_then_raised(monkeypatch):
    saved, began = [], threading.Event()

    def work(name, stopped, devices):
        if name == "a":
            assert began.wait(WAIT)
            raise OSError("disk full")
        began.set()
        until = time.monotonic() + WAIT
        while not stopped() and time.monotonic() < until:
            time.sleep(0.001)
        saved.append(name)

    with pytest.raises(OSError, match="disk full"):
        run(monkeypatch, "abcd", work)
    assert saved == ["d"]
