"""One cell as a structure, forwards or backwards; what every other structure is made of."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from lstm_jax.cells.cell import Cell
from lstm_jax.types import Array, Params, State
from lstm_jax.unroll import Structure, require_sequence, unroll, valid_steps


class LayerSpec(NamedTuple):
    """What a layer is made of."""

    cell: Cell
    reverse: bool


def layer(cell: Cell, *, reverse: bool = False) -> Structure:
    """A cell over a sequence, in one direction; its params and state are the cell's own.

    Args:
      cell: any `Cell`.
      reverse: run from the last valid step to the first; outputs keep their positions, and the
        final state is that after the first step.

    Resets say where new sequences begin. Backwards, a layer forgets once it is through with the
    first step of one and goes on to the last step of the one before; `unroll` itself, told to run
    in reverse, forgets before the step that is marked.

    Raises:
      ValueError: in `apply`, as `unroll` does.

    Example:
      >>> import jax
      >>> from lstm_jax.cells import lstm
      >>> backwards = layer(lstm(2, 3), reverse=True)
      >>> params = backwards.init(jax.random.key(0))
      >>> state, ys = backwards.apply(params, jnp.ones((5, 2)), length=3)
      >>> bool((state.h == ys[0]).all()), bool((ys[3:] == 0).all())
      (True, True)
    """

    def apply(
        params: Params,
        xs: Array,
        state: State | None = None,
        *,
        length: Array | int | None = None,
        resets: Array | None = None,
        key: Array | None = None,
        **loop: Any,  # kernel, checkpoint: see `unroll`
    ) -> tuple[State, Array]:
        del key  # nothing is drawn
        xs = require_sequence("layer", xs, cell.input_size, length, resets)
        if reverse and resets is not None:
            resets = ends(resets, length)
        return unroll(
            cell, params, xs, state, length=length, reverse=reverse, resets=resets, **loop
        )

    spec = LayerSpec(cell, reverse)
    return Structure(
        "layer", cell.input_size, cell.output_size, cell.init, cell.initial_state, apply, spec
    )


def ends(begins: Array, length: Array | int | None = None) -> Array:
    """Where sequences end, ``[T]``, from where they begin: the step before each beginning.

    The last valid step is not among them: what a backward run starts from is the state given.

    Example:
      >>> ends(jnp.array([True, False, True, False, True]), length=4).tolist()
      [False, True, False, False, False]
    """
    if length is not None:
        begins = begins & valid_steps(begins.shape[0], length)
    return jnp.concatenate([begins[1:], jnp.zeros_like(begins[:1])])


def as_structure(part: Cell | Structure) -> Structure:
    """A cell as a layer that runs forwards; a structure as it is.

    Example:
      >>> from lstm_jax.cells import elman
      >>> as_structure(elman(2, 3)).name
      'layer'
    """
    return layer(part) if isinstance(part, Cell) else part


def fresh(part: Cell | Structure, key: Array, init_range: float | Array | None) -> Params:
    """Fresh weights, from the part's own range where `init_range` is None.

    Example:
      >>> import jax
      >>> from lstm_jax.cells import elman
      >>> fresh(elman(2, 3), jax.random.key(0), 0.0).w.any().tolist()
      False
    """
    return part.init(key) if init_range is None else part.init(key, init_range)
