"""Settings and the command line: every kind of bad input is one line that helps."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict, FieldReference

from configs import adding
from lstm_jax.config import (
    ConfigError,
    Field,
    check_config,
    check_standard,
    check_value,
    describe_fields,
    make_config,
    parse_command_line,
    row_configs,
    valid_values,
)

ROOT = Path(__file__).resolve().parents[1]
EXTRA = {"json": Field("", "file for the record"), "fast": Field(False, "skip the slow part")}


def parse(*argv, **others):
    return parse_command_line(
        argv,
        fields=adding.FIELDS,
        default_config_path="configs/adding.py",
        arg_names=adding.ARGS,
        usage="python -m experiments.adding: the adding problem",
        extra_flags=EXTRA,
        check=check_standard,
        **others,
    )


@pytest.fixture
def complaint(capsys):
    """The one line on stderr that a command line ends with."""

    def of(*argv):
        with pytest.raises(SystemExit) as ended:
            parse(*argv)
        assert ended.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert err.endswith("\n")
        assert "Traceback" not in err
        return err

    return of


# ---- what is right


def test_without_arguments_the_default_row_wherever_the_user_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = parse()
    assert line.config_arg == "t100"
    assert line.config.T == 100
    assert line.workdir is None
    assert line.dry_run is False
    assert line.overrides == {}
    assert line.extra == {"json": "", "fast": False}
    assert dict(line.config.items()) == {name: f.default for name, f in adding.FIELDS.items()}


def test_a_file_of_the_same_name_is_not_taken_for_the_default(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "adding.py").write_text("raise RuntimeError('not this one')")
    monkeypatch.chdir(tmp_path)
    assert parse().config.T == 100


def test_overrides_need_no_config_flag():
    line = parse("--config.T=50", "--config.learning_rate=1", "--config.num_lanes", "3")
    assert (line.config.T, line.config.learning_rate, line.config.num_lanes) == (50, 1.0, 3)
    assert type(line.config.learning_rate) is float
    assert line.overrides == {"T": 50, "learning_rate": 1.0, "num_lanes": 3}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(-1,-2)", (-1.0, -2.0)),
        ("-1,-2.5", (-1.0, -2.5)),
        ("[-1, -2]", (-1.0, -2.0)),
        ("()", ()),
        ("", ()),
    ],
)
def test_tuples(text, value):
    config = parse(f"--config.input_gate_bias={text}").config
    assert repr(config.input_gate_bias) == repr(value)


def test_a_tuple_of_one_number():
    line = parse("--config.num_blocks=1", "--config.input_gate_bias=-3")
    assert line.config.input_gate_bias == (-3.0,)


def test_the_other_flags():
    line = parse(
        "--config=configs/adding.py:t500",
        "--workdir=runs/x",
        "--dry_run",
        "--json=a.json",
        "--fast",
    )
    assert line.config_arg == "t500"
    assert line.config.T == 500
    assert line.workdir == "runs/x"
    assert line.dry_run
    assert line.extra == {"json": "a.json", "fast": True}


def test_auto_takes_a_choice_back():
    assert parse("--config.num_lanes=4", "--config.num_lanes=auto").config.num_lanes is None


@pytest.mark.parametrize("arg", list(adding.ARGS))
def test_every_arg_has_a_config_that_passes_the_checks(arg):
    line = parse(f"--config=configs/adding.py:{arg}")
    rows = row_configs(line, adding.get_config)
    assert tuple(row for row, _ in rows) == line.config.rows
    for row, config in rows:
        assert dict(config.items()) == dict(adding.get_config(row).items())


def test_overrides_are_laid_over_every_row():
    line = parse("--config=configs/adding.py:table7", "--config.seed=5", "--config.num_trials=2")
    rows = dict(row_configs(line, adding.get_config))
    assert {row: config.T for row, config in rows.items()} == {
        "t100": 100,
        "t500": 500,
        "t1000": 1000,
    }
    assert {(config.seed, config.num_trials) for config in rows.values()} == {(5, 2)}
    assert all(config.rows == (row,) for row, config in rows.items())


def test_rows_can_be_chosen():
    line = parse("--config.rows=('t500','smoke')")
    assert [(row, config.T) for row, config in row_configs(line)] == [("t500", 500), ("smoke", 20)]
    assert [config.T for _, config in row_configs(parse("--config.rows=t500"))] == [500]


def test_parsing_leaves_nothing_behind():
    first = parse("--config=configs/adding.py:t500", "--config.seed=3", "--dry_run")
    second = parse()
    assert (second.config.T, second.config.seed, second.dry_run) == (100, 0, False)
    assert (first.config.T, first.config.seed, first.dry_run) == (500, 3, True)


def test_a_config_file_of_the_users_own(tmp_path, monkeypatch):
    text = """
