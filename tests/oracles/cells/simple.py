"""One layer of fed-back units."""

from tests.oracles.cells.squashers import SQUASHERS


def elman(p, s, x, *, activation="tanh", bias=True):
    """Elman 1990."""
    net = p["w"] @ x + p["r"] @ s["h"]
    return {"h": SQUASHERS[activation](net + p["b"] if bias else net)}


def irnn(p, s, x):
    """Le, Jaitly & Hinton 2015: rectified units; what is special is how they start."""
    return elman(p, s, x, activation="relu")
