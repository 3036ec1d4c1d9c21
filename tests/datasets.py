"""Where real files are for tests: $LSTM_JAX_DATA, or shared/data beside the checkout."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def real_data() -> str:
    """The folder of real files; skips the test where there is none."""
    named = os.environ.get("LSTM_JAX_DATA", "")
    folder = Path(named) if named else BESIDE
    if not folder.is_dir():
        pytest.skip("no folder of real data: set LSTM_JAX_DATA")
    return str(folder)
