"""The README's library examples run as they stand there."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

README = Path(__file__).resolve().parents[1] / "README.md"


def blocks():
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def run(code, names):
    exec(compile(code, str(README), "exec"), names)
    return names


def test_the_first_example_runs():
    names = run(blocks()[0], {})
    assert names["outputs"].shape == (1,)
    assert set(names["gates"]) == {"i", "o", "z", "c", "h"}
    assert sum(leaf.size for leaf in names["jax"].tree.leaves(names["params"])) == 93


def test_the_example_with_torch_runs():
    torch = pytest.importorskip("torch", reason="pip install -e '.[oracles]'")
    names = run(blocks()[0], {})
    names |= {"torch_lstm": torch.nn.LSTM(3, 4, 2, bidirectional=True), "length": 5}
    run(blocks()[1], names | {"xs": jnp.ones((7, 3))})


def test_the_example_with_flax_runs():
    names = run(blocks()[2], {})
    assert names["model"](jnp.ones((7, 2))).shape == (7, 1)
    assert jax.tree.leaves(names["nnx"].state(names["model"], names["nnx"].Param))
    assert len(blocks()) == 3, "a test for each example"


def test_it_is_filled_in():
    assert "@@" not in README.read_text()