from __future__ import annotations
import dataclasses
from configs import adding
from lstm_jax.config import make_config

@dataclasses.dataclass
class Size:
    T: int

def get_config(arg="wide"):
    return make_config(adding.FIELDS, T=Size(60).T, rows=(arg,))
"""
    (tmp_path / "mine.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert parse("--config=mine.py").config_arg == "wide"
    line = parse(f"--config={tmp_path}/mine.py:broad", "--config.seed=1")
    [(row, config)] = row_configs(line)
    assert (row, config.T, config.seed) == ("broad", 60, 1)
    (tmp_path / "mine.py").write_text(text.replace("60", "70"))  # same size, same second
    assert parse("--config=mine.py").config.T == 70


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpfull"])
def test_help_lists_every_field_and_arg(flag, capsys):
    with pytest.raises(SystemExit) as ended:
        parse("--config.T=oops", flag)
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    for name, field in adding.FIELDS.items():
        assert f"  --config.{name}=" in out
        assert field.meaning.split()[0] in out
    for arg, meaning in adding.ARGS.items():
        assert f"{arg} " in out
        assert meaning in out
    assert all(len(line) <= 100 for line in out.splitlines())


def test_the_defaults_in_the_help_can_be_typed():
    argv = [f"--config.{name}=" for name in adding.FIELDS]
    shown = [line.strip() for line in describe_fields(adding.FIELDS).splitlines()]
    typed = [line for line in shown if line.startswith(tuple(argv))]
    assert len(typed) == len(argv)
    assert dict(parse(*typed).config.items()) == dict(parse().config.items())


# ---- what is wrong


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        # a misspelt key
        (["--config.learing_rate=1"], ["config.learing_rate", "nearest: learning_rate"]),
        (["--config.t=50"], ["config.t:", "nearest: T"]),
        (["--config.qqq=1"], ["config.qqq", "valid: seed, num_trials"]),
        (["--config.cell.size=4"], ["config.cell.size", "no such field"]),
        # a wrong type
        (["--config.T=ten"], ["config.T=ten: must be an integer from 11"]),
        (["--config.num_trials=4.5"], ["config.num_trials=4.5: must be an integer from 1"]),
        (["--config.num_trials=1e2"], ["config.num_trials=1e2"]),
        (["--config.learning_rate=fast"], ["config.learning_rate=fast: must be a number > 0"]),
        (["--config.T="], ["config.T=: must be an integer"]),
        (["--config.input_gate_bias=a,b"], ["config.input_gate_bias=", "a tuple of numbers"]),
        (["--config.input_gate_bias=(1,"], ["config.input_gate_bias=", "num_blocks=2"]),
        (["--config.num_lanes=many"], ["config.num_lanes=many", "or auto"]),
        # an impossible value
        (["--config.T=3"], ["config.T=3: must be an integer from 11"]),
        (["--config.num_lanes=0"], ["config.num_lanes=0: must be an integer from 1"]),
        (["--config.chunk=-5"], ["config.chunk=-5"]),
        (["--config.learning_rate=-0.5"], ["config.learning_rate=-0.5: must be a number > 0"]),
        (["--config.learning_rate=nan"], ["config.learning_rate=nan"]),
        (["--config.learning_rate=inf"], ["config.learning_rate=inf"]),
        (["--config.learning_rate=1e999"], ["config.learning_rate=inf"]),
        (["--config.seed=-1"], ["config.seed=-1: must be an integer from 0 to 4294967295"]),
        (["--config.max_sequences=99999999999"], ["from 1 to 2147483647"]),
        (["--config.cell=lstm79"], ["config.cell=lstm79", "FILE.py:NAME; nearest: lstm97"]),
        (["--config.cell=qru"], ["config.cell=qru: must be one of lstm97, lstm, gru, elman"]),
        # fields that contradict each other
        (["--config.cell=lstm"], ["config.gradient_rule=traces", "config.cell=lstm97", "bptt"]),
        (["--config.num_blocks=3"], ["config.input_gate_bias=-3.0,-6.0:", "num_blocks=3"]),
        (["--config.bias=none"], ["config.input_gate_bias", "config.bias=none"]),
        (["--config.kernel=lanes", "--config.batch_size=2"], ["config.kernel=lanes"]),
        # rows
        (["--config.rows=t50"], ["t50", "nearest: t500", "smoke"]),
        (["--config.rows=table7"], ["config.rows=table7:", "t100, t500, t1000"]),
        (["--config.rows=()"], ["config.rows=()"]),
        (["--config.rows=t100,t100"], ["different rows"]),
        (["--config.rows=../t100"], ["config.rows", "../t100"]),
        # flags
        (["--config.T=50", "--config=configs/adding.py"], ["--config.T=50: comes before"]),
        (["--wrkdir=x"], ["--wrkdir: no such flag", "nearest: workdir"]),
        (["--noconfig.T"], ["--noconfig.T"]),
        (["--workdir"], ["--workdir"]),
        (["--workdir="], ["--workdir="]),
        (["--dry_run=perhaps"], ["dry_run", "perhaps"]),
        (["--fast=perhaps"], ["fast", "perhaps"]),
        (["t500"], ["t500", "--config=configs/adding.py:t500"]),
        (["runs/x"], ["runs/x: every argument is a flag"]),
        (["--flagfile=absent.txt"], ["error: Unable", "absent.txt"]),
        # config files and ARGs
        (["--config=configs/adding.py:t50"], ["t50: no such ARG; nearest: t500", "table7"]),
        (["--config=configs/adding.py:"], ["no such ARG", "smoke, t100"]),
        (["--config=t500"], ["no such file; for that row: --config=configs/adding.py:t500"]),
        (["--config=:t500"], ["no such file; for that row: --config=configs/adding.py:t500"]),
        (["--config=configs/ading.py"], ["no such file; nearest: configs/adding.py"]),
        (["--config=configs/ading.py:t500"], ["no such file; nearest: configs/adding.py"]),
        (["--config="], ["--config=", "no such file"]),
        (["--config=configs"], ["--config=configs", "no such file"]),
    ],
    ids=" ".join,
)
def test_one_line_says_what_is_wrong(complaint, argv, parts):
    line = complaint(*argv)
    for part in parts:
        assert part in line


MINE = """from configs import adding
from lstm_jax.config import make_config
from ml_collections import ConfigDict
values = dict(adding.get_config().items())
"""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("def get_config(:", ["line 1", "SyntaxError"]),
        ("import sys\nraise OSError('no\\nluck')", ["line 2: OSError: no luck"]),
        ("raise SystemExit(0)", ["line 1: SystemExit"]),
        ("import no_such_module_at_all", ["line 1", "no_such_module_at_all"]),
        ("x = 1", ["must define get_config"]),
        ("def get_config():\n  pass", ["must return a ConfigDict, got NoneType"]),
        ("def get_config():\n  return {}['a']", ["line 2: KeyError: 'a'"]),
        ("def get_config(arg):\n  pass", ["needs an ARG", "mine.py:ARG"]),
        ("values['lerning_rate'] = 1.0", ["mine.py", "config.lerning_rate", "learning_rate"]),
        ("del values['T'], values['seed']", ["mine.py", "does not set seed, T"]),
        ("values['T'] = 3", ["mine.py", "config.T=3: must be"]),
        ("values['T'] = None", ["config.T=None: must be"]),
        ("values['T'] = 100.0", ["config.T=100.0: must be an integer"]),
        ("values['rows'] = 't100'", ["config.rows=t100: must be a tuple"]),
    ],
)
def test_a_bad_config_file_of_the_users_own(complaint, tmp_path, text, parts):
    if text.startswith(("values", "del")):
        text = f"{MINE}{text}\ndef get_config():\n  return ConfigDict(values)"
    (tmp_path / "mine.py").write_text(text)
    line = complaint(f"--config={tmp_path}/mine.py")
    for part in [str(tmp_path / "mine.py"), *parts]:
        assert part in line


def test_an_arg_for_a_file_that_takes_none(complaint, tmp_path):
    (tmp_path / "mine.py").write_text("def get_config():\n  pass")
    assert "takes no ARG" in complaint(f"--config={tmp_path}/mine.py:t100")


@pytest.mark.parametrize("argv", [["--config.lerning_rate=1"], ["--config.T=3"]])
def test_exit_status_2_and_one_line_from_a_process(argv, tmp_path):
    program = (
        "import sys; from configs import adding; from lstm_jax.config import parse_command_line;"
        "parse_command_line(sys.argv[1:], fields=adding.FIELDS, usage='adding',"
        "default_config_path='configs/adding.py', arg_names=adding.ARGS)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *argv],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: config.")
    assert done.stderr.count("\n") == 1


# ---- fields


def test_a_config_is_locked_and_typed():
    config = make_config(adding.FIELDS, num_trials=3)
    with pytest.raises(AttributeError):
        config.num_trails = 4
    with pytest.raises(TypeError):
        config.T = "long"
    with pytest.raises(TypeError):
        config.num_lanes = "many"
    config.num_lanes = 4
    assert config.num_lanes == 4


def test_values_of_numpy_and_references_are_taken_as_plain_ones():
    config = make_config(
        adding.FIELDS,
        T=np.int64(50),
        learning_rate=np.float64(0.25),
        seed=FieldReference(7),
        input_gate_bias=[-1, -2],
    )
    kinds = [type(v) for v in (config.T, config.learning_rate, config.seed, config.input_gate_bias)]
    assert kinds == [int, float, int, tuple]
    assert config.input_gate_bias == (-1.0, -2.0)


def test_check_config():
    values = dict(make_config(adding.FIELDS).items())
    check_config(ConfigDict(values), adding.FIELDS)
    with pytest.raises(ConfigError, match=r"config\.T=3: must be an integer"):
        check_config(ConfigDict(values | {"T": 3}), adding.FIELDS)
    with pytest.raises(ConfigError, match="no such field; nearest: seed"):
        check_config(ConfigDict(values | {"seeed": 3}), adding.FIELDS)


@pytest.mark.parametrize(
    ("field", "words", "good", "bad"),
    [
        (Field(1, "", low=1), "an integer >= 1", [1, 10**40], [0, True, 1.0, "1", None]),
        (Field(1, "", high=4), "an integer <= 4", [4], [5]),
        (Field(0.5, "", above=0, high=1), "a number > 0 and <= 1", [1, 0.5], [0, 1.1, False]),
        (Field(0.5, "", low=0.0), "a number >= 0", [0, 3], [-1, float("nan"), 10**400]),
        (Field(True, ""), "true or false", [True, False], [1, "true"]),
        (Field("", ""), "a text", ["", "x"], [1]),
        (Field(None, "", of=int, low=1), "an integer >= 1 or auto", [None, 1], [0, "x"]),
        (
            Field((), "", of=int, low=1),
            "a tuple of integers >= 1, such as 1,2",
            [(), [1]],
            [(0,), 1],
        ),
        (
            Field(("a",), "", choices=("a", "b")),
            "a tuple of some of a, b, such as a",
            [("a", "b")],
            [("c",), "a"],
        ),
    ],
)
def test_fields(field, words, good, bad):
    assert valid_values(field) == words
    for value in good:
        check_value("x", value, field)
    for value in bad:
        with pytest.raises(ConfigError, match=r"\Ax=.*: must be [^\n]*\Z"):
            check_value("x", value, field)
