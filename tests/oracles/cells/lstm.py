"""The vanilla LSTM and its eight variants.

Greff, Srivastava, Koutnik, Steunebrink & Schmidhuber, "LSTM: A Search Space Odyssey", 2017, with
the recurrent projection of Sak, Senior & Beaufays 2014. Their letters, y being called h here.
"""

from tests.oracles.cells.squashers import SQUASHERS, clipped

LEAVES_OUT = {"NIG": "i", "NFG": "f", "NOG": "o", "CIFG": "f"}  # the gate that has no weights


def lstm(
    p,
    s,
    x,
    *,
    switches=("NP",),
    projection_size=None,
    clip=None,
    gate_activation="logistic",
    g="tanh",
    h="tanh",
):
    gates = [a for a in "ifo" if a not in [LEAVES_OUT.get(switch) for switch in switches]]
    sigma = SQUASHERS[gate_activation]
    g = SQUASHERS["identity" if "NIAF" in switches else g]
    h = SQUASHERS["identity" if "NOAF" in switches else h]

    def net(a, seen=None):
        """The net input of unit a, a gate looking at the memory `seen`."""
        total = p["w_" + a] @ x + p["r_" + a] @ s["h"] + p["b_" + a]
        if a != "z" and "NP" not in switches:
            total = total + p["p_" + a] * seen
        if a != "z" and "FGR" in switches:
            for b in gates:
                total = total + p["r_" + a + b] @ s[b]
        return clipped(total, clip)

    one = 0 * s["c"] + 1.0  # what a gate that is not there amounts to
    z = g(net("z"))
    i = sigma(net("i", s["c"])) if "i" in gates else one
    f = sigma(net("f", s["c"])) if "f" in gates else one
    if "CIFG" in switches:
        f = one - i
    c = z * i + s["c"] * f
    o = sigma(net("o", c)) if "o" in gates else one
    y = h(c) * o
    return {"z": z, "i": i, "f": f, "o": o, "c": c, "h": y if not projection_size else p["w_h"] @ y}
