"""`unroll(kernel="deferred")` is the scan: values, gradients, whatever is wrapped around it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax import CELLS, gru, lstm, unroll
from lstm_jax.cells.wrappers import layer_norm
from lstm_jax.structures import bidirectional, stack

T, B, D, H = 7, 4, 3, 5
LENGTHS = np.array([7, 3, 0, 5], np.int32)
RESETS = np.random.default_rng(0).random((T, B)) < 0.3


def drawn(tree, seed):
    """The tree with other numbers in it, none of them zero."""
    leaves, structure = jax.tree.flatten(tree)
    generator = np.random.default_rng(seed)
    return structure.unflatten([jnp.asarray(0.7 * generator.normal(size=a.shape)) for a in leaves])


def cases():
    registered = {name: make for name, make in CELLS.items() if name != "lstm97"}
    cells = {name: lambda make=make: make(D, H) for name, make in registered.items()}
    return cells | {
        "lstm97": lambda: CELLS["lstm97"](D, 2, 2),
        "peepholes": lambda: lstm(D, H, switches=()),
        "FGR": lambda: lstm(D, H, switches=("FGR",)),
        "CIFG": lambda: lstm(D, H, switches=("NP", "CIFG")),
        "projection": lambda: lstm(D, H, projection_size=2),
        "clip": lambda: lstm(D, H, clip=0.3),
        "gru before": lambda: gru(D, H, reset="before"),
        "layer_norm": lambda: layer_norm(lstm(D, H)),
        "layer_norm gru before": lambda: layer_norm(gru(D, H, reset="before")),
        "stack": lambda: stack(lstm(D, H), gru(H, 4)),
        "both ways": lambda: stack(bidirectional(lstm(D, H), gru(D, 2)), lstm(H + 2, 2)),
    }


def answers(part, params, kernel, xs, states, w, **how):
    """A loss that everything enters, its gradients, the states and the outputs of a batch."""
    flags = {name: value for name, value in how.items() if name in ("length", "resets")}
    fixed = {name: value for name, value in how.items() if name not in flags}

    def loss(params, xs, states):
        def one(x, state, flags):
            return unroll(part, params, x, state, kernel=kernel, **flags, **fixed)

        axes = ({"length": 0, "resets": 1}[name] for name in flags)
        final, ys = jax.vmap(one, (1, 0, dict(zip(flags, axes, strict=True))), (0, 1))(
            xs, states, flags
        )
        return jnp.sum(w * ys) + sum(jnp.sum(jnp.sin(a)) for a in jax.tree.leaves(final)), (
            final,
            ys,
        )

    return jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(params, xs, states)


@pytest.mark.parametrize("name", cases())
def test_equals_the_scan(name):
    with jax.enable_x64(True):
        part = cases()[name]()
        params = drawn(part.init(jax.random.key(0)), 1)
        states = drawn(jax.tree.map(lambda a: jnp.zeros((B, *a.shape)), part.initial_state()), 2)
        xs, w = drawn((jnp.zeros((T, B, D)), jnp.zeros((T, B, part.output_size))), 3)
        for how in (
            {},
            {"length": LENGTHS, "resets": RESETS},
            {"length": LENGTHS, "resets": RESETS, "reverse": True},
        ):
            if how.get("reverse") and hasattr(part, "apply"):
                continue
            scan, deferred = (
                answers(part, params, kernel, xs, states, w, **how)
                for kernel in ("scan", "deferred")
            )
            for one, other in zip(*map(jax.tree.leaves, (scan, deferred)), strict=True):
                np.testing.assert_allclose(other, one, rtol=1e-12, atol=1e-12)
