"""Zoneout: units that now and then keep the value they had."""

from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax import draws
from lstm_jax.cells.cell import NET, Cell, observed
from lstm_jax.cells.wrappers.dropout import require_rate
from lstm_jax.types import Array, Params, State


class ZoneoutState(NamedTuple):
    """The state of the cell, and how many steps it has taken: each draws anew."""

    cell: State
    t: Array  # int32


def zoneout(cell: Cell, key: Array | None, *, rates: Mapping[str, float]) -> Cell:
    """Zoneout (Krueger et al. 2017): a random part of the state stays as it was.

    For each field s of the state that has a rate::

        s_t = d_t * s_tm1 + (1 - d_t) * new s_t,    d_t ~ Bernoulli(rate), unit by unit

    with ``new s_t`` what the cell's own step gives (in an LSTM the new h is made of the new c, not
    of what zoneout leaves of it). Without a key, for evaluation, d_t is its mean, the rate.

    Args:
      cell: a cell whose state is a NamedTuple.
      key: with the step count it decides what stays, so one call is for one sequence; a batch is
        a ``vmap`` over keys, with the wrapper and `unroll` inside. A state handed on keeps
        counting; a reset counts from 0 again.
      rates: by field of the state, the share of units that stay, in [0, 1); such as
        ``{"c": 0.5, "h": 0.05}``, the paper's for characters. The rate of "h" is that of the
        output too.

    Returns:
      A `Cell` with the params of the cell given and a `ZoneoutState`.

    Raises:
      ValueError: for a field that the state has not, a rate outside [0, 1), and for c, n and m of
        an `slstm`: c and n are in units of exp(m), and what stays while m moves on is another
        number.

    Example:
      >>> from lstm_jax import lstm, unroll
      >>> cell = lstm(2, 3)
      >>> params = cell.init(jax.random.key(0))
      >>> noisy = zoneout(cell, jax.random.key(1), rates={"c": 0.5, "h": 0.05})
      >>> state, ys = unroll(noisy, params, jnp.ones((5, 2)))
      >>> bool((state.cell.h == ys[4]).all()), int(state.t)
      (True, 5)
    """
    for field, rate in rates.items():
        require_rate(f"rates[{field!r}]", rate)
    shapes = _shapes(cell, rates)
    sizes = {field: prod(shape) for field, shape in shapes.items()}

    def initial_state() -> ZoneoutState:
        return ZoneoutState(cell.initial_state(), jnp.zeros((), jnp.int32))

    def kept(old: State, new: State, t: Array) -> dict[str, Array]:
        """The fields that have a rate, after zoneout."""
        pairs = {f: (getattr(old, f), getattr(new, f), rates[f]) for f in sizes}
        if key is None or not pairs:
            return {f: rate * o + (1 - rate) * n for f, (o, n, rate) in pairs.items()}
        # One draw for all fields, cut into pieces: a draw for each costs as much as the cell.
        draw = draws.uniform(draws.fold_in(key, t), sum(sizes.values()))
        fields, start = {}, 0
        for f, (o, n, rate) in pairs.items():
            drawn = draw[start : start + sizes[f]].reshape(shapes[f])
            fields[f] = jnp.where(drawn < rate, o, n)
            start += sizes[f]
        return fields

    def observe(
        params: Params, state: ZoneoutState, x: Array
    ) -> tuple[ZoneoutState, Array, dict[str, Array]]:
        new, y, now = observed(cell, params, state.cell, x)
        fields = kept(state.cell, new, state.t)
        after = ZoneoutState(new._replace(**fields), state.t + 1)
        return after, fields.get("h", y), now | fields

    def step(params: Params, state: ZoneoutState, x: Array) -> tuple[ZoneoutState, Array]:
        return observe(params, state, x)[:2]

    def gates(params: Params, state: ZoneoutState, x: Array) -> dict[str, Array]:
        now = observe(params, state, x)[2]
        return {gate: value for gate, value in now.items() if not gate.startswith(NET)}

    def truncate(state: ZoneoutState) -> ZoneoutState:
        return ZoneoutState(cell.truncate(state.cell), state.t)

    return Cell(
        f"zoneout({cell.name})",
        cell.input_size,
        cell.output_size,
        cell.init,
        initial_state,
        step,
        gates,
        truncate,
        observe=observe,
    )


def _shapes(cell: Cell, rates: Mapping[str, float]) -> dict[str, tuple[int, ...]]:
    """The shape of each field with a rate, in the order of the state."""
    state = jax.eval_shape(cell.initial_state)
    fields = getattr(state, "_asdict", dict)().items()
    valid = {f: s.shape for f, s in fields if jnp.issubdtype(_dtype(s), jnp.floating)}
    for field in rates:
        if {"c", "n", "m"} <= valid.keys() and field in ("c", "n", "m"):
            raise ValueError(
                f"rates: the {cell.name} cell's {field!r} cannot stay as it was: c and n are in "
                "units of exp(m), which moves on; 'h' can"
            )
        if field not in valid:
            raise ValueError(
                f"rates: the state of the {cell.name} cell has no field {field!r}; it has "
                f"{', '.join(valid) or 'none'}"
            )
    return {field: shape for field, shape in valid.items() if field in rates}


def _dtype(leaf: Any) -> Any:
    """The type of an array's numbers; of what is none, one that no rate is for."""
    return getattr(leaf, "dtype", jnp.bool_)
