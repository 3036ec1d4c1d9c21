"""A cell over a sequence, by `jax.lax.scan`; and what else runs over one: a `Structure`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells.cell import Cell, steps_by_parts
from lstm_jax.loops.cudnn import by_cudnn, require_cudnn
from lstm_jax.loops.deferred import deferred
from lstm_jax.loops.given import checked
from lstm_jax.loops.persistent import by_persistent, require_hopper
from lstm_jax.loops.segments import in_segments, segment_size
from lstm_jax.loops.step import Inputs, masked
from lstm_jax.loops.step import choose as choose
from lstm_jax.parallel import alike
from lstm_jax.symbols import countable
from lstm_jax.types import Array, Params, State


def is_symbols(inputs: Array) -> bool:
    """Whether inputs are whole numbers, each standing for a unit vector.

    Example:
      >>> is_symbols(jnp.array([2, 0], jnp.int32)), is_symbols(jnp.ones((2, 3)))
      (True, False)
    """
    return jnp.issubdtype(inputs.dtype, jnp.integer)


def as_vectors(inputs: Array, size: int) -> Array:
    """Symbols ``[T]`` as unit vectors ``[T, size]``; numbers ``[T, D]`` as they are.

    Trailing axes are kept. A symbol of any whole-number type; one outside 0 .. size - 1 is none of
    the unit vectors but zeros.

    Example:
      >>> as_vectors(jnp.array([2, 0], jnp.int32), 3).tolist()
      [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    if not is_symbols(inputs):
        return inputs
    return jax.nn.one_hot(countable(inputs), size, axis=1)


def scan_until(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, stop: Array
) -> tuple[Any, Any]:
    """`jax.lax.scan` that takes the first `stop` of the T steps; what is stacked is zero after.

    For sequences whose bound is far above their length. Not for reverse-mode differentiation.

    Example:
      >>> def step(total, x):
      ...     return total + x, total
      >>> total, before = scan_until(step, jnp.float32(0), jnp.ones(4), jnp.int32(3))
      >>> float(total), before.tolist()
      (3.0, [0.0, 1.0, 2.0, 0.0])
    """

    def at(t: Array) -> Any:
        return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, t, keepdims=False), xs)

    num_steps = jax.tree.leaves(xs)[0].shape[0]
    _, shapes = jax.eval_shape(step, carry, at(jnp.int32(0)))
    stacked = jax.tree.map(lambda leaf: jnp.zeros((num_steps, *leaf.shape), leaf.dtype), shapes)

    def body(state: Any) -> Any:
        t, carry, stacked = state
        carry, out = step(carry, at(t))
        stacked = jax.tree.map(
            lambda whole, leaf: jax.lax.dynamic_update_index_in_dim(whole, leaf, t, 0),
            stacked,
            out,
        )
        return t + 1, carry, stacked

    begin = (jnp.int32(0), carry, alike(stacked, carry, xs))
    _, carry, stacked = jax.lax.while_loop(lambda state: state[0] < stop, body, begin)
    return carry, stacked


class Structure(NamedTuple):
    """Cells put together so that they run over one whole sequence.

    A `Cell` says what one time step does; a structure may look at the sequence from its end, or
    once for each of its layers. `lstm_jax.structures` makes them.

    Attributes:
      name: which kind it is: "layer", "bidirectional" or "stack".
      input_size: D.
      output_size: H.
      init: ``(key, init_range) -> params``; fresh weights. The range may be left out.
      initial_state: ``() -> state``; what a sequence starts from.
      apply: ``(params, xs[T, D], state=None, *, length=None, resets=None, key=None) -> (state,
        ys[T, H])``; the arguments of `unroll`, and a key for what it draws (nothing without).
        Where a kernel or a checkpoint is asked for, that as well.
        Resets say where new sequences begin: nothing passes there in either direction.
      spec: what it is made of.

    Example:
      >>> from lstm_jax.cells import lstm
      >>> from lstm_jax.structures import bidirectional
      >>> both = bidirectional(lstm(2, 3), lstm(2, 3))
      >>> params = both.init(jax.random.key(0))
      >>> state, ys = both.apply(params, jnp.ones((5, 2)), length=3)
      >>> ys.shape, bool((state.backward.h == ys[0, 3:]).all())
      ((5, 6), True)
    """

    name: str
    input_size: int
    output_size: int
    init: Callable[..., Params]
    initial_state: Callable[[], State]
    apply: Callable[..., tuple[State, Array]]
    spec: Any = None


