"""When sequential construction adds the cells: looks at the whole history of errors every time."""

import math


def grown_at(errors, window, decrease):
    """Number of training sequences after which the cells join; None where they do not.

    The first whole window whose mean is not below (1 - decrease) times that of the window before.
    """
    means = [
        math.fsum(errors[n : n + window]) / window
        for n in range(0, len(errors) - window + 1, window)
    ]
    for k in range(1, len(means)):
        if not means[k] < (1 - decrease) * means[k - 1]:
            return (k + 1) * window
    return None
