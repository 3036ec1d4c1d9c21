"""Checks of a cell's gradients: full, truncated, and with padding."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.conformance.subject import (
    PART,
    Broken,
    Subject,
    T,
    agree,
    listed,
    named_leaves,
    weighted,
    with_nan_after,
)
from lstm_jax.unroll import unroll

STEP = 1e-6  # of central differences: truncation 1e-12, rounding 2e-10 times the terms of a sum
TOLERANCE = 1e-6
LARGE = 300  # the net inputs reach hundreds: exp of 89 is infinite in float32


def gradients(subject: Subject) -> str:
    """Gradients of weights, state and inputs against central differences, each array by itself.

    `jax.test_util.check_grads` takes one direction through all arrays at once: it does not say
    which one is wrong, and a small one hides behind large ones. Forward mode is compared too.
    """
    case, weights = subject.case(10), subject.weights()
    rng = np.random.default_rng(10)
    # In the order of the gradients; NumPy, as each sum in JAX would be a program of its own.
    leaves, tree = jax.tree.flatten(jax.tree.map(np.asarray, tuple(case)))
    size = max(1.0, abs(float(subject.scalar(*case, PART, weights))))
    worst = 0.0
    grads = named_leaves(_as_case(subject.grad(*case, PART, weights)), "")
    for n, ((name, grad), leaf) in enumerate(zip(grads, leaves, strict=True)):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            continue
        along = rng.normal(size=leaf.shape)
        along /= max(1.0, float(np.linalg.norm(along)))
        ends = []
        for shift in (STEP, -STEP):
            moved = [*leaves[:n], leaf + shift * along, *leaves[n + 1 :]]
            ends.append(float(subject.scalar(*jax.tree.unflatten(tree, moved), PART, weights)))
        measured, slope = (ends[0] - ends[1]) / (2 * STEP), float(np.vdot(grad, along))
        if not abs(slope - measured) <= TOLERANCE * max(size, abs(measured)):
            raise Broken(f"gradient of {name}: {slope:.6g} where differences give {measured:.6g}")
        worst = max(worst, abs(slope - measured))
    return f"from a non-zero state, largest difference {worst:.1g}; {_forward_mode(subject)}"


def _forward_mode(subject: Subject) -> str:
    params, *rest = subject.case(10)
    weights = subject.weights()
    slope = float(weighted(subject.grad(params, *rest, PART, weights)[0], params))
    try:
        got = _forward(subject, params, *rest, PART, weights)
    except TypeError as error:
        if "forward-mode" not in str(error):
            raise
        return "no forward mode (custom_vjp), which the rule rtrl needs"
    agree("the slope by forward mode", got, slope, 1e-10, 1e-10)
    return "forward mode too"


def _forward(subject: Subject, params: Any, *rest: Any) -> float:
    slope = jax.jit(lambda p, *rest: jax.jvp(lambda p: subject.scalar(p, *rest), (p,), (p,))[1])
    return float(slope(params, *rest))


def memory(subject: Subject) -> str:
    """The last output depends on the first input, and every weight has a gradient."""
    case = subject.case(11)
    last_only = subject.weights(state=0.0, last_only=True)
    # With a clock or a choice in its state a cell may let an input pass by, but not the very first.
    starts = case, case._replace(state=subject.cell.initial_state())
    if not any(np.any(subject.grad(*each, T, last_only)[2][0]) for each in starts):
        raise Broken(f"the output of step {T} does not depend on the input of step 1")
    grads = subject.grad(*case, T, subject.weights())
    idle = [name for name, leaf in named_leaves(grads[0], "params") if not np.any(leaf)]
    if idle:
        raise Broken(f"nothing depends on {', '.join(idle)}: the gradient is zero")
    floats = [
        (name, leaf)
        for name, leaf in named_leaves(grads[1], "state")
        if leaf.dtype != jax.dtypes.float0
    ]
    unused = [name for name, leaf in floats if not np.any(leaf)]
    said = f"; nothing depends on {', '.join(unused)}" if unused else ""
    return f"over {T} steps; every weight counts{said}"


def truncate(subject: Subject) -> str:
    """`truncate` keeps values, and stops every gradient but a unit's own through its memory.

    The carousel is a self-connection: with the truncation, a unit's state may depend on the same
    unit's state of the step before, and on no other's.
    """
    cell, (params, state, xs) = subject.cell, subject.case(12)
    agree("truncate(state)", cell.truncate(state), state)
    ones = jax.tree.map(jnp.ones_like, state)
    passed = jax.grad(lambda s: weighted(cell.truncate(s), ones), allow_int=True)(state)
    said: dict[str, list[str]] = {"stops": [], "keeps": []}
    for name, leaf in named_leaves(passed, "state"):
        if leaf.dtype == jax.dtypes.float0:
            continue
        if not (np.all(leaf == 1.0) or not np.any(leaf)):
            raise Broken(f"truncate passes {np.ravel(leaf)[0]:.3g} of the gradient of {name}")
        said["keeps" if np.any(leaf) else "stops"].append(name)
    _require_self_connections(subject, params, state, xs[0])
    words = [f"{verb} {listed(names)}" for verb, names in said.items() if names]
    return f"{', '.join(words)}; {_truncated_gradient(subject)}"


def _truncated_gradient(subject: Subject) -> str:
    cell, (params, state, xs) = subject.cell, subject.case(12)
    weights = subject.weights()

    def step(params: Any, state: Any, x: Any) -> Any:
        return cell.step(params, cell.truncate(state), x)

    def scalar(params: Any) -> Any:
        return weighted(unroll(cell._replace(step=step), params, xs, state), weights)

    cut, full = jax.jit(jax.grad(scalar))(params), subject.grad(params, state, xs, T, weights)[0]
    for name, leaf in named_leaves(cut, "params"):
        if not np.isfinite(leaf).all():
            raise Broken(f"the truncated gradient of {name} is not finite")
    try:
        agree("", cut, full, 1e-9, 1e-9)
    except Broken:
        return "unlike the full gradient"
    return "equal to the full gradient"


def _require_self_connections(subject: Subject, params: Any, state: Any, x: Any) -> None:
    cell = subject.cell
    leaves, tree = jax.tree.flatten(state)
    floats = [n for n, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]

    def after(chosen: list[Any]) -> list[Any]:
        whole = list(leaves)
        for n, leaf in zip(floats, chosen, strict=True):
            whole[n] = leaf
        before = cell.truncate(jax.tree.unflatten(tree, whole))
        now = jax.tree.leaves(cell.truncate(cell.step(params, before, x)[0]))
        return [jnp.ravel(now[n]) for n in floats]

    names = [name for name, _ in named_leaves(state, "state")]
    slopes = jax.jit(jax.jacobian(after))([leaves[n] for n in floats])
    for row, to in zip(slopes, floats, strict=True):
        for slope, source in zip(row, floats, strict=True):
            slope = np.array(slope).reshape(leaves[to].size, leaves[source].size)
            if slope.shape[0] == slope.shape[1]:
                np.fill_diagonal(slope, 0.0)
            if slope.any():
                unit, other = np.argwhere(slope)[0]
                raise Broken(
                    f"with truncate, {names[to]}[{unit}] still depends on {names[source]}[{other}] "
                    "of the step before: stop the gradient through what enters as an activation"
                )


def padding(subject: Subject) -> str:
    """NaN after the end reaches no gradient, backward or forward; a length of 0 gives none."""
    params, state, xs = subject.case(13)
    weights = subject.weights()
    short_weights = weights[0], weights[1][:PART]
    cell, grad = subject.cell, partial(subject.grad, params, state)

    def short(params: Any, state: Any, xs: Any) -> Any:
        return weighted(unroll(cell, params, xs, state), short_weights)

    expected = jax.jit(jax.grad(short, argnums=(0, 1, 2), allow_int=True))(params, state, xs[:PART])
    padded = with_nan_after(xs, PART)
    got = grad(padded, PART, weights)
    for name, leaf in named_leaves(_as_case(got), ""):
        if leaf.dtype != jax.dtypes.float0 and not np.isfinite(leaf).all():
            raise Broken(
                f"padding makes the gradient of {name} {_not_finite(leaf)}: a slope that is not "
                "finite at an input of zeros"
            )
    if np.any(got[2][PART:]):
        raise Broken("the padding gets a gradient")
    inside = _floats((got[0], got[1], got[2][:PART]))
    off = agree("gradient of (params, state, xs)", inside, _floats(expected), 1e-11, 1e-11)
    empty = grad(with_nan_after(xs, 0), 0, weights)
    for name, leaf in named_leaves({"params": empty[0], "xs": empty[2]}, ""):
        if np.any(leaf):  # NaN counts
            raise Broken(f"at length 0 the gradient of {name} is not zero")
    agree("at length 0 the gradient of state", _floats(empty[1]), _floats(weights[0]))
    return f"lengths {PART} and 0, largest difference {off:.1g}"


def large(subject: Subject) -> str:
    """Inputs of the size of hundreds give finite outputs and gradients in float32."""
    params, state, xs = subject.case(14)
    xs = np.float32(LARGE) * xs
    where = f"inputs of size {LARGE} make"
    final, ys = subject.run(params, state, xs, PART)
    grads = subject.grad(params, state, xs, PART, subject.weights())
    found = {"output": ys, "state": final}
    found |= {f"gradient of {name}": grad for name, grad in _as_case(grads).items()}
    leaves = [pair for what, tree in found.items() for pair in named_leaves(tree, what)]
    for name, leaf in leaves:
        if (
            leaf.dtype != jax.dtypes.float0
            and jnp.issubdtype(leaf.dtype, jnp.floating)
            and not np.isfinite(leaf).all()
        ):
            raise Broken(
                f"{where} the {name} {_not_finite(leaf)}: an exp or a quotient leaves float32; "
                "take jax.nn.sigmoid and its like, or take the largest exponent off first"
            )
    return f"finite at inputs of size {LARGE}"


def _as_case(grads: Any) -> dict[str, Any]:
    return dict(zip(("params", "state", "xs"), grads, strict=True))


def _floats(tree: Any) -> list[Any]:
    return [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]


def _not_finite(leaf: Any) -> str:
    return "NaN" if np.isnan(leaf).any() else "infinite"
