"""The sLSTM of Beck et al. 2024, "xLSTM: Extended Long Short-Term Memory".

Computed without the stabiliser m (eqs 8 to 14), in numbers that hold e^m times those of eqs 15 to
17; the stabilised gates and states are then read off as what they should be. For values that
float64 holds.
"""

import numpy as np

from tests.oracles.cells.squashers import sigmoid


def slstm(p, s, x, *, num_heads=1, forget="logistic"):
    size = len(s["h"]) // num_heads

    def net(a):
        total = p["w_" + a] @ x + p["b_" + a]
        for head in range(num_heads):  # a head's units see that head's outputs
            rows = slice(head * size, (head + 1) * size)
            total[rows] = total[rows] + p["r_" + a][head] @ s["h"][rows]
        return total

    z, o = np.tanh(net("z")), sigmoid(net("o"))
    i = np.exp(net("i"))
    f = np.exp(net("f")) if forget == "exp" else sigmoid(net("f"))
    c = f * (s["c"] * np.exp(s["m"])) + i * z
    n = f * (s["n"] * np.exp(s["m"])) + i
    h = o * c / n
    # As in the authors' code, m looks at the input alone while there is no memory to keep.
    log_kept = np.where(s["n"] == 0, np.log(i), np.log(f) + s["m"])
    m = np.maximum(log_kept, np.log(i))
    stabilised = {
        "i": i / np.exp(m),
        "f": np.exp(log_kept - m),
        "c": c / np.exp(m),
        "n": n / np.exp(m),
    }
    return {"z": z, "o": o, "m": m, "h": h} | stabilised
