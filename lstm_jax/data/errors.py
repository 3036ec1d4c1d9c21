"""What is wrong with a file of data, told in one line."""

from __future__ import annotations

from pathlib import Path

LARGEST = 1e18
"""The greatest magnitude of a measured value: its square is still a number in float32."""


class DataError(ValueError):
    """Data that cannot be found, fetched or read; the message is one line for the user."""


def reason(error: BaseException) -> str:
    """What went wrong, without a path and on one line.

    Example:
      >>> reason(FileNotFoundError(2, "No such file or directory", "a.txt"))
      'No such file or directory'
    """
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(str(text).split()) or type(error).__name__


def read_bytes(path: str | Path) -> bytes:
    """The content of a file that is there and is not empty; DataError if not."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}") from None
    if not content:
        raise DataError(f"{path}: the file is empty")
    return content


def decode(content: bytes, path: str | Path) -> str:
    """UTF-8 text without a byte order mark and with line ends ``\\n``; DataError if it is not.

    Example:
      >>> decode(b"\\xef\\xbb\\xbfa\\r\\nb\\rc", "x.txt")
      'a\\nb\\nc'
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the mark
        offset = error.start + 3 * content.startswith(b"\xef\xbb\xbf")
        line = content.count(b"\n", 0, offset) + 1
        raise DataError(
            f"{path}: byte 0x{content[offset]:02x} at offset {offset:,} (line {line:,}) is not "
            "UTF-8; save the file as UTF-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
