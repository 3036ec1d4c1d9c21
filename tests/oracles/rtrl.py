"""Real-time recurrent learning as Williams & Zipser wrote it, in NumPy loops, one net, float64.

Williams & Zipser, "A Learning Algorithm for Continually Running Fully Recurrent Neural Networks",
Neural Computation 1(2), 1989. Their letters: n units with outputs y, all fed back to all; z the
concatenation of the external inputs, the units' outputs of the step before, and 1 where there are
biases; w_ij the weight from z_j to unit i; s the net inputs; p[k, i, j] = dy_k / dw_ij:

    p_kij(t+1) = f'(s_k(t)) ( sum_l w_kl p_lij(t) + (1 where i is k) z_j(t) ),    p(0) = 0

the sum being over the units l. The step that reads x[t] is here called t.
"""

import numpy as np

from tests.oracles.lstm97 import f, f_prime


def sensitivities(w, xs, y, bias):
    """Outputs [T, n] and p [T, n, n, M] of logistic units with weights w [n, M], started from y."""
    n, num_sources = w.shape
    first = len(xs[0])  # of z, where the units' own outputs begin
    p = np.zeros((n, n, num_sources))
    ys, ps = [], []
    for x in xs:
        z = np.array([*x, *y] + ([1.0] if bias else []))
        s = np.array([sum(w[k, j] * z[j] for j in range(num_sources)) for k in range(n)])
        new = np.zeros_like(p)
        for k in range(n):
            for i in range(n):
                for j in range(num_sources):
                    back = sum(w[k, first + unit] * p[unit, i, j] for unit in range(n))
                    new[k, i, j] = f_prime(s[k]) * (back + (z[j] if i == k else 0.0))
        y, p = f(s), new
        ys.append(y)
        ps.append(p)
    return np.array(ys), np.array(ps)


def units_gradient(w, xs, targets, y, bias):
    """d/dw of 1/2 sum e^2: the LAST units have targets, `targets` maps a step to them."""
    ys, ps = sensitivities(w, xs, y, bias)
    grad = np.zeros_like(w)
    for t, target in targets.items():
        first = len(w) - len(target)
        for k, t_k in enumerate(target):
            grad -= (t_k - ys[t, first + k]) * ps[t, first + k]
    return ys, grad


def layered_gradient(w, v, xs, targets, y, bias):
    """The same with logistic output units over the recurrent ones, weights v [K, n + 1].

    Returns the outputs, d/dw and d/dv; the last column of v are biases.
    """
    ys, ps = sensitivities(w, xs, y, bias)
    outputs = []
    grad_w, grad_v = np.zeros_like(w), np.zeros_like(v)
    for t in range(len(xs)):
        seen = np.array([*ys[t], 1.0])
        net = v @ seen
        outputs.append(f(net))
        if t not in targets:
            continue
        for k, t_k in enumerate(targets[t]):
            e = f_prime(net[k]) * (t_k - f(net[k]))
            grad_v[k] -= e * seen
            for unit in range(len(w)):
                grad_w -= e * v[k, unit] * ps[t, unit]
    return np.array(outputs), grad_w, grad_v
