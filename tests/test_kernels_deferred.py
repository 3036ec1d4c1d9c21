"""`unroll(kernel="deferred")` is the scan: values, gradients, whatever is wrapped around it."""

import copy
import re
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.experimental import rnn

from lstm_jax import CELLS, adding, gru, lstm, lstm97, network, readout, unroll
from lstm_jax.cells.cell import from_parts
from lstm_jax.cells.wrappers import layer_norm, variational_dropout, zoneout
from lstm_jax.gradients import traces
from lstm_jax.loops.ahead import ahead
from lstm_jax.structures import bidirectional, stack
from lstm_jax.unroll import kernel_for, kernels_taken
from tests.compiling import quick

T, B, D, H = 7, 4, 3, 5
LENGTHS = np.array([7, 3, 0, 5], np.int32)
RESETS = np.random.default_rng(0).random((T, B)) < 0.3


def drawn(tree, seed):
    """The tree with other numbers in it, none of them zero."""
    leaves, structure = jax.tree.flatten(tree)
    generator = np.random.default_rng(seed)
    return structure.unflatten([jnp.asarray(0.7 * generator.normal(size=a.shape)) for a in leaves])


def cases():
    registered = {name: make for name, make in CELLS.items() if name != "lstm97"}
    cells = {name: lambda make=make: make(D, H) for name, make in registered.items()}
    return cells | {
        "lstm97": lambda: CELLS["lstm97"](D, 2, 2),
        "peepholes": lambda: lstm(D, H, switches=()),
        "FGR": lambda: lstm(D, H, switches=("FGR",)),
        "projection": lambda: lstm(D, H, projection_size=2),
        "clip": lambda: lstm(D, H, clip=0.3),
        "gru before": lambda: gru(D, H, reset="before"),
        "layer_norm": lambda: layer_norm(lstm(D, H)),
        "both ways": lambda: stack(bidirectional(lstm(D, H), gru(D, 2)), lstm(H + 2, 2)),
    }


def batch_of(part):
    """Weights, initial states, inputs and weights of the outputs for B sequences."""
    params = drawn(jax.eval_shape(part.init, jax.random.key(0)), 1)
    states = drawn(jax.tree.map(lambda a: jnp.zeros((B, *a.shape)), part.initial_state()), 2)
    return params, states, *drawn((jnp.zeros((T, B, D)), jnp.zeros((T, B, part.output_size))), 3)


def loss_of(part, kernel, flags, **fixed):
    """A loss that all outputs and states of a batch enter; and these."""
    axes = {name: {"length": 0, "resets": 1}[name] for name in flags}

    def loss(params, states, xs, w):
        def one(x, state, flags):
            return unroll(part, params, x, state, kernel=kernel, **flags, **fixed)

        final, ys = jax.vmap(one, (1, 0, axes), (0, 1))(xs, states, flags)
        total = jnp.sum(w * ys) + sum(jnp.sum(jnp.sin(a)) for a in jax.tree.leaves(final))
        return total, (final, ys)

    return jax.value_and_grad(loss, (0, 1, 2), has_aux=True)


def same(one, other, tolerance=1e-12):
    for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True):
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance)


def compare(part, flags, **fixed):
    """Values and gradients of the scan and of the deferred kernel, by one compiled program."""

    def both(*args):
        return [loss_of(part, kernel, flags, **fixed)(*args) for kernel in ("scan", "deferred")]

    same(*quick(both)(*batch_of(part)))


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def copies(monkeypatch):
    """Weights are copied for the loop, stacks apart, as for long sequences of large ones."""
    monkeypatch.setattr("lstm_jax.loops.deferred.COPIED_FROM", 1)
    monkeypatch.setattr("lstm_jax.loops.ahead.LONG_ROW", 1)


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("name", cases())
def test_equals_the_scan_with_padding_and_resets(name):
    part = cases()[name]()
    backwards = {} if hasattr(part, "apply") or name < "l" else {"reverse": True}
    compare(part, {"length": LENGTHS, "resets": RESETS}, **backwards)


