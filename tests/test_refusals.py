"""Bad input at every command: one line, status 2, nothing lost, nothing left behind."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import pytest

import benchmarks.__main__ as speed
import benchmarks.kernels as kernels
from experiments import deviations
from experiments.ablation import ABLATION
from experiments.char_lm import EXPERIMENT as CHAR_LM
from experiments.drift import STUDY as DRIFT
from experiments.error_flow import STUDY as ERROR_FLOW
from experiments.music import run as music
from experiments.paper1997 import PAPER
from experiments.sentiment import _kept_answers
from lstm_jax.ablation import main as ablation
from lstm_jax.ablation.design import groups_of, points_of
from lstm_jax.ablation.running import line_of
from lstm_jax.ablation.running import load as load_groups
from lstm_jax.config import FITTING, make_config, refusals
from lstm_jax.config.fields import ConfigError
from lstm_jax.data.chorales import read_pieces
from lstm_jax.data.errors import DataError
from lstm_jax.data.series import load_series
from lstm_jax.data.signals import load_signals
from lstm_jax.experiment import config_on_file
from lstm_jax.fitting import main as fit
from lstm_jax.fitting.inspecting import config_of_fit
from lstm_jax.language.command import epoch_seconds
from lstm_jax.paper import main as paper
from lstm_jax.plugins import find_cell, make_cell
from lstm_jax.probing import main as probe
from lstm_jax.probing.command import GROUPS
from lstm_jax.record import RunFolder
from lstm_jax.record.counted import counted_by
from lstm_jax.record.opening import held_folder
from lstm_jax.record.provenance import sessions_on_file
from lstm_jax.record.reading import find_runs, read_run
from lstm_jax.record.refusal import RunFolderError
from lstm_jax.record.since import BEFORE
from lstm_jax.rows import training_cost

ROOT = Path(__file__).resolve().parents[1]
SMOKE = "--config=configs/ablation.py:smoke"
SEARCH = "--config=configs/music.py:odyssey"


def refused(call, capsys):
    """The one line that a command ends with, and nothing beside it."""
    with pytest.raises(SystemExit) as ended:
        call()
    said = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2 and len(said) == 1 and said[0].startswith("error: "), said
    return said[0]


# ---- what is told in one line, and what is not


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (ConfigError("config.T=1: no"), "config.T=1: no"),
        (OSError(28, "No space left on device"), "No space left"),
        (MemoryError("Unable to allocate 7 TiB\nfor an array"), "(Unable to allocate 7 TiB)"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."), "smaller batches"),
    ],
)
def test_a_refusal_ends_with_one_line(error, part, capsys):
    def call():
        with refusals():
            raise error

    assert part in refused(call, capsys)


@pytest.mark.parametrize("fault", [RuntimeError("INTERNAL"), TypeError("x"), KeyError("x")])
def test_a_fault_of_the_program_is_no_refusal(fault):
    with pytest.raises(type(fault)), refusals():
        raise fault


def test_every_refusal_keeps_its_traceback_where_one_is_asked_for(monkeypatch):
    monkeypatch.setenv("LSTM_JAX_TRACEBACK", "1")
    with pytest.raises(ConfigError, match="no"), refusals():
        raise ConfigError("config.T=1: no")


# ---- a cell of one's own


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("def c(i, h):\n    raise RuntimeError('boo\\nand more')", ("be made", "line 2", "boo")),
        ("def c(i, h):\n    return None", ("a NoneType", "lstm_jax.Cell")),
        ("def c():\n    return 1", ("cannot be made", "TypeError")),
        ("def c(i, h):\n    raise SystemExit(0)", ("cannot be made", "line 2", "SystemExit")),
        (
            """
            from lstm_jax import lstm
            def c(i, h):
                def step(params, state, x):
                    raise SystemExit(0)
                return lstm(i, h)._replace(step=step)
            """,
            ("a step of it does not run", "line 5", "SystemExit"),
        ),
        (
            """
            from lstm_jax import lstm
            def c(i, h):
                def step(params, state, x):
                    return state, x @ params.w_z
                return lstm(i, h)._replace(step=step)
            """,
            ("a step of it does not run", "line 5", "python -m lstm_jax.conformance"),
        ),
    ],
)
def test_a_cell_that_does_not_run_is_told_before_anything_compiles(tmp_path, text, parts):
    (tmp_path / "own.py").write_text(textwrap.dedent(text))
    name = f"{tmp_path}/own.py:c"
    with pytest.raises(ValueError, match="^cell ") as error:
        make_cell(name, find_cell(name), 3, 5)
    said = str(error.value)
    assert "\n" not in said and all(part in said for part in parts), said


def test_what_a_cell_itself_refuses_is_left_in_its_words(tmp_path):
    (tmp_path / "own.py").write_text("def c(i, h):\n    raise ValueError('h must be even')\n")
    name = f"{tmp_path}/own.py:c"
    with pytest.raises(ValueError, match="^h must be even$"):
        make_cell(name, find_cell(name), 3, 5)


def test_a_sweep_with_a_cell_that_does_not_run_says_so_first(tmp_path, capsys):
    (tmp_path / "own.py").write_text("def c(i, h):\n    return None\n")
    argv = [SMOKE, f"--config.cells=V,{tmp_path}/own.py:c", f"--workdir={tmp_path / 'run'}"]
    for more in ([], ["--dry_run"]):
        assert "a NoneType" in refused(lambda more=more: ablation(ABLATION, argv + more), capsys)
    assert not (tmp_path / "run").exists()


# ---- folders of records that are no run folders


def test_settings_that_may_change_take_the_place_of_those_on_file(tmp_path):
    with held_folder(tmp_path, {"T": 1, "minutes": 5}, say=print, free=("minutes",)):
        pass
    first = (tmp_path / "config.json").read_bytes()
    with held_folder(tmp_path, {"T": 1, "minutes": 9}, say=print, free=("minutes",)):
        assert json.loads((tmp_path / "config.json").read_bytes()) == {"T": 1, "minutes": 9}
    assert first != (tmp_path / "config.json").read_bytes()
    other = held_folder(tmp_path, {"T": 2, "minutes": 9}, say=print, free=("minutes",))
    with pytest.raises(RunFolderError, match="T is 1 there and 2 here"), other:
        pass
    assert json.loads((tmp_path / "config.json").read_bytes()) == {"T": 1, "minutes": 9}


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("config.json", b'{"rows": ["sm', "config.json is damaged"),
        ("config.json", b"[1]", "is not of a sweep"),
        ("config.json", b'{"format": "lstm_jax run 1", "config": {}}', "is not of a sweep"),
        ("letter.txt", b"dear", "holds no run"),
    ],
)
def test_a_folder_of_something_else_is_left_alone(tmp_path, name, content, part, capsys):
    (tmp_path / name).write_bytes(content)
    assert part in refused(lambda: ablation(ABLATION, [SMOKE, f"--workdir={tmp_path}"]), capsys)
    assert (tmp_path / name).read_bytes() == content


HOLD = """
import sys
from pathlib import Path
from lstm_jax.record import RunFolder
from lstm_jax.record.counted import counted_by
from lstm_jax.record.opening import held_folder
with held_folder(Path(sys.argv[1]), say=print):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_share_a_folder_of_records(tmp_path, capsys):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        (tmp_path / "config.json").write_text("{}")
        argv = [SMOKE, f"--workdir={tmp_path}"]
        said = refused(lambda: ablation(ABLATION, argv), capsys)
        assert f"in use by a live process (process {holder.pid})" in said
    finally:
        holder.communicate()
    with held_folder(tmp_path, say=print):
        pass


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b'{"sessions": 3}', b'{"sessions": ["x"]}', b"\xff", b"{"]
)
def test_a_damaged_provenance_is_no_reason_to_end(tmp_path, content):
    (tmp_path / "provenance.json").write_bytes(content)
    assert sessions_on_file(tmp_path) == []


