"""The 1997 memory-block network and its own learning rule, one network, one sequence, float64.

Hochreiter & Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997, appendix A.1, in
its letters: `y` activations, `net` net inputs, `s` internal states, `e` errors, `D` (the paper's
partial derivatives ds/dw) carried forward in time. Every unit is written as ONE weight vector over
its sources,

    sources of a hidden unit: the current input, i(t-1), o(t-1), cell outputs(t-1), and 1 (the bias)

so that "dw_um += e_u y_m" can be read off the paper. Sequences are processed in three phases per
time step: input, hidden units (which see the PREVIOUS hidden activations), output units.
"""

from typing import NamedTuple

import numpy as np


def f(x):
    """Logistic squasher of gates and output units (eq. 3)."""
    return 1.0 / (1.0 + np.exp(-x))


def f_prime(x):
    return f(x) * (1.0 - f(x))


def h1(x):
    """Centred logistic in [-1, 1] (eq. 4)."""
    return 2.0 / (1.0 + np.exp(-x)) - 1.0


def g2(x):
    """Centred logistic in [-2, 2] (eq. 5)."""
    return 4.0 / (1.0 + np.exp(-x)) - 2.0


# name -> (function, derivative). g1 and id are those of Experiments 2a and 2b.
SQUASHERS = {
    "h1": (h1, lambda x: 2.0 * f_prime(x)),
    "g2": (g2, lambda x: 4.0 * f_prime(x)),
    "g1": (f, f_prime),
    "logistic": (f, f_prime),
    "id": (lambda x: x, lambda x: 1.0),
    "identity": (lambda x: x, lambda x: 1.0),
}


class Net(NamedTuple):
    """Weight vectors of all units; where there is a bias, it is the last entry of a vector."""

    W_in: np.ndarray  # [B, M] input gates
    W_out: np.ndarray | None  # [B, M] output gates, None: cells are not gated on the way out
    W_c: np.ndarray  # [B*S, M'] cell inputs; M' may differ from M by the bias
    W_k: np.ndarray  # [K, B*S (+D) (+1)] output units
    S: int  # cells per block
    recurrent: bool
    gate_bias: bool
    cell_bias: bool
    output_bias: bool
    direct: bool  # output units also see the current input (type "B")
    g: str
    h: str
    output: str  # "logistic" or "identity"
    see_gates: bool = True  # else the hidden units see cell outputs only
    silent: bool = False  # the recurrent weights are there, their sources are zero
    initial_gate: float = 0.0  # activation of the gates before the first step


class State(NamedTuple):
    s: np.ndarray  # [B*S] internal states
    y_in: np.ndarray  # [B]
    y_out: np.ndarray | None  # [B]
    y_c: np.ndarray  # [B*S] cell outputs


class Step(NamedTuple):
    """Everything one time step computes."""

    m_gate: np.ndarray  # source activations of a gate unit
    m_cell: np.ndarray  # source activations of a cell
    net_in: np.ndarray
    net_out: np.ndarray | None
    net_c: np.ndarray
    state: State
    m_k: np.ndarray  # source activations of an output unit
    net_k: np.ndarray
    y_k: np.ndarray


def vectors(w, r, b):
    """Input weights, recurrent weights and bias of a layer, as one weight vector per unit."""
    parts = [np.asarray(part, np.float64) for part in (w, r) if part is not None]
    if b is not None:
        parts.append(np.asarray(b, np.float64)[:, None])
    return np.concatenate(parts, axis=1)


def zero_state(net):
    blocks, cells = len(net.W_in), len(net.W_c)
    gates = np.full(blocks, net.initial_gate)
    y_out = None if net.W_out is None else gates
    return State(np.zeros(cells), gates, y_out, np.zeros(cells))


def sources(net, x, before, with_bias):
    m = list(x)
    if net.recurrent and net.see_gates:
        m += list(before.y_in)
        m += [] if before.y_out is None else list(before.y_out)
    if net.recurrent:
        m += list(before.y_c)
    if net.silent:
        m = list(x) + [0.0] * (len(m) - len(x))
    return np.array(m + ([1.0] if with_bias else []), np.float64)


def step(net, before, x):
    """One time step (eqs. 3 to 9 with the three-phase order of the text)."""
    g, h = SQUASHERS[net.g][0], SQUASHERS[net.h][0]
    m_gate = sources(net, x, before, net.gate_bias)
    m_cell = sources(net, x, before, net.cell_bias)
    net_in = net.W_in @ m_gate
    net_out = None if net.W_out is None else net.W_out @ m_gate
    net_c = net.W_c @ m_cell
    y_in = f(net_in)
    y_out = None if net_out is None else f(net_out)
    s, y_c = np.zeros(len(net_c)), np.zeros(len(net_c))
    for v in range(len(net_c)):
        block = v // net.S
        s[v] = before.s[v] + y_in[block] * g(net_c[v])
        y_c[v] = h(s[v]) * (1.0 if y_out is None else y_out[block])
    seen = list(y_c) + (list(x) if net.direct else [])
    m_k = np.array(seen + ([1.0] if net.output_bias else []))
    net_k = net.W_k @ m_k
    y_k = SQUASHERS[net.output][0](net_k)
    after = State(s, y_in, y_out, y_c)
    return Step(m_gate, m_cell, net_in, net_out, net_c, after, m_k, net_k, y_k)