def require_sequence(
    name: str,
    xs: Array,
    input_size: int,
    length: Array | int | None = None,
    resets: Array | None = None,
) -> Array:
    """The inputs as vectors ``[T, D]``; ``ValueError`` where a sequence is not as `unroll` says.

    Example:
      >>> require_sequence("unroll", jnp.ones((7, 2)), 3)
      Traceback (most recent call last):
      ValueError: unroll: inputs of shape (7, 2) where (T, 3) is needed (one sequence, time first,
      no batch axis)
    """
    if not hasattr(xs, "dtype"):
        raise ValueError(
            f"{name}: inputs are {type(xs).__name__}, where an array is needed: "
            "jnp.asarray(...), of floats [T, D] or of whole numbers [T], which are symbols"
        )
    if is_symbols(xs) and xs.ndim != 1:
        raise ValueError(
            f"{name}: inputs of type {xs.dtype} and shape {xs.shape}; whole numbers are symbols, "
            f"of shape (T,), and vectors (T, {input_size}) have to be floats"
        )
    xs = as_vectors(xs, input_size)
    if not jnp.issubdtype(xs.dtype, jnp.floating):
        raise ValueError(
            f"{name}: inputs of type {xs.dtype} where floats (T, {input_size}) are needed, or "
            "whole numbers (T,), which are symbols"
        )
    if xs.ndim != 2 or xs.shape[1] != input_size:
        raise ValueError(
            f"{name}: inputs of shape {xs.shape} where (T, {input_size}) is needed "
            "(one sequence, time first, no batch axis)"
        )
    if length is not None and jnp.shape(length):
        raise ValueError(
            f"{name}: length of shape {jnp.shape(length)} where one whole number is needed (one "
            "sequence; for a batch jax.vmap over inputs and lengths)"
        )
    if length is not None and not jnp.issubdtype(jnp.result_type(length), jnp.integer):
        raise ValueError(
            f"{name}: length of type {jnp.result_type(length)} where a whole number is needed"
        )
    # Not of JAX's arrays: to ask for their number is to wait for it.
    if isinstance(length, int | np.generic | np.ndarray) and not 0 <= length <= xs.shape[0]:
        raise ValueError(f"{name}: length {length} is not within 0 .. {xs.shape[0]}")
    if resets is not None:
        given = getattr(resets, "dtype", type(resets).__name__), jnp.shape(resets)
        if given != (jnp.bool_, xs.shape[:1]):
            raise ValueError(
                f"{name}: resets of type {given[0]} and shape {given[1]} where bool and "
                f"{xs.shape[:1]} are needed, one for each step"
            )
    return xs


def valid_steps(num_steps: int, length: Array | int) -> Array:
    """Which of the T steps come before the sequence's end, ``[T]`` truth values.

    Example:
      >>> valid_steps(4, 3).tolist()
      [True, True, True, False]
    """
    return jnp.arange(num_steps, dtype=jnp.int32) < jnp.asarray(length, jnp.int32)


KERNELS = ("auto", "spread", "scan", "deferred", "cudnn", "persistent")
DEFERRED_FROM = 48
"""Units from which "auto" takes the deferred kernel (docs/decisions, 0013)."""
_TAKEN: ContextVar[dict[str, str] | None] = ContextVar("kernels taken", default=None)


@contextmanager
def kernels_taken() -> Iterator[dict[str, str]]:
    """Notes by which kernel each cell is computed, while programs are made in its block.

    For records: what "auto" came to. It reads along and changes nothing.

    Example:
      >>> from lstm_jax import lstm
      >>> cell = lstm(2, 64)
      >>> with kernels_taken() as taken:
      ...     _ = jax.eval_shape(lambda xs: unroll(cell, cell.init(jax.random.key(0)), xs),
      ...                        jnp.ones((5, 2)))
      >>> taken
      {'lstm 2 -> 64': 'deferred'}
    """
    taken: dict[str, str] = {}
    token = _TAKEN.set(taken)
    try:
        yield taken
    finally:
        _TAKEN.reset(token)


