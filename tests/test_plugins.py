"""Cells from files and from installed distributions, and what is said where there is none."""

import hashlib
import json
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from configs.adding import FIELDS as ADDING
from configs.char_lm import FIELDS as CHAR_LM
from lstm_jax import plugins
from lstm_jax.build import build_trial
from lstm_jax.cells import CELLS
from lstm_jax.config import make_config
from lstm_jax.fitting.command import open_folder
from lstm_jax.plugins import find_cell, find_oracle, source_hash
from lstm_jax.record.refusal import RunFolderError
from lstm_jax.rows import Row, open_row

FILE = """
from lstm_jax import lstm
from lstm_jax.cells import elman as borrowed

loaded = []
number = 3

def mine(input_size, hidden_size):
    return lstm(input_size, hidden_size)

def other(input_size, hidden_size, *, depth=1):
    return borrowed(input_size, hidden_size)

def mine_oracle(params, state, xs):
    return state, xs

other_oracle = 4
_hidden = mine
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="cells.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def installed(monkeypatch):
    """Stands in for the entry points of the distributions that are installed."""

    def install(**values):
        points = [EntryPoint(name, value, plugins.GROUP) for name, value in values.items()]
        monkeypatch.setattr(plugins, "entry_points", lambda group: points)

    return install


@pytest.mark.parametrize("name", CELLS)
def test_a_name_of_the_library(name):
    assert find_cell(name) is CELLS[name]
    assert find_oracle(name) is None


def test_a_function_of_a_file(write):
    path = write(FILE)
    cell = find_cell(f"{path}:mine")(2, 3)
    assert (cell.name, cell.input_size, cell.output_size) == ("lstm", 2, 3)
    assert find_oracle(f"{path}:mine")(None, 1, 2) == (1, 2)


def test_a_file_is_read_once(write):
    path = write(FILE)
    first = find_cell(f"{path}:mine")
    write("raise SystemError")
    assert find_cell(f"{path}:mine") is first
    assert find_cell(f"{path}:other").__module__ == first.__module__


def test_files_of_the_same_name_are_different_modules(write):
    here, there = write(FILE), write(FILE.replace("lstm(", "borrowed("), "sub/cells.py")
    assert find_cell(f"{here}:mine")(2, 3).name == "lstm"
    assert find_cell(f"{there}:mine")(2, 3).name == "elman"


def test_a_file_of_the_working_folder(write, tmp_path, monkeypatch):
    write(FILE)
    monkeypatch.chdir(tmp_path)
    assert find_cell("cells.py:mine").__name__ == "mine"


def test_nothing_is_left_behind(write, tmp_path):
    before = list(sys.path)
    find_cell(f"{write(FILE)}:mine")
    assert sys.path == before
    assert [file.name for file in tmp_path.iterdir()] == ["cells.py"]  # no bytecode either


def test_a_failed_file_is_read_again(write):
    path = write("import no_such_module")
    with pytest.raises(ValueError, match="no_such_module"):
        find_cell(f"{path}:mine")
    write(FILE)
    assert find_cell(f"{path}:mine").__name__ == "mine"


def test_an_entry_point(installed):
    installed(theirs="lstm_jax.cells.elman:elman")
    assert find_cell("theirs") is CELLS["elman"]
    assert find_oracle("theirs") is None
    assert find_cell("lstm") is CELLS["lstm"]


def refused(name):
    with pytest.raises(ValueError) as caught:
        find_cell(name)
    text = str(caught.value)
    assert "\n" not in text and text.startswith("cell")
    return text


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("lstn", ["lstn", "nearest", "lstm", "path/to/file.py:name"]),
        ("zzzz", ["zzzz", "valid", "elman", "path/to/file.py:name"]),
        ("no_such_folder/file.py:mine", ["no_such_folder/file.py:mine", "no such file"]),
    ],
)
def test_a_name_that_is_none(name, parts):
    text = refused(name)
    assert all(part in text for part in parts), text


@pytest.mark.parametrize(
    ("text", "suffix", "parts"),
    [
        (FILE, ":mime", ["no such name in it", "nearest: mine", "valid: mine, other"]),
        (FILE, ":zzzz", ["no such name in it", "valid: mine, other"]),
        (FILE, "", ["which function", ":NAME", "mine, other"]),
        (FILE, ":number", ["an int", "(input_size, hidden_size, **options)"]),
        ("x = 1\n", ":mine", ["no functions in it"]),
        ("x = 1\n", "", ["which function", "it defines none"]),
        ("x = 1\ndef mine(:\n", ":mine", ["line 2", "SyntaxError"]),
        ("x = 1\n\ny = zz\n", ":mine", ["line 3", "NameError", "'zz'"]),
        ("import beside\n", ":mine", ["line 1", "ModuleNotFoundError", "'beside'"]),
        ("raise SystemExit(3)\n", ":mine", ["line 1", "SystemExit"]),
        ("def f():\n    raise ValueError('a\\nb')\nf()\n", ":mine", ["line 2", "ValueError: a b"]),
    ],
)
def test_a_file_that_will_not_do(write, text, suffix, parts):
    write("", "beside.py")  # its folder is not on the path: what it imports must be installed
    said = refused(write(text) + suffix)
    assert all(part in said for part in ["cells.py", *parts]), said


def test_a_misspelt_file(write, tmp_path):
    write(FILE)
    assert "nearest: " + str(tmp_path / "cells.py") in refused(str(tmp_path / "cell.py") + ":mine")


def test_an_entry_point_that_will_not_do(installed):
    installed(gone="no_such_module:cell", number="sys:maxsize", theirs="lstm_jax.cells.elman:elman")
    assert "no_such_module" in refused("gone")
    assert "an int" in refused("number")
    assert "nearest: theirs" in refused("their")


def test_two_entry_points_of_one_name(monkeypatch):
    values = ("lstm_jax.cells.elman:elman", "lstm_jax.cells.lstm:lstm")
    points = [EntryPoint("theirs", value, plugins.GROUP) for value in values]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    assert all(value in refused("theirs") for value in values)


def test_an_oracle_that_is_no_function(write):
    with pytest.raises(ValueError, match="other_oracle is an int"):
        find_oracle(f"{write(FILE)}:other")


def test_the_hash_of_a_file_is_that_of_its_text(write):
    given = f"{write(FILE)}:mine"
    before = source_hash(given)
    assert before == hashlib.sha256(FILE.encode()).hexdigest()
    write(FILE + "# changed\n")
    assert source_hash(given) != before
    assert source_hash("lstm") is None


def open_trials(path, cell):
    config = make_config(ADDING, cell=cell, gradient_rule="bptt")
    return open_row(path, Row("t100", config, build_trial(config), None, ""))


def open_fit(path, cell):
    problem = SimpleNamespace(identity={"sha256_of_text": "4e1f"})
    return open_folder(path, "warpeace", make_config(CHAR_LM, cell=cell), problem)


@pytest.mark.parametrize("opened", [open_trials, open_fit])
def test_a_run_goes_on_with_the_text_of_its_cell_alone(opened, write, tmp_path):
    """A comment more is another text, for nobody reads it here."""
    own, folder = f"{write(FILE)}:mine", tmp_path / "run"
    opened(folder, own).close()
    file = folder / "config.json"
    kept = json.loads(file.read_text())
    said = kept["config"].pop("sha256_of_cell")
    assert said == hashlib.sha256(FILE.encode()).hexdigest()
    file.write_text(json.dumps(kept))  # as an earlier version wrote it
    opened(folder, own).close()
    assert json.loads(file.read_text())["config"]["sha256_of_cell"] == said
    write(FILE + "# changed\n")
    with pytest.raises(RunFolderError, match="holds a different run: sha256_of_cell is"):
        opened(folder, own)
    write(FILE)
    opened(folder, own).close()
    opened(tmp_path / "other", "lstm").close()
    assert "sha256_of_cell" not in (tmp_path / "other" / "config.json").read_text()
