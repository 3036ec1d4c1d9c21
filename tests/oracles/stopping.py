"""Stop rules over a list of outcomes, from the definition: look at the whole history every time.

An outcome is (error, squared_error, correct). Each function says whether the criterion holds after
the last outcome of `history`.
"""

import math
from collections import deque


def consecutive_correct(history, num):
    return len(history) >= num and all(correct for _, _, correct in history[-num:])


def mean_error_below(history, limit, window, measure="absolute"):
    column = {"absolute": 0, "squared": 1}[measure]
    if len(history) < window:
        return False
    return math.fsum(outcome[column] for outcome in history[-window:]) / window < limit


def few_wrong(history, limit, window):
    last = deque((not correct for _, _, correct in history), maxlen=window)
    return len(last) == window and sum(last) < limit


def all_of(history, *rules):
    return all(rule(history) for rule in rules)


def first_stop_of_experiment_4(history, num=2000, limit=0.01):
    """Number of sequences after which the last `num` were right with mean error below `limit`."""
    for end in range(num, len(history) + 1):
        seen = history[end - num : end]
        if consecutive_correct(seen, num) and mean_error_below(seen, limit, num):
            return end
    return None
