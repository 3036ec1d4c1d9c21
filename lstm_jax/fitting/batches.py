"""Data sets in batches that are addressed, not consumed: batch n of epoch e is a pure function."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.types import Array


class Batches(NamedTuple):
    """A pass over a data set.

    Attributes:
      num_steps: batches in a pass.
      data: a pytree of arrays; an argument of the compiled program, not a constant in it.
      arrange: ``(data, key) -> order``; what is drawn once per pass, from that epoch's key.
      take: ``(data, order, step) -> batch``; batch ``0 <= step < num_steps`` of the pass.
      num_examples: of a pass, for the progress line.
    """

    num_steps: int
    data: Any
    arrange: Callable[[Any, Array], Any]
    take: Callable[[Any, Any, Array], Any]
    num_examples: int


class Text(NamedTuple):
    """A batch of a text: at each position of each stream a symbol and the one that follows."""

    inputs: Array  # [T, B] int
    targets: Array  # [T, B] int
    weight: Array  # [T, B]; 0 where the text has ended


def shuffled(examples: Any, batch_size: int) -> Batches:
    """Batches of independent examples, in a new order each epoch.

    Args:
      examples: a pytree of arrays whose first axis counts the N examples.
      batch_size: B. Every example is in one batch; the last one is filled up with examples of
        weight 0.

    Returns:
      Batches ``(examples [B, ...], weight [B])``.

    Raises:
      ValueError: for no examples, or leaves of different lengths.

    Example:
      >>> batches = shuffled({"x": np.arange(5.0)}, 2)
      >>> order = batches.arrange(batches.data, jax.random.key(0))
      >>> batch, weight = batches.take(batches.data, order, jnp.int32(2))
      >>> batches.num_steps, batch["x"].shape, weight.tolist()
      (3, (2,), [1.0, 0.0])
    """
    return _examples("shuffled", examples, batch_size, jax.random.permutation)


def in_order(examples: Any, batch_size: int) -> Batches:
    """The same batches in the order of the data, for validation and test.

    Example:
      >>> batches = in_order({"x": np.arange(5.0)}, 2)
      >>> order = batches.arrange(batches.data, jax.random.key(0))
      >>> batches.take(batches.data, order, jnp.int32(1))[0]["x"].tolist()
      [2.0, 3.0]
    """
    return _examples("in_order", examples, batch_size, lambda key, order: order)


def _examples(
    name: str, examples: Any, batch_size: int, permute: Callable[[Array, Array], Array]
) -> Batches:
    sizes = {np.shape(leaf)[0] for leaf in jax.tree.leaves(examples)}
    if len(sizes) != 1 or sizes == {0}:
        raise ValueError(f"{name}: examples of lengths {sorted(sizes)}; one length >= 1 is needed")
    (num_examples,) = sizes
    num_steps = -(-num_examples // batch_size)
    padding = num_steps * batch_size - num_examples

    def arrange(data: Any, key: Array) -> Array:
        del data
        order = permute(key, jnp.arange(num_examples, dtype=jnp.int32))
        return jnp.pad(order, (0, padding), mode="wrap")

    def take(data: Any, order: Array, step: Array) -> tuple[Any, Array]:
        begin = step * batch_size
        which = jax.lax.dynamic_slice_in_dim(order, begin, batch_size)
        position = begin + jnp.arange(batch_size, dtype=jnp.int32)
        weight = (position < num_examples).astype(jnp.float32)
        return jax.tree.map(lambda leaf: jnp.take(leaf, which, axis=0), data), weight

    data = jax.tree.map(np.asarray, examples)
    return Batches(num_steps, data, arrange, take, num_examples)


def streams(symbols: Any, num_streams: int, length: int) -> Batches:
    """A text in parallel streams, each a contiguous part, for a state that is carried along.

    With B streams, stream b reads ``symbols[b*L : (b+1)*L]``, ``L = ceil((N-1) / B)``, T symbols
    a batch; what it has to say is the symbol after each. So every symbol but the first is
    predicted once in a pass, and the state at the end of a batch is the one that the next batch
    of the same stream begins with.

    Args:
      symbols: ``[N]`` whole numbers, N >= 2.
      num_streams: B; fewer where the text has fewer than B + 1 symbols.
      length: T.

    Returns:
      Batches of `Text`.

    Raises:
      ValueError: for fewer than 2 symbols.

    Example:
      >>> batches = streams(np.arange(8), 2, 2)
      >>> batch = batches.take(batches.data, batches.arrange(batches.data, None), jnp.int32(1))
      >>> batches.num_steps, batch.inputs.tolist(), batch.targets.tolist(), batch.weight.tolist()
      (2, [[2, 6], [3, 6]], [[3, 7], [4, 7]], [[1.0, 1.0], [1.0, 0.0]])
    """
    symbols = np.asarray(symbols)
    if symbols.ndim != 1 or symbols.size < 2:
        raise ValueError(
            f"streams: {symbols.size} symbols; at least 2 are needed, one to see and one to say"
        )
    num_pairs = symbols.size - 1
    num_streams = min(num_streams, num_pairs)
    part = -(-num_pairs // num_streams)
    num_steps = -(-part // length)
    # [num_steps * T, B]; positions past the end repeat the last pair, with weight 0
    position = np.arange(num_steps * length)[:, None]
    index = position + part * np.arange(num_streams)
    valid = (position < part) & (index < num_pairs)
    index = np.minimum(index, num_pairs - 1)
    narrow = np.uint8 if symbols.max() < 256 else np.int32
    data = Text(
        symbols[index].astype(narrow), symbols[index + 1].astype(narrow), valid.astype(np.bool_)
    )

    def take(data: Text, order: Any, step: Array) -> Text:
        del order
        now = jax.tree.map(
            lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, step * length, length), data
        )
        return Text(
            now.inputs.astype(jnp.int32),
            now.targets.astype(jnp.int32),
            now.weight.astype(jnp.float32),
        )

    return Batches(num_steps, data, lambda data, key: (), take, num_pairs)
