"""Attention and poolings again, in NumPy float64, over the valid steps alone and step by step."""

import numpy as np


def softmax(scores):
    raised = [np.exp(np.float64(score)) for score in scores]
    return np.array([one / sum(raised) for one in raised])


def weighted(weights, values):
    return sum((a * v for a, v in zip(weights, values, strict=True)), np.zeros(values.shape[1]))


def dot_product(query, keys, values, scaled):
    root = np.sqrt(len(query)) if scaled else 1.0
    weights = softmax([sum(q * k for q, k in zip(query, key, strict=True)) / root for key in keys])
    return weighted(weights, values), weights


def additive(params, query, keys, values):
    scores = []
    for key in keys:
        score = 0.0
        for unit in range(len(params.v)):
            net = params.u[unit] @ key + params.b[unit]
            net += 0.0 if query is None else params.w[unit] @ query
            score += params.v[unit] * np.tanh(net)
        scores.append(score)
    weights = softmax(scores)
    return weighted(weights, values), weights


def pooled(name, params, ys):
    """(vector, weights) of the valid outputs [length, H]."""
    steps, size = ys.shape
    if steps == 0:
        return np.zeros(size), np.zeros(0)
    if name == "last":
        return ys[-1], np.eye(steps)[-1]
    if name == "mean":
        return ys.sum(0) / steps, np.full(steps, 1 / steps)
    if name == "max":
        at = [max(range(steps), key=lambda t: ys[t, unit]) for unit in range(size)]
        weights = np.array([at.count(t) / size for t in range(steps)])
        return np.array([ys[t, unit] for unit, t in enumerate(at)]), weights
    if name == "dot":
        return dot_product(params, ys, ys, True)
    return additive(params, None, ys, ys)