@pytest.mark.parametrize("flags", [{}, {"length": LENGTHS}, {"resets": RESETS}])
def test_equals_the_scan_under_each_flag(flags):
    compare(lstm(D, H), flags, reverse=not flags)


@pytest.mark.usefixtures("copies")
def test_gradients_of_each_example_and_of_each_network():
    cell = gru(D, H, reset="before")
    params, states, xs, w = batch_of(cell)

    def gradient(kernel):
        def loss(params, state, xs, w):
            _, ys = unroll(cell, params, xs, state, kernel=kernel)
            return jnp.sum(w * ys)

        return jax.grad(loss, (0, 1, 2))

    networks = jax.tree.map(lambda a: jnp.stack([a * (1 + 0.1 * b) for b in range(B)]), params)
    for weights, axes in ((params, (None, 0, 1, 1)), (networks, (0, 0, 1, 1))):
        scan, deferred = (
            quick(jax.vmap(gradient(kernel), axes))(weights, states, xs, w)
            for kernel in ("scan", "deferred")
        )
        same(scan, deferred)


FEW_UNITS = """
import sys
import jax, jax.numpy as jnp, numpy as np
from lstm_jax import elman, gru, lstm, unroll
from tests.compiling import quick

T, N, D = 5, 6, 3
xs, cut = np.random.default_rng(1).normal(size=(N, 2, T, D)).astype("f4"), np.arange(T) == 2
equal = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def gradient(cell, params, xs, kernel, resets):
    def loss(params):
        return jnp.sum(unroll(cell, params, xs, kernel=kernel, resets=resets)[1] ** 2)

    return jax.grad(loss)(params)


def compare(cell):
    weights = quick(jax.vmap(cell.init))(jax.random.split(jax.random.key(0), N))
    weights = jax.tree.map(np.asarray, weights)
    shared = jax.tree.map(lambda leaf: leaf[0], weights)
    by_scan = quick(lambda p, x, resets: gradient(cell, p, x, "scan", resets))
    for axis, given, params in ((0, None, weights), (None, cut, shared)):

        @quick  # ends the process as well as jax.jit does: at what LLVM is given, before it begins
        def found(params, xs):
            of_examples = jax.vmap(
                lambda p, x: gradient(cell, p, x, "deferred", given), (None, 0)
            )
            one = jax.vmap(lambda p, x: gradient(cell, p, x[0], "deferred", given), (axis, 0))
            return one(params, xs), jax.vmap(of_examples, (axis, 0))(params, xs)

        one, many = jax.tree.map(np.asarray, found(params, xs))
        for n in (0, N - 1):
            own = params if axis is None else jax.tree.map(lambda leaf: leaf[n], params)
            expected = by_scan(own, xs[n, 0], cut & (given is not None))
            for ours in (jax.tree.map(lambda l: l[n], one), jax.tree.map(lambda l: l[n, 0], many)):
                jax.tree.map(equal, ours, expected)


for H in map(int, sys.argv[1:]):
    for cell in (lstm(D, H), gru(D, H), gru(D, H, reset="before"), elman(D, H)):
        compare(cell)
    print(H, flush=True)
"""


def test_a_gradient_each_of_nets_of_few_units():
    """In a process of its own, which XLA's compiler would end; one more after each such end."""
    units, ended = ["1", "2", "3", "4", "5"], {}
    while units:
        run = [sys.executable, "-c", FEW_UNITS, *units]
        done = subprocess.run(run, capture_output=True, text=True, check=False)
        units = units[len(done.stdout.split()) :]
        if units:
            ended[units.pop(0)] = (done.returncode, done.stderr[-2000:])
    assert not ended  # by how many units


@pytest.mark.parametrize("make", [lstm, lambda *sizes: layer_norm(gru(*sizes, reset="before"))])
def test_symbols_are_looked_up(make):
    cell = make(D, H)
    params, _, _, w = batch_of(cell)
    symbols = np.random.default_rng(1).integers(-1, D + 1, (T, B))  # no vector: none of the units

    def loss(params, kernel):
        def one(xs, length):
            return unroll(cell, params, xs, length=length, kernel=kernel)[1]

        return jnp.sum(w * jax.vmap(one, (1, 0), 1)(jnp.asarray(symbols, jnp.int32), LENGTHS))

    same(*[quick(jax.grad(loss), static_argnums=1)(params, k) for k in ("scan", "deferred")])