def forward(net, xs, state=None):
    """All time steps of one sequence, from `state` (default: all zero, the paper's reset)."""
    before = zero_state(net) if state is None else state
    steps = []
    for x in xs:
        steps.append(step(net, before, x))
        before = steps[-1].state
    return steps


def output_error(net, net_k, y_k, t_k, delta="exact", factor=1.0):
    """e_k = f'(net_k) (t_k - y_k), or without f'; eqs. 16 to 19 drop the factor 2 of the loss."""
    slope = SQUASHERS[net.output][1](net_k) if delta == "exact" else 1.0
    return factor * slope * (np.asarray(t_k, np.float64) - y_k)


def updates(net, xs, targets, state=None, delta="exact", factor=1.0):
    """The paper's total weight change for learning rate 1: the sum of all steps' contributions.

    `targets` maps a time (0-based) to the target vector at that time: {T-1: t} for a target at the
    end, one entry per step for a target at every step. Returns the outputs of every step and the
    changes (dW_in, dW_out, dW_c, dW_k), of the shapes of the weights.
    """
    total, ys = no_change(net), []
    before, D = zero_state(net) if state is None else state, no_derivatives(net)
    for t, x in enumerate(xs):
        now = step(net, before, x)
        before, D = now.state, carried(net, now, D)
        ys.append(now.y_k)
        if t in targets:
            e_k = output_error(net, now.net_k, now.y_k, targets[t], delta, factor)
            total = plus(total, changes(net, now, D, e_k))
    return np.array(ys), total


def updates_in_steps(net, xs, targets, rate, state=None, delta="exact", factor=1.0):
    """The other reading: all weights change after each time step with a target, at once.

    Activations, internal states and derivatives are carried on as they are. Returns the outputs
    of every step, each by the weights of then, and the net after the sequence.
    """
    ys = []
    before, D = zero_state(net) if state is None else state, no_derivatives(net)
    for t, x in enumerate(xs):
        now = step(net, before, x)
        before, D = now.state, carried(net, now, D)
        ys.append(now.y_k)
        if t in targets:
            e_k = output_error(net, now.net_k, now.y_k, targets[t], delta, factor)
            net = moved(net, rate, changes(net, now, D, e_k))
    return np.array(ys), net


def weights(net):
    return net.W_in, net.W_out, net.W_c, net.W_k


def no_change(net):
    return tuple(None if W is None else np.zeros_like(W) for W in weights(net))


def plus(total, more):
    return tuple(None if a is None else a + b for a, b in zip(total, more, strict=True))


def moved(net, rate, change):
    """The net with `rate` times the change added to its weights."""
    scaled = tuple(None if dW is None else rate * dW for dW in change)
    new = plus(weights(net), scaled)
    return net._replace(**dict(zip(("W_in", "W_out", "W_c", "W_k"), new, strict=True)))


def no_derivatives(net):
    """D at the start: ds_v/dw_{c_v,m}, and ds_v/dw_{in_b,m} with b the block of v."""
    return np.zeros_like(net.W_c), np.zeros((len(net.W_c), net.W_in.shape[1]))


def carried(net, now, D):
    """D one time step on; at every step, target or not."""
    g, g_prime = SQUASHERS[net.g]
    D_c, D_in = (array.copy() for array in D)
    for v in range(len(net.W_c)):
        b = v // net.S
        D_c[v] += g_prime(now.net_c[v]) * now.state.y_in[b] * now.m_cell
        D_in[v] += g(now.net_c[v]) * f_prime(now.net_in[b]) * now.m_gate
    return D_c, D_in


def changes(net, now, D, e_k):
    """What the errors of one time step contribute to each weight's change, for rate 1."""
    h, h_prime = SQUASHERS[net.h]
    dW_in, dW_out, dW_c, dW_k = no_change(net)
    D_c, D_in = D
    y_out, s = now.state.y_out, now.state.s
    for k in range(len(e_k)):
        dW_k[k] = e_k[k] * now.m_k
    for b in range(len(net.W_in)):
        members = range(b * net.S, (b + 1) * net.S)
        back = {v: sum(net.W_k[k, v] * e_k[k] for k in range(len(e_k))) for v in members}
        if dW_out is not None:
            e_out = f_prime(now.net_out[b]) * sum(h(s[v]) * back[v] for v in members)
            dW_out[b] = e_out * now.m_gate
        for v in members:
            gate = 1.0 if y_out is None else y_out[b]
            e_s = gate * h_prime(s[v]) * back[v]
            dW_c[v] = e_s * D_c[v]
            dW_in[b] += e_s * D_in[v]
    return dW_in, dW_out, dW_c, dW_k
