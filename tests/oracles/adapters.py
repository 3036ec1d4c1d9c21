"""From the trees of `lstm_jax` to the oracles' arguments, and back to compare."""

import numpy as np

from tests.oracles import cells
from tests.oracles import lstm97 as paper

# options of the factories that no equation holds: sizes, and what fresh weights are
NOT_IN_A_STEP = {"hidden_size", "forget_bias", "scale"}


def as_float64(tree):
    """A NamedTuple of arrays as {field: float64 array or None}."""
    return {
        name: None if leaf is None else np.asarray(leaf, np.float64)
        for name, leaf in tree._asdict().items()
    }


def paper_net(params, arguments, readout=None, activation="logistic", direct=False):
    """The oracle's net for `Lstm97Params` (and `ReadoutParams`), made with `arguments`."""
    p = as_float64(params)
    if readout is None:
        v, b = np.zeros((1, len(p["w_z"]))), None
    else:
        v, b = readout.v, readout.b
    no_out = p["w_o"] is None
    return paper.Net(
        W_in=paper.vectors(p["w_i"], p["r_i"], p["b_i"]),
        W_out=None if no_out else paper.vectors(p["w_o"], p["r_o"], p["b_o"]),
        W_c=paper.vectors(p["w_z"], p["r_z"], p["b_z"]),
        W_k=paper.vectors(v, None, b),
        S=arguments["block_size"],
        recurrent=arguments.get("recurrent", True),
        gate_bias=arguments.get("bias", "hidden") != "none",
        cell_bias=arguments.get("bias", "hidden") == "hidden",
        output_bias=b is not None,
        direct=direct,
        g=arguments.get("g", "g2"),
        h=arguments.get("h", "h1"),
        output=activation,
        see_gates=arguments.get("see_gates", True),
        silent=arguments.get("silent", False),
        initial_gate=arguments.get("initial_gate", 0.0),
    )


def paper_state(state):
    s = as_float64(state)
    return paper.State(s=s["c"], y_in=s["i"], y_out=s["o"], y_c=s["h"])


def paper_activations(net, step):
    """What a step of the 1997 net computes, by the names of `lstm_jax`."""
    activations = {"z": paper.SQUASHERS[net.g][0](step.net_c), "i": step.state.y_in}
    activations |= {"c": step.state.s, "h": step.state.y_c}
    return activations | ({} if step.state.y_out is None else {"o": step.state.y_out})


def steps(name, arguments, params, state, xs):
    """What each time step of a cell made with `arguments` computes: [{name: activation}]."""
    if name == "lstm97":
        net = paper_net(params, arguments)
        taken = paper.forward(net, np.asarray(xs, np.float64), paper_state(state))
        return [paper_activations(net, now) for now in taken]
    assert name in cells.STEPS, f"write a NumPy oracle for {name!r} in tests/oracles/cells"
    options = {field: value for field, value in arguments.items() if field not in NOT_IN_A_STEP}
    xs = np.asarray(xs, np.float64)
    return cells.steps(name, as_float64(params), as_float64(state), xs, **options)


def unit_vectors(params, readout=None):
    """The trees as (W_in, W_out, W_c[, W_k]): the layout the oracle reports its updates in."""
    p = as_float64(params)
    layers = [
        None if p["w_" + u] is None else paper.vectors(p["w_" + u], p["r_" + u], p["b_" + u])
        for u in "ioz"
    ]
    if readout is not None:
        layers.append(paper.vectors(readout.v, None, readout.b))
    return tuple(layers)