def test_dropout_keys_of_a_batch():
    keys = jax.random.split(jax.random.key(5), B)
    params, _, xs, w = batch_of(lstm(D, H))

    def loss(params, kernel):
        def one(key, x):
            noisy = variational_dropout(lstm(D, H), key, input_rate=0.3, recurrent_rate=0.4)
            return unroll(noisy, params, x, kernel=kernel)[1]

        return jnp.sum(w * jax.vmap(one, (0, 1), 1)(keys, xs))

    grads = [quick(jax.grad(loss), static_argnums=1)(params, k) for k in ("scan", "deferred")]
    same(*grads)


def test_what_padding_holds_reaches_nothing():
    cell = lstm(D, H)
    params, states, xs, w = batch_of(cell)
    run = quick(loss_of(cell, "deferred", {"length": LENGTHS}))
    late = np.arange(T)[:, None] >= LENGTHS
    same(
        run(params, states, xs, w), run(params, states, jnp.where(late[..., None], jnp.nan, xs), w)
    )


@pytest.mark.parametrize(("kernel", "checkpoint"), [("scan", 3), ("deferred", True)])
def test_checkpoints_change_nothing(kernel, checkpoint):
    part = lstm(D, H) if kernel == "scan" else stack(gru(D, H), dropout=0.5)
    flags = {"length": LENGTHS, "resets": RESETS}
    backwards = {"reverse": True} if kernel == "scan" else {}

    def both(*args):
        return [
            loss_of(part, kernel, flags, **backwards, **how)(*args)
            for how in ({}, {"checkpoint": checkpoint})
        ]

    same(*quick(both)(*batch_of(part)))


def hlo_of(kernel, num_examples):
    """The compiled gradient program of a batch."""
    cell = lstm(48, 64)
    params = cell.init(jax.random.key(0))

    def loss(params, xs):
        return jnp.sum(jax.vmap(lambda x: unroll(cell, params, x, kernel=kernel)[1], 1, 1)(xs))

    xs = jax.ShapeDtypeStruct((20, num_examples, 48), jnp.float64)
    return jax.jit(jax.grad(loss)).lower(params, xs).compile()


def test_no_example_has_weight_gradients_of_its_own_and_no_gates_are_joined():
    largest = 20 * 16 * 64  # one gate's pre-activations, all steps of the batch
    shapes = re.findall(r"f64\[([\d,]+)\]", hlo_of("deferred", 16).as_text())
    sizes = {shape: int(np.prod([int(n) for n in shape.split(",")])) for shape in set(shapes)}
    assert max(sizes.values()) <= largest, max(sizes, key=lambda shape: sizes[shape])


def test_weights_are_copied_once_and_kept_once():
    """No matrix is turned round inside a loop, and no step keeps one of its own."""
    text = hlo_of("deferred", 16).as_text()
    bodies = [
        re.search(rf"^%{re.escape(name)} .*?^}}", text, re.M | re.S).group(0)
        for name in re.findall(r"body=%([\w.\-]+)", text)
    ]
    assert len(bodies) == 2
    matrix = r"f64\[(64,256|256,64|48,256|256,48)\]"
    for body in bodies:
        made = re.findall(rf"= {matrix}\S* (\S+?)\(", body)
        assert {operation for _, operation in made} <= {"get-tuple-element", "bitcast"}
    assert not re.search(r"f64\[20,(64,256|256,64|48,256|256,48)\]", text)


def test_large_weights_go_back_in_panels():
    """Values and gradients of a matrix whose columns are multiplied in parts."""
    cell = lstm(3, 160)  # 640 rows of 8 bytes: 64 columns a panel, and 32
    params = cell.init(jax.random.key(0))
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(20, 2, 3)))
    w = jnp.asarray(np.random.default_rng(1).normal(size=(20, 2, 160)))

    def loss(params, xs, kernel):
        ys = jax.vmap(lambda x: unroll(cell, params, x, kernel=kernel)[1], 1, 1)(xs)
        return jnp.sum(ys * w)

    program = jax.jit(jax.value_and_grad(loss, (0, 1)), static_argnums=2)
    same(*(program(params, xs, kernel) for kernel in ("scan", "deferred")))
    panels = re.findall(r"f64\[640,(\d+)\]", program.lower(params, xs, "deferred").as_text("hlo"))
    assert {"64", "32"} <= set(panels)


