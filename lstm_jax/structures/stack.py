"""Layers over each other, each run over the whole sequence before the next."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax import draws
from lstm_jax.cells.cell import Cell
from lstm_jax.cells.wrappers.dropout import dropped, require_rate
from lstm_jax.structures.layer import as_structure, fresh
from lstm_jax.types import Array, Params, State
from lstm_jax.unroll import Structure, require_sequence, valid_steps


class StackSpec(NamedTuple):
    """What a stack is made of, from the inputs up."""

    parts: tuple[Any, ...]  # Cell or Structure
    residual: bool
    dropout: float


def stack(*parts: Cell | Structure, residual: bool = False, dropout: float = 0.0) -> Structure:
    """Layers over each other, each run over the whole sequence before the next one begins.

    ``xs_0 = xs``, ``ys_n = part_n(xs_n)``, ``xs_n+1 = ys_n``; with `residual`
    ``xs_n+1 = xs_n + ys_n`` (He et al. 2016) where part n has as many outputs as inputs.

    Args:
      parts: cells and structures, from the inputs up; a cell is a layer that runs forwards.
      residual: adds each part's inputs to its outputs where their sizes agree.
      dropout: the share of the numbers between two parts that are set to zero, drawn anew for
        each time step and unit, the others scaled by ``1 / (1 - dropout)`` (Zaremba et al. 2014;
        torch's ``nn.LSTM(dropout=...)``). Only where `apply` is given a key, and not after the
        last part. With `residual` it is the sum that is dropped from.

    Returns:
      A `Structure` whose params and state are tuples, one entry a part.

    Raises:
      ValueError: without parts, where a part does not take as many inputs as the one below has
        outputs, for `residual` where no part has as many outputs as inputs, and for a rate
        outside [0, 1).

    Example:
      >>> from lstm_jax.cells import lstm
      >>> from lstm_jax.structures import bidirectional
      >>> deep = stack(bidirectional(lstm(2, 3), lstm(2, 3)), lstm(6, 4), dropout=0.5)
      >>> params = deep.init(jax.random.key(0))
      >>> state, ys = deep.apply(params, jnp.ones((5, 2)), length=3, key=jax.random.key(1))
      >>> ys.shape, bool((state[1].h == ys[2]).all())
      ((5, 4), True)
    """
    require_chain("stack", parts, residual)
    require_rate("dropout", dropout)
    layers = [as_structure(part) for part in parts]

    def init(key: Array, init_range: float | Array | None = None) -> tuple[Params, ...]:
        return init_all(parts, key, init_range)

    def initial_state() -> tuple[State, ...]:
        return tuple(part.initial_state() for part in parts)

    def apply(
        params: tuple[Params, ...],
        xs: Array,
        state: tuple[State, ...] | None = None,
        *,
        length: Array | int | None = None,
        resets: Array | None = None,
        key: Array | None = None,
        **loop: Any,  # kernel, checkpoint: see `unroll`
    ) -> tuple[tuple[State, ...], Array]:
        xs = require_sequence("stack", xs, parts[0].input_size, length, resets)
        if length is not None:  # the parts do so too, but a residual goes past them
            valid = valid_steps(xs.shape[0], length)
            xs = jnp.where(valid[:, None], xs, jnp.zeros_like(xs))
        start = initial_state() if state is None else state
        final = []
        for n, part in enumerate(layers):
            own = None if key is None else draws.fold_in(key, 2 * n)
            how = {"length": length, "resets": resets, "key": own} | loop
            after, ys = part.apply(params[n], xs, start[n], **how)
            final.append(after)
            xs = join(xs, ys, residual)
            if key is not None and n + 1 < len(layers):
                xs = dropped(draws.fold_in(key, 2 * n + 1), dropout, xs)
        return tuple(final), xs

    spec = StackSpec(parts, residual, dropout)
    return Structure(
        "stack", parts[0].input_size, parts[-1].output_size, init, initial_state, apply, spec
    )


def require_chain(name: str, parts: Sequence[Cell | Structure], residual: bool) -> None:
    """Raises ``ValueError`` where parts do not fit on each other.

    Example:
      >>> from lstm_jax.cells import elman
      >>> require_chain("stack", (elman(2, 3), elman(4, 5)), residual=False)
      Traceback (most recent call last):
      ValueError: stack: part 1 takes 4 inputs, part 0 (elman) has 3 outputs
    """
    if not parts:
        raise ValueError(f"{name}: no parts given; at least one cell is needed")
    for n, (below, above) in enumerate(zip(parts, parts[1:], strict=False)):
        if below.output_size != above.input_size:
            raise ValueError(
                f"{name}: part {n + 1} takes {above.input_size} inputs, part {n} ({below.name}) "
                f"has {below.output_size} outputs"
            )
    if residual and not any(part.input_size == part.output_size for part in parts):
        sizes = ", ".join(f"{part.input_size} to {part.output_size}" for part in parts)
        raise ValueError(
            f"{name}: residual=True, but no part has as many outputs as inputs ({sizes})"
        )


def init_all(
    parts: Sequence[Cell | Structure], key: Array, init_range: float | Array | None
) -> tuple[Params, ...]:
    """Fresh weights of each part, from a key of its own."""
    keys = jax.random.split(key, len(parts))
    return tuple(fresh(part, k, init_range) for part, k in zip(parts, keys, strict=True))


def join(x: Array, y: Array, residual: bool) -> Array:
    """What a part hands on: its outputs, with its inputs added where asked and possible."""
    return x + y if residual and x.shape == y.shape else y