def test_times_that_are_no_numbers_stop_no_run(tmp_path):
    told = {"sessions": [{"wall_seconds": None, "epoch_seconds": None}, {"wall_seconds": 2}]}
    told["sessions"].append({"epoch_seconds": {"0": 3.0, "1": "long"}})
    (tmp_path / "provenance.json").write_text(json.dumps(told))
    assert training_cost(tmp_path)["wall_seconds"] == 2
    assert epoch_seconds(tmp_path) == 3
    with RunFolder.open(tmp_path / "run", {"num_trials": 1}, "row") as folder:
        folder.write_file("provenance.json", json.dumps(told).encode())
        folder.write_provenance(device_kind="cpu", num_devices=1)
    assert len(sessions_on_file(tmp_path / "run")) == 4


DEEP = b"[" * 100_000


def test_files_nested_beyond_reason_are_damaged_ones(tmp_path):
    run = tmp_path / "run"
    with RunFolder.open(run, {"num_trials": 1}, "row") as folder:
        folder.append({"trial": 0, "status": "SOLVED", "num_sequences": 5})
    (run / "provenance.json").write_bytes(DEEP)
    assert read_run(run).sessions == []
    for name in ("result.json", "trials.jsonl", "config.json"):
        (run / name).write_bytes(DEEP + b"\n")
        assert find_runs(run) == [run]
        with pytest.raises(RunFolderError, match=f"{name} is damaged"):
            read_run(run)
    with pytest.raises(RunFolderError, match="config.json is damaged .nested too deep"):
        RunFolder.open(run, {"num_trials": 1}, "row")