STATES = {"state": {"resets": np.arange(T) == 3}, "no state": {}}
SECOND = ["params, params", "xs, xs", "start, start", "learned, learned"]
SECOND += ["params, start", "start, params", "params, learned", "learned, params"]
SECOND += ["xs, start", "start, learned", "learned, start"]
SECOND = [("state", pair) for pair in SECOND]
SECOND += [("no state", pair) for _, pair in SECOND if "start" not in pair]


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("axis", [0, 1])
def test_what_is_made_of_weights_ahead_gives_the_same_products(axis):
    """Of matrices one above the other, multiplied one by one, and of others side by side."""
    rng = np.random.default_rng(2)
    w = {"a": rng.normal(size=(4, 4)), "b": rng.normal(size=(4, 4))}
    vector = rng.normal(size=4 if axis == 0 else 8)

    def nets(w, vector):
        return jnp.concatenate([w["a"], w["b"]], axis=axis) @ vector

    arrays, run = ahead(nets, w, vector, copied=True)
    expected = np.concatenate([w["a"], w["b"]], axis=axis)
    same(expected @ vector, run(arrays, vector))
    same(expected, jax.jacrev(lambda vector: run(arrays, vector))(vector))


@pytest.mark.parametrize(("given", "pair"), SECOND)
def test_a_second_derivative_is_refused(pair, given):
    """Of weights, inputs, the state given, the one to begin with and to reset to, and mixed."""
    first, second = pair.split(", ")
    cell = lstm(D, H)
    params, states, xs, _ = batch_of(cell)
    start = jax.tree.map(lambda leaf: leaf[0], states)
    now = {"params": params, "xs": xs[:, 0], "start": start, "learned": start}
    zero = jax.tree.map(jnp.zeros_like, now[first])

    def slope(leaves):
        def value(more):
            here = now | {second: leaves}
            here[first] = jax.tree.map(jnp.add, here[first], more)
            learned = cell._replace(initial_state=lambda: here["learned"])
            state = here["start"] if given == "state" else None
            how = STATES[given] | {"kernel": "deferred"}
            return jnp.sum(unroll(learned, here["params"], here["xs"], state, **how)[1])

        return sum(map(jnp.sum, jax.tree.leaves(jax.grad(value)(zero))))

    for made in (slope, jax.jit(slope), jax.checkpoint(slope)):
        with pytest.raises(NotImplementedError, match="kernel='scan'"):
            jax.eval_shape(jax.grad(made), now[second])


def test_a_kernel_that_cannot_serve_is_refused():
    cell = lstm(D, H)
    slow = zoneout(cell, None, rates={"c": 0.5})
    with pytest.raises(ValueError, match="'deferred' cannot serve the zoneout"):
        unroll(slow, cell.init(jax.random.key(0)), jnp.ones((T, D)), kernel="deferred")
    other = cell._replace(step=lambda params, state, x: cell.step(params, state, 2 * x))
    with pytest.raises(ValueError, match="not made of parts"):
        kernel_for(other, "deferred")
    with pytest.raises(ValueError, match="is not one of auto, spread, scan, deferred, cudnn, pers"):
        kernel_for(cell, "fast")
    with pytest.raises(ValueError, match="checkpoint: 0 is not valid"):
        unroll(cell, cell.init(jax.random.key(0)), jnp.ones((T, D)), checkpoint=0)


def test_auto_takes_the_scan_for_small_cells_and_for_steps_of_ones_own():
    large = lstm(D, 64)
    assert kernel_for(lstm(D, H)) == kernel_for(zoneout(large, None, rates={})) == "scan"
    assert kernel_for(large._replace(step=large.step.__call__)) == "scan"
    assert kernel_for(large) == "deferred"
    assert kernel_for(lstm(D, H), "spread") == "deferred"  # whatever its size
    assert kernel_for(zoneout(large, None, rates={}), "spread") == "scan"


