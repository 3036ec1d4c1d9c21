"""Cells that mix the old output with a new candidate: GRU, MGU, and the three mutants."""

import numpy as np

from tests.oracles.cells.squashers import SQUASHERS, clipped, sigmoid


def gru(
    p,
    s,
    x,
    *,
    reset="after",
    recurrent_bias=True,
    clip=None,
    gate_activation="logistic",
    g="tanh",
):
    """Cho et al. 2014: the reset gate acts before the recurrent matrix; after it in cuDNN."""
    sigma, h = SQUASHERS[gate_activation], s["h"]
    r = sigma(clipped(p["w_r"] @ x + p["r_r"] @ h + p["b_r"], clip))
    z = sigma(clipped(p["w_z"] @ x + p["r_z"] @ h + p["b_z"], clip))
    if reset == "before":
        back = p["r_n"] @ (r * h)
    elif recurrent_bias:
        back = r * (p["r_n"] @ h + p["b_rn"])
    else:
        back = r * (p["r_n"] @ h)
    n = SQUASHERS[g](clipped(p["w_n"] @ x + p["b_n"] + back, clip))
    return {"r": r, "z": z, "n": n, "h": (1 - z) * n + z * h}


def mgu(p, s, x):
    """Zhou, Wu, Zhang & Zhou 2016, "Minimal gated unit for recurrent neural networks"."""
    h = s["h"]
    f = sigmoid(p["w_f"] @ x + p["r_f"] @ h + p["b_f"])
    n = np.tanh(p["r_n"] @ (f * h) + p["w_n"] @ x + p["b_n"])
    return {"f": f, "n": n, "h": (1 - f) * h + f * n}


# Jozefowicz, Zaremba & Sutskever 2015, "An empirical exploration of recurrent network
# architectures". x without a matrix is an embedding of the input, of the size of h.


def mut1(p, s, x):
    h, embedded = s["h"], p["w_e"] @ x
    z = sigmoid(p["w_z"] @ x + p["b_z"])
    r = sigmoid(p["w_r"] @ x + p["r_r"] @ h + p["b_r"])
    n = np.tanh(p["r_h"] @ (r * h) + np.tanh(embedded) + p["b_h"])
    return {"z": z, "r": r, "n": n, "h": n * z + h * (1 - z)}


def mut2(p, s, x):
    h, embedded = s["h"], p["w_e"] @ x
    z = sigmoid(p["w_z"] @ x + p["r_z"] @ h + p["b_z"])
    r = sigmoid(embedded + p["r_r"] @ h + p["b_r"])
    n = np.tanh(p["r_h"] @ (r * h) + p["w_h"] @ x + p["b_h"])
    return {"z": z, "r": r, "n": n, "h": n * z + h * (1 - z)}


def mut3(p, s, x):
    h = s["h"]
    z = sigmoid(p["w_z"] @ x + p["r_z"] @ np.tanh(h) + p["b_z"])
    r = sigmoid(p["w_r"] @ x + p["r_r"] @ h + p["b_r"])
    n = np.tanh(p["r_h"] @ (r * h) + p["w_h"] @ x + p["b_h"])
    return {"z": z, "r": r, "n": n, "h": n * z + h * (1 - z)}
