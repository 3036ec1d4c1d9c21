"""Structures that must not change by accident, as JSON. `python -m tests.golden` rewrites them."""

import json
from functools import cache
from pathlib import Path

import jax

from tests.variants import VARIANTS, make_cell

PARAMS_FILE = Path(__file__).parent / "params.json"


def structure(tree):
    """{field: shape or None} of a NamedTuple of arrays."""
    return {
        name: None if leaf is None else list(leaf.shape) for name, leaf in tree._asdict().items()
    }


@cache
def structures():
    """The parameter and state trees of every variant."""
    result = {}
    for variant in VARIANTS:
        cell = make_cell(variant)
        result[variant] = {
            "params": structure(jax.eval_shape(cell.init, jax.random.key(0))),
            "state": structure(jax.eval_shape(cell.initial_state)),
        }
    return result


@cache
def read():
    return json.loads(PARAMS_FILE.read_text(encoding="utf-8"))


def write():
    lines = []
    for variant, trees in structures().items():
        inner = ",\n".join(f'    "{kind}": {json.dumps(tree)}' for kind, tree in trees.items())
        lines.append(f'  "{variant}": {{\n{inner}\n  }}')
    PARAMS_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