def test_the_kernels_of_a_structure_are_told():
    part = stack(bidirectional(lstm(D, H), gru(D, 64)), lstm(H + 64, 2))
    params = part.init(jax.random.key(0))
    with kernels_taken() as taken:
        jax.eval_shape(lambda xs: part.apply(params, xs), jnp.ones((T, D)))
    assert taken == {"lstm 3 -> 5": "scan", "gru 3 -> 64": "deferred", "lstm 69 -> 2": "scan"}


def test_cudnn_gets_its_weights_and_its_batch(monkeypatch):
    """The package's reference stands in for the library, which needs a GPU."""

    def reference(x, h, c, weights, lengths, *sizes):
        matrices = rnn.unpack_lstm_weights(weights, *sizes[:3], False)
        return rnn.lstm_ref(x, h, c, *matrices, lengths, *sizes)

    monkeypatch.setattr(rnn, "lstm", reference)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        cell = lstm(D, H)
        args = jax.tree.map(lambda a: a.astype(jnp.float32), batch_of(cell))
        same(
            *(quick(loss_of(cell, kernel, {}))(*args) for kernel in ("scan", "cudnn")),
            tolerance=1e-5,
        )


def test_cudnn_is_refused_where_it_cannot_be():
    cell = lstm(D, H)
    with pytest.raises(ValueError, match="needs an NVIDIA GPU, and JAX computes on cpu"):
        unroll(cell, cell.init(jax.random.key(0)), jnp.ones((T, D)), kernel="cudnn")
    with pytest.raises(ValueError, match="not this gru cell"):
        kernel_for(gru(D, H), "cudnn")
    with pytest.raises(ValueError, match="not this lstm cell"):
        kernel_for(lstm(D, H, switches=()), "cudnn")


