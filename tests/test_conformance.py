"""The suite passes sound cells, and each fault is caught by the check that is there for it."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from lstm_jax.cells import CELLS
from lstm_jax.conformance import CHECKS, Subject, run_check, run_checks
from lstm_jax.conformance.__main__ import main
from lstm_jax.plugins import find_cell, find_oracle

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = "examples/own_cell.py:janet"

OPTIONS = {"lstm97": {"block_size": 2}}
LONG = ("learning", "speed")  # they compile a training, or take turns with the clock
CHEAP = ("sizes", "trees", "bad_sizes", "wrong_input", "float64", "promotion", "recompilation")

# A cell that passes; each fault below changes a line of it.
SOUND = """
from typing import Any, NamedTuple
import jax, jax.numpy as jnp, numpy as np
from lstm_jax import Cell
from lstm_jax.cells.cell import Parts, draw, require_input, require_positive

class MineParams(NamedTuple):
    w_z: Any
    w_f: Any
    r_z: Any
    r_f: Any
    b_z: Any
    p_f: Any

class MineState(NamedTuple):
    c: Any
    h: Any

def mine(input_size, hidden_size):
    require_positive(input_size=input_size, hidden_size=hidden_size)
    D, H = input_size, hidden_size

    def init(key, init_range=0.5):
        shapes = dict(w_z=(H, D), w_f=(H, D), r_z=(H, H), r_f=(H, H), p_f=(H,))
        return MineParams(**draw(key, init_range, shapes), b_z=jnp.zeros(H))

    def initial_state():
        return MineState(c=jnp.zeros(H), h=jnp.zeros(H))

    def project(params, x):
        return {"z": params.w_z @ x, "f": params.w_f @ x}

    def recur(params, state):
        return {"z": params.r_z @ state.h, "f": params.r_f @ state.h}

    def combine(params, state, from_x, from_h):
        z = jnp.tanh(from_x["z"] + from_h["z"] + params.b_z)
        f = jax.nn.sigmoid(from_x["f"] + from_h["f"] + params.p_f * state.c)
        c = f * state.c + (1 - f) * z
        h = jnp.tanh(c)
        return {"z": z, "f": f, "c": c, "h": h}

    def gates(params, state, x):
        require_input("mine", x, D)
        return combine(params, state, project(params, x), recur(params, state))

    def step(params, state, x):
        now = gates(params, state, x)
        return MineState(c=now["c"], h=now["h"]), now["h"]

    def truncate(state):
        return MineState(c=state.c, h=jax.lax.stop_gradient(state.h))

    parts = Parts(project, recur, combine)
    return Cell("mine", D, H, init, initial_state, step, gates, truncate, parts=parts)

def mine_oracle(p, s, xs):
    c, h, ys = s.c, s.h, []
    for x in xs:
        f = 1 / (1 + np.exp(-(p.w_f @ x + p.r_f @ h + p.p_f * c)))
        c = f * c + (1 - f) * np.tanh(p.w_z @ x + p.r_z @ h + p.b_z)
        h = np.tanh(c)
        ys.append(h)
    return MineState(c, h), np.array(ys)
