"""Small made data in the form of each kind of own file: `python .ci/made_data.py FOLDER`.

So that smoke runs of experiments on data need no download.
"""

import json
import math
import sys
from pathlib import Path


def chorales() -> list[list[list[int]]]:
    """Twenty pieces of sixteen chords, each a triad that moves by steps of its piece."""
    return [
        [[48 + (n * t) % 12, 52 + (n * t) % 12, 67 + t % 5] for t in range(16)] for n in range(20)
    ]


def sentences() -> str:
    """Forty sentences, with a label that one word decides."""
    words = [("good", 1), ("bad", 0), ("fine", 1), ("awful", 0)]
    lines = [
        f"number {n} was {word}, they say\t{label}" for n in range(10) for word, label in words
    ]
    return "\n".join(lines) + "\n"


def signals(num: int, shift: int) -> str:
    """Waves of two channels and of 5 to 9 steps; the class is their frequency."""
    lines = ["@problemName made", "@classLabel true 1 2 3", "@data"]
    for n in range(num):
        kind, length = n % 3 + 1, 5 + (n + shift) % 5
        channels = (
            ",".join(f"{math.sin(kind * t / 2 + phase + shift):.4f}" for t in range(length))
            for phase in (n, n + 1)
        )
        lines.append(":".join([*channels, str(kind)]))
    return "\n".join(lines) + "\n"


def series() -> str:
    """Ninety months with a trend and a season."""
    rows = ["month,sales"]
    for n in range(90):
        rows.append(f"{n},{50 + 0.3 * n + 10 * math.sin(n * math.pi / 6):.3f}")
    return "\n".join(rows) + "\n"


def main(folder: Path) -> None:
    """Writes chorales.json, sentences.txt, signals_TRAIN.ts, signals_TEST.ts and series.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "chorales.json").write_text(json.dumps(chorales()))
    (folder / "sentences.txt").write_text(sentences())
    (folder / "signals_TRAIN.ts").write_text(signals(24, 0))
    (folder / "signals_TEST.ts").write_text(signals(12, 1))
    (folder / "series.csv").write_text(series())
    print(f"wrote {', '.join(sorted(file.name for file in folder.iterdir()))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
