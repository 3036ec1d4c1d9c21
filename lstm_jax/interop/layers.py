"""Structures taken apart into the cells that other libraries have, and put together from them."""

from collections.abc import Collection, Sequence

from lstm_jax.cells.cell import Cell
from lstm_jax.structures.bidirectional import (
    BidirectionalParams,
    BidirectionalSpec,
    bidirectional,
)
from lstm_jax.structures.layer import LayerSpec
from lstm_jax.structures.stack import StackSpec, stack
from lstm_jax.types import Params
from lstm_jax.unroll import Structure

Directions = list[tuple[Cell, Params, bool]]
"""(cell, params, whether it runs backwards) of the cells that see the same inputs."""


def together(
    layers: Sequence[Sequence[tuple[Cell, Params]]], merge: str = "concat"
) -> tuple[Cell | Structure, Params]:
    """Layers, from the inputs up, of one cell or two, as the simplest that says it.

    One cell stays a `Cell`; two, forward and backward, become a `bidirectional`; several layers
    a `stack`.

    Example:
      >>> import jax
      >>> from lstm_jax.cells import elman
      >>> cell = elman(2, 3)
      >>> weights = cell.init(jax.random.key(0))
      >>> together([[(cell, weights)]])[0].name, together([[(cell, weights)] * 2])[0].name
      ('elman', 'bidirectional')
    """
    parts: list[Cell | Structure] = []
    params: list[Params] = []
    for cells in layers:
        if len(cells) == 1:
            parts.append(cells[0][0])
            params.append(cells[0][1])
        else:
            (forward, ahead), (backward, back) = cells
            parts.append(bidirectional(forward, backward, merge=merge))
            params.append(BidirectionalParams(ahead, back))
    return (stack(*parts), tuple(params)) if len(parts) > 1 else (parts[0], params[0])


def layers_of(part: Cell | Structure, params: Params, library: str) -> list[Directions]:
    """What a cell or structure is made of, from the inputs up; ``ValueError`` for a residual.

    Example:
      >>> import jax
      >>> from lstm_jax.cells import elman, lstm
      >>> from lstm_jax.structures import bidirectional, stack
      >>> deep = stack(bidirectional(lstm(2, 3), lstm(2, 3)), elman(6, 4))
      >>> layers = layers_of(deep, deep.init(jax.random.key(0)), "torch")
      >>> [[(cell.name, backwards) for cell, _, backwards in layer] for layer in layers]
      [[('lstm', False), ('lstm', True)], [('elman', False)]]
    """
    if not isinstance(part.spec, StackSpec):
        return [directions_of(part, params, library)]
    if part.spec.residual:
        raise ValueError(f"{library} has no stack with residual=True; it has residual=False")
    above = []
    for inner, own in zip(part.spec.parts, params, strict=True):
        above += layers_of(inner, own, library)
    return above


def directions_of(
    part: Cell | Structure, params: Params, library: str, merges: Collection[str] = ("concat",)
) -> Directions:
    """The cells of one layer; ``ValueError`` for a stack, or outputs merged in another way.

    Example:
      >>> import jax
      >>> from lstm_jax.cells import elman
      >>> from lstm_jax.structures import layer
      >>> backwards = layer(elman(2, 3), reverse=True)
      >>> [(cell, _, reverse)] = directions_of(backwards, None, "torch")
      >>> cell.name, reverse
      ('elman', True)
    """
    spec = part.spec
    if isinstance(spec, StackSpec):
        raise ValueError(f"{library}: one layer is converted at a time; this is a {part.name}")
    if isinstance(spec, LayerSpec):
        return [(spec.cell, params, spec.reverse)]
    if not isinstance(spec, BidirectionalSpec):
        return [(part, params, False)]  # pyright: ignore[reportReturnType]  # a Cell
    if spec.merge not in merges:
        raise ValueError(
            f"{library} has no bidirectional layer with merge={spec.merge!r}; it has "
            f"{', '.join(merges)}"
        )
    return [(spec.forward, params.forward, False), (spec.backward, params.backward, True)]
