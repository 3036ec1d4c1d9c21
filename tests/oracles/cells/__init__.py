"""Every cell but lstm97 in NumPy float64, one network, one sequence, plain loops.

A cell is one time step from the published equations: a function
``(p, s, x, **options) -> {name: activation}``, where `p` maps the names of the weights to arrays
(None where there is none), `s` the names of the state to arrays, and the result holds every gate,
the memory and the output "h" of the step. The next step's state is found in it by name.
"""

import numpy as np

from tests.oracles.cells.gated import gru, mgu, mut1, mut2, mut3
from tests.oracles.cells.lstm import lstm as lstm_step
from tests.oracles.cells.minimal import min_gru, min_lstm
from tests.oracles.cells.simple import elman as elman_step
from tests.oracles.cells.simple import irnn
from tests.oracles.cells.slstm import slstm

STEPS = {
    "lstm": lstm_step,
    "gru": gru,
    "mut1": mut1,
    "mut2": mut2,
    "mut3": mut3,
    "mgu": mgu,
    "elman": elman_step,
    "irnn": irnn,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "slstm": slstm,
}


def steps(name, p, s, xs, **options):
    """What each time step of a sequence computes, a list of {name: activation}."""
    taken = []
    for x in xs:
        taken.append(STEPS[name](p, s, x, **options))
        s = {field: None if old is None else taken[-1][field] for field, old in s.items()}
    return taken


def lstm(p, xs, c, h, **options):
    """(c, h, ys) of a whole sequence."""
    taken = steps("lstm", p, {"c": c, "h": h}, xs, **options)
    return taken[-1]["c"], taken[-1]["h"], np.array([now["h"] for now in taken])


def elman(p, xs, h, activation):
    """(h, ys) of a whole sequence."""
    taken = steps("elman", p, {"h": h}, xs, activation=activation)
    return taken[-1]["h"], np.array([now["h"] for now in taken])
