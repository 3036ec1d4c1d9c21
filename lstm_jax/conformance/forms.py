"""Checks of what a cell looks like from outside: sizes, trees, fresh weights, complaints, gates."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Cell
from lstm_jax.cells.cell import NET
from lstm_jax.conformance.subject import (
    Broken,
    Subject,
    agree,
    fresh_key,
    listed,
    named_leaves,
    one_line,
)


def sizes(subject: Subject) -> str:
    """A `Cell` with the sizes asked for; an output of ``output_size`` numbers."""
    for D, H in ((subject.input_size, subject.hidden_size), (1, 1), (6, 2)):
        try:
            cell = subject.make(D, H)
        except ValueError:
            continue  # it may refuse sizes; of those given the caller is told before
        if not isinstance(cell, Cell):
            raise Broken(f"{subject.name} gives {cell!r:.60}, not a lstm_jax.cells.Cell")
        if not isinstance(cell.name, str) or not cell.name:
            raise Broken(f"Cell.name is {cell.name!r}; it must be a text")
        if cell.input_size != D:
            raise Broken(f"Cell.input_size is {cell.input_size!r} where {D} was asked for")
        params, start = jax.eval_shape(cell.init, fresh_key(0)), cell.initial_state()
        y = jax.eval_shape(cell.step, params, start, jnp.zeros(D))[1]
        if y.shape != (cell.output_size,):
            raise Broken(f"step gives y of shape {y.shape} where output_size is {cell.output_size}")
    cell, params = subject.cell, jax.eval_shape(subject.cell.init, fresh_key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    return f"D={cell.input_size} H={cell.output_size}, {count} weights"


def trees(subject: Subject) -> str:
    """`init`, `initial_state` and `step` agree on trees, shapes and types, in both precisions."""
    cell, said = subject.cell, ""
    for wide in (False, True):
        with jax.enable_x64(wide):
            dtype = jnp.result_type(float)
            shapes = jax.eval_shape(cell.init, fresh_key(0))
            params = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, dtype), shapes)  # noqa: B023
            start = cell.initial_state()
            _require_float("params", shapes, whole_too=False)
            _require_float("state", start, whole_too=True)
            after = jax.eval_shape(cell.step, params, start, jnp.ones(cell.input_size))[0]
            if jax.tree.structure(after) != jax.tree.structure(start):
                raise Broken(
                    f"step gives a state {_brief(after)} where initial_state is {_brief(start)}"
                )
            pairs = zip(named_leaves(start, "state"), jax.tree.leaves(after), strict=True)
            for (name, old), new in pairs:
                if (old.shape, old.dtype) != (new.shape, new.dtype):
                    raise Broken(
                        f"step makes {name} {new.dtype}{list(new.shape)} of "
                        f"{old.dtype}{list(old.shape)}, with weights in {jnp.dtype(dtype)}"
                    )
            nonzero = [name for name, leaf in named_leaves(start, "state") if np.any(leaf)]
            said = f"starts not at zero: {', '.join(nonzero)}" if nonzero else "starts at zero"
    return f"{len(jax.tree.leaves(shapes))} weight arrays, {_brief(start)}, {said}"


def bad_sizes(subject: Subject) -> str:
    """A size below 1 is refused by a `ValueError` of one line."""
    D, H = subject.input_size, subject.hidden_size
    for asked in ((0, H), (D, 0), (D, -1)):
        what = f"sizes {asked[0]}, {asked[1]}"
        said = _complaint(what, lambda asked=asked: subject.make(*asked))
    return f"as in: {said}"


def wrong_input(subject: Subject) -> str:
    """An input of the wrong size, or with a batch axis, is refused and the right size told."""
    cell, (params, state, _) = subject.cell, subject.case(1)
    D = cell.input_size
    for call in (cell.step, cell.gates):
        for shape in ((D + 1,), (2, D)):
            what = f"{'step' if call is cell.step else 'gates'} of an input of shape {shape}"
            x = jnp.zeros(shape)
            said = _complaint(what, lambda call=call, x=x: jax.eval_shape(call, params, state, x))
            if not re.search(rf"\b{D}\b", said):
                raise Broken(f"{what}: the complaint does not tell the size {D}: {said}")
    return f"as in: {said}"


def init_key(subject: Subject) -> str:
    """The same key gives the same weights, another key others; no two weights share a number."""
    init = jax.jit(subject.cell.init)
    first, other = (_weights(init(fresh_key(k))) for k in (0, 1))
    # traced once more: what Python draws is else the constant of the first trace
    again = _weights(jax.jit(lambda key: subject.cell.init(key))(fresh_key(0)))
    for name, leaf in first.items():
        if not np.isfinite(leaf).all():
            raise Broken(f"{name} is not finite")
        if not np.array_equal(leaf, again[name]):
            raise Broken(f"the same key gives another {name} the second time")
    drawn = _unlike(first, other)
    if not drawn:
        raise Broken("init gives the same weights for two keys; it must draw from its key")
    seen: dict[float, str] = {}
    for name in drawn:
        numbers = np.ravel(first[name]).tolist()
        shared = [seen[number] for number in numbers if number in seen]
        if len(shared) * 2 > len(numbers):
            raise Broken(f"{name} starts with the numbers of {shared[0]}; split the key")
        seen |= dict.fromkeys(numbers, name)
    fixed = [name for name in first if name not in drawn]
    return f"{len(drawn)} arrays drawn" + (f", not {listed(fixed)}" if fixed else "")


def init_range(subject: Subject) -> str:
    """``init(key, init_range)``: a range, also one that is traced, scales what is drawn."""
    init = jax.jit(subject.cell.init)
    small, other = (_weights(init(fresh_key(k), jnp.float32(0.1))) for k in (0, 1))
    large = _weights(init(fresh_key(0), jnp.float32(0.2)))
    drawn = _unlike(small, other)
    scaled = [n for n in drawn if np.allclose(large[n], 2 * small[n], rtol=1e-5, atol=1e-7)]
    if not scaled:
        raise Broken("twice the init_range does not double any weight")
    own = [name for name in drawn if name not in scaled]
    return f"{len(scaled)} arrays scale" + (f", not {listed(own)}" if own else "")


def _weights(params: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(leaf) for name, leaf in named_leaves(params, "params")}


def _unlike(some: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> list[str]:
    return [name for name, leaf in some.items() if not np.array_equal(leaf, others[name])]


def gates(subject: Subject) -> str:
    """``gates["h"]`` is the output, a state's field the gate of its name, `observe` both."""
    params, state, xs = subject.case(2)
    (after, y), now = subject.step(params, state, xs[0])
    if "h" not in now:
        raise Broken(f'gates has no "h", the output; it has {listed(now)}')
    agree('gates["h"], against the output of step,', now["h"], y)
    fields = dict(after._asdict()) if hasattr(after, "_asdict") else after
    same = []
    for name, leaf in fields.items() if isinstance(fields, dict) else ():
        if leaf is not None and name in now:
            agree(f"state.{name} after a step, against gates,", leaf, now[name])
            same.append(name)
    for name, gate in now.items():
        if not np.isfinite(gate).all():
            raise Broken(f"gates[{name!r}] is not finite")
    if subject.cell.observe is not None:
        seen_after, seen_y, seen = jax.jit(subject.cell.observe)(params, state, xs[0])
        agree("observe's (state, y), against step,", (seen_after, seen_y), (after, y))
        seen = {name: gate for name, gate in seen.items() if not name.startswith(NET)}
        if set(seen) != set(now):
            raise Broken(f"observe gives {listed(sorted(seen))} where gates gives {listed(now)}")
        agree("observe's gates", seen, now)
    return f"{listed(now)}" + (f"; state fields {listed(same)} agree" if same else "")


