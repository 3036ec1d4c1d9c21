"""The target of an adding-problem sequence, from its inputs alone (1997 paper, Experiment 4)."""


def marked_pairs(pairs):
    """0-based positions of the visible marks (marker 1)."""
    return [n for n, (_, marker) in enumerate(pairs) if marker == 1.0]


def target(pairs):
    """0.5 + (X1 + X2)/4. The first pair never shows its mark, and its value then counts as 0."""
    values = [float(pairs[n][0]) for n in marked_pairs(pairs)]
    return 0.5 + sum(values) / 4.0