def test_a_report_on_nothing_leaves_nothing(tmp_path, capsys):
    assert "no finished row" in refused(
        lambda: paper(PAPER, ["--report", f"--workdir={tmp_path}"]), capsys
    )
    argv = [SEARCH, "--report", f"--workdir={tmp_path / 'none'}"]
    assert "no finished trial" in refused(lambda: music(argv), capsys)
    assert not list(tmp_path.iterdir())


# ---- fits


def test_weights_that_do_not_fit_leave_no_folder(tmp_path, capsys):
    run = tmp_path / "run"
    argv = ["--config=configs/char_lm.py:smoke", f"--workdir={run}"]
    for more in ([], ["--dry_run"]):
        given = [*argv, f"--config.init_from={tmp_path}", *more]
        with jax.numpy_dtype_promotion("standard"):
            assert fit(CHAR_LM, given) == 2
        assert capsys.readouterr().err.count("error: config.init_from=") == 1
    assert not run.exists()


# ---- data


def test_numbers_that_no_array_holds(tmp_path):
    file = tmp_path / "own.json"
    file.write_text(f"[[[{'9' * 5000}]]]")
    with pytest.raises(DataError, match=r"own\.json: not JSON: Exceeds"):
        read_pieces(file)
    file = tmp_path / "own.csv"
    file.write_text("date,rain\n1900,1\n1901,1e30\n")
    with pytest.raises(DataError, match=r"own\.csv: line 3, column rain: 1e30 is too large"):
        load_series(str(file), "rain")
    head = "@classLabel true a b\n@data\n"
    for part in ("TRAIN", "TEST"):
        (tmp_path / f"own_{part}.ts").write_text(f"{head}1,2:3,4:a\n1,1e39:3,4:b\n")
    with pytest.raises(DataError, match=r"own_TRAIN\.ts: line 4: a value is too large"):
        load_signals(str(tmp_path / "own"))
    with pytest.raises(DataError, match=r"no file .*other_TRAIN\.ts.*\(vowels\)"):
        load_signals(str(tmp_path / "other"))


