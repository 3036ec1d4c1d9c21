"""The named sets, and where their files are.

python -m lstm_jax.data                  what there is, and what of it is on this machine
python -m lstm_jax.data warpeace vowels  find these, download what is missing, check all of it
    --data_dir=DIR                       a folder that is looked through first
"""

import sys
from collections.abc import Sequence

from lstm_jax.config import exit_with
from lstm_jax.data.download import by_hand
from lstm_jax.data.errors import DataError
from lstm_jax.data.finding import cache_dir, find, look_for
from lstm_jax.data.sets import SETS, DataSet


def main(argv: Sequence[str]) -> int:
    """Lists the sets or finds those named; the exit status, 2 with one line for what fails."""
    flags = [argument for argument in argv if argument.startswith("-")]
    names = [argument for argument in argv if not argument.startswith("-")]
    if flags and flags[0] in ("--help", "-h"):
        print(__doc__)
        return 0
    data_dir = ""
    for flag in flags:
        if not flag.startswith("--data_dir="):
            exit_with(f"{flag}: no such flag; valid: --data_dir=DIR, --help")
        data_dir = flag.partition("=")[2]
    try:
        for name in names:
            for path in find(name, data_dir).values():
                print(f"{name}: {path}")
        if not names:
            print("\n\n".join(describe(dataset, data_dir) for dataset in SETS.values()))
    except DataError as error:
        exit_with(error)
    return 0


def describe(dataset: DataSet, data_dir: str = "") -> str:
    """What has to be known of a set, and where its files are."""
    found = {file: look_for(file, dataset.name, data_dir) for file in dataset.files}
    missing = [file for file, path in found.items() if path is None]
    lines = [f"{dataset.name}: {dataset.about}", f"  status    {dataset.status}"]
    lines += [f"  cite      {dataset.citation}"]
    lines += [f"  here      {path}" for path in found.values() if path]
    if missing:
        size = sum(file.size for file in missing) / 1e6
        lines += [f"  missing   {size:.1f} MB: python -m lstm_jax.data {dataset.name}"]
        lines += [f"  from      {', '.join(dict.fromkeys(file.address for file in missing))}"]
        lines += [f"  by hand   {by_hand(missing, cache_dir() / dataset.name)}"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
