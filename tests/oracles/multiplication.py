"""The target of a multiplication sequence, from its inputs alone (1997 paper, Experiment 5)."""


def marked_pairs(pairs):
    """0-based positions of the visible marks (marker 1)."""
    return [n for n, (_, marker) in enumerate(pairs) if marker == 1.0]


def target(pairs):
    """X1 * X2. The first pair never shows its mark, and its value then counts as 1."""
    product = 1.0
    for n in marked_pairs(pairs):
        product *= float(pairs[n][0])
    return product
