"""Checks of what a cell computes: every way of running it gives the same numbers."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells.cell import NET
from lstm_jax.conformance.subject import (
    PART,
    Broken,
    Note,
    Subject,
    T,
    agree,
    named_leaves,
    weighted,
    widened,
    with_nan_after,
)
from lstm_jax.unroll import unroll

# A cell with exponentials loses a digit of float32's seven; one that computes in 16 bits keeps
# three.
FLOAT32 = {"rtol": 1e-4, "atol": 1e-5}
# Another order of the sums; a cumulative product of gates may lose some digits by it.
ASSOCIATIVE = {"rtol": 1e-9, "atol": 1e-9}


def scan(subject: Subject) -> str:
    """`unroll`, compiled, is a Python loop over `step`."""
    case = subject.case(2)
    return _off(agree("(state, ys)", subject.run(*case, T), subject.loop(*case)))


def two_parts(subject: Subject) -> str:
    """A sequence in two parts, the state carried from one to the other, is the whole."""
    params, state, xs = subject.case(3)
    whole_state, whole = subject.run(params, state, xs, T)
    middle, first = subject.run(params, state, xs, PART)
    rest = jnp.concatenate([xs[PART:], jnp.full_like(xs[:PART], 9.0)])  # one program for both
    final, second = subject.run(params, middle, rest, T - PART)
    ys = np.concatenate([first[:PART], second[: T - PART]])
    return _off(agree("(state, ys)", (final, ys), (whole_state, whole)))


def vmap(subject: Subject) -> str:
    """`jax.vmap` over networks, states, sequences and lengths is a loop over them."""
    cases, lengths = [subject.case(seed) for seed in (2, 3)], jnp.array([T, PART])
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cases)
    got = jax.vmap(subject.run)(*together, lengths)
    off = 0.0
    for n, case in enumerate(cases):
        one = jax.tree.map(lambda leaf, n=n: leaf[n], got)
        off = max(off, agree("(state, ys)", one, subject.run(*case, lengths[n])))
    return _off(off)


def jit(subject: Subject) -> str:
    """Steps as they are, uncompiled, are the compiled ones."""
    params, state, xs = subject.case(2)
    expected, _ = subject.step(params, state, xs[0])
    first = subject.cell.step(params, state, xs[0])
    off = agree("(state, y)", first, expected)
    second = subject.cell.step(params, first[0], xs[1])
    return _off(max(off, agree("(state, y)", second, subject.step(params, first[0], xs[1])[0])))


def float32(subject: Subject) -> str:
    """float32 is float64 to its own rounding."""
    case = subject.case(2)
    single = subject.run(*case, T)
    for name, leaf in named_leaves(single, "(state, ys)"):
        if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.dtype != jnp.float32:
            raise Broken(f"{name} is {leaf.dtype} where float32 came in")
    with jax.enable_x64(True):
        double = jax.tree.map(np.asarray, subject.run(*jax.tree.map(widened, case), T))
    return _off(agree("(state, ys)", single, double, **FLOAT32))


def length(subject: Subject) -> str:
    """Lengths 0, 1, 4 and T with NaN after them: the shorter sequence, then outputs of zero."""
    params, state, xs = subject.case(4)
    off = 0.0
    for stop in (0, 1, PART, T):
        expected, short = subject.loop(params, state, np.asarray(xs)[:stop])
        final, ys = subject.run(params, state, with_nan_after(xs, stop), stop)
        got, want = (final, ys[:stop]), (expected, short)
        off = max(off, agree(f"at length {stop} (state, ys)", got, want))
        agree(f"at length {stop} ys after the end", ys[stop:], np.zeros_like(ys[stop:]))
    return _off(off)


def reverse(subject: Subject) -> str:
    """``reverse=True`` is the sequence turned round, its padding left where it is."""
    params, state, xs = subject.case(5)
    cell = subject.cell
    run = jax.jit(lambda *a: unroll(cell, a[0], a[2], a[1], length=a[3], reverse=True))
    off = 0.0
    for stop in (0, PART, T):
        expected, back = subject.loop(params, state, np.asarray(xs)[:stop][::-1])
        final, ys = run(params, state, with_nan_after(xs, stop), stop)
        got, want = (final, ys[:stop]), (expected, back[::-1])
        off = max(off, agree(f"at length {stop} (state, ys)", got, want))
    return _off(off)


def parts(subject: Subject) -> str:
    """`Cell.parts` combine to the gates; `project` and `recur` hold products only."""
    cell = subject.cell
    if cell.parts is None:
        return Note("none given: layer_norm and variational_dropout do not take this cell")
    project, recur, combine = cell.parts
    params, state, xs = subject.case(6)
    whole, split = jax.jit(
        lambda p, s, x: (cell.gates(p, s, x), combine(p, s, project(p, x), recur(p, s)))
    )(params, state, xs[0])
    split = {gate: value for gate, value in split.items() if not gate.startswith(NET)}
    if set(whole) != set(split):
        raise Broken(f"combine gives {sorted(split)} where gates gives {sorted(whole)}")
    off = agree("gates", split, whole)

    products = {"project": (project, xs[0]), "recur": (recur, state)}
    names = []
    for name, (product, source) in products.items():
        nothing = product(params, jax.tree.map(jnp.zeros_like, source))
        biased = [gate for gate, net in nothing.items() if np.any(net)]
        if biased:
            raise Broken(
                f"{name} of zeros is not zero for {', '.join(biased)}: it must hold products only; "
                "biases belong to combine"
            )
        names.append(f"{name} {' '.join(product(params, source)) or 'nothing'}")
    return f"{'; '.join(names)}; {_off(off)}"


def associative(subject: Subject) -> str:
    """`Cell.associative` is the scan, its gradients as well."""
    whole = subject.cell.associative
    if whole is None:
        return Note("none given: the sequence runs step by step")
    params, state, xs = subject.case(7)
    weights = subject.weights()

    def scalar(params: Any, state: Any, xs: Any) -> Any:
        both = whole(params, xs, state)
        return weighted(both, weights), both

    run = jax.jit(jax.value_and_grad(scalar, argnums=(0, 1, 2), has_aux=True))
    (_, got), grads = run(params, state, xs)
    off = agree("(state, ys)", got, subject.run(params, state, xs, T), **ASSOCIATIVE)
    expected = subject.grad(params, state, xs, T, weights)
    agree("gradient of (params, state, xs)", grads, expected, **ASSOCIATIVE)
    return f"values and gradients, {_off(off)}"


def oracle(subject: Subject) -> str:
    """The file's own NumPy version agrees to 1e-12."""
    if subject.oracle is None:
        return Note(
            f"no oracle given: write {subject.name.rpartition(':')[2]}_oracle(params, state, xs) "
            "-> (state, ys) in NumPy beside the cell"
        )
    taken = inspect.signature(subject.oracle).parameters
    options = {name: value for name, value in subject.options.items() if name in taken}
    off = 0.0
    for seed in (8, 9):
        case = subject.case(seed)
        got = subject.run(*case, T)
        params, state, xs = jax.tree.map(np.array, case)
        said = subject.oracle(params, state, xs, **options)
        if not isinstance(said, tuple) or len(said) != 2:
            raise Broken(f"the oracle gives {said!r:.60}; it must give (state, ys)")
        expected = _as_tree(said[0], got[0]), said[1]
        for name, leaf in named_leaves(expected, "(state, ys)"):
            if isinstance(leaf, jax.Array) or np.asarray(leaf).dtype == np.float32:
                raise Broken(f"the oracle's {name} is not NumPy float64: {type(leaf).__name__}")
        if len(jax.tree.leaves(expected)) != len(jax.tree.leaves(got)):
            raise Broken(f"the oracle's state is {said[0]!r:.60}; it must be as the cell's")
        off = max(off, agree("(state, ys), against the oracle,", got, expected))
    return f"T={T}, two random nets: {_off(off)}"


def _as_tree(said: Any, state: Any) -> Any:
    """An oracle's dict in the order of the cell's NamedTuple."""
    if isinstance(said, dict) and hasattr(state, "_fields"):
        missing = [name for name in state._fields if name not in said]
        needed = [name for name in missing if getattr(state, name) is not None]
        if needed:
            raise Broken(f"the oracle's state lacks {', '.join(needed)}")
        return [said[name] for name in state._fields if name in said]
    return said


def _off(off: float) -> str:
    return f"largest difference {off:.1g}"
