"""Stop rules over a list of outcomes, from the definition: look at the whole history every time.

An outcome is (error, squared_error, correct). Each function says whether the criterion holds after
the last outcome of `history`.
"""

import math


def consecutive_correct(history, num):
    return len(history) >= num and all(correct for _, _, correct in history[-num:])


def mean_error_below(history, limit, window, measure="absolute"):
    column = {"absolute": 0, "squared": 1}[measure]
    if len(history) < window:
        return False
    return math.fsum(outcome[column] for outcome in history[-window:]) / window < limit


def all_of(history, *rules):
    return all(rule(history) for rule in rules)


def first_stop(history, rule):
    """Number of outcomes after which `rule` first holds; None if it never does."""
    for num in range(1, len(history) + 1):
        if rule(history[:num]):
            return num
    return None
