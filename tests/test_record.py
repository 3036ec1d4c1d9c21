"""Run folders: no kill, damage or full disk loses a finished trial."""

import errno
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lstm_jax.record import RunFolder, RunFolderError, archive

ROOT = Path(__file__).resolve().parents[1]
CONFIG = {"T": 100, "learning_rate": 0.5, "input_gate_bias": (-3.0, -6.0), "num_lanes": None}


def record(trial, **others):
    return {
        "row": "t100",
        "trial": trial,
        "status": "SOLVED",
        "num_sequences": 80_000 + trial,
    } | others


def arrays(step):
    return {"params/w_i": np.full((3, 5, 2), step, np.float32), "step": np.asarray(step, np.int32)}


def open_folder(path, **others):
    return RunFolder.open(path, CONFIG, "t100", **others)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def refused(path):
    """The one line with which a folder is refused."""

    def of(where=path, config=CONFIG, row="t100", **others):
        with pytest.raises(RunFolderError) as error:
            RunFolder.open(where, config, row, **others)
        assert "\n" not in str(error.value)
        return str(error.value)

    return of


# ---- a plain run


def test_a_run_and_its_resume(path):
    with open_folder(path) as folder:
        assert folder.trials() == []
        assert folder.load_checkpoint() is None
        assert folder.append_trial(record(1))
        folder.save_checkpoint(arrays(7), {"queue": [0, 2], "time": np.float64(1.5)})
    with open_folder(path) as folder:
        assert folder.trials() == [record(1)]
        loaded = folder.load_checkpoint()
        assert loaded is not None
        assert loaded[1] == {"queue": [0, 2], "time": 1.5}
        for name, array in arrays(7).items():
            np.testing.assert_array_equal(loaded[0][name], array)
            assert loaded[0][name].dtype == array.dtype
        assert folder.append_trial(record(0))
        assert folder.is_complete(2)
        assert not folder.is_complete(3)
        assert folder.messages == []


def test_a_finished_file_does_not_tell_the_order_of_finishing(tmp_path):
    contents = set()
    for order in itertools.permutations(range(3)):
        with open_folder(tmp_path / str(order)) as folder:
            for trial in order:
                folder.append_trial(record(trial))
            folder.finalise()
            assert [r["trial"] for r in folder.trials()] == [0, 1, 2]
        contents.add((tmp_path / str(order) / "trials.jsonl").read_bytes())
    assert len(contents) == 1


def test_a_trial_is_written_once(path):
    with open_folder(path) as folder:
        assert folder.append_trial(record(0))
        assert not folder.append_trial(dict(reversed(record(0).items())))
        with pytest.raises(RunFolderError, match="num_sequences is 80000 there and 5 here"):
            folder.append_trial(record(0, num_sequences=5))
    assert (path / "trials.jsonl").read_bytes().count(b"\n") == 1


def test_a_run_is_complete_with_all_trials_from_the_first(path):
    with open_folder(path) as folder:
        for trial, complete in [(2, []), (1, []), (0, [1, 2, 3])]:
            folder.append_trial(record(trial))
            assert [n for n in range(1, 5) if folder.is_complete(n)] == complete


def test_what_was_left_beside_its_place_goes_and_counts_for_nothing(path):
    save_two(path)
    left = path / ".checkpoint.npz.tmp"
    left.write_bytes(archive.pack(arrays(9)))
    with open_folder(path) as folder:
        assert not left.exists()
        assert step_of(folder) == 2


def test_numbers_that_json_lacks_are_null(path):
    with open_folder(path) as folder:
        folder.append_trial(record(np.int32(0), mean_test_error=float("nan"), y=np.float32("inf")))
        assert folder.trials() == [record(0, mean_test_error=None, y=None)]


@pytest.mark.parametrize("trial", [None, -1, 0.0, True, "0"])
def test_a_record_needs_a_trial_number(path, trial):
    with open_folder(path) as folder, pytest.raises(ValueError, match="trial"):
        folder.append_trial(record(0) | {"trial": trial})


def test_curves(path):
    curves = {2: np.array([0.2, 0.1], np.float32), 0: np.zeros(0, np.float32)}
    with open_folder(path) as folder:
        assert folder.load_curves() == {}
        folder.save_curves(curves, 1000)
        first = (path / "curves.npz").read_bytes()
        loaded = folder.load_curves()
        assert list(loaded) == [0, 2]
        np.testing.assert_array_equal(loaded[2], curves[2])
        folder.save_curves(dict(sorted(curves.items())), 1000)
    assert (path / "curves.npz").read_bytes() == first
    with np.load(path / "curves.npz", allow_pickle=False) as file:
        assert set(file) == {"curve_every", "trial_0", "trial_2"}
        assert file["curve_every"] == 1000


