"""The checks that every cell of this library passes, for any cell.

python -m lstm_jax.conformance path/to/file.py:name
"""

from lstm_jax.conformance.subject import Broken, Note, Subject
from lstm_jax.conformance.suite import CHECKS, Check, Result, line, run_check, run_checks

__all__ = [
    "CHECKS",
    "Broken",
    "Check",
    "Note",
    "Result",
    "Subject",
    "line",
    "run_check",
    "run_checks",
]