"""

# fault: (text, what it becomes, the check that catches it, what that says)
STEP_BACK = 'return MineState(c=now["c"], h=now["h"]), now["h"]'
Z = "jnp.tanh(from_x"
FAULTS = {
    "no cell": ("return Cell(", "return (lambda *a, **b: {})(", "sizes", "gives {}, not a"),
    "output size": ('Cell("mine", D, H', 'Cell("mine", D, H + 1', "sizes", "output_size is 6"),
    "input size": ('Cell("mine", D, H', 'Cell("mine", H, H', "sizes", "input_size is 5"),
    "branches on a value": (
        "now = gates(params, state, x)\n",
        "now = gates(params, state, x if x[0] > 0 else 2 * x)\n",
        "sizes",
        "TracerBoolConversionError",
    ),
    "another tree": (STEP_BACK, 'return tuple([now["c"], now["h"]]), now["h"]', "trees", "tuple"),
    "state in float32": (
        "MineState(c=jnp.zeros(H), h=",
        "MineState(c=jnp.zeros(H, jnp.float32), h=",
        "trees",
        "state.c float64.* of float32",
    ),
    "sizes unchecked": ("    require_positive(", "    dict(", "bad_sizes", "sizes 0, 5"),
    "input unchecked": ('require_input("mine", x, D)', "pass", "wrong_input", "ValueError"),
    "key ignored": ("draw(key,", "draw(jax.random.key(0),", "init_key", "draw from its key"),
    "one draw for two": (
        "b_z=jnp.zeros(H))",
        "b_z=jnp.zeros(H))._replace(r_f=draw(key, init_range, dict(r=(H, H)))['r'])",
        "init_key",
        "r_f starts with the numbers of",
    ),
    "range ignored": ("draw(key, init_range,", "draw(key, 0.5,", "init_range", "init_range"),
    "draws in Python": (
        "draw(key, init_range,",
        "draw(jax.random.fold_in(key, random.randrange(10**6)), init_range,",
        "init_key",
        "the same key gives another",
    ),
    "range not traced": (
        "draw(key, init_range,",
        "draw(key, float(init_range),",
        "init_range",
        ".",
    ),
    "output not h": ('now["h"]), now["h"]', 'now["h"]), now["c"]', "gates", 'gates\\["h"\\]'),
    "state not carried": ('c=now["c"], h=', "c=state.c, h=", "gates", "state.c"),
    "observes another output": (
        "parts=parts)",
        "parts=parts, observe=lambda *a: (step(*a)[0], 2 * step(*a)[1], gates(*a)))",
        "gates",
        r"observe's .state, y., against step,.1 is",
    ),
    "observes another gate": (
        "parts=parts)",
        "parts=parts, observe=lambda *a: (*step(*a), {**gates(*a), 'z': a[1].h}))",
        "gates",
        "observe's gates.z is",
    ),
    "no h": ('"c": c, "h": h}', '"c": c, "y": h}', "gates", "KeyError|no .h"),
    "float32 inside": (
        Z,
        "jnp.tanh(from_x['z'].astype(jnp.float32) * 0 + from_x",
        "float64",
        "z|f",
    ),
    "float32 constant": (Z, "np.ones(1, np.float32)[0] * " + Z, "promotion", "float64: Type"),
    "silent broadcast": ("+ params.b_z)", "+ params.b_z[None])[0]", "promotion", "rank"),
    "counts its calls": (
        "now = gates(params, state, x)\n",
        "COUNT.append(0); now = gates(params, state, x * len(COUNT))\n",
        "recompilation",
        "another program",
    ),
    "another cell each time": (
        "def project(params, x):\n",
        "k = random.random()\n\n    def project(params, x):\n        x = k * x\n",
        "recompilation",
        "each time the cell is made: .*mul",
    ),
    "another start each time": (
        "c=jnp.zeros(H), h=",
        "c=jnp.zeros(H) + random.random(), h=",
        "recompilation",
        "another state each time",
    ),
    "weak type": ("c=jnp.zeros(H), h=", "c=jnp.full(H, 0.0), h=", "recompilation", "weak.*: c"),
    "other when compiled": (
        "now = gates(params, state, x)\n",
        "x = 2 * x if isinstance(x, jax.core.Tracer) else x; now = gates(params, state, x)\n",
        "jit",
        "off",
    ),
    "16 bits inside": (
        "h = jnp.tanh(c)",
        "h = jnp.tanh(c.astype(jnp.bfloat16)).astype(c.dtype)",
        "float32",
        "off",
    ),
    "bias in project": (
        '"z": params.w_z @ x,',
        '"z": params.w_z @ x + 1,',
        "parts",
        "products only",
    ),
    "other parts": (
        "parts = Parts(project, recur, combine)",
        "parts = Parts(project, recur, lambda *a: {**combine(*a), 'h': a[1].h})",
        "parts",
        "gates.h",
    ),
    "another equation": ("(1 - f) * z", "z", "oracle", "ys"),
    "oracle in jax": ("np.array(ys)", "jnp.array(ys)", "oracle", "not NumPy"),
    "oracle without a state": ("return MineState(c, h), np", "return np", "oracle", "\\(state, ys"),
    "peephole gradient": (
        "params.p_f * state.c",
        "jax.lax.stop_gradient(params.p_f) * state.c",
        "gradients",
        "params.p_f: 0 where",
    ),
    "state gradient": (
        "c = f * state.c",
        "c = f * jax.lax.stop_gradient(state.c)",
        "gradients",
        "gradient of",
    ),
    "no memory": (
        'from_h["z"] + params.b_z)\n',
        'params.b_z)\n        from_h = {"f": 0 * state.h}; state = state._replace(c=0 * state.c)\n',
        "memory",
        "does not depend on the input of step 1",
    ),
    "idle weight": ("+ params.b_z)", "+ 0 * params.b_z)", "memory", "params.b_z"),
    "no truncation": (
        "return MineState(c=state.c, h=jax.lax.stop_gradient(state.h))",
        "return state",
        "truncate",
        r"state.c\[0\] still depends on state.h\[1\]",
    ),
    "truncates values": (
        "jax.lax.stop_gradient(state.h)",
        "0 * state.h",
        "truncate",
        "h is .* off",
    ),
    "truncates half": ("(c=state.c, h=", "(c=half(state.c), h=", "truncate", "passes 0.5"),
    "slope at zero": ("params.w_z @ x,", "jnp.sqrt((params.w_z @ x) ** 2),", "padding", "NaN"),
    "overflows": (
        "f = jax.nn.sigmoid(",
        "f = (lambda net: jnp.exp(net) / (1 + jnp.exp(net)))(",
        "large",
        "the output NaN",
    ),
    "slope overflows": (
        "f = jax.nn.sigmoid(",
        "f = (lambda net: jnp.where(net > 80, 1, jnp.exp(net) / (1 + jnp.exp(net))))(",
        "large",
        "the gradient of params.* NaN",
    ),
    "calls back": (
        "h = jnp.tanh(c)",
        "h = jnp.tanh(c); jax.debug.callback(lambda c: None, c)",
        "lowering",
        ".",
    ),
}
# a function that no line of the cell has but faults use, and a place to count in
HELPERS = """
import random
COUNT = []
half = lambda c: c / 2 + jax.lax.stop_gradient(c / 2)
"""

ASSOCIATIVE = """
from lstm_jax.cells import min_gru