def test_damaged_curves_are_said_and_do_not_stop_a_run(path):
    with open_folder(path) as folder:
        folder.save_curves({0: np.ones(3, np.float32)}, 1000)
        (path / "curves.npz").write_bytes((path / "curves.npz").read_bytes()[:-1])
        assert folder.load_curves() == {}
        assert len(folder.messages) == 1


def test_only_numbers_are_saved(path):
    with open_folder(path) as folder:
        for value in (np.array([object()]), np.array(["text"])):
            with pytest.raises(TypeError, match="'a'"):
                folder.save_checkpoint({"a": value}, {})


# ---- provenance


def test_provenance_grows_by_session(path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    for session in (1, 2):
        with open_folder(path) as folder:
            folder.write_provenance(
                device_kind="cpu", num_devices=2, command=["a", "b"], kernel="k"
            )
            time.sleep(0.01)
            folder.write_provenance()
        told = json.loads((path / "provenance.json").read_bytes())
        assert len(told["sessions"]) == session
        last = told["sessions"][-1]
        assert last["versions"]["numpy"] == np.__version__
        assert {"python", "jax", "jaxlib", "flax", "optax", "lstm_jax"} <= set(last["versions"])
        assert (last["device_kind"], last["num_devices"], last["kernel"]) == ("cpu", 2, "k")
        assert last["flags"]["XLA_FLAGS"] == "--xla_force_host_platform_device_count=2"
        assert last["command"] == ["a", "b"]
        assert {"git_commit", "git_dirty", "start", "platform"} <= set(last)
        total = sum(s["wall_seconds"] for s in told["sessions"])
        assert told["total_wall_seconds"] == pytest.approx(total, abs=1e-3)
        assert last["wall_seconds"] >= 0.01


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sessions": 3}', '{"sessions": [4]}'])
def test_damaged_provenance_is_kept_aside(path, text):
    with open_folder(path) as folder:
        (path / "provenance.json").write_text(text)
        folder.write_provenance()
        assert len(folder.messages) == 1
    assert (path / "provenance.damaged.json").read_text() == text
    assert len(json.loads((path / "provenance.json").read_bytes())["sessions"]) == 1


# ---- folders that are refused


def test_a_different_run(path, refused):
    open_folder(path).close()
    line = refused(config=CONFIG | {"T": 500, "input_gate_bias": (-3.0,)})
    assert "T is 100 there and 500 here" in line
    assert "input_gate_bias is [-3.0, -6.0] there and [-3.0] here" in line
    assert 'row is "t100" there and "t500" here' in refused(row="t500")
    assert "new is absent there and 1 here" in refused(config=CONFIG | {"new": 1})
    many = CONFIG | dict.fromkeys("abcde", 1)
    assert "and 2 more" in refused(config=many)


def test_free_fields_may_differ(path, refused):
    open_folder(path).close()
    other = CONFIG | {"num_lanes": 4}
    RunFolder.open(path, other, "t100", free_fields=("num_lanes",)).close()
    assert "num_lanes is null there and 4 here" in refused(config=other)


def test_a_live_process_holds_it(path, refused):
    with open_folder(path):
        line = refused()
        assert "in use by a live process" in line
        assert str(os.getpid()) in line
    open_folder(path).close()


def test_a_killed_process_holds_nothing(path, refused):
    program = (
        "import sys, time; from lstm_jax.record import RunFolder;"
        f"f = RunFolder.open({str(path)!r}, {{}}, 'x'); print('open', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        assert f"process {child.pid}" in refused(config={}, row="x")
        child.kill()
        child.wait()
    RunFolder.open(path, {}, "x").close()


def test_a_file_in_the_way(path, refused):
    path.write_text("")
    assert "is a file" in refused()
    assert "is a file" in refused(path / "below" / "it")


def test_a_folder_that_is_no_run(path, refused):
    path.mkdir()
    (path / "thesis.txt").write_text("")
    line = refused()
    assert "not empty and holds no run" in line
    assert "thesis.txt" in line
    assert os.listdir(path) == ["thesis.txt"]


def test_what_a_kill_before_the_config_left_is_no_hindrance(path):
    path.mkdir()
    (path / ".lock").write_text("process 1\n")
    (path / ".config.json.tmp").write_text('{"for')
    open_folder(path).close()
    assert sorted(os.listdir(path)) == [".lock", "config.json"]


def test_a_torn_config(path, refused):
    open_folder(path).close()
    whole = (path / "config.json").read_bytes()
    for size in range(len(whole) - 1):  # the last byte is a newline
        (path / "config.json").write_bytes(whole[:size])
        assert "config.json is damaged" in refused()
    for text in ("[]", "{}", '{"format": "other"}'):
        (path / "config.json").write_text(text)
        assert "config.json is not of a run" in refused()


def test_an_unwritable_folder(tmp_path, refused, monkeypatch):
    for name, mode in (("closed", 0o500), ("hidden", 0o000)):
        (tmp_path / name).mkdir(mode=mode)
    if os.access(tmp_path / "closed", os.W_OK):  # root may write anywhere: say that it may not
        monkeypatch.setattr(os, "access", lambda *_: False)
        assert "cannot be written" in refused(tmp_path / "closed")
        monkeypatch.undo()

        def no(*_, **__):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(os, "open", no)
        assert "cannot be written (Permission denied)" in refused(tmp_path / "closed")
        monkeypatch.setattr(os, "mkdir", no)
        assert "cannot be created or read (Permission denied)" in refused(tmp_path / "hidden" / "a")
    else:
        assert "cannot be written" in refused(tmp_path / "closed")
        assert "cannot be created or read" in refused(tmp_path / "closed" / "below")
        assert "cannot be created or read" in refused(tmp_path / "hidden")


# ---- trials.jsonl after a kill, and damaged


def test_a_last_line_torn_at_every_byte(path):
    with open_folder(path) as folder:
        folder.append_trial(record(0))
        first = (path / "trials.jsonl").read_bytes()
        folder.append_trial(record(1, status="µ"))
    whole = (path / "trials.jsonl").read_bytes()
    for size in range(len(first), len(whole) + 1):
        (path / "trials.jsonl").write_bytes(whole[:size])
        heard = []
        with open_folder(path, report=heard.append) as folder:
            kept = [r["trial"] for r in folder.trials()]
            assert kept == ([0, 1] if size >= len(whole) - 1 else [0])
            assert len(heard) == len(folder.messages) == (size not in (len(first), len(whole)))
            folder.append_trial(record(1, status="µ"))
        assert (path / "trials.jsonl").read_bytes() == whole


def test_a_first_line_torn_at_every_byte(path):
    with open_folder(path) as folder:
        folder.append_trial(record(0))
    whole = (path / "trials.jsonl").read_bytes()
    for size in range(len(whole)):
        (path / "trials.jsonl").write_bytes(whole[:size])
        with open_folder(path) as folder:
            folder.append_trial(record(0))
        assert (path / "trials.jsonl").read_bytes() == whole


def test_zeros_that_a_power_cut_left_are_dropped(path):
    with open_folder(path) as folder:
        folder.append_trial(record(0))
    whole = (path / "trials.jsonl").read_bytes()
    (path / "trials.jsonl").write_bytes(whole + bytes(80))
    open_folder(path).close()
    assert (path / "trials.jsonl").read_bytes() == whole


@pytest.mark.parametrize("bad", [b"{", b"", b"[]", b'{"trial": "1"}', b"\xff\xfe\x00", b"{}"])
def test_a_damaged_line_elsewhere_is_named_and_left(path, refused, bad):
    with open_folder(path) as folder:
        for trial in range(3):
            folder.append_trial(record(trial))
    lines = (path / "trials.jsonl").read_bytes().split(b"\n")
    lines[1] = bad
    (path / "trials.jsonl").write_bytes(b"\n".join(lines))
    line = refused()
    assert "trials.jsonl line 2 is damaged" in line
    assert (path / "trials.jsonl").read_bytes() == b"\n".join(lines)


def test_two_different_records_of_a_trial(path, refused):
    open_folder(path).close()
    lines = [json.dumps(record(0)), json.dumps(record(0, num_sequences=1))]
    (path / "trials.jsonl").write_text("\n".join(lines) + "\n")
    assert "line 2 is a second, different record of trial 0" in refused()


# ---- checkpoints after a kill, and damaged


def step_of(folder):
    loaded = folder.load_checkpoint()
    return None if loaded is None else int(loaded[0]["step"])


def save_two(path):
    with open_folder(path) as folder:
        folder.save_checkpoint(arrays(1), {})
        folder.save_checkpoint(arrays(2), {})
    return (path / "checkpoint.npz").read_bytes()


def test_a_truncated_checkpoint_falls_back(path):
    whole = save_two(path)
    for size in sorted({*range(0, len(whole), 37), *range(len(whole) - 70, len(whole))}):
        (path / "checkpoint.npz").write_bytes(whole[:size])
        with open_folder(path) as folder:
            assert step_of(folder) == 1
            assert len(folder.messages) == 1
            assert "checkpoint.npz is damaged" in folder.messages[0]


def test_a_flipped_bit_falls_back(path):
    whole = save_two(path)
    with open_folder(path) as folder:
        for place in range(0, len(whole), 11):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << place % 8
            (path / "checkpoint.npz").write_bytes(flipped)
            assert step_of(folder) == 1


def test_two_damaged_checkpoints_start_again(path):
    save_two(path)
    for name in ("checkpoint.npz", "checkpoint.prev.npz"):
        (path / name).write_bytes(b"")
    with open_folder(path) as folder:
        assert step_of(folder) is None
        assert len(folder.messages) == 2
        folder.save_checkpoint(arrays(3), {})
        assert step_of(folder) == 3


@pytest.mark.parametrize("loaded", [False, True])
def test_a_damaged_checkpoint_never_replaces_the_good_one(path, loaded):
    save_two(path)
    (path / "checkpoint.npz").write_bytes(b"damaged")
    with open_folder(path) as folder:
        if loaded:  # as every run that goes on begins
            assert step_of(folder) == 1
        folder.save_checkpoint(arrays(3), {})
        (path / "checkpoint.npz").write_bytes(b"damaged again")
        assert step_of(folder) == 1


def test_a_packed_file_has_the_same_bytes_each_time():
    data = archive.pack(arrays(3), {"a": 1})
    assert data == archive.pack(arrays(3), {"a": 1})
    with zipfile.ZipFile(io.BytesIO(data)) as packed:  # the time of writing is in none of them
        assert {member.date_time for member in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}


class Killed(BaseException):
    """Stands for a kill: no handler of the library may catch it."""


def kill_at(monkeypatch, number):
    """Lets `number` calls to the system through and dies in the next, a write half done."""
    left = iter(range(number))

    def dying(call):
        def step(*arguments):
            if next(left, None) is not None:
                return call(*arguments)
            if call is write:
                write(arguments[0], arguments[1][: len(arguments[1]) // 2])
            raise Killed

        return step

    write = os.write
    for name in ("write", "fsync", "replace", "open", "ftruncate"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))


def work(folder):
    for trial in range(2):
        folder.save_curves({trial: np.ones(3, np.float32)}, 1000)
        folder.append_trial(record(trial))
        folder.save_checkpoint(arrays(trial), {})
    folder.finalise()


def test_a_kill_at_every_system_call(tmp_path, monkeypatch):
    number = 0
    for number in itertools.count():
        path = tmp_path / str(number)
        with monkeypatch.context() as patch:
            kill_at(patch, number)
            try:
                with open_folder(path) as folder:
                    work(folder)
                break
            except Killed:
                pass
        with open_folder(path) as folder:
            num_done = len(folder.trials())
            step = step_of(folder)
            assert not [m for m in folder.messages if "checkpoint" in m]
            assert step in ({0: [None], 1: [None, 0], 2: [0, 1]}[num_done])
            work(folder)
        lines = (path / "trials.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == [record(0), record(1)]
        assert not [name for name in os.listdir(path) if name.endswith(".tmp")]
    assert number > 30


def test_kills_of_a_process_that_saves(path):
    program = f"""
import numpy as np
from lstm_jax.record import RunFolder
with RunFolder.open({str(path)!r}, {{}}, "x") as folder:
    loaded = folder.load_checkpoint()
    step = 0 if loaded is None else int(loaded[0]["step"])
    start = step
    while True:
        step += 1
        folder.append_trial({{"trial": step}})
        if step == start + 1:
            print("go", flush=True)  # a busy machine may get no further before the kill
        folder.save_checkpoint({{"step": np.asarray(step), "w": np.ones(20_000)}}, {{}})
"""
    rng = np.random.default_rng(0)
    reached = 0
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"go\n"
            time.sleep(rng.uniform(0.05, 0.2))
            child.send_signal(signal.SIGKILL)
        with RunFolder.open(path, {}, "x") as folder:
            step, trials = step_of(folder), [r["trial"] for r in folder.trials()]
            assert not [m for m in folder.messages if "checkpoint" in m]
        assert trials == list(range(1, len(trials) + 1))
        assert len(trials) - (step or 0) in (0, 1)
        assert len(trials) > reached
        reached = len(trials)


# ---- a power cut


class Disk:
    """What is left when the power goes: files and folders as they were when last synced."""

    def __init__(self, monkeypatch):
        self.contents: dict[int, bytes] = {}  # by inode
        self.names: dict[int, dict[str, int]] = {}  # of a folder's inode: name -> inode
        self.paths: dict[int, Path] = {}  # by descriptor
        self.open, self.fsync = os.open, os.fsync
        monkeypatch.setattr(os, "open", self.opened)
        monkeypatch.setattr(os, "fsync", self.synced)

    def opened(self, path, flags, *mode):
        fd = self.open(path, flags, *mode)
        self.paths[fd] = Path(path)
        if flags & os.O_TRUNC:  # a new file may have the number of one that was replaced
            self.contents.pop(os.fstat(fd).st_ino, None)
        return fd

    def synced(self, fd):
        self.fsync(fd)
        path = self.paths[fd]
        if path.is_dir():
            names = {file.name: file.stat().st_ino for file in path.iterdir()}
            self.names[path.stat().st_ino] = names
        else:
            self.contents[os.fstat(fd).st_ino] = path.read_bytes()

    def after_a_cut(self, folder, copy):
        """The folder as the next start of the machine finds it."""
        copy.mkdir()
        for name, inode in self.names[folder.stat().st_ino].items():
            (copy / name).write_bytes(self.contents.get(inode, b""))
        return copy


LASTS = {  # what is written, and what must be there however soon the power goes
    "a trial": (lambda f: f.append_trial(record(0)), lambda f: f.trials() == [record(0)]),
    "another": (lambda f: f.append_trial(record(1)), lambda f: len(f.trials()) == 2),
    "a checkpoint": (lambda f: f.save_checkpoint(arrays(1), {}), lambda f: step_of(f) == 1),
    "the next": (lambda f: f.save_checkpoint(arrays(2), {}), lambda f: step_of(f) == 2),
    "the order": (lambda f: f.finalise(), lambda f: len(f.trials()) == 2),
    "a result": (lambda f: f.write_result({"best": 3}), lambda f: f.read_result() == {"best": 3}),
}


def test_a_power_cut_takes_nothing_that_was_written(path, tmp_path, monkeypatch):
    """Each is on disk when its call returns: the bytes, and the name they are found by."""
    disk = Disk(monkeypatch)
    with open_folder(path) as folder:
        for what, (write, is_there) in LASTS.items():
            write(folder)
            with open_folder(disk.after_a_cut(path, tmp_path / what)) as found:
                assert is_there(found), what
                assert not found.messages, what


# ---- a full disk


def full_after(monkeypatch, room):
    """A disk with `room` bytes left: a write takes what fits, the next one none."""
    write = os.write

    def limited(fd, data):
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        num = write(fd, data[: min(room, len(data))])
        room -= num
        return num

    monkeypatch.setattr(os, "write", limited)


WRITES = {
    "trials.jsonl": lambda folder: folder.append_trial(record(1)),
    "checkpoint.npz": lambda folder: folder.save_checkpoint(arrays(2), {}),
    "curves.npz": lambda folder: folder.save_curves({0: np.zeros(9, np.float32)}, 1000),
    "provenance.json": lambda folder: folder.write_provenance(),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("room", [0, 1, 40])
def test_a_full_disk_keeps_what_was_there(path, monkeypatch, name, room):
    with open_folder(path) as folder:
        folder.append_trial(record(0))
        folder.save_checkpoint(arrays(1), {})
        folder.save_curves({}, 1000)
        folder.write_provenance()
        before = {p.name: p.read_bytes() for p in path.iterdir()}
        with monkeypatch.context() as patch:
            full_after(patch, room)
            with pytest.raises(RunFolderError) as error:
                WRITES[name](folder)
        line = str(error.value)
        assert f"{name} could not be written (No space left on device)" in line
        assert "is kept" in line
        assert "\n" not in line
        assert {p.name: p.read_bytes() for p in path.iterdir()} == before
        WRITES[name](folder)  # there is room again


def test_a_full_disk_at_the_start(path, refused, monkeypatch):
    with monkeypatch.context() as patch:
        full_after(patch, 10)
        assert "config.json could not be written (No space left on device)" in refused()
    open_folder(path).close()


def test_a_size_limit_of_the_system(path):
    program = f"""
import resource
from lstm_jax.record import RunFolder, RunFolderError
with RunFolder.open({str(path)!r}, {{}}, "x") as folder:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    try:
        for trial in range(100):
            folder.append_trial({{"trial": trial, "text": "x" * 20}})
    except RunFolderError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stderr == ""
    assert "trials.jsonl could not be written (File too large)" in done.stdout
    with RunFolder.open(path, {}, "x") as folder:
        assert [r["trial"] for r in folder.trials()] == [0, 1]
        assert folder.messages == []
