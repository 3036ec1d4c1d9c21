"""A TensorBoard folder beside a run's own: pictures, histograms and numbers of what is looked at.

The run's own file may be open in another process, and TensorBoard reads one file of a folder after
the other, so what is made later stands in a folder of its own, such as `tb/inspect`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lstm_jax.inspect.event_file import PREFIX, EventFile, tensorboardx

PNG = b"\x89PNG\r\n\x1a\n"
HISTOGRAM_BINS = 30


class Board:
    """Writer of one event file, which is in its place, whole, when the `with` statement ends.

    The file of the same name is replaced; after an exception it is as it was. Files of a folder
    are read in the order of their names, and TensorBoard keeps of a tag only what comes in the
    order of steps: let names begin with the step, in as many digits.

    Args:
      path: the folder, made if absent.
      name: of the file, such as "000000060000.trial003".

    Raises:
      OSError: the folder or the file cannot be written; from every method.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Board(folder, "000000060000.trial003") as board:
    ...         board.log_histogram("gate i", [0.1, 0.9], step=60_000)
    ...     [file.name for file in Path(folder).iterdir()]
    ['events.out.tfevents.000000060000.trial003']
    """

    def __init__(self, path: str | os.PathLike[str], name: str):
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._place = self.path / f"{PREFIX}{name}"
        self._partial = self.path / f".{name}.{os.getpid()}.partial"  # TensorBoard does not read it
        self._file = EventFile(self._partial)

    def log_image(self, tag: str, png: bytes, step: int, description: str = "") -> None:
        """A picture in the Images page, which has a slider over the steps of a tag.

        Args:
          tag: its name; pictures whose tags agree up to a "/" stand together.
          png: the bytes of a PNG file.
          step: training sequences at which the network was looked at.
          description: Markdown, shown on demand.

        Raises:
          ValueError: the bytes are not those of a PNG file.
        """
        self._file.add(image_summary(tag, png, description), step)

    def log_histogram(self, tag: str, values: ArrayLike, step: int) -> None:
        """The distribution of values of any shape; those that are not finite are left out."""
        known = np.asarray(values, dtype=float).ravel()
        known = known[np.isfinite(known)]
        if known.size:
            self._add(tag, tensorboardx().summary.histogram(tag, known, HISTOGRAM_BINS), step)

    def log_scalar(self, tag: str, value: float, step: int) -> None:
        """A number."""
        self._add(tag, tensorboardx().summary.scalar(tag, float(value)), step)

    def log_text(self, tag: str, markdown: str, step: int) -> None:
        """Markdown in the Text page."""
        self._file.add(tensorboardx().summary.text(tag, markdown), step)

    def _add(self, tag: str, summary: Any, step: int) -> None:
        summary.value[0].tag = tag  # tensorboardX puts "_" for a space
        self._file.add(summary, step)

    def __enter__(self) -> Board:
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        self._file.close()
        if kind is None:
            os.replace(self._partial, self._place)
        else:
            self._partial.unlink(missing_ok=True)


def image_summary(tag: str, png: bytes, description: str = "") -> Any:
    """The summary of a picture, from the bytes of its file: no image library is needed.

    Raises:
      ValueError: the bytes are not those of a PNG file.

    >>> image_summary("gates", b"GIF89a")
    Traceback (most recent call last):
    ValueError: picture 'gates' is not a PNG file (it begins with b'GIF89a')
    """
    if png[:8] != PNG or png[12:16] != b"IHDR":
        raise ValueError(f"picture {tag!r} is not a PNG file (it begins with {png[:8]!r})")
    width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
    proto = tensorboardx().summary_pb2
    image = proto.Summary.Image(
        width=width, height=height, colorspace=4, encoded_image_string=png
    )  # colorspace 4: RGBA; TensorBoard shows the file as it is
    metadata = proto.SummaryMetadata(summary_description=description)
    value = proto.Summary.Value(tag=tag, image=image, metadata=metadata)
    return proto.Summary(value=[value])