def test_cudnn_is_refused_for_other_types(monkeypatch):
    """It would read their bytes as float32."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    cell, half, single = lstm(D, H), jnp.bfloat16, jnp.float32
    for types in ((jnp.float64,) * 3, (half, single, single), (single, single, half)):
        params, xs, state = (
            jax.tree.map(lambda leaf, dtype=dtype: leaf.astype(dtype), tree)
            for dtype, tree in zip(
                types,
                (cell.init(jax.random.key(0)), jnp.ones((T, D)), cell.initial_state()),
                strict=True,
            )
        )
        with pytest.raises(ValueError, match="'cudnn' multiplies in float32.*(float64|bfloat16)"):
            jax.eval_shape(lambda *given: unroll(cell, *given, kernel="cudnn"), params, xs, state)


def temporary_bytes(function, *shapes):
    return jax.jit(function).lower(*shapes).compile().memory_analysis().temp_size_in_bytes


def test_checkpoints_need_the_memory_of_a_few_segments():
    with jax.enable_x64(False):
        cell, num_steps = lstm(8, 8), 10_000
        params = jax.eval_shape(cell.init, jax.random.key(0))
        xs = jax.ShapeDtypeStruct((num_steps, 8), jnp.float32)

        def gradient(checkpoint):
            def loss(params, xs):
                return jnp.sum(unroll(cell, params, xs, checkpoint=checkpoint)[1][-1])

            return jax.grad(loss)

        outputs = num_steps * 8 * 4
        plain, cut = (temporary_bytes(gradient(c), params, xs) for c in (False, True))
        assert plain > 10 * outputs  # 4.2 MB
        assert cut < 1.3 * outputs  # 0.38 MB: the outputs, and two times 100 steps


def test_traces_keep_nothing_of_a_step():
    with jax.enable_x64(False):
        net = network(lstm97(2, 4, 2), readout(8, 1))
        params = jax.eval_shape(net.init, jax.random.key(0))

        def temporary(num_steps):
            example = jax.eval_shape(adding(T=num_steps).sample, jax.random.key(0))
            return temporary_bytes(traces(net, "end"), params, example)

        assert abs(temporary(100_000) - temporary(1_000)) < 256


def test_a_matrix_held_in_panels_is_not_held_again(monkeypatch):
    monkeypatch.setattr("lstm_jax.loops.ahead.PANEL", 1)
    w, h = np.random.default_rng(0).normal(size=(5, 192)).astype(np.float32), np.ones(192, "f4")
    arrays, run = ahead(jnp.matmul, jnp.asarray(w), h, copied=True)
    assert sorted(array.shape for array in arrays) == [(5, 64)] * 3 + [(192, 5)]
    y, pull = jax.vjp(lambda h: run(arrays, h), h)
    np.testing.assert_allclose(y, w @ h, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(pull(y)[0], w.T @ np.asarray(y), rtol=1e-5, atol=1e-5)


def closing_over(what, a):
    """A GRU that closes over a number."""
    cell = gru(D, H)
    if what == "initial state":
        states = cell.initial_state
        return cell._replace(initial_state=lambda: jax.tree.map(lambda s: s + a, states()))
    parts = cell.parts
    wider = {
        "project": lambda p, x: jax.tree.map(lambda net: a * net, parts.project(p, x)),
        "recur": lambda p, s: jax.tree.map(lambda net: a * net, parts.recur(p, s)),
        "combine": lambda p, s, from_x, from_h: parts.combine(
            p, s, from_x, jax.tree.map(lambda net: net + (a * jnp.ones((H, H))) @ s.h, from_h)
        ),
    }
    fields = ("name", "input_size", "output_size", "init", "initial_state", "truncate")
    return from_parts(
        parts._replace(**{what: wider[what]}), **{name: getattr(cell, name) for name in fields}
    )


@pytest.mark.parametrize("what", ["project", "recur", "combine", "initial state"])
def test_what_a_cell_closes_over_is_learned(what):
    """Its gradient is the slope of the loss; those of the weights are as in the scan."""
    params, _, xs, w = batch_of(gru(D, H))

    def loss(a, params, kernel):
        cell = closing_over(what, a)

        def one(x, resets):
            return unroll(cell, params, x, kernel=kernel, resets=resets)[1]

        return jnp.sum(w * jax.vmap(one, 1, 1)(xs, RESETS))

    program = quick(jax.grad(loss, argnums=(0, 1)), static_argnums=2)
    to_a, to_params = program(1.3, params, "deferred")
    value = quick(loss, static_argnums=2)
    slope = (value(1.3 + 1e-4, params, "scan") - value(1.3 - 1e-4, params, "scan")) / 2e-4
    np.testing.assert_allclose(to_a, slope, rtol=1e-5)
    _, expected = program(1.3, params, "scan")
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-9), to_params, expected)


@pytest.mark.parametrize("checkpoint", [False, True, 3])
@pytest.mark.parametrize("kernel", ["scan", "deferred"])
def test_a_sequence_of_no_steps_is_its_initial_state(kernel, checkpoint):
    cell = lstm(D, H)
    params, states, *_ = batch_of(cell)
    start = jax.tree.map(lambda leaf: leaf[0], states)
    state, ys = unroll(cell, params, jnp.ones((0, D)), start, kernel=kernel, checkpoint=checkpoint)
    assert ys.shape == (0, H)
    jax.tree.map(np.testing.assert_array_equal, state, start)


def test_an_export_leaves_the_number_of_steps_open():
    cell = lstm(D, H)
    params, _, xs, _ = batch_of(cell)
    run = jax.jit(lambda xs: unroll(cell, params, xs, kernel="deferred")[1])
    (steps,) = export.symbolic_shape("T")
    exported = export.export(run)(jax.ShapeDtypeStruct((steps, D), xs.dtype))
    np.testing.assert_allclose(exported.call(xs[:5, 0]), run(xs[:5, 0]), rtol=1e-12)


def test_a_copy_of_a_cell_is_computed_as_the_cell_is():
    cell = lstm(D, H)
    leaves, tree = jax.tree.flatten(cell)
    for copied in (copy.deepcopy(cell), jax.tree.unflatten(tree, leaves)):
        assert kernel_for(copied, "spread") == "deferred"