def mine(input_size, hidden_size):
    cell = min_gru(input_size, hidden_size)
    def whole(params, xs, state):
        %s
    return cell._replace(associative=whole)
"""


@pytest.fixture
def subject_of(tmp_path):
    def make(text):
        path = tmp_path / "mine.py"
        path.write_text(text)
        name = f"{path}:mine"
        return Subject(find_cell(name), name, oracle=find_oracle(name))

    return make


def failures(results):
    return [result for result in results if result.verdict == "FAILED"]


@cache
def library(name):
    return Subject(CELLS[name], name, options=OPTIONS.get(name))


@pytest.mark.parametrize("name", ["lstm", "gru", "min_gru"])
def test_cells_of_the_library_pass(name):
    checks = [check for check in CHECKS if check not in LONG]
    assert not failures(run_checks(library(name), checks))


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_of_the_library_passes_the_cheap_checks(name):
    assert not failures(run_checks(library(name), CHEAP))


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_every_cell_of_the_library_passes(name):
    assert not failures(run_checks(library(name)))


def test_the_sound_cell_passes(subject_of):
    checks = [check for check in CHECKS if check not in LONG]
    results = run_checks(subject_of(HELPERS + SOUND), checks)
    assert not failures(results)
    assert [result.name for result in results if result.verdict == "note"] == ["associative"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(fault, subject_of):
    old, new, check, said = FAULTS[fault]
    assert old in SOUND
    result = run_check(CHECKS[check], subject_of(HELPERS + SOUND.replace(old, new, 1)))
    assert result.verdict == "FAILED", result
    assert re.search(said, result.detail), result.detail
    assert "\n" not in result.detail


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return cell.associative(params, xs, cell.initial_state())", "off at"),
        ("state, ys = cell.associative(params, xs, state); return state, ys[1:]", "shape"),
        (
            "import jax; return cell.associative(params, jax.lax.stop_gradient(xs), state)",
            "gradient of",
        ),
    ],
)
def test_an_associative_form_that_is_not_the_scan(body, said, subject_of):
    result = run_check(CHECKS["associative"], subject_of(ASSOCIATIVE % body))
    assert result.verdict == "FAILED" and said in result.detail, result


# Its state holds a counter and a truth value, and at every other step it lets no input in.
SKIPS = """
class SkipState(NamedTuple):
    t: Any
    on: Any
    h: Any

