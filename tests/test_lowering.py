"""A training step of every cell lowers for the platforms that JAX compiles for, on any machine."""

import jax
import numpy as np
import optax
import pytest
from jax import export

from lstm_jax.cells import CELLS
from lstm_jax.gradients import GRADIENT_RULES
from lstm_jax.network import network
from lstm_jax.readout import readout
from lstm_jax.tasks import Example
from tests.variants import D, T, make_cell

PLATFORMS = ("cpu", "cuda", "tpu")
K = 2
# the options that bring in code of their own
OTHERS = ("lstm_cifg_fgr_projected_clipped", "gru_before", "slstm_exp_heads")


def lowered(function, *arguments):
    """The exported program; shapes will do for arguments."""
    return export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)


def example(timing):
    """A sequence that ends early, with a target at its end or at some steps."""
    xs, targets = np.zeros((T, D), np.float32), np.zeros((T, K), np.float32)
    if timing == "end":
        return Example(xs, targets[0], np.int32(T - 2))
    return Example(xs, targets, np.int32(T - 2), np.arange(T) % 2 == 0)


def update_of(variant, rule, timing):
    """One step of plain gradient descent, and what it starts from, as shapes."""
    cell = make_cell(variant)
    net = network(cell, readout(cell.output_size, K))
    gradient = GRADIENT_RULES[rule](net, timing)
    sgd = optax.sgd(0.1)

    def update(params, example):
        outputs, grads = gradient(params, example)
        changes, _ = sgd.update(grads, sgd.init(params))
        return optax.apply_updates(params, changes), outputs

    return update, jax.eval_shape(net.init, jax.random.key(0))


@pytest.mark.parametrize("rule", ["bptt", "truncated"])
@pytest.mark.parametrize("variant", [*CELLS, *OTHERS])
def test_a_training_step_lowers(variant, rule):
    timing = "end" if rule == "truncated" else "every_step"
    update, params = update_of(variant, rule, timing)
    program = lowered(update, params, example(timing))
    assert program.platforms == PLATFORMS
    shapes = [leaf.shape for leaf in jax.tree.leaves(params)]
    assert [leaf.shape for leaf in program.out_avals][: len(shapes)] == shapes


@pytest.mark.parametrize("name", CELLS)
def test_fresh_weights_lower(name):
    cell = make_cell(name)
    program = lowered(lambda seed: cell.init(jax.random.key(seed)), np.uint32(0))
    assert program.platforms == PLATFORMS


@pytest.mark.parametrize("name", [name for name in CELLS if make_cell(name).associative])
def test_the_associative_form_lowers(name):
    cell = make_cell(name)
    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = np.zeros((T, D), np.float32)
    program = lowered(cell.associative, params, xs, cell.initial_state())
    assert program.out_avals[-1].shape == (T, cell.output_size)
