"""Checks of what JAX makes of a step: the types in it, and one program for the same shapes."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.conformance.subject import (
    Broken,
    Subject,
    fresh_key,
    listed,
    named_leaves,
    one_line,
)


def float64(subject: Subject) -> str:
    """With float64 in, nothing inside a step is cut to less, and nothing of less joins."""
    cell, case = subject.cell, subject.case(3)
    traced = jax.make_jaxpr(lambda *case: (cell.step(*case), cell.gates(*case)))(
        case.params, case.state, case.xs[0]
    )
    for const in traced.consts:
        if _narrow(const):
            raise Broken(f"step holds a constant {const.dtype}{list(const.shape)}: {const!r:.60}")
    found = sorted(set(_mixtures(traced.jaxpr)))
    if found:
        raise Broken(f"step mixes float64 with less: {'; '.join(found[:3])}")
    return "in and out, and all between"


def promotion(subject: Subject) -> str:
    """Strict types and no silent broadcasting: JAX's ``strict`` and ``raise``."""
    cell = subject.cell
    for wide in (False, True):
        with ExitStack() as settings:
            settings.enter_context(jax.enable_x64(wide))
            params, state, xs = subject.case(4)
            settings.enter_context(jax.numpy_dtype_promotion("strict"))
            settings.enter_context(jax.numpy_rank_promotion("raise"))
            calls: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
                "init": (cell.init, (fresh_key(0),)),
                "initial_state": (cell.initial_state, ()),
                "step": (cell.step, (params, state, xs[0])),
                "gates": (cell.gates, (params, state, xs[0])),
                "truncate": (cell.truncate, (state,)),
            }
            for name, (call, arguments) in calls.items():
                try:
                    jax.eval_shape(lambda *given, call=call: call(*given), *arguments)
                except (Exception, SystemExit) as error:
                    where = "float64" if wide else "float32"
                    raise Broken(f"{name} in {where}: {one_line(error)}") from error
    return "in float32 and float64"


def recompilation(subject: Subject) -> str:
    """The same shapes give the same program and start: no Python state, no weak types."""
    cell, case = subject.cell, subject.case(5)
    arguments = case.params, case.state, case.xs[0]
    texts, consts = [], []
    same = jax.tree.map(np.array_equal, cell.initial_state(), cell.initial_state())
    if not all(jax.tree.leaves(same)):
        raise Broken("initial_state gives another state each time it is asked")
    for each in (cell, cell, subject.make(subject.input_size, subject.hidden_size)):
        # a function of its own each time: JAX remembers the traces of the others
        traced = jax.make_jaxpr(lambda *given, each=each: each.step(*given))(*arguments)
        texts.append(re.sub(r"0x[0-9a-f]+", "", str(traced)))
        consts.append(traced.consts)
    for number, when in ((1, "it is traced"), (2, "the cell is made")):
        if texts[0] != texts[number] or not _same(consts[0], consts[number]):
            lines = zip(texts[0].splitlines(), texts[number].splitlines(), strict=False)
            pairs = (f"{a.strip()} | {b.strip()}" for a, b in lines if a != b)
            what = next(pairs, "other constants")
            raise Broken(f"step gives another program each time {when}: {what}")
    return _one_trace(subject)


def _one_trace(subject: Subject) -> str:
    """Steps one after the other, from fresh weights and the initial state, are one program."""
    cell = subject.cell
    traces = 0

    @jax.jit
    def step(*given: Any) -> Any:
        nonlocal traces
        traces += 1
        return cell.step(*given)

    params, x = jax.jit(cell.init)(fresh_key(0)), jnp.ones(cell.input_size)
    state, weak = cell.initial_state(), set()
    for _ in range(3):
        weak |= {name for name, leaf in named_leaves(state, "state") if _weak(leaf)}
        state, _ = step(params, state, x)
    if traces != 1:
        why = f"; weakly typed, as a Python number is: {listed(sorted(weak))}" if weak else ""
        raise Broken(f"three steps with the same shapes are compiled {traces} times{why}")
    return "one program for three steps, the same when traced or made again"


def _mixtures(jaxpr: Any) -> Iterator[str]:
    """Equations with both; random bits that become float32 masks are no mixture."""
    for equation in jaxpr.eqns:
        inner = [
            getattr(value, "jaxpr", value)
            for value in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr)
            if _is_jaxpr(value)
        ]
        for part in inner:
            yield from _mixtures(part)
        avals = [variable.aval for variable in (*equation.invars, *equation.outvars)]
        floats = [aval for aval in avals if jnp.issubdtype(aval.dtype, jnp.floating)]
        narrow = [f"{aval.dtype}{list(aval.shape)}" for aval in floats if _narrow(aval)]
        if narrow and len(narrow) < len(floats) and not inner:
            yield f"{equation.primitive.name} with {narrow[0]}"


def _is_jaxpr(value: Any) -> bool:
    return hasattr(getattr(value, "jaxpr", value), "eqns")


def _narrow(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 8


def _weak(leaf: Any) -> bool:
    return bool(getattr(leaf, "weak_type", False))


def _same(some: Any, others: Any) -> bool:
    if len(some) != len(others):
        return False
    return all(bool(jnp.all(a == b)) for a, b in zip(some, others, strict=True))
