"""The notebook: committed without outputs, and run from its first cell to its last."""

import base64
import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "examples" / "inside_an_lstm.ipynb"
LIMIT_S = 600  # of a whole run on a busy machine; alone on two cores it takes one minute


def test_the_committed_notebook_is_small_and_has_no_outputs():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert NOTEBOOK.stat().st_size < 30_000
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) >= 6
    for cell in code:
        assert cell["outputs"] == [] and cell["execution_count"] is None
    first = "".join(code[0]["source"])
    assert "pip" in first and "find_spec" in first  # Colab: installed only where it is missing


@pytest.mark.notebook
def test_the_notebook_runs_and_shows_what_it_says(tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="needs the extra `notebook`")
    nbclient = pytest.importorskip("nbclient", reason="needs the extra `notebook`")
    pytest.importorskip("ipykernel", reason="needs the extra `notebook`")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=LIMIT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    inline = "module://matplotlib_inline.backend_inline"  # what a kernel has without our Agg
    client.execute(env=os.environ | {"PYTHONPATH": path, "MPLBACKEND": inline})
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    text = "".join(out["text"] for out in outputs if out["output_type"] == "stream")
    pictures = [out["data"]["image/png"] for out in outputs if "image/png" in out.get("data", {})]
    assert len(pictures) == 5
    assert all(base64.b64decode(picture)[:4] == b"\x89PNG" for picture in pictures)
    # a network that adds opens at the marks, keeps in between, and holds the sum
    opened = [
        [float(number) for number in pair]
        for pair in re.findall(r"input gate at the marks ([\d.]+), elsewhere ([\d.]+)", text)
    ]
    assert len(opened) == 2 and any(at > 5 * rest for at, rest in opened)
    (held,) = re.findall(r"\|correlation\| with the target ([\d.]+)", text)
    assert float(held) > 0.95
    rates = dict(re.findall(r"^(1997|Elman).*?: ([\d.]+) per step$", text, re.MULTILINE))
    assert 0.99 < float(rates["1997"]) < 1.01 and float(rates["Elman"]) < 0.6
