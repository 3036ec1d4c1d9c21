"""Text: read to characters, characters or words to numbers and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lstm_jax.data.errors import DataError, decode, read_bytes
from lstm_jax.data.finding import find, is_named
from lstm_jax.data.sets import SETS

UNKNOWN = ("refuse", "skip")


def load_text(source: str, data_dir: str = "") -> str:
    """The characters of a named text or of an own file.

    Files are UTF-8; a byte order mark is dropped and line ends become ``\\n``.

    Args:
      source: the name of a text in ``SETS``, or the path of a file.
      data_dir: see `find`.

    Raises:
      DataError: one line: no such file or set, empty, not UTF-8 (with the offset of the byte).
    """
    path = own_or_named(source, "text", data_dir)[0]
    text = decode(read_bytes(path), path)
    if not text:
        raise DataError(f"{path}: the file holds no character")
    return text


def own_or_named(source: str, kind: str, data_dir: str = "") -> list[Path]:
    """The files of a named set of this kind, or the one file of one's own; DataError if neither."""
    if is_named(source):
        if SETS[source].kind != kind:
            names = ", ".join(name for name, known in SETS.items() if known.kind == kind)
            raise DataError(f"{source}: holds {SETS[source].kind}, not {kind}; valid: {names}")
        return list(find(source, data_dir).values())
    if not Path(source).is_file():
        names = ", ".join(name for name, known in SETS.items() if known.kind == kind)
        what = "a folder" if Path(source).is_dir() else "no such file"
        raise DataError(f"{source or '(nothing)'}: {what}, and none of the named sets ({names})")
    return [Path(source)]


class Vocabulary:
    """Symbols (characters or words) and their numbers, 0 to ``len(vocabulary) - 1``.

    Args:
      symbols: in the order of their numbers, each once.
      unknown: the one of them that stands for every other; "": there is none.

    Raises:
      ValueError: for no symbols, a symbol twice, or an `unknown` that is not among them.

    Example:
      >>> v = Vocabulary.of("hello")
      >>> v.symbols, v.encode("hole").tolist(), v.decode([1, 0])
      (('e', 'h', 'l', 'o'), [1, 3, 2, 0], 'he')
    """

    def __init__(self, symbols: Iterable[str], unknown: str = ""):
        self.symbols = tuple(symbols)
        self.unknown = unknown
        self.numbers = {symbol: number for number, symbol in enumerate(self.symbols)}
        if not self.symbols or len(self.numbers) < len(self.symbols):
            raise ValueError("symbols: must be one or more, each once")
        if unknown and unknown not in self.numbers:
            raise ValueError(f"unknown: {unknown!r} is not among the symbols")

    @classmethod
    def of(cls, symbols: Iterable[str], unknown: str = "") -> Vocabulary:
        """The sorted symbols of a text or of a sequence of words, `unknown` (if any) before them.

        Raises DataError where there is none.
        """
        seen = sorted(set(symbols) - {unknown})
        if not seen:
            raise DataError("the text holds no symbol to make a vocabulary of")
        return cls(([unknown] if unknown else []) + seen, unknown)

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, symbols: str | Sequence[str], unknown: str = "refuse") -> np.ndarray:
        """The numbers of a text's characters or of words, int32 [T].

        Args:
          symbols: a text, or words.
          unknown: what is done with a symbol that is not in the vocabulary, where that has none
            for the unknown: "refuse" it, or "skip" it.

        Raises:
          DataError: one line that names the unknown symbols.
        """
        if unknown not in UNKNOWN:
            raise ValueError(f"unknown: {unknown!r} is not one of {', '.join(UNKNOWN)}")
        default = self.numbers[self.unknown] if self.unknown else -1
        numbers = np.fromiter(
            (self.numbers.get(symbol, default) for symbol in symbols), np.int32, len(symbols)
        )
        strangers = np.flatnonzero(numbers < 0)
        if strangers.size and unknown == "refuse":
            names = list(dict.fromkeys(str(symbols[at]) for at in strangers.tolist()))
            shown = " ".join(repr(name) for name in names[:8])
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            what = "characters" if isinstance(symbols, str) else "words"
            raise DataError(
                f"unknown {what}, first at {int(strangers[0]):,}: {shown}{more}; the "
                f"vocabulary has {len(self)} symbols and none of these"
            )
        return numbers[numbers >= 0]

    def decode(self, numbers: Iterable[int], between: str = "") -> str:
        """The symbols of the numbers, joined."""
        return between.join(self.symbols[int(number)] for number in numbers)

    def to_json(self) -> str:
        """Everything about it, for the record of a run."""
        return json.dumps({"symbols": self.symbols, "unknown": self.unknown})

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """The vocabulary that `to_json` wrote."""
        return cls(**json.loads(text))


def split_by_position(items: np.ndarray, shares: Sequence[float]) -> list[np.ndarray]:
    """Consecutive parts of `items` (along axis 0), whose sizes are these shares of the whole.

    Raises ValueError unless the shares are positive and add up to 1, DataError where a part would
    be empty.

    Example:
      >>> [part.tolist() for part in split_by_position(np.arange(10), (0.8, 0.1, 0.1))]
      [[0, 1, 2, 3, 4, 5, 6, 7], [8], [9]]
    """
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares: {tuple(shares)} must be positive and add up to 1")
    ends = np.rint(np.cumsum(shares) * len(items)).astype(int)
    parts = np.split(items, ends[:-1])
    if any(len(part) == 0 for part in parts):
        raise DataError(
            f"{len(items)} symbols are too few to be split in parts of "
            f"{', '.join(f'{share:g}' for share in shares)}"
        )
    return parts
