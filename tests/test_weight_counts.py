"""The weight count of every experiment of the 1997 paper, and its initial values (Table 10).

The counts pin the connectivity: with gates that did not see gates none of them would come out.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import numpy as np
import pytest
from scipy import stats

from lstm_jax.cells import lstm97
from lstm_jax.network import network, num_weights
from lstm_jax.readout import readout
from tests.tolerances import FALSE_ALARM_RATE


class Row(NamedTuple):
    """One architecture of Table 10: sizes, biases, initial values, and the paper's count."""

    blocks: int
    cells: int  # per block
    inputs: int
    outputs: int
    weights: int
    bias: str
    output_bias: bool
    input_gate_bias: tuple[float, ...] | None = None
    output_gate_bias: tuple[float, ...] | None = None
    init_range: float = 0.1


ROWS = {
    "1, 4 blocks of 1": Row(
        4, 1, 7, 7, 264, "gates", False, None, (-1.0, -2.0, -3.0, -4.0), init_range=0.2
    ),
    "1, 3 blocks of 2": Row(
        3, 2, 7, 7, 276, "gates", False, None, (-1.0, -2.0, -3.0), init_range=0.2
    ),
    **{
        f"2c, p={p}": Row(2, 1, p + 4, 2, weights, "none", False, init_range=0.2)
        for p, weights in ((50, 364), (100, 664), (200, 1264), (500, 3064), (1000, 6064))
    },
    "3": Row(3, 1, 1, 1, 102, "hidden", False, (-1.0, -3.0, -5.0), (-2.0, -4.0, -6.0)),
    "4": Row(2, 2, 2, 1, 93, "hidden", True, (-3.0, -6.0)),
    "5": Row(2, 2, 2, 1, 93, "hidden", True),
    "6a": Row(2, 2, 8, 4, 156, "hidden", True, (-2.0, -4.0)),
    "6b": Row(3, 2, 8, 8, 308, "hidden", True, (-2.0, -4.0, -6.0)),
}


def make_network(row):
    cell = lstm97(
        row.inputs,
        row.blocks,
        row.cells,
        bias=row.bias,
        input_gate_bias=row.input_gate_bias,
        output_gate_bias=row.output_gate_bias,
        init_range=row.init_range,
    )
    units = readout(
        row.blocks * row.cells, row.outputs, bias=row.output_bias, init_range=row.init_range
    )
    return network(cell, units)


def initialised(net, seed=0, **kwargs):
    # This generator compiles fast; that the default one gives other numbers is no matter here.
    return jax.jit(lambda key: net.init(key, **kwargs))(jax.random.key(seed, impl="unsafe_rbg"))


@lru_cache
def weights(name):
    return initialised(make_network(ROWS[name]))


@pytest.mark.parametrize("name", ROWS)
def test_counts_of_the_paper(name):
    net = make_network(ROWS[name])
    shapes = jax.eval_shape(net.init, jax.random.key(0))  # the trees of init, without compiling
    assert num_weights(shapes) == ROWS[name].weights


# one for each kind of bias placement and given values
@pytest.mark.parametrize("name", ["1, 4 blocks of 1", "2c, p=1000", "3", "6a"])
def test_initial_values(name):
    """Given gate biases exactly, all else random within the range, on both sides of zero."""
    row = ROWS[name]
    assert num_weights(weights(name)) == row.weights
    given = {"b_i": row.input_gate_bias, "b_o": row.output_gate_bias}
    params = weights(name)
    leaves = [*params.cell._asdict().items(), ("v", params.readout.v), ("b", params.readout.b)]
    drawn = []
    for field, leaf in leaves:
        if given.get(field) is not None:
            np.testing.assert_array_equal(leaf, np.float32(given[field]), err_msg=field)
        elif leaf is not None:
            assert (np.abs(leaf) <= row.init_range).all(), field
            drawn.append(np.ravel(leaf))
    drawn = np.concatenate(drawn)
    assert len(np.unique(drawn)) > 0.99 * len(drawn)  # float32 has few values to spare
    # of n >= 80 uniform draws, the largest and smallest are within 20% of the ends (1 in 10^3.8)
    assert drawn.max() > 0.8 * row.init_range and drawn.min() < -0.8 * row.init_range


def test_initial_weights_are_uniform():
    """Kolmogorov-Smirnov on the 6060 drawn weights of Experiment 2c, p=1000; fixed key."""
    leaves = jax.tree.leaves(weights("2c, p=1000"))
    drawn = np.concatenate([np.ravel(leaf) for leaf in leaves])
    assert stats.kstest(drawn, stats.uniform(-0.2, 0.4).cdf).pvalue > FALSE_ALARM_RATE


def test_a_range_given_to_init_overrides_all_but_the_given_biases():
    """So that one program can hold lanes of several ranges."""
    net = make_network(ROWS["4"])
    usual, wide = (initialised(net, seed=3, **kw) for kw in ({}, {"init_range": 1.0}))
    np.testing.assert_allclose(wide.cell.w_z, 10 * usual.cell.w_z, rtol=1e-5)
    np.testing.assert_allclose(wide.readout.v, 10 * usual.readout.v, rtol=1e-5)
    np.testing.assert_array_equal(wide.cell.b_i, np.float32([-3.0, -6.0]))


def test_experiment_2a():
    """10504: 101 outputs see the cell and the 101 inputs; cell and input gate see inputs only."""
    cell = lstm97(101, 1, 1, bias="none", recurrent=False, output_gate=False, g="g1", h="id")
    net = network(cell, readout(1 + 101, 101, bias=False), direct=True)
    params = initialised(net)
    assert num_weights(params.cell) == 101 + 101
    assert num_weights(params.readout) == 101 * (101 + 1)
    assert num_weights(params) == 10504


def test_network_refuses_sizes_that_do_not_fit():
    cell = lstm97(2, 2, 2)
    for size, direct in ((3, False), (4, True)):
        with pytest.raises(ValueError, match=f"readout.*{size}"):
            network(cell, readout(size, 1), direct=direct)
