"""The class of a temporal-order sequence, from its symbols alone (1997 paper, Experiment 6)."""

SYMBOLS = "EBabcdXY"
CLASSES = {
    2: ["XX", "XY", "YX", "YY"],
    3: ["XXX", "XXY", "XYX", "XYY", "YXX", "YXY", "YYX", "YYY"],
}
# First and last place of each key symbol, counted from 1, for sequences of 100 to 110 steps.
PLACES = {2: [(10, 20), (50, 60)], 3: [(10, 20), (33, 43), (66, 76)]}


def letters(symbols):
    """The symbols as one string."""
    return "".join(SYMBOLS[s] for s in symbols)


def key_places(string):
    """Places of X and Y, counted from 1."""
    return [n for n, letter in enumerate(string, start=1) if letter in "XY"]


def target(string, num_symbols):
    """One output for each class: 1 for that of the key symbols in their order, else 0."""
    seen = "".join(letter for letter in string if letter in "XY")
    return [float(seen == name) for name in CLASSES[num_symbols]]