def mine(input_size, hidden_size):
    inner = elman(input_size, hidden_size)

    def gates(params, state, x):
        on = state.t % jnp.int32(2) == jnp.int32(0)
        now, _ = inner.step(params, inner.initial_state()._replace(h=state.h), x)
        return {"on": on, "h": jnp.where(on, now.h, state.h)}

    def step(params, state, x):
        now = gates(params, state, x)
        return SkipState(state.t + jnp.int32(1), **now), now["h"]

    return inner._replace(
        step=step,
        gates=gates,
        initial_state=lambda: SkipState(jnp.int32(0), jnp.bool_(False), inner.initial_state().h),
        truncate=lambda state: state._replace(h=jax.lax.stop_gradient(state.h)),
        parts=None,
        observe=None,
    )
"""


def test_a_state_may_hold_whole_numbers_and_truth_values(subject_of):
    head = "from lstm_jax.cells import elman\n" + SOUND.split("class MineParams")[0]
    checks = [check for check in CHECKS if check not in LONG]
    assert not failures(run_checks(subject_of(head + SKIPS), checks))


def test_a_cell_that_cannot_learn_the_task(subject_of):
    old, new, *_ = FAULTS["no memory"]
    result = run_check(CHECKS["learning"], subject_of(HELPERS + SOUND.replace(old, new)))
    assert result.verdict == "FAILED" and "constant answer" in result.detail, result


def test_settings_around_a_check_change_nothing(subject_of):
    """The tests run with strict types and shapes; most checks do not, so that one tells it."""
    old, new, *_ = FAULTS["silent broadcast"]
    subject = subject_of(HELPERS + SOUND.replace(old, new, 1))
    verdicts = [result.verdict for result in run_checks(subject, ["trees", "promotion", "scan"])]
    assert verdicts == ["ok", "FAILED", "ok"]


def test_what_rests_on_a_failed_check_is_not_run(subject_of):
    old, new, *_ = FAULTS["another tree"]
    results = run_checks(subject_of(HELPERS + SOUND.replace(old, new, 1)))
    assert [(result.name, result.verdict) for result in results] == [
        ("sizes", "ok"),
        ("trees", "FAILED"),
    ]


def run_command(capsys, *argv):
    """(exit status, lines on stdout, lines on stderr)."""
    try:
        status = main(argv)
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err.splitlines()


def test_the_example_passes_and_is_what_the_page_shows():
    done = subprocess.run(
        [sys.executable, "-m", "lstm_jax.conformance", EXAMPLE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *lines, closing = done.stdout.splitlines()
    assert [line.split()[1] for line in lines] == list(CHECKS)
    assert closing == f"{len(CHECKS) - 2} passed, 0 failed, 2 notes"
    page = (ROOT / "docs/own-cell.md").read_text()
    for line in lines:
        assert re.search(rf"^ *{' +'.join(line.split()[:2])} ", page, re.MULTILINE), line
    assert closing in page


def test_options_and_sizes_reach_the_cell(capsys):
    argv = (EXAMPLE, "--option", "t_max=20", "--hidden_size=4", "--checks=init_range,sizes")
    status, lines, _ = run_command(capsys, *argv)
    assert status == 0
    assert "H=4" in lines[0] and "4 arrays scale, not b_f" in lines[1]


def test_failures_make_the_status_1(capsys, tmp_path):
    (tmp_path / "mine.py").write_text(SOUND.replace("draw(key,", "draw(jax.random.key(0),", 1))
    argv = (f"{tmp_path / 'mine.py'}:mine", "--checks=init_key,bad_sizes,associative")
    status, lines, _ = run_command(capsys, *argv)
    assert status == 1
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["ok", "bad_sizes"],
        ["FAILED", "init_key"],
        ["note", "associative"],
    ]
    assert lines[-1] == "1 passed, 1 failed, 1 notes"


def test_a_cell_that_ends_the_program_ends_no_check(capsys, tmp_path):
    exits = SOUND.replace("def mine(", "def exits(*_):\n    raise SystemExit(0)\n\n\ndef mine(", 1)
    path = tmp_path / "mine.py"
    for where in ("step", "init"):
        path.write_text(
            f"{exits}\n\ndef own(i, h):\n    return mine(i, h)._replace({where}=exits)\n"
        )
        status, lines, _ = run_command(capsys, f"{path}:own")
        assert status == 1
        assert lines[0].startswith("FAILED") and "SystemExit" in lines[0], lines
    path.write_text("def own(i, h):\n    raise SystemExit(0)\n")
    status, lines, _ = run_command(capsys, f"{path}:own")
    assert status == 1 and "SystemExit" in lines[0], lines


def test_ctrl_c_is_one_line_and_status_130(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lstm_jax.conformance.__main__.run_checks", interrupted)
    status, out, err = run_command(capsys, "gru")
    assert (status, out, len(err)) == (130, [], 1) and err[0].startswith("stopped")


def test_the_closing_line_says_what_was_not_run(capsys, tmp_path):
    (tmp_path / "mine.py").write_text(SOUND.replace('Cell("mine", D, H', 'Cell("mine", D, 9', 1))
    status, lines, _ = run_command(capsys, f"{tmp_path / 'mine.py'}:mine")
    assert status == 1
    assert lines[-1] == f"0 passed, 1 failed, 0 notes; {len(CHECKS) - 1} not run: they need sizes"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "CELL.*--help"),
        (("lstn",), "nearest: lstm"),
        (("no_such_file.py:mine",), "no such file"),
        (("lstm", "gru"), "gru: one cell at a time"),
        (("lstm", "--chekcs=scan"), "nearest: checks"),
        (("lstm", "--checks=scn"), "nearest: scan"),
        (("lstm", "--hidden_size=0"), "hidden_size=0: must be an integer from 1"),
        (("lstm", "--input_size=x"), "input_size=x: must be an integer"),
        (("lstm", "--option", "clip"), "--option clip: must be name=value"),
        (("lstm", "--option", "clp=3"), "nearest: clip"),
        (("lstm", "--option", "clip=-3"), "lstm: clip"),
        (("min_gru", "--option", "clip=3"), "min_gru: it has no options"),
        (("lstm97",), "lstm97: must take .input_size, hidden_size.*block_size"),
    ],
)
def test_bad_input_is_one_line_and_status_2(argv, said, capsys):
    status, out, err = run_command(capsys, *argv)
    assert (status, out, len(err)) == (2, [], 1)
    assert err[0].startswith("error: ") and re.search(said, err[0]), err


def test_help_names_every_check(capsys):
    status, lines, _ = run_command(capsys, "--help")
    assert status == 0
    text = "\n".join(lines)
    assert all(f"  {name} " in text for name in [*CHECKS, "--option", "--hidden_size"])