def _complaint(what: str, call: Callable[[], Any]) -> str:
    """The text of the ValueError that a call must raise."""
    try:
        call()
    except ValueError as error:
        if "\n" in str(error).strip() or not str(error).strip():
            raise Broken(
                f"{what}: the complaint must be one line, not {str(error)!r:.80}"
            ) from None
        return str(error).strip()
    except (Exception, SystemExit) as error:
        raise Broken(f"{what}: must be a ValueError, not {one_line(error)}") from error
    raise Broken(f"{what}: goes unnoticed; it must be a ValueError")


def _require_float(prefix: str, tree: Any, *, whole_too: bool) -> None:
    for name, leaf in named_leaves(tree, prefix):
        dtype = getattr(leaf, "dtype", None)
        if dtype is None:
            raise Broken(f"{name} is {leaf!r:.40}, not an array")
        whole = jnp.issubdtype(dtype, jnp.integer) or dtype == jnp.bool_
        if not jnp.issubdtype(dtype, jnp.floating) and not (whole_too and whole):
            raise Broken(f"{name} is of type {dtype}; it must be of floating-point numbers")


def _brief(state: Any) -> str:
    inside = ", ".join(
        f"{name}{list(leaf.shape)}".removeprefix("state.")
        for name, leaf in named_leaves(state, "state")
    )
    return f"{type(state).__name__}({inside})"
