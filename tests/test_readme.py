"""The README's library example runs as it stands there."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names = {}
    exec(compile(code, str(README), "exec"), names)
    assert names["outputs"].shape == (1,)
    assert set(names["gates"]) == {"i", "o", "z", "c", "h"}
    assert sum(leaf.size for leaf in names["jax"].tree.leaves(names["params"])) == 93


def test_it_is_filled_in():
    assert "@@" not in README.read_text()
