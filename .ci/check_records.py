"""Checks the records that the smoke runs left: `python .ci/check_records.py RUNS`."""

import json
import sys
from pathlib import Path

NEEDED = {"trial", "status", "num_sequences", "num_wrong", "num_test", "mean_test_error"}


def check(file: Path) -> str:
    """One line about a trials.jsonl, or an AssertionError."""
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert records, f"{file} is empty"
    for record in records:
        assert record.keys() >= NEEDED, f"{file}: {sorted(NEEDED - record.keys())} missing"
    numbers = [record["trial"] for record in records]
    assert len(set(numbers)) == len(numbers), f"{file}: a trial is recorded twice"
    solved = sum(record["status"] == "SOLVED" for record in records)
    return f"{solved} of {len(records)} trials solved"


def main() -> None:
    """Checks every run folder below the one named on the command line."""
    runs = Path(sys.argv[1])
    files = [file for file in sorted(runs.rglob("trials.jsonl")) if ".kept" not in str(file)]
    assert files, "no run folder holds a trials.jsonl"
    for file in files:
        print(f"{file.relative_to(runs)}: {check(file)}")


if __name__ == "__main__":
    main()
