"""What a recurrent cell is: pure functions and their sizes."""

from collections.abc import Callable, Mapping
from itertools import accumulate
from operator import index
from typing import Any, NamedTuple

import jax.numpy as jnp

from lstm_jax.initial import uniform
from lstm_jax.types import Array, Params, State

NET = "net_"
"""How the names of net inputs begin: what a squasher is applied to."""


class Parts(NamedTuple):
    """A step in three: what a wrapper or a kernel can take hold of.

    ``gates = combine(params, state, project(params, x), recur(params, state))``.

    Attributes:
      project: ``(params, x[D]) -> {gate: [H]}``; what the input alone gives, by one product.
        No biases.
      recur: ``(params, state) -> {gate: [H]}``; the products of weights with the outputs of the
        step before, by one product where they share their source. Not those that need a gate of
        this step first (the GRU's reset-before candidate).
      combine: ``(params, state, from_x, from_h) -> {name: array}``; all the rest of the step:
        biases, peepholes, resets, squashers, the new state. It may also give what squashers are
        applied to, under names that begin with "net_": they stay out of ``Cell.gates``.
    """

    project: Callable[[Params, Array], dict[str, Array]]
    recur: Callable[[Params, State], dict[str, Array]]
    combine: Callable[[Params, State, dict[str, Array], dict[str, Array]], dict[str, Array]]


class Cell(NamedTuple):
    """A recurrent cell for one network and one sequence.

    Attributes:
      name: the key under which ``CELLS`` knows it.
      input_size: D.
      output_size: H.
      init: ``(key, init_range) -> params``; fresh weights. The range may be left out.
      initial_state: ``() -> state``; what a sequence starts from.
      step: ``(params, state, x[D]) -> (state, y[H])``; one time step.
      gates: ``(params, state, x[D]) -> {name: array}``; the activations inside that step.
        Unused results cost nothing under ``jit``.
      truncate: ``state -> state``; the 1997 truncation. It stops the gradient through all
        that enters the next step as an ordinary recurrent activation, and leaves the
        constant error carousel (the memory cells' self-connection) alone.
      spec: the options it was made with, for kernels and converters written for this one
        architecture; None where nothing has to know them, as for a wrapped cell.
      parts: the same step in three parts; None where it has not been cut so.
      associative: ``(params, xs[T, D], state) -> (state, ys[T, H])``; the whole sequence by
        `jax.lax.associative_scan`, in O(log T) steps; None where the state enters its own gates.
      observe: ``(params, state, x[D]) -> (state, y[H], {name: array})``; the step, its gates and,
        as "net_i" and so on, what their squashers are applied to, from one pass through the
        equations; None where only ``step`` and ``gates`` are given.

    Example:
      >>> import jax
      >>> from lstm_jax import CELLS
      >>> cell = CELLS["elman"](input_size=2, hidden_size=3)
      >>> params = cell.init(jax.random.key(0))
      >>> state, y = cell.step(params, cell.initial_state(), jax.numpy.ones(2))
      >>> y.shape
      (3,)
    """

    name: str
    input_size: int
    output_size: int
    init: Callable[..., Params]
    initial_state: Callable[[], State]
    step: Callable[[Params, State, Array], tuple[State, Array]]
    gates: Callable[[Params, State, Array], dict[str, Array]]
    truncate: Callable[[State], State]
    spec: Any = None
    parts: Parts | None = None
    associative: Callable[[Params, Array, State], tuple[State, Array]] | None = None
    observe: Callable[[Params, State, Array], tuple[State, Array, dict[str, Array]]] | None = None


def from_parts(
    parts: Parts,
    *,
    name: str,
    input_size: int,
    output_size: int,
    init: Callable[..., Params],
    initial_state: Callable[[], State],
    truncate: Callable[[State], State],
    spec: Any = None,
    associative: Callable[[Params, Array, State], tuple[State, Array]] | None = None,
) -> Cell:
    """A cell whose ``step``, ``gates`` and ``observe`` are made of its parts.

    Its state is a NamedTuple whose fields are names of gates; ``step`` keeps those that the state
    holds (is not None) and returns the gate "h".

    Example:
      >>> import jax
      >>> from lstm_jax import elman
      >>> cell = elman(2, 3)
      >>> fields = "name input_size output_size init initial_state truncate".split()
      >>> remade = from_parts(cell.parts, **{field: getattr(cell, field) for field in fields})
      >>> remade.gates(cell.init(jax.random.key(0)), cell.initial_state(), jnp.ones(2)).keys()
      dict_keys(['h'])
    """

    def observe(params: Params, state: State, x: Array) -> tuple[State, Array, dict[str, Array]]:
        require_input(name, x, input_size)
        now = parts.combine(params, state, parts.project(params, x), parts.recur(params, state))
        return held(state, now), now["h"], now

    def gates(params: Params, state: State, x: Array) -> dict[str, Array]:
        now = observe(params, state, x)[2]
        return {gate: value for gate, value in now.items() if not gate.startswith(NET)}

    def step(params: Params, state: State, x: Array) -> tuple[State, Array]:
        return observe(params, state, x)[:2]

    step.parts = parts  # pyright: ignore[reportFunctionMemberAccess]  # see steps_by_parts
    return Cell(
        name,
        input_size,
        output_size,
        init,
        initial_state,
        step,
        gates,
        truncate,
        spec=spec,
        parts=parts,
        associative=associative,
        observe=observe,
    )


