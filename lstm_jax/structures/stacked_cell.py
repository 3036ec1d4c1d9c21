"""Cells over each other as one cell: all of them at each step."""

from lstm_jax.cells.cell import NET, Cell, observed
from lstm_jax.structures.stack import StackSpec, init_all, join, require_chain
from lstm_jax.types import Array, Params, State


def stacked_cell(*cells: Cell, residual: bool = False) -> Cell:
    """The same stack as one `Cell`: one scan over time, all layers within each step.

    So it stands wherever a cell does: in `network`, under every gradient rule, in a wrapper.
    Truncation and the gates are those of the layers; the gates of layer n are named "n.i", "n.f"
    and so on, and "h" is the output.

    Args, errors: as for `stack`, of cells only.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from lstm_jax.cells import elman, lstm
      >>> deep = stacked_cell(lstm(2, 3), elman(3, 4))
      >>> params = deep.init(jax.random.key(0))
      >>> state, y = deep.step(params, deep.initial_state(), jnp.ones(2))
      >>> y.shape, bool((state[1].h == y).all())
      ((4,), True)
    """
    require_chain("stacked_cell", cells, residual)
    for n, cell in enumerate(cells):
        if not isinstance(cell, Cell):
            raise ValueError(f"stacked_cell: part {n} is no Cell; stack takes structures as well")

    def init(key: Array, init_range: float | Array | None = None) -> tuple[Params, ...]:
        return init_all(cells, key, init_range)

    def initial_state() -> tuple[State, ...]:
        return tuple(cell.initial_state() for cell in cells)

    def step(
        params: tuple[Params, ...], state: tuple[State, ...], x: Array
    ) -> tuple[tuple[State, ...], Array]:
        final = []
        for n, cell in enumerate(cells):
            after, y = cell.step(params[n], state[n], x)
            final.append(after)
            x = join(x, y, residual)
        return tuple(final), x

    def observe(
        params: tuple[Params, ...], state: tuple[State, ...], x: Array
    ) -> tuple[tuple[State, ...], Array, dict[str, Array]]:
        final, named = [], {}
        for n, cell in enumerate(cells):
            after, y, now = observed(cell, params[n], state[n], x)
            final.append(after)
            named |= {f"{n}.{name}": array for name, array in now.items()}
            x = join(x, y, residual)
        return tuple(final), x, named | {"h": x}

    def gates(params: tuple[Params, ...], state: tuple[State, ...], x: Array) -> dict[str, Array]:
        now = observe(params, state, x)[2]
        return {name: gate for name, gate in now.items() if f".{NET}" not in name}

    def truncate(state: tuple[State, ...]) -> tuple[State, ...]:
        return tuple(cell.truncate(part) for cell, part in zip(cells, state, strict=True))

    return Cell(
        "stacked_cell",
        cells[0].input_size,
        cells[-1].output_size,
        init,
        initial_state,
        step,
        gates,
        truncate,
        StackSpec(cells, residual, 0.0),
        observe=observe,
    )