def kernel_for(cell: Cell, kernel: str = "auto") -> str:
    """Which kernel `unroll` takes: the one asked for, or for "auto" the one that suits the cell.

    "auto" is "deferred" for a cell of parts with at least 48 outputs, else "scan". Where it has to
    be differentiated twice or in forward mode, ask for "scan". "spread" is "deferred" for a cell
    of parts of any size, else "scan": with a batch that `lstm_jax.parallel.spread` has spread, a
    scan adds up the weights' gradients of all devices at each step (8.2 ms in place of 1.2 for
    T=100, B=32, 8 inputs and 16 units on two CPU devices).

    Raises:
      ValueError: for an unknown kernel, or one that cannot serve the cell.

    Example:
      >>> from lstm_jax import lstm
      >>> kernel_for(lstm(2, 3)), kernel_for(lstm(64, 128)), kernel_for(lstm(2, 3), "deferred")
      ('scan', 'deferred', 'deferred')
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel: {kernel!r} is not one of {', '.join(KERNELS)}")
    able = steps_by_parts(cell)
    if kernel in ("auto", "spread"):
        large = kernel == "spread" or cell.output_size >= DEFERRED_FROM
        return "deferred" if able and large else "scan"
    if kernel == "deferred" and not able:
        raise ValueError(
            f"kernel: 'deferred' cannot serve the {cell.name} cell, whose step is not made of "
            "parts (Cell.parts, from_parts); 'scan' serves every cell"
        )
    if kernel == "cudnn":
        require_cudnn(cell, jax.default_backend())
    if kernel == "persistent":
        require_hopper(cell, jax.devices()[0])
    return kernel


def unroll(
    cell: Cell | Structure,
    params: Params,
    xs: Array,  # [T, D] or symbols [T]
    state: State | None = None,
    *,
    length: Array | int | None = None,
    reverse: bool = False,
    resets: Array | None = None,  # [T]
    kernel: str = "auto",
    checkpoint: bool | int = False,
) -> tuple[State, Array]:  # state, ys [T, H]
    """Runs `cell` over one sequence: ``state_t, y_t = step(params, state_tm1, x_t)``.

    A batch is a `jax.vmap` over it. Inside `jax.shard_map`, each device with its own sequences, the
    gradients of weights that all have are added up over the devices, once after the loop.

    Args:
      cell: any `Cell`; a `Structure` is handed to its own `apply`.
      params: its weights.
      xs: the inputs ``[T, D]``, time-major, or symbols ``[T]``.
      state: what to start from; None is ``cell.initial_state()``.
      length: how many of the T steps are valid, 0 to T. Outputs after it are zero, the final
        state is that of the last valid step (for 0, the state given), and whatever the padding
        holds, NaN included, reaches neither outputs nor gradients.
      reverse: run from the last valid step to the first; outputs keep their positions.
      resets: truth values ``[T]``; where true, the state is set to ``cell.initial_state()`` right
        before that step is taken, in the order of running: under `reverse` what comes later in
        time is forgotten. Those in the padding count for nothing. To a structure they say where
        new sequences begin, whichever way its parts run.
      kernel: how it is computed, never what: "scan" is the definition; "deferred" forms the
        weights' gradients after the loop, in one large product, and gives first derivatives in
        reverse mode only; "cudnn" is NVIDIA's library, for the plain `lstm` under a `vmap` over
        whole sequences; "persistent" keeps the weights of a plain `lstm` on an H100 for the whole
        sequence, in bfloat16 (checked in an interpreter, never run on a GPU); "auto", and "spread"
        for a batch spread over devices, are what `kernel_for` says.
      checkpoint: differentiate in segments of so many steps, True for about sqrt(T): memory for
        2 sqrt(T) steps in place of T, at the cost of one more forward run. Same values.

    Returns:
      The final state and the outputs ``[T, H]``.

    Raises:
      ValueError: where `xs` is not ``[T, D]``, for weights or a state that are not in the form of
        the cell's, for a `length` known to be outside 0 .. T, for `resets` that are not T truth
        values, for `reverse` with a structure, and for a kernel that is unknown or cannot serve
        the cell.

    Example:
      >>> from lstm_jax import CELLS
      >>> cell = CELLS["lstm"](input_size=2, hidden_size=3)
      >>> params = cell.init(jax.random.key(0))
      >>> state, ys = unroll(cell, params, jnp.ones((5, 2)), length=3)
      >>> ys.shape, bool((ys[3:] == 0).all()), bool((state.h == ys[2]).all())
      ((5, 3), True, True)
    """
    given = checked(cell.name, cell.init, cell.initial_state, params, state)
    if isinstance(cell, Structure):
        if reverse:
            raise ValueError(
                f"unroll: reverse=True with a {cell.name}, which has its own directions; "
                "layer(cell, reverse=True) makes one that runs backwards"
            )
        loop = {"kernel": kernel} if kernel != "auto" else {}
        loop |= {"checkpoint": checkpoint} if checkpoint is not False else {}
        with given:
            return cell.apply(params, xs, state, length=length, resets=resets, **loop)
    # Before the weights are looked at: they are not to blame for what is refused here.
    vectors = require_sequence("unroll", xs, cell.input_size, length, resets)
    valid = None if length is None else valid_steps(xs.shape[0], length)
    chosen = kernel_for(cell, kernel)
    if chosen in ("cudnn", "persistent") and (
        reverse or length is not None or resets is not None or checkpoint
    ):
        raise ValueError(
            f"kernel: {chosen!r} runs whole sequences forwards, without length, resets, "
            "reverse or checkpoint; 'deferred' or 'scan' have them"
        )
    size = segment_size(checkpoint, xs.shape[0])
    if (taken := _TAKEN.get()) is not None:
        taken[f"{cell.name} {cell.input_size} -> {cell.output_size}"] = chosen
    if chosen != "deferred":  # which looks symbols up
        xs = vectors
    with given:
        start = cell.initial_state() if state is None else state
        if chosen in ("cudnn", "persistent"):
            return (by_cudnn if chosen == "cudnn" else by_persistent)(params, xs, start)
        fresh = start
        if resets is not None:
            # A state given may be narrower than the zeros that are made here.
            fresh = jax.tree.map(lambda f, s: jnp.asarray(f, s.dtype), cell.initial_state(), start)
        inputs = Inputs(xs, valid, resets)
        params, start, fresh, inputs = alike((params, start, fresh, inputs))

        def run(params: Params, start: State, inputs: Inputs) -> tuple[State, Array]:
            if chosen == "deferred":
                return deferred(cell, params, inputs, start, fresh, reverse=reverse)
            step = masked(lambda state, x: cell.step(params, state, x), fresh)
            return jax.lax.scan(step, start, inputs, reverse=reverse)

        if size is None:
            return run(params, start, inputs)
        return in_segments(run, params, start, inputs, size=size, reverse=reverse)
