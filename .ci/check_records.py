"""Checks records: `python .ci/check_records.py RUNS`.

Those that the smoke runs left in RUNS, and the committed ones of the paper against the README.
"""

import json
import sys
from pathlib import Path

from experiments.paper1997 import PAPER
from lstm_jax.paper import main as paper_main

NEEDED = {"row", "trial", "status", "num_sequences", "num_wrong", "num_test", "mean_test_error"}
NEEDED |= {"max_test_error", "seed", "num_weights", "reading"}


def check(file: Path) -> str:
    """One line about a file of records, or an AssertionError."""
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert records, f"{file} is empty"
    for record in records:
        assert record.keys() >= NEEDED, f"{file}: {sorted(NEEDED - record.keys())} missing"
    numbers = [record["trial"] for record in records]
    assert len(set(numbers)) == len(numbers), f"{file}: a trial is recorded twice"
    solved = sum(record["status"] == "SOLVED" for record in records)
    return f"{solved} of {len(records)} trials solved"


def main() -> int:
    """Checks every run folder below the one named on the command line, and what is committed."""
    runs = Path(sys.argv[1])
    files = [file for file in sorted(runs.rglob("trials.jsonl")) if ".kept" not in str(file)]
    assert files, "no run folder holds a trials.jsonl"
    for file in files:
        print(f"{file.relative_to(runs)}: {check(file)}")
    results = Path(__file__).resolve().parents[1] / "results" / PAPER.name
    for file in sorted(results.glob("*.jsonl")):
        print(f"results/{PAPER.name}/{file.name}: {check(file)}")
    return paper_main(PAPER, ["--check"])


if __name__ == "__main__":
    sys.exit(main())
