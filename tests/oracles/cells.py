"""The forget-gate LSTM and the Elman net in NumPy float64: one network, one sequence, plain loops.

LSTM: Gers, Schmidhuber & Cummins 2000 (forget gates), tanh squashers, no peepholes.
Elman: Elman 1990, h_t = a(W x_t + R h_tm1 + b).
"""

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def lstm(p, xs, c, h):
    """`p` maps w_z, r_z, b_z and so on for z, i, f, o to arrays. Returns (c, h, ys)."""
    ys = []
    for x in xs:
        net = {u: p["w_" + u] @ x + p["r_" + u] @ h + p["b_" + u] for u in "zifo"}
        z, i, f, o = np.tanh(net["z"]), *(sigmoid(net[u]) for u in "ifo")
        c = f * c + i * z
        h = o * np.tanh(c)
        ys.append(h)
    return c, h, np.array(ys)


ACTIVATIONS = {"tanh": np.tanh, "logistic": sigmoid, "relu": lambda x: np.maximum(x, 0.0)}


def elman(p, xs, h, activation):
    """`p` maps w, r and b to arrays, b to None where there is none. Returns (h, ys)."""
    ys = []
    b = 0.0 if p["b"] is None else p["b"]
    for x in xs:
        h = ACTIVATIONS[activation](p["w"] @ x + p["r"] @ h + b)
        ys.append(h)
    return h, np.array(ys)
