"""A batch spread over devices: two CPU devices on two cores, or GPUs; and replicas of a program."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def spread(batch: Any, axis: int = 0) -> Any:
    """The same batch, each device with its part of the examples.

    For use inside a compiled training step, on what the step gets or picks: XLA then splits all
    that follows from it, and adds up the gradients; weights stay whole on every device. On CPU
    devices that is the way to both cores: XLA runs a loop over time in one thread, whatever the
    number of threads, and two loops on two devices in two (docs/decisions, 0013). Networks below
    48 units want ``unroll(..., kernel="spread")``.

    Where there is one device, or a leaf has no `axis` that divides over the devices, nothing is
    done with it; `spreads` says so beforehand.

    Args:
      batch: a pytree of arrays.
      axis: which of their axes the examples are on: 1 for ``[T, B, ...]``.

    Example:
      >>> import jax.numpy as jnp
      >>> double = jax.jit(lambda xs: 2 * spread(xs, axis=1))
      >>> xs = double(jnp.ones((5, 6 * jax.device_count(), 3)))
      >>> len(xs.sharding.device_set) == jax.device_count(), bool((xs == 2).all())
      (True, True)
    """
    sharding = NamedSharding(_mesh(), PartitionSpec(*[None] * axis, "examples"))

    def place(leaf: Any) -> Any:
        if leaf.ndim <= axis or not spreads(leaf.shape[axis]):
            return leaf
        return jax.lax.with_sharding_constraint(leaf, sharding)

    return jax.tree.map(place, batch)


def whole(batch: Any) -> Any:
    """The same arrays, each device with all of them.

    For what every device has and sums up by itself, such as the weights of a batch's examples:
    where it meets a spread batch XLA would spread it too, and the devices would wait for each
    other's sums in the middle of a step (7% of it with 32 streams of 50 on two CPU devices). Only
    for a program that has a spread batch: any other it would make one for all devices.

    Example:
      >>> import jax.numpy as jnp
      >>> float(jax.jit(lambda xs: whole(xs).sum())(jnp.ones(4)))
      4.0
    """
    if jax.device_count() == 1:
        return batch
    return jax.lax.with_sharding_constraint(batch, NamedSharding(_mesh(), PartitionSpec()))


def _mesh() -> Mesh:
    return Mesh(np.array(jax.devices()), ("examples",))


def spreads(num_examples: int) -> bool:
    """Whether so many examples can be spread: there are several devices, which divide them.

    Example:
      >>> spreads(64 * jax.device_count()) == (jax.device_count() > 1)
      True
    """
    count = jax.device_count()
    return count > 1 and num_examples % count == 0


def alike(tree: Any, *others: Any) -> Any:
    """The same arrays, each varying over all mesh axes that any of them varies over.

    Inside `jax.shard_map` JAX knows which arrays are the same on every device, and asks of a loop
    that its state stays the same or varies throughout: zeros to start from would be the same, and
    the states that follow vary with the examples. Weights vary before the loop as well: where JAX
    adds up their gradients over the devices, it then does so once and not at every step. Outside
    `jax.shard_map` nothing is done.

    Args:
      tree: a pytree of arrays.
      others: what they have to be alike with, beside each other.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax.sharding import PartitionSpec as P
      >>> def total(xs):
      ...     start = alike(jnp.float32(0), xs)
      ...     return jax.lax.scan(lambda t, x: (t + x, None), start, xs)[0][None]
      >>> mesh, axis = Mesh(jax.devices()[:1], "examples"), P("examples")
      >>> jax.shard_map(total, mesh=mesh, in_specs=axis, out_specs=axis)(jnp.ones(3)).tolist()
      [3.0]
    """
    axes = frozenset[str]().union(*map(_varies_over, jax.tree.leaves((tree, others))))

    def vary(leaf: Any) -> Any:
        missing = tuple(sorted(axes - _varies_over(leaf)))
        return jax.lax.pcast(leaf, missing, to="varying") if missing else leaf

    return jax.tree.map(vary, tree) if axes else tree


def _varies_over(leaf: Any) -> frozenset[str]:
    return jax.typeof(leaf).manual_axis_type.varying
