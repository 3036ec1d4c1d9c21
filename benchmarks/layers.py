"""The same LSTM layers here and in other libraries: the same weights, the same arrays.

A `Layer` is built from the weights of `example`, which a peer gets through `lstm_jax.interop`, and
is called: forward (outputs alone) or training (outputs, and the gradients of weights and inputs
for a given gradient of the outputs).
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.programs import made
from benchmarks.shapes import Row, Shape

TOLERANCE = {
    ("float32", "cpu"): 1e-5,
    ("float32", "gpu"): 2e-3,
    ("bfloat16", "cpu"): 1.5e-2,
    ("bfloat16", "gpu"): 1.5e-2,
}
"""How far a peer's results may be from ours (`apart`), by type and platform.

On a GPU products of float32 are TF32 by default, in JAX and in cuDNN, with 10 bits after the
point. Results of other orders of sums lie 4e-4 (TF32) and 4e-3 to 6e-3 (bfloat16) apart.
"""

Run = Callable[[Any, Any], Any]
"""Outputs of weights and inputs."""
Back = Callable[[Any], Mapping[str, Any]]
"""A tree like the weights, as the arrays of `torch.nn.LSTM` by name."""


class Layer(NamedTuple):
    """One library's layer on one shape.

    Attributes:
      forward, training: do the job and wait for it.
      answer: the results by name: outputs "ys" ``[T, B, H]``, the inputs' gradient "dx"
        ``[T, B, I]`` and the weights' gradients by PyTorch's names.
      compile_seconds: of both programs by job; empty where nothing is compiled.
      temp_bytes: what the compiled programs need beside arguments and results, on all devices.
    """

    forward: Callable[[], Any]
    training: Callable[[], Any]
    answer: Callable[[], dict[str, np.ndarray]]
    compile_seconds: dict[str, float]
    temp_bytes: dict[str, int]


class Data(NamedTuple):
    """The case that all libraries get, as NumPy arrays.

    Attributes:
      cells: one for each layer; `params`: their weights.
      xs: inputs ``[T, B, I]``; `g`: the outputs' gradient ``[T, B, H]``.
    """

    cells: tuple[Any, ...]
    params: tuple[Any, ...]
    xs: np.ndarray
    g: np.ndarray


def example(shape: Shape, seed: int = 0) -> Data:
    """Weights uniform in +-1/sqrt(H), biases included, and normal inputs; the same everywhere.

    Example:
      >>> data = example(Shape(5, 4, 3, 6))
      >>> data.xs.shape, data.params[0].w_z.shape, bool(data.params[0].b_f.any())
      ((5, 4, 3), (6, 3), True)
    """
    import jax

    from lstm_jax.cells import lstm

    rng = np.random.default_rng(seed)
    bound = shape.num_units**-0.5

    def fresh(leaf: Any) -> np.ndarray:
        return rng.uniform(-bound, bound, leaf.shape).astype(np.float32)

    def normal(*size: int) -> np.ndarray:  # in float32: the large ones are a gigabyte of numbers
        return rng.standard_normal(size, np.float32)

    sizes = [shape.num_inputs] + [shape.num_units] * (shape.num_layers - 1)
    cells = tuple(lstm(size, shape.num_units) for size in sizes)
    trees = [jax.eval_shape(cell.init, jax.random.key(0)) for cell in cells]
    params = tuple(jax.tree.map(fresh, tree) for tree in trees)
    ahead = (shape.num_steps, shape.num_examples)
    xs = normal(*ahead, shape.num_inputs)
    return Data(cells, params, xs, normal(*ahead, shape.num_units))


def build(row: Row, shape: Shape, data: Data) -> Layer:
    """The row's layer with the weights of `data`.

    Raises:
      ModuleNotFoundError: where its library is not installed.
    """
    if row.library == "torch":
        return torch_layer(shape, data)
    make = {
        "ours": ours,
        "flax": flax_layers,
        "haiku": haiku_layers,
        "equinox": equinox_layers,
        "keras": keras_layers,
    }[row.library]
    weights, run, back, batch_axis = make(row, shape, data)
    return compiled(weights, run, back, batch_axis, row, shape, data)


def compiled(
    weights: Any,
    run: Run,
    back: Back,
    batch_axis: int,
    row: Row,
    shape: Shape,
    data: Data,
) -> Layer:
    """A function of weights and inputs as two compiled programs."""
    import jax
    import jax.numpy as jnp

    from lstm_jax.parallel import spread

    wide = row.num_devices > 1

    def forward(weights: Any, xs: Any, g: Any) -> Any:
        return run(weights, spread(xs, batch_axis) if wide else xs)

    def training(weights: Any, xs: Any, g: Any) -> Any:
        if wide:
            xs, g = spread((xs, g), batch_axis)
        return jax.grad(lambda *at: jnp.sum(run(*at) * g), (0, 1))(weights, xs)

    def put(array: Any) -> Any:
        return jnp.asarray(array, getattr(jnp, shape.dtype))

    arrays = [put(a if batch_axis == 1 else a.swapaxes(0, 1)) for a in (data.xs, data.g)]
    args = (jax.tree.map(put, weights), *arrays)
    calls, seconds, temp = {}, {}, {}
    for job in (forward, training):
        program, seconds[job.__name__], memory = made(jax.jit(job), *args)
        if memory is not None:
            temp[job.__name__] = memory * row.num_devices
        calls[job.__name__] = _placed(program, args)

    def answer() -> dict[str, np.ndarray]:
        ys, (grads, dx) = calls["forward"](), calls["training"]()
        ys, dx = (np.asarray(array, np.float32) for array in (ys, dx))
        both = (ys, dx) if batch_axis == 1 else (ys.swapaxes(0, 1), dx.swapaxes(0, 1))
        found: dict[str, np.ndarray] = {"ys": both[0], "dx": both[1]}
        if shape.dtype == "bfloat16" and row.library != "ours":
            # The way back of a scan adds them up in bfloat16, step by step: 4% off at T=256.
            return found
        grads = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), grads)
        named = back(grads)
        # Some libraries' weights differ from ours by a constant (Haiku's bias); gradients do not.
        still = back(jax.tree.map(np.zeros_like, grads))
        return found | {n: np.asarray(named[n]) - np.asarray(still[n]) for n in compared(shape)}

    return Layer(calls["forward"], calls["training"], answer, seconds, temp)


def compared(shape: Shape) -> list[str]:
    """The weights whose gradients are compared, by PyTorch's names; its second bias is the first's.

    Example:
      >>> compared(Shape(5, 4, 3, 6))
      ['weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0']
    """
    kinds = ("weight_ih", "weight_hh", "bias_ih")
    return [f"{kind}_l{n}" for n in range(shape.num_layers) for kind in kinds]


def _as_torch(data: Data, each: Callable[[int, Any], Any]) -> Back:
    """`Back` for weights that are one tree a layer; each: a layer's number and tree -> params."""
    from lstm_jax.interop import to_torch

    def back(trees: Any) -> Mapping[str, Any]:
        found = {}
        for n, cell in enumerate(data.cells):
            own = to_torch(cell, each(n, trees))
            found |= {name.replace("_l0", f"_l{n}"): array for name, array in own.items()}
        return found

    return back


