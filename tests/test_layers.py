"""The order of imports is the order of the data flow, and the pure half does no I/O."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "lstm_jax"

# One direction: a module imports only from those before it and from its own package.
PURE = (
    "types",
    "parallel",
    "stored",
    "symbols",
    "draws",
    "initial",
    "cells",
    "loops",
    "unroll",
    "structures",
    "readout",
    "attention",
    "pooling",
    "classifier",
    "network",
    "recording",
    "tasks",
    "gradients",
    "error_flow",
    "stopping",
    "kernels",
    "exams",
    "growth",
    "trial",
)
SHELL = (
    "stored_programs",
    "runtime",
    "config",
    "data",
    "plugins",
    "conformance",
    "readings",
    "build",
    "plan",
    "curves",
    "lanes",
    "runner",
    "record",
    "keeping",
    "summary",
    "tables",
    "progress",
    "dry_run",
    "inspect",
    "shares",
    "rows",
    "row_shares",
    "side_by_side",
    "report",
    "interop",
    "nnx",
    "experiment",
    "group_runs",
    "fitting",
    "language",
    "paper",
    "search",
    "ablation",
    "tuning",
    "probing",
    "music",
    "forecasting",
)
FLOW = PURE + SHELL
# Everything that reads the world, writes to it, or waits for it.
IMPURE = {
    *("absl", "ml_collections", "tensorboardX", "tensorboard", "matplotlib", "rich", "orbax"),
    *("logging", "warnings", "os", "sys", "io", "pathlib", "shutil", "tempfile", "subprocess"),
    *("json", "pickle", "time", "datetime", "random", "threading", "multiprocessing", "socket"),
}


def imported(source: str, package: str) -> set[str]:
    """Dotted names that `source`, a module of `package`, imports, wherever it does so."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join((above if node.level else []) + ([node.module] if node.module else []))
            # `from lstm_jax import cells` names the module in the list, not in the path
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def breaches(layer: str, source: str, package: str) -> list[str]:
    """What `source`, a module of the layer, imports against the order; [] where all is well."""
    found = []
    for name in sorted(imported(source, package)):
        root, *rest = name.split(".")
        if root != "lstm_jax":
            if layer in PURE and root in IMPURE:
                found.append(f"{layer} is pure but imports {root}")
        elif rest and rest[0] in FLOW:
            if FLOW.index(rest[0]) > FLOW.index(layer):
                found.append(f"{layer} imports {rest[0]}, which comes after it")
        else:
            found.append(f"{layer} imports {name}: name the module that defines it")
    return found


def modules() -> list[tuple[str, Path]]:
    """(layer, file) of each module below the package's own __init__."""
    files = sorted(PACKAGE.rglob("*.py"))
    return [
        (file.relative_to(PACKAGE).parts[0].removesuffix(".py"), file)
        for file in files
        if file != PACKAGE / "__init__.py"
    ]


@pytest.mark.parametrize(
    ("layer", "file"), [pytest.param(*m, id=str(m[1].relative_to(PACKAGE))) for m in modules()]
)
def test_imports_follow_the_flow(layer, file):
    assert layer in FLOW, f"give {layer} its place in PURE or SHELL"
    package = ".".join(["lstm_jax", *file.relative_to(PACKAGE).parts[:-1]])
    assert breaches(layer, file.read_text(encoding="utf-8"), package) == []


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ("cells", "from lstm_jax.trial import make_trial"),
        ("cells", "from lstm_jax import unroll"),
        ("cells", "from ..record import write"),
        ("tasks", "import lstm_jax.config"),
        ("trial", "from lstm_jax.runner import run_trials"),
        ("kernels", "def f():\n    import logging"),
        ("stopping", "from absl import flags"),
        ("gradients", "from ml_collections import ConfigDict"),
        ("record", "from lstm_jax.inspect.board import Board"),
        ("trial", "from lstm_jax import Trial"),
    ],
)
def test_a_breach_is_seen(layer, line):
    assert len(breaches(layer, line, f"lstm_jax.{layer}")) == 1


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ("cells", "from lstm_jax.types import Array\nimport jax, numpy, optax"),
        ("cells", "from lstm_jax.cells.cell import Cell\nfrom .cell import Cell"),
        ("trial", "from lstm_jax import stopping"),
        ("record", "import json, os\nfrom lstm_jax.trial import TrialState"),
    ],
)
def test_what_follows_the_flow_is_accepted(layer, line):
    assert breaches(layer, line, f"lstm_jax.{layer}") == []