def observed(
    cell: Cell, params: Params, state: State, x: Array
) -> tuple[State, Array, dict[str, Array]]:
    """A step of any cell with what is inside it: ``Cell.observe``, else its step and its gates.

    Example:
      >>> import jax
      >>> from lstm_jax import elman
      >>> cell = elman(2, 3)
      >>> case = cell.init(jax.random.key(0)), cell.initial_state(), jnp.ones(2)
      >>> sorted(observed(cell, *case)[2]), sorted(observed(cell._replace(observe=None), *case)[2])
      (['h', 'net_h'], ['h'])
    """
    if cell.observe is not None:
        return cell.observe(params, state, x)
    return *cell.step(params, state, x), cell.gates(params, state, x)


def held(state: State, gates: Mapping[str, Array]) -> State:
    """What a state made of gates keeps of a step: the gates named by the fields it holds.

    Example:
      >>> from lstm_jax.cells.lstm import LstmState
      >>> held(LstmState(c=jnp.zeros(1), h=jnp.zeros(1)), {"c": 1, "h": 2, "i": 3})[:3]
      (1, 2, None)
    """
    fields = {field: gates[field] for field, old in state._asdict().items() if old is not None}
    return state._replace(**fields)


def steps_by_parts(cell: Cell) -> bool:
    """Whether the cell's step is the one that `from_parts` made of the parts it has.

    A cell whose step was replaced keeps its parts, which then say nothing of that step.

    Example:
      >>> from lstm_jax import elman
      >>> cell = elman(2, 3)
      >>> steps_by_parts(cell), steps_by_parts(cell._replace(step=lambda p, s, x: (s, x)))
      (True, False)
    """
    return cell.parts is not None and getattr(cell.step, "parts", None) == cell.parts


def products(weights: Mapping[str, Array | None], source: Array) -> dict[str, Array]:
    """Each matrix times `source`, all by one product; those that are None are left out.

    One product for all gates: four or eight small ones cost two to three times as much.

    Args:
      weights: by gate, ``[rows, columns]``.
      source: ``[columns]``.

    Example:
      >>> w = {"i": jnp.ones((1, 2)), "z": 2 * jnp.ones((2, 2)), "o": None}
      >>> {gate: net.tolist() for gate, net in products(w, jnp.ones(2)).items()}
      {'i': [2.0], 'z': [4.0, 4.0]}
    """
    there = {gate: w for gate, w in weights.items() if w is not None}
    if not there:
        return {}
    ends = list(accumulate(w.shape[0] for w in there.values()))
    net = jnp.concatenate(list(there.values())) @ source
    return dict(zip(there, jnp.split(net, ends[:-1]), strict=True))


def draw(
    key: Array, init_range: float | Array, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Array]:
    """Weights by name, uniform in ``[-init_range, init_range]`` (`lstm_jax.initial.uniform`).

    Example:
      >>> import jax
      >>> draw(jax.random.key(0), 0.1, {"w": (3, 2)})["w"].shape
      (3, 2)
    """
    arrays = uniform(key, init_range, list(shapes.values()))
    return dict(zip(shapes, arrays, strict=True))


def require_positive(**sizes: int) -> None:
    """Raises ``ValueError`` for the first size that is not a whole number >= 1, NumPy's included.

    Example:
      >>> require_positive(input_size=2, hidden_size=0)
      Traceback (most recent call last):
      ValueError: hidden_size: 0 is not valid; it must be a whole number >= 1
    """
    for name, size in sizes.items():
        try:
            whole = not isinstance(size, bool) and index(size) >= 1
        except TypeError:
            whole = False
        if not whole:
            raise ValueError(f"{name}: {size!r} is not valid; it must be a whole number >= 1")


def require_input(cell_name: str, x: Array, input_size: int) -> None:
    """Raises ``ValueError`` unless ``x`` is one input vector of ``input_size`` numbers.

    Example:
      >>> import jax.numpy as jnp
      >>> require_input("lstm", jnp.ones(3), 2)
      Traceback (most recent call last):
      ValueError: lstm: an input of shape (3,) where (2,) is needed (one time step, no batch axis)
    """
    if x.shape != (input_size,):
        raise ValueError(
            f"{cell_name}: an input of shape {x.shape} where ({input_size},) is needed "
            "(one time step, no batch axis)"
        )
