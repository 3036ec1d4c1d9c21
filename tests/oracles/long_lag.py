"""Sequences with long lags in plain Python (1997 paper, Experiments 2a, 2b, 2c)."""


def names_2ab(p):
    """Names of the symbols 0 .. p of 2a and 2b."""
    return [f"a{i}" for i in range(1, p)] + ["x", "y"]


def string_2a(first, p):
    """The one string that begins with x or y."""
    return [first, *(f"a{i}" for i in range(1, p)), first]


def next_symbols(shown):
    """What follows each shown symbol: the one shown after it, and after the last the first."""
    return [*shown[1:], shown[0]]


def names_2c(p):
    """Names of the symbols 0 .. p + 3 of 2c."""
    return [f"a{i}" for i in range(1, p + 1)] + ["e", "b", "x", "y"]


def target_2c(shown):
    """(is it x, is it y): the symbol after e is the second of the string."""
    assert shown[0] == "b" and shown[-1] == "e" and "e" not in shown[:-1]
    return [float(shown[1] == name) for name in ("x", "y")]
