"""What goes on inside a cell, a structure or a network while it runs over one sequence."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Cell, observed
from lstm_jax.classifier import Classifier, ClassifierParams
from lstm_jax.network import Network, NetworkParams
from lstm_jax.structures.bidirectional import (
    MERGES,
    BidirectionalParams,
    BidirectionalSpec,
    BidirectionalState,
)
from lstm_jax.structures.layer import LayerSpec, layer
from lstm_jax.structures.stack import StackSpec, join
from lstm_jax.symbols import countable
from lstm_jax.types import Array, Params, State
from lstm_jax.unroll import Structure, as_vectors, require_sequence, unroll, valid_steps


class Recording(NamedTuple):
    """A run over one sequence, and everything in it.

    Attributes:
      state: the final state, as `unroll` gives it.
      ys: the outputs ``[T, H]``, likewise.
      arrays: ``{name: [T, ...]}``; see `record`.
    """

    state: State
    ys: Array
    arrays: dict[str, Array]


def record(
    part: Cell | Structure,
    params: Params,
    xs: Array,  # [T, D] or symbols [T]
    state: State | None = None,
    *,
    length: Array | int | None = None,
    resets: Array | None = None,  # [T]
) -> Recording:
    """`unroll`, with all that happens at each step, in any structure.

    The arrays of a cell have the names of ``Cell.gates``: "i", "f", "o" its gates, "z" its
    candidate, "c" its memory, "h" its output (the last two after the step). "net_i" and so on are
    the pre-activations, biases included, for a cell with ``Cell.observe``: all that are made of
    parts. A field of the state that is no gate, such as the step count "t" of `zoneout`, has its
    own name. In a structure the way to the cell comes first: "forward/i", "backward/i" in both
    directions, "0/i", "1/i" in a stack from the inputs up, "1/forward/i" where one holds the
    other; "/" parts the names of a `stacked_cell` too. A layer that runs backwards has its steps
    at their own positions.

    Nothing is kept by a run that is not recorded: `unroll` knows nothing of this function. Under
    ``jit`` arrays that nobody uses are not made either.

    Args:
      part, params, xs, state, length, resets: as for `unroll`. Steps after `length` are zeros.

    Raises:
      ValueError: as `unroll`, and for a structure that is none of `lstm_jax.structures`.

    Example:
      >>> from lstm_jax.cells import lstm
      >>> from lstm_jax.structures import bidirectional, stack
      >>> import jax.numpy as jnp
      >>> deep = stack(bidirectional(lstm(2, 3), lstm(2, 3)), lstm(6, 4))
      >>> params = deep.init(jax.random.key(0))
      >>> seen = record(deep, params, jnp.ones((5, 2)), length=3)
      >>> seen.arrays["0/backward/f"].shape, seen.arrays["1/net_i"].shape
      ((5, 3), (5, 4))
      >>> bool((seen.arrays["1/h"] == seen.ys).all())
      True
    """
    how = {"length": length, "resets": resets}
    if isinstance(part, Cell):
        final, seen = unroll(_watched(part), params, xs, state, **how)
    elif isinstance(part.spec, LayerSpec):
        onwards = layer(_watched(part.spec.cell), reverse=part.spec.reverse)
        final, seen = onwards.apply(params, xs, state, **how)
    elif isinstance(part.spec, BidirectionalSpec):
        return _both(part, params, xs, state, **how)
    elif isinstance(part.spec, StackSpec):
        return _stacked(part, params, xs, state, **how)
    else:
        raise ValueError(
            f"record: a {part.name} whose spec is {type(part.spec).__name__}, where that of a "
            "layer, a bidirectional or a stack is needed to find its cells"
        )
    ys, arrays = seen  # pyright: ignore[reportGeneralTypeIssues]
    return Recording(final, arrays["h"] if ys is None else ys, arrays)


def record_network(
    network: Network,
    params: NetworkParams,
    xs: Array,
    state: State | None = None,
    *,
    length: Array | int | None = None,
) -> Recording:
    """The same of a network's cell, and of its output units at each step: "y" and "net_y".

    Their ys are the network's outputs ``[T, K]``; zeros after `length`.

    Example:
      >>> from lstm_jax import adding, lstm97, network, readout
      >>> net = network(lstm97(2, 2, 2), readout(4, 1, activation="identity"))
      >>> example = adding(T=11).sample(jax.random.key(1))
      >>> params = net.init(jax.random.key(0))
      >>> seen = record_network(net, params, example.inputs, length=example.length)
      >>> sorted(seen.arrays)
      ['c', 'h', 'i', 'net_i', 'net_o', 'net_y', 'net_z', 'o', 'y', 'z']
      >>> seen.ys.shape
      (12, 1)
    """
    xs = as_vectors(xs, network.cell.input_size)
    inner = record(network.cell, params.cell, xs, state, length=length)

    def answer(h: Array, x: Array) -> tuple[Array, Array]:
        net = network.readout.net(params.readout, network.seen(h, x))
        return network.readout.output(net), net

    ys, nets = jax.vmap(answer)(inner.ys, xs)
    if length is not None:
        valid = valid_steps(xs.shape[0], length)[:, None]
        ys, nets = (jnp.where(valid, a, jnp.zeros_like(a)) for a in (ys, nets))
    return Recording(inner.state, ys, inner.arrays | {"y": ys, "net_y": nets})


def record_classifier(
    net: Classifier,
    params: ClassifierParams,
    inputs: Array,  # words [T] or numbers [T, D]
    *,
    length: Array | int | None = None,
) -> Recording:
    """The same of a classifier's structure; "pooling" ``[T, 1]`` and "y" ``[T, K]`` beside it.

    "pooling" is the share of each step in the pooling of the whole sequence. "y", the ys as well,
    is at each step what the classes' probabilities were if the sequence ended there; layers that
    run backwards begin there then. Zeros after `length`.

    Example:
      >>> from lstm_jax.cells import lstm
      >>> from lstm_jax.classifier import classifier
      >>> from lstm_jax.pooling import pooling
      >>> from lstm_jax.structures import bidirectional
      >>> net = classifier(bidirectional(lstm(4, 3), lstm(4, 3)), pooling("mean", 6), 2)
      >>> seen = record_classifier(net, net.init(jax.random.key(0)), jnp.ones((5, 4)), length=4)
      >>> seen.arrays["backward/f"].shape, seen.arrays["pooling"][:, 0].tolist()
      ((5, 3), [0.25, 0.25, 0.25, 0.25, 0.0])
      >>> seen.ys.shape
      (5, 2)
    """
    xs = inputs if params.embedding is None else params.embedding[countable(inputs)]
    inner = record(net.structure, params.structure, xs, length=length)
    steps = jnp.arange(xs.shape[0], dtype=jnp.int32)
    ends = jax.vmap(lambda t: jax.nn.softmax(net.logits(params, inputs, t + 1)))(steps)
    valid = valid_steps(xs.shape[0], xs.shape[0] if length is None else length)[:, None]
    ys = jnp.where(valid, ends, jnp.zeros_like(ends))
    shares = net.weights(params, inputs, length)[:, None]
    return Recording(inner.state, ys, inner.arrays | {"pooling": shares, "y": ys})


def _watched(cell: Cell) -> Cell:
    """The cell with (y, {name: array}) in place of its output; y is None where "h" is the same."""

    def step(params: Params, state: State, x: Array) -> tuple[State, Any]:
        new, y, now = observed(cell, params, state, x)
        arrays = {name.replace(".", "/"): value for name, value in now.items()}
        arrays = _fields(new) | {"h": y} | arrays
        return new, (None if arrays["h"] is y else y, arrays)

    return cell._replace(step=step)


def _fields(state: State) -> dict[str, Array]:
    """The leaves of a state by their way through it, without the wrappers' "cell"."""
    named = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        way = jax.tree_util.keystr(path, simple=True, separator="/").split("/")
        named["/".join(step for step in way if step != "cell") or "state"] = leaf
    return named


