"""Loops inside `jax.shard_map` and on explicit meshes give what they give on one device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, PartitionSpec

from lstm_jax import CELLS, GRADIENT_RULES, adding, embedded_reber, network, readout, unroll
from lstm_jax.gradients import trailing_bptt
from lstm_jax.structures import bidirectional, stack, truncated_bptt
from tests.compiling import quick

pytestmark = pytest.mark.skipif(jax.device_count() < 2, reason="one device: no replicas")

T, D, H = 13, 3, 4
LSTM = CELLS["lstm"]
WHOLE, PART = PartitionSpec(), PartitionSpec("examples")
RULES = {**GRADIENT_RULES, "trailing_bptt": trailing_bptt}


def replicas(function, out):
    mesh = Mesh(np.array(jax.devices()[:2]), ("examples",))
    return jax.shard_map(function, mesh=mesh, in_specs=(WHOLE, PART), out_specs=out)


def close(ours, theirs):
    for a, b in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


def loss_of(cell, **how):
    def loss(params, xs):
        ys = jax.vmap(lambda x: unroll(cell, params, x, **how)[1])(xs)
        return jnp.mean(ys**2)

    return loss


def added_up(loss):
    """Each device with half of the examples: JAX adds up the gradients of what is on both."""

    def part(params, xs):
        value, grads = jax.value_and_grad(loss)(params, xs)
        return jax.lax.pmean(value, "examples"), jax.tree.map(lambda g: g / 2, grads)

    return replicas(part, WHOLE)


def cell_of(name):
    return CELLS[name](D, 2, 2) if name == "lstm97" else CELLS[name](D, H)


RESETS = jnp.arange(T) % 5 == 3
ALL = {"length": 11, "reverse": True, "resets": RESETS, "checkpoint": 5}
CASES = [
    (name, kernel, how)
    for name, how in (("lstm", {}), ("lstm", ALL), ("gru", {}), ("lstm97", {}))
    for kernel in ("scan", "deferred")
]


@pytest.mark.parametrize(("name", "kernel", "how"), CASES)
def test_an_unroll_is_that_of_one_device(name, kernel, how):
    cell = cell_of(name)
    params = quick(cell.init)(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (4, T, D))
    loss = loss_of(cell, kernel=kernel, **how)
    expected = quick(jax.value_and_grad(loss))(params, xs)
    close(quick(added_up(loss))(params, xs), expected)

    mesh = jax.make_mesh((2,), ("examples",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        there = jax.device_put(params, WHOLE), jax.device_put(xs, PART)
        close(quick(jax.value_and_grad(loss))(*there), expected)


@pytest.mark.parametrize(
    "structure",
    [bidirectional(LSTM(D, H), LSTM(D, H)), stack(LSTM(D, H), LSTM(H, H))],
    ids=lambda structure: structure.name,
)
def test_a_structure_is_that_of_one_device(structure):
    params = quick(structure.init)(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (4, T, D))
    loss = loss_of(structure, kernel="spread")
    expected = quick(jax.value_and_grad(loss))(params, xs)
    close(quick(added_up(loss))(params, xs), expected)


@pytest.mark.parametrize("kernel", ["scan", "deferred"])
def test_gradients_are_added_up_after_the_loop(kernel):
    """And not at every step, which is what JAX makes of weights that are the same everywhere."""
    cell = LSTM(D, H)
    program = jax.make_jaxpr(added_up(loss_of(cell, kernel=kernel)))(
        cell.init(jax.random.key(0)), jnp.ones((4, T, D))
    )
    inside, outside = sums(program.jaxpr, in_loop=False)
    assert outside > 0
    assert inside == 0


def sums(jaxpr, in_loop):
    """How many sums over devices stand in loops, and how many outside of them."""
    inside = outside = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name.startswith("psum"):
            inside, outside = inside + in_loop, outside + (not in_loop)
        for inner in jax.tree.leaves(
            list(eqn.params.values()), is_leaf=lambda value: hasattr(value, "eqns")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                more = sums(inner, in_loop or eqn.primitive.name in ("scan", "while"))
                inside, outside = inside + more[0], outside + more[1]
    return inside, outside


@pytest.mark.parametrize(
    ("name", "task"),
    [
        *(("truncated", adding(T=11)), ("traces", adding(T=11)), ("rtrl", adding(T=11))),
        *(("bptt", embedded_reber()), ("traces", embedded_reber())),
        *(("rtrl", embedded_reber()), ("trailing_bptt", embedded_reber())),
    ],
    ids=lambda which: getattr(which, "name", which),
)
def test_a_rule_gives_each_example_its_own_gradient(name, task):
    """Nothing of what another device's examples give."""
    ragged = task.timing == "every_step" and name != "bptt"  # loops that end with the sequence
    net = network(CELLS["lstm97"](task.input_size, 2, 2), readout(4, task.target_size))
    how = {"ragged": True} if ragged else {}
    rule = RULES[name](net, task.timing, **how)
    params = quick(net.init)(jax.random.key(0))
    examples = quick(jax.vmap(task.sample))(jax.random.split(jax.random.key(1), 4))

    def each(params, examples):
        return jax.vmap(rule, (None, 0))(params, examples)

    close(quick(replicas(each, PART))(params, examples), quick(each)(params, examples))


def test_truncated_bptt_gives_each_sequence_its_own_gradient():
    cell = LSTM(D, H)
    gradients = truncated_bptt(cell, lambda ys, targets: jnp.sum((ys - targets) ** 2), k1=2, k2=4)
    params = quick(cell.init)(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (4, 6, D))

    def each(params, xs):
        return jax.vmap(lambda x: gradients(params, x, jnp.zeros((6, H))))(xs)

    close(quick(replicas(each, PART))(params, xs), quick(each)(params, xs))
