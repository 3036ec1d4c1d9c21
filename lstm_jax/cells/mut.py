"""The three cells that a search over ten thousand found (Jozefowicz et al. 2015)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell, Parts, draw, from_parts, products, require_positive
from lstm_jax.types import Array


class MutParams(NamedTuple):
    """Weights by unit: z update gate, r reset gate, h candidate; None where a cell has none.

    In the paper's letters w_z is W_xz, r_z is W_hz, and so on; w_e embeds x where its formulas
    use x without a matrix.
    """

    w_e: Array | None  # [H, D]
    w_z: Array
    w_r: Array | None
    w_h: Array | None
    r_z: Array | None  # [H, H]
    r_r: Array
    r_h: Array
    b_z: Array  # [H]
    b_r: Array
    b_h: Array


class MutState(NamedTuple):
    """The output of the step before, which is all the memory there is."""

    h: Array  # [H]


def mut1(input_size: int, hidden_size: int) -> Cell:
    """MUT1 of Jozefowicz, Zaremba & Sutskever 2015.

    With s the logistic function, ``*`` elementwise::

        z_t = s(w_z x_t + b_z)
        r_t = s(w_r x_t + r_r h_tm1 + b_r)
        n_t = tanh(r_h (r_t * h_tm1) + tanh(w_e x_t) + b_h)
        h_t = n_t * z_t + h_tm1 * (1 - z_t)                      z = 0 keeps

    Args:
      input_size: D.
      hidden_size: H.

    The paper writes ``tanh(x_t)``, for an x already of size H; w_e makes it so here. Weights
    start uniform in ``[-1/sqrt(H), 1/sqrt(H)]``, biases at zero. As in the GRU the truncation
    stops h entirely: the memory is also what enters the gates.

    Raises:
      ValueError: for a size below 1 or an input of the wrong shape.

    Example:
      >>> cell = mut1(input_size=2, hidden_size=3)
      >>> params = cell.init(jax.random.key(0))
      >>> [name for name, weight in params._asdict().items() if weight is None]
      ['w_h', 'r_z']
      >>> list(cell.gates(params, cell.initial_state(), jnp.ones(2)))
      ['z', 'r', 'n', 'h']
    """

    def recur(params: MutParams, state: MutState) -> dict[str, Array]:
        return {"r": params.r_r @ state.h}

    def combine(
        params: MutParams, state: MutState, from_x: dict[str, Array], from_h: dict[str, Array]
    ) -> dict[str, Array]:
        net_z = from_x["z"] + params.b_z
        return _mixed(params, state, net_z, from_x, from_h, jnp.tanh(from_x["n"]))

    sees_x = {"z": "w_z", "r": "w_r", "n": "w_e"}
    return _mut("mut1", input_size, hidden_size, sees_x, ("r_r", "r_h"), recur, combine)


def mut2(input_size: int, hidden_size: int) -> Cell:
    """MUT2 of Jozefowicz, Zaremba & Sutskever 2015; all else as for `mut1`.

    ::

        z_t = s(w_z x_t + r_z h_tm1 + b_z)
        r_t = s(w_e x_t + r_r h_tm1 + b_r)
        n_t = tanh(r_h (r_t * h_tm1) + w_h x_t + b_h)
        h_t = n_t * z_t + h_tm1 * (1 - z_t)

    The paper writes x_t for ``w_e x_t``.

    Example:
      >>> params = mut2(input_size=2, hidden_size=3).init(jax.random.key(0))
      >>> [name for name, weight in params._asdict().items() if weight is None]
      ['w_r']
    """

    def recur(params: MutParams, state: MutState) -> dict[str, Array]:
        return products({"z": params.r_z, "r": params.r_r}, state.h)

    sees_x = {"z": "w_z", "r": "w_e", "n": "w_h"}
    return _mut("mut2", input_size, hidden_size, sees_x, ("r_z", "r_r", "r_h"), recur, _combine)


def mut3(input_size: int, hidden_size: int) -> Cell:
    """MUT3 of Jozefowicz, Zaremba & Sutskever 2015; all else as for `mut1`.

    ::

        z_t = s(w_z x_t + r_z tanh(h_tm1) + b_z)
        r_t = s(w_r x_t + r_r h_tm1 + b_r)
        n_t = tanh(r_h (r_t * h_tm1) + w_h x_t + b_h)
        h_t = n_t * z_t + h_tm1 * (1 - z_t)

    Example:
      >>> params = mut3(input_size=2, hidden_size=3).init(jax.random.key(0))
      >>> [name for name, weight in params._asdict().items() if weight is None]
      ['w_e']
    """

    def recur(params: MutParams, state: MutState) -> dict[str, Array]:
        from_tanh = products({"z": params.r_z}, jnp.tanh(state.h))
        return from_tanh | products({"r": params.r_r}, state.h)

    sees_x = {"z": "w_z", "r": "w_r", "n": "w_h"}
    return _mut("mut3", input_size, hidden_size, sees_x, ("r_z", "r_r", "r_h"), recur, _combine)


def _combine(
    params: MutParams, state: MutState, from_x: dict[str, Array], from_h: dict[str, Array]
) -> dict[str, Array]:
    """What MUT2 and MUT3 make of their sums, which differ in what they are of."""
    net_z = from_x["z"] + from_h["z"] + params.b_z
    return _mixed(params, state, net_z, from_x, from_h, from_x["n"])


def _mixed(
    params: MutParams,
    state: MutState,
    net_z: Array,
    from_x: dict[str, Array],
    from_h: dict[str, Array],
    seen: Array,
) -> dict[str, Array]:
    """What all three share, once z's net input and what the candidate sees of x are there."""
    net_r = from_x["r"] + from_h["r"] + params.b_r
    z, r = jax.nn.sigmoid(net_z), jax.nn.sigmoid(net_r)
    net_n = params.r_h @ (r * state.h) + seen + params.b_h
    n = jnp.tanh(net_n)
    nets = {"net_z": net_z, "net_r": net_r, "net_n": net_n}
    return {"z": z, "r": r, "n": n, "h": n * z + state.h * (1 - z)} | nets


def _mut(
    name: str,
    input_size: int,
    hidden_size: int,
    sees_x: dict[str, str],
    recurrent: tuple[str, ...],
    recur: Callable[[MutParams, MutState], dict[str, Array]],
    combine: Callable[..., dict[str, Array]],
) -> Cell:
    """What the three share: all but their equations.

    Args:
      sees_x: the input weights by unit.
      recurrent: the names of the recurrent weights.
    """
    require_positive(input_size=input_size, hidden_size=hidden_size)

    def init(key: Array, init_range: float | Array = hidden_size**-0.5) -> MutParams:
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
            sees_x.values(), (hidden_size, input_size)
        )
        shapes |= dict.fromkeys(recurrent, (hidden_size, hidden_size))
        biases = {f"b_{a}": jnp.zeros(hidden_size) for a in "zrh"}
        absent: dict[str, Any] = dict.fromkeys(MutParams._fields)
        return MutParams(**absent | draw(key, init_range, shapes) | biases)

    def initial_state() -> MutState:
        return MutState(h=jnp.zeros(hidden_size))

    def project(params: MutParams, x: Array) -> dict[str, Array]:
        return products({unit: getattr(params, w) for unit, w in sees_x.items()}, x)

    def truncate(state: MutState) -> MutState:
        return MutState(h=jax.lax.stop_gradient(state.h))

    return from_parts(
        Parts(project, recur, combine),
        name=name,
        input_size=input_size,
        output_size=hidden_size,
        init=init,
        initial_state=initial_state,
        truncate=truncate,
    )