def _both(
    part: Structure,
    params: BidirectionalParams,
    xs: Array,
    state: BidirectionalState | None,
    **how: Any,
) -> Recording:
    spec: BidirectionalSpec = part.spec
    start = part.initial_state() if state is None else state
    forward = record(layer(spec.forward), params.forward, xs, start.forward, **how)
    backward = record(
        layer(spec.backward, reverse=True), params.backward, xs, start.backward, **how
    )
    return Recording(
        BidirectionalState(forward.state, backward.state),
        MERGES[spec.merge](forward.ys, backward.ys),
        _under("forward", forward.arrays) | _under("backward", backward.arrays),
    )


def _stacked(
    part: Structure, params: tuple[Params, ...], xs: Array, state: Any, **how: Any
) -> Recording:
    spec: StackSpec = part.spec
    xs = require_sequence("record", xs, part.input_size, **how)
    if how["length"] is not None:  # a residual goes past the parts
        valid = valid_steps(xs.shape[0], how["length"])
        xs = jnp.where(valid[:, None], xs, jnp.zeros_like(xs))
    start = part.initial_state() if state is None else state
    final, arrays = [], {}
    for n, inner in enumerate(spec.parts):
        seen = record(inner, params[n], xs, start[n], **how)
        final.append(seen.state)
        arrays |= _under(str(n), seen.arrays)
        xs = join(xs, seen.ys, spec.residual)
    return Recording(tuple(final), xs, arrays)


def _under(place: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{place}/{name}": array for name, array in arrays.items()}