def _placed(program: Any, args: Any) -> Callable[[], Any]:
    """A call of a compiled program with its arguments where it wants them."""
    import jax

    if len(jax.devices()) > 1:
        args = jax.tree.map(jax.device_put, args, program.input_shardings[0])
    return lambda: jax.block_until_ready(program(*args))


def ours(row: Row, shape: Shape, data: Data) -> tuple[Any, Run, Back, int]:
    """`lstm_jax.unroll`."""
    import jax

    from lstm_jax.structures import stack
    from lstm_jax.unroll import unroll

    single = shape.num_layers == 1
    part = data.cells[0] if single else stack(*data.cells)
    weights = data.params[0] if single else data.params

    def one(weights: Any, xs: Any) -> Any:
        return unroll(part, weights, xs, kernel=row.kernel, checkpoint=row.checkpoint)[1]

    def run(weights: Any, xs: Any) -> Any:
        if shape.num_examples == 1:
            return one(weights, xs[:, 0])[:, None]
        return jax.vmap(one, (None, 1), 1)(weights, xs)

    return weights, run, _as_torch(data, lambda n, trees: trees if single else trees[n]), 1


def flax_layers(row: Row, shape: Shape, data: Data) -> tuple[Any, Run, Back, int]:
    """``nnx.RNN(nnx.OptimizedLSTMCell)``, time first."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from lstm_jax.interop import from_nnx, to_nnx

    graphs, weights = [], []
    for cell, params in zip(data.cells, data.params, strict=True):
        own = nnx.OptimizedLSTMCell(
            cell.input_size,
            cell.output_size,
            dtype=jnp.dtype(shape.dtype),
            rngs=nnx.Rngs(0),
        )
        nnx.update(own, to_nnx(cell, params, optimized=True))
        graph, state, rest = nnx.split(nnx.RNN(own, time_major=True), nnx.Param, ...)
        graphs.append((graph, rest))
        weights.append(state)

    def run(weights: Any, xs: Any) -> Any:
        for (graph, rest), state in zip(graphs, weights, strict=True):
            zero = jnp.zeros((shape.num_examples, shape.num_units), xs.dtype)
            xs = nnx.merge(graph, state, rest)(xs, initial_carry=(zero, zero))
        return xs

    def params_of(n: int, trees: Any) -> Any:
        return from_nnx(nnx.to_pure_dict(trees[n])["cell"], optimized=True)[1]

    return jax.tree.map(np.asarray, weights), run, _as_torch(data, params_of), 1


def haiku_layers(row: Row, shape: Shape, data: Data) -> tuple[Any, Run, Back, int]:
    """``hk.LSTM`` under ``hk.dynamic_unroll``."""
    import haiku as hk  # pyright: ignore[reportMissingImports]

    from lstm_jax.interop import from_haiku, to_haiku

    names = [f"lstm_{n}" for n in range(shape.num_layers)]
    weights = {}
    for name, cell, params in zip(names, data.cells, data.params, strict=True):
        weights |= to_haiku(cell, params, name=name)

    def forward(xs: Any) -> Any:
        for name in names:
            core = hk.LSTM(shape.num_units, name=name)
            start = core.initial_state(shape.num_examples)
            start = type(start)(*(part.astype(xs.dtype) for part in start))
            xs, _ = hk.dynamic_unroll(core, xs, start)
        return xs

    run = hk.without_apply_rng(hk.transform(forward)).apply
    back = _as_torch(data, lambda n, tree: from_haiku(tree, name=names[n])[1])
    return weights, run, back, 1


def equinox_layers(row: Row, shape: Shape, data: Data) -> tuple[Any, Run, Back, int]:
    """``eqx.nn.LSTMCell`` under `jax.lax.scan`; the weights are PyTorch's arrays."""
    import equinox as eqx  # pyright: ignore[reportMissingImports]
    import jax
    import jax.numpy as jnp

    from lstm_jax.interop import to_torch

    weights = []
    for cell, params in zip(data.cells, data.params, strict=True):
        own = eqx.nn.LSTMCell(cell.input_size, cell.output_size, key=jax.random.key(0))
        theirs = to_torch(cell, params)
        arrays = [theirs[f"{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih")]
        weights.append(
            eqx.tree_at(lambda m: (m.weight_ih, m.weight_hh, m.bias), own, tuple(arrays))
        )

    def run(weights: Any, xs: Any) -> Any:
        zero = jnp.zeros((shape.num_examples, shape.num_units), xs.dtype)
        for own in weights:

            def step(state: Any, x: Any, own: Any = own) -> Any:
                state = jax.vmap(own)(x, state)
                return state, state[0]

            xs = jax.lax.scan(step, (zero, zero), xs)[1]
        return xs

    def back(trees: Any) -> Mapping[str, Any]:
        arrays = ((own.weight_ih, own.weight_hh, own.bias) for own in trees)
        return dict(zip(compared(shape), (a for own in arrays for a in own), strict=True))

    return weights, run, back, 1


