"""What is measured: the regimes, their shapes, and the libraries in each."""

import dataclasses
from typing import NamedTuple

from lstm_jax.loops.persistent import MAX_UNITS


class Shape(NamedTuple):
    """One layer, or several, and the batch it runs over.

    Attributes:
      num_steps, num_examples, num_inputs, num_units, num_layers: T, B, I, H and how many layers.
      dtype: of weights, inputs and products.

    Example:
      >>> Shape(100, 64, 64, 128).label
      'T=100 B=64 I=64 H=128'
    """

    num_steps: int
    num_examples: int
    num_inputs: int
    num_units: int
    num_layers: int = 1
    dtype: str = "float32"

    @property
    def label(self) -> str:
        """What tables call it."""
        label = f"T={self.num_steps:,} B={self.num_examples} I={self.num_inputs} H={self.num_units}"
        label += f", {self.num_layers} layers" if self.num_layers > 1 else ""
        return label + (f", {self.dtype}" if self.dtype != "float32" else "")

    def flops(self, job: str) -> int:
        """Those of the matrix products: 2 a weight, step and example forward, 6 in training.

        Example:
          >>> Shape(100, 64, 64, 128).flops("training") / Shape(100, 64, 64, 128).flops("forward")
          3.0
        """
        sizes = [self.num_inputs] + [self.num_units] * (self.num_layers - 1)
        weights = sum(4 * self.num_units * (size + self.num_units) for size in sizes)
        return {"forward": 2, "training": 6}[job] * weights * self.num_steps * self.num_examples


JOBS = ("forward", "training")  # outputs alone; outputs and the gradients of weights and inputs


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a regime's table: a library, and how it is run.

    Attributes:
      library: "ours", "torch", "flax", "haiku", "equinox" or "keras".
      num_devices: over how many CPU devices the batch is spread; 1 leaves JAX as it is.
      kernel: of `lstm_jax.unroll`.
      checkpoint: of `lstm_jax.unroll`.
      small: ours with the runtime settings for networks of tens of units.
    """

    library: str
    num_devices: int = 1
    kernel: str = "auto"
    checkpoint: bool = False
    small: bool = False

    @property
    def label(self) -> str:
        """What tables call it.

        Example:
          >>> Row("ours", num_devices=2).label, Row("flax").label
          ('lstm_jax, batch on 2 devices', 'Flax nnx')
        """
        label = NAMES[self.library]
        label += f", kernel={self.kernel!r}" if self.kernel != "auto" else ""
        label += ", in segments" if self.checkpoint else ""
        return label + (f", batch on {self.num_devices} devices" if self.num_devices > 1 else "")


NAMES = {
    "ours": "lstm_jax",
    "torch": "PyTorch nn.LSTM",
    "flax": "Flax nnx",
    "haiku": "Haiku",
    "equinox": "Equinox",
    "keras": "Keras 3 on JAX",
}
JAX_PEERS = ("flax", "haiku", "equinox", "keras")

REGIMES = ("paper", "medium", "long", "large", "scaling")

PAPER_LENGTHS = (100, 1000)
PAPER_LANES = (1, 4, 16, 64, 256)

MEDIUM = (
    Shape(100, 64, 64, 128),
    Shape(100, 32, 128, 512),
    Shape(200, 64, 256, 256, num_layers=2),
)
LONG = (Shape(10_000, 1, 8, 8), Shape(100_000, 1, 8, 8))
LARGE = tuple(  # what is asked first comes first: a borrowed GPU may be gone before the end
    Shape(1024, 64, num_units, num_units, dtype=dtype)
    for num_units in (1024, 2048)
    for dtype in ("bfloat16", "float32")
)
CHECKS = (  # two steps and three, sizes that are padded, two tiles of sequences: results alone
    Shape(2, 1, 3, 64, dtype="bfloat16"),
    Shape(3, 70, 20, 100, dtype="bfloat16"),
    Shape(3, 128, 64, 1024, dtype="bfloat16"),
    Shape(3, 70, 20, 100),
)
"""Before `LARGE`: where a kernel of ours for GPUs is wrong, the smallest such shape says it."""
TINY = (Shape(5, 4, 3, 6), Shape(4, 2, 3, 5, num_layers=2))


def shapes(regime: str) -> tuple[Shape, ...]:
    """Those of a regime of layers.

    Example:
      >>> [shape.num_units for shape in shapes("medium")]
      [128, 512, 256]
    """
    return {"medium": MEDIUM, "long": LONG, "large": LARGE}[regime]


def rows(regime: str, num_cores: int = 2) -> tuple[Row, ...]:
    """Who is measured in a regime of layers; the first row is what the others are held against.

    JAX libraries run as their users run them, on one device with all of XLA's threads; Flax also
    with its batch spread as ours is, which any user could do.

    Example:
      >>> [row.label for row in rows("long")]
      ['lstm_jax', 'lstm_jax, in segments', 'PyTorch nn.LSTM', 'Flax nnx']
    """
    if regime == "long":
        ours = (Row("ours", small=True), Row("ours", small=True, checkpoint=True))
        return (*ours, Row("torch"), Row("flax"))
    if regime == "large":  # the kernel that nobody has run yet is started last
        peers = (Row("torch"), Row("ours", kernel="cudnn"), Row("flax"), Row("haiku"))
        return (Row("ours"), *peers, Row("ours", kernel="persistent"))
    spread = (Row("flax", num_devices=num_cores),) if num_cores > 1 else ()
    peers = (Row("torch"), Row("flax"), *spread, *(Row(name) for name in JAX_PEERS[1:]))
    return (Row("ours", num_devices=num_cores), *peers)


def serves(row: Row, shape: Shape) -> bool:
    """Whether the row's kernel is made for the shape: two of ours are for one type of numbers each.

    Example:
      >>> large = Shape(1024, 64, 1024, 1024, dtype="bfloat16")
      >>> [serves(Row("ours", kernel=name), large) for name in ("auto", "cudnn", "persistent")]
      [True, False, True]
    """
    if row.kernel == "cudnn":  # as JAX has it
        return shape.dtype == "float32"
    if row.kernel == "persistent":
        return shape.dtype == "bfloat16" and shape.num_units <= MAX_UNITS
    return True
