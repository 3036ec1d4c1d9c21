"""The minimal GRU (Feng et al. 2024), whose gates see the input alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import (
    Cell,
    Parts,
    draw,
    from_parts,
    products,
    require_input,
    require_positive,
)
from lstm_jax.types import Array


class MinGruParams(NamedTuple):
    """Weights by unit: z update gate, n candidate."""

    w_z: Array  # [H, D]
    w_n: Array
    b_z: Array  # [H]
    b_n: Array


class MinGruState(NamedTuple):
    """The output of the step before, which is all the memory there is."""

    h: Array  # [H]


def min_gru(input_size: int, hidden_size: int) -> Cell:
    """The minGRU of "Were RNNs all we needed?" (Feng et al. 2024, section 3.1).

    With s the logistic function, ``*`` elementwise::

        z_t = s(w_z x_t + b_z)
        n_t = w_n x_t + b_n
        h_t = (1 - z_t) * h_tm1 + z_t * n_t

    Args:
      input_size: D.
      hidden_size: H.

    No gate sees h, so that ``Cell.associative`` can run a sequence as an associative scan, equal
    to the steps to rounding. Weights start uniform in ``[-1/sqrt(H), 1/sqrt(H)]``, biases at
    zero. h is a carousel and nothing else: the truncation leaves it alone.

    Raises:
      ValueError: for a size below 1 or an input of the wrong shape.

    Example:
      >>> cell = min_gru(input_size=2, hidden_size=3)
      >>> params, start = cell.init(jax.random.key(0)), cell.initial_state()
      >>> state, ys = cell.associative(params, jnp.ones((4, 2)), start)
      >>> ys.shape, bool((state.h == ys[-1]).all())
      ((4, 3), True)
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key: Array, init_range: float | Array = hidden_size**-0.5) -> MinGruParams:
        weights = draw(key, init_range, {f"w_{a}": (hidden_size, input_size) for a in "zn"})
        biases = {f"b_{a}": jnp.zeros(hidden_size) for a in "zn"}
        return MinGruParams(**weights | biases)

    def initial_state() -> MinGruState:
        return MinGruState(h=jnp.zeros(hidden_size))

    def project(params: MinGruParams, x: Array) -> dict[str, Array]:
        return products({"z": params.w_z, "n": params.w_n}, x)

    def combine(
        params: MinGruParams, state: MinGruState, from_x: dict[str, Array], _: dict[str, Array]
    ) -> dict[str, Array]:
        net_z = from_x["z"] + params.b_z
        z = jax.nn.sigmoid(net_z)
        n = from_x["n"] + params.b_n
        return {"z": z, "n": n, "h": (1 - z) * state.h + z * n, "net_z": net_z}

    def associative(
        params: MinGruParams, xs: Array, state: MinGruState
    ) -> tuple[MinGruState, Array]:
        def gates(x: Array) -> dict[str, Array]:
            require_input("min_gru", x, input_size)
            return combine(params, state, project(params, x), {})

        now = jax.vmap(gates)(xs)
        hs = leaky_sums(1 - now["z"], now["z"] * now["n"], state.h)
        return MinGruState(h=hs[-1]), hs[1:]

    return from_parts(
        Parts(project, no_recurrence, combine),
        name="min_gru",
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        initial_state=initial_state,
        truncate=lambda state: state,
        associative=associative,
    )


def no_recurrence(params: NamedTuple, state: NamedTuple) -> dict[str, Array]:
    """The recurrent products of a cell that has none."""
    del params, state
    return {}


def leaky_sums(keep: Array, add: Array, start: Array) -> Array:
    """``h_t = keep_t * h_tm1 + add_t`` for all t at once, by `jax.lax.associative_scan`.

    Args:
      keep: ``[T, H]``.
      add: ``[T, H]``.
      start: h_0, ``[H]``.

    Returns:
      h_0 to h_T, ``[T + 1, H]``.

    Example:
      >>> keep, add = jnp.full((3, 1), 0.5), jnp.ones((3, 1))
      >>> leaky_sums(keep, add, jnp.array([4.0]))[:, 0].tolist()
      [4.0, 3.0, 2.5, 2.25]
    """

    def after(first: tuple[Array, Array], then: tuple[Array, Array]) -> tuple[Array, Array]:
        return first[0] * then[0], then[0] * first[1] + then[1]

    keep = jnp.concatenate([jnp.ones_like(start)[None], keep])
    add = jnp.concatenate([start[None], add])
    return jax.lax.associative_scan(after, (keep, add))[1]