def keras_layers(row: Row, shape: Shape, data: Data) -> tuple[Any, Run, Back, int]:
    """``keras.layers.LSTM`` on JAX, stateless, batch first as Keras has it."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras  # pyright: ignore[reportMissingImports]

    from lstm_jax.interop import from_keras, to_keras

    if keras.backend.backend() != "jax":
        raise ModuleNotFoundError("keras runs on another backend here", name="keras on JAX")
    layers, weights = [], []
    for cell, params in zip(data.cells, data.params, strict=True):
        own = keras.layers.LSTM(shape.num_units, return_sequences=True, dtype=shape.dtype)
        own.build((shape.num_examples, shape.num_steps, cell.input_size))
        layers.append(own)
        weights.append(to_keras(cell, params))
    rest = [[variable.value for variable in own.non_trainable_variables] for own in layers]

    def run(weights: Any, xs: Any) -> Any:
        for own, arrays, others in zip(layers, weights, rest, strict=True):
            xs, _ = own.stateless_call(arrays, others, xs)
        return xs

    return weights, run, _as_torch(data, lambda n, trees: from_keras(trees[n])[1]), 0


def torch_layer(shape: Shape, data: Data) -> Layer:
    """``nn.LSTM``, on the GPU where PyTorch has one and JAX as well."""
    import jax
    import torch  # pyright: ignore[reportMissingImports]

    from lstm_jax.interop import to_torch
    from lstm_jax.runtime import num_cores
    from lstm_jax.structures import stack

    torch.set_num_threads(num_cores())
    on = "cuda" if jax.default_backend() == "gpu" else "cpu"
    dtype = getattr(torch, shape.dtype)

    def put(array: np.ndarray) -> Any:
        return torch.from_numpy(np.array(array)).to(on, dtype)

    model = torch.nn.LSTM(shape.num_inputs, shape.num_units, shape.num_layers).to(on, dtype)
    part = data.cells[0] if shape.num_layers == 1 else stack(*data.cells)
    weights = data.params[0] if shape.num_layers == 1 else data.params
    model.load_state_dict({name: put(array) for name, array in to_torch(part, weights).items()})
    xs, g = put(data.xs).requires_grad_(), put(data.g)

    def wait() -> None:
        if on == "cuda":
            torch.cuda.synchronize()

    def forward() -> Any:
        with torch.no_grad():
            ys = model(xs)[0]
        wait()
        return ys

    def training() -> Any:
        model.zero_grad()
        xs.grad = None
        model(xs)[0].backward(g)
        wait()
        return xs.grad

    def answer() -> dict[str, np.ndarray]:
        made = {"ys": forward(), "dx": training()}
        made |= {name: model.get_parameter(name).grad for name in compared(shape)}
        return {name: array.float().cpu().numpy() for name, array in made.items()}

    def memory(job: Callable[[], Any]) -> int:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        job()
        return torch.cuda.max_memory_allocated() - before

    temp = {job.__name__: memory(job) for job in (forward, training)} if on == "cuda" else {}
    return Layer(forward, training, answer, {}, temp)


def apart(answer: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> float:
    """How far results are from a reference: of all arrays the largest relative difference.

    Of each array both are looked at: the largest difference over the largest value or 1, and the
    root of the mean square difference over that of the reference, which a wrong unit among a
    thousand shows up in. Arrays that the reference alone has do not count.

    Example:
      >>> ones = np.ones(3)
      >>> apart({"ys": ones, "dx": 4 * ones}, {"ys": ones, "dx": 2 * ones})
      1.0
    """
    return max(_apart(array, reference[name]) for name, array in answer.items())


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    if one.shape != other.shape:
        return float("inf")
    off = one - other
    if not np.isfinite(off).all():
        return float("inf")
    largest = np.abs(off).max() / max(1.0, np.abs(other).max())
    size = np.linalg.norm(other.ravel())
    return float(max(largest, np.linalg.norm(off.ravel()) / size if size else 0.0))
