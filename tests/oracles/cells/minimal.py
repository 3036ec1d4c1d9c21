"""Cells whose gates see the input only: Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024.

"Were RNNs all we needed?", the forms without the log space: for moderate values only.
"""

from tests.oracles.cells.squashers import sigmoid


def min_gru(p, s, x):
    z = sigmoid(p["w_z"] @ x + p["b_z"])
    n = p["w_n"] @ x + p["b_n"]
    return {"z": z, "n": n, "h": (1 - z) * s["h"] + z * n}


def min_lstm(p, s, x):
    f = sigmoid(p["w_f"] @ x + p["b_f"])
    i = sigmoid(p["w_i"] @ x + p["b_i"])
    n = p["w_n"] @ x + p["b_n"]
    f, i = f / (f + i), i / (f + i)
    return {"f": f, "i": i, "n": n, "h": f * s["h"] + i * n}