# ---- programs without a config


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: deviations.main(["--nope"]), "--nope: no such flag"),
        (lambda: speed.parse(["--repeats=0"]), "--repeats: '0' is not a whole number"),
        (lambda: speed.parse(["--nope"]), "unrecognized arguments: --nope"),
        (lambda: speed.parse(["--json=no/such/folder/x"]), "cannot be written"),
    ],
)
def test_flags_of_programs_without_a_config(call, part, capsys):
    assert part in refused(call, capsys)


def test_a_file_to_write_to_is_not_made_before_there_is_something_in_it(tmp_path):
    assert speed.parse([f"--json={tmp_path / 'x.json'}"]).json == tmp_path / "x.json"
    (tmp_path / "old.json").write_text("kept")
    assert speed.parse([f"--json={tmp_path / 'old.json'}"]).json.read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]


def test_a_pipe_is_not_replaced_by_a_file(tmp_path, capsys):
    run = tmp_path / "run"
    for name in ("pipe", "x.png"):
        os.mkfifo(tmp_path / name)
    for name in ("pipe", "x.mid"):  # the second one's picture is x.png
        argv = [f"--generate={tmp_path / name}", f"--workdir={run}"]
        assert "is there and is no file" in refused(lambda argv=argv: music(argv), capsys)
    argv = [f"--json={tmp_path / 'pipe'}"]
    assert "is there and is no file" in refused(lambda: speed.parse(argv), capsys)
    argv = [f"--generate={tmp_path / 'y.png'}", f"--workdir={run}"]
    assert "its picture has that name" in refused(lambda: music(argv), capsys)
    assert all((tmp_path / name).is_fifo() for name in ("pipe", "x.png"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pipe", "x.png"]


def test_the_shape_of_a_benchmark_is_four_sizes():
    with pytest.raises(Exception, match="not four sizes"):
        kernels.sizes("1,2,3")


def test_a_stream_is_not_asked_for_a_length_beyond_reason():
    from configs.char_lm import FIELDS

    with pytest.raises(ConfigError, match="from 1 to 100000"):
        make_config(FIELDS, length=10**12)


# ---- records


@pytest.mark.parametrize("line", [b'{"epoch": 0}', b'{"epoch": 0, "train": {}, "step": 1}', b"3"])
def test_a_record_that_lacks_what_records_have_is_told_with_its_line(tmp_path, line):
    needs = counted_by({"num_epochs": 2}).needs
    whole = {"epoch": 1, "train": {}, "step": 2, "best": True}
    with RunFolder.open(tmp_path, {}, "row", unit="epoch", needs=needs) as folder:
        folder.append(whole)
    file = tmp_path / "epochs.jsonl"
    file.write_bytes(file.read_bytes() + line + b"\n")
    damaged = file.read_bytes()
    with pytest.raises(RunFolderError, match="line 2 is damaged"):
        RunFolder.open(tmp_path, {}, "row", unit="epoch", needs=needs)
    assert file.read_bytes() == damaged


def test_a_group_of_another_form_is_told_with_what_it_lacks(tmp_path):
    (line, *_) = (ROOT / "results/ablation/odyssey/groups.jsonl").read_text().splitlines()
    group = json.loads(line)
    file = tmp_path / "groups.jsonl"
    file.write_text(f"{line}\n")
    assert load_groups(file) == [group]
    del group["settings"]["max_sequences"]
    file.write_text(f"{line}\n{json.dumps(group)}\n")
    with pytest.raises(RunFolderError, match="in line 2 .settings.max_sequences is missing"):
        load_groups(file)


def test_a_run_is_read_whatever_its_provenance_says(tmp_path):
    with RunFolder.open(tmp_path, {"num_trials": 1}, "row") as folder:
        folder.append({"trial": 0, "status": "SOLVED", "num_sequences": 5})
    (tmp_path / "provenance.json").write_text('["no sessions here"]')
    assert read_run(tmp_path).sessions == [] and len(read_run(tmp_path).records) == 1


def test_a_run_of_another_experiment_writes_no_music(tmp_path, capsys):
    run, song = tmp_path / "run", tmp_path / "x.mid"
    with RunFolder.open(run, {"T": 100, "clip_norm": None}, "t100"):
        pass
    argv = [f"--generate={song}", f"--workdir={run}"]
    assert "config.json is not of a run of music" in refused(lambda: music(argv), capsys)


def test_a_value_of_another_version_is_told_with_its_file(tmp_path):
    with RunFolder.open(tmp_path, {"num_epochs": 1, "clip_norm": "much"}, "row", unit="epoch"):
        pass
    with pytest.raises(RunFolderError, match=r"config\.json is of another .*clip_norm=much"):
        config_of_fit(read_run(tmp_path), FITTING)


HASH = "4e1f" * 16
BASELINE = b'{"%s": [[0, 1, 1]]}' % HASH.encode()
OLD = b'{"sha256": "%s", "answers": [[0, 1, 1]]}' % HASH.encode()


@pytest.mark.parametrize("content", [BASELINE[:20], OLD, b"[[0, 1, 1]]", b"[" * 100_000])
def test_a_torn_baseline_is_made_again(tmp_path, content):
    """So is one of an earlier version, such as a bare list."""
    (tmp_path / "baseline.json").write_bytes(content)
    assert _kept_answers(tmp_path / "baseline.json") == {}
    (tmp_path / "baseline.json").write_bytes(BASELINE)
    (kept,) = _kept_answers(tmp_path / "baseline.json").items()
    assert kept[0] == HASH and kept[1].tolist() == [[0, 1, 1]]


# ---- Ctrl-C outside of a run, and a reader that is gone


def test_ctrl_c_outside_of_a_run_is_a_line_and_status_130(capsys):
    with pytest.raises(SystemExit) as ended, refusals():
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().err == "stopped at once; what is on file is kept\n"


def test_a_reader_that_is_gone_is_no_error():
    code = "from lstm_jax.config import refusals\nwith refusals():\n    print('x\\n' * 100_000)"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as program:
        assert program.stdout is not None and program.stderr is not None
        program.stdout.readline()
        program.stdout.close()
        assert program.stderr.read() == b""
    assert program.returncode == 141


# ---- records of earlier versions


def test_a_run_of_before_a_setting_had_a_name_is_resumed(tmp_path):
    """Whatever has come since stood at one value then; at another one now it is another run."""
    for name, value in BEFORE.items():
        path = tmp_path / name
        with RunFolder.open(path, {"T": 100}, "row"):
            pass
        with RunFolder.open(path, {"T": 100, name: value}, "row"):
            pass
        with pytest.raises(RunFolderError, match=f"{name} is .* there and .* here"):
            RunFolder.open(path, {"T": 100, name: "something else"}, "row")


@pytest.mark.parametrize("folder", sorted((ROOT / "results" / "error_flow").iterdir()))
def test_records_of_studies_are_found_by_the_settings_of_today(folder, tmp_path):
    """A new setting of trials must not hide what was measured before it: `record.since`.

    And with another value of one, which the study's tasks bring along, records are not today's.
    """
    study = DRIFT if folder.name.startswith("drift") else ERROR_FLOW
    config = config_on_file(study.fields, folder)
    assert None not in GROUPS.on_file(study.groups(config), folder)
    shutil.copytree(folder, tmp_path / "run")
    page = (folder / f"{study.name}.md").read_text()
    with jax.numpy_dtype_promotion("standard"):
        assert probe(study, ["--report", f"--workdir={tmp_path / 'run'}"]) == 0
    assert (tmp_path / "run" / f"{study.name}.md").read_text() == page


def test_records_of_the_ablation_are_found_by_the_settings_of_today():
    folder = ROOT / "results" / "ablation" / "odyssey"
    given = json.loads((folder / "config.json").read_text())
    tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    config = make_config(ABLATION.fields, **tuples)
    points = points_of(ABLATION, config)
    lines = load_groups(folder / "groups.jsonl")
    for group in groups_of(ABLATION, config, points, "sweep", config.num_seeds):
        assert line_of(group, lines) is not None, group.points[0]
