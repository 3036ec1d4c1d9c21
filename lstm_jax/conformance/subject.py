"""The cell under test: random cases for it, and the programs that several checks share."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Cell
from lstm_jax.types import Array, Params, State
from lstm_jax.unroll import unroll

T = 7  # steps of a sequence
PART = 4  # steps of a shorter one


class Broken(Exception):
    """A property that the cell lacks; the message is one line: what, where, what would be right."""


class Note(str):
    """What a check has to say that is neither right nor wrong."""


class Case(NamedTuple):
    """Random weights, a random non-zero state and random inputs."""

    params: Params
    state: State
    xs: Array  # [T, D]


class Subject:
    """A cell's factory with the sizes and options it is tested at.

    Args:
      make: ``(input_size, hidden_size, **options) -> Cell``.
      name: what to call it.
      input_size, hidden_size: for all checks but those that train; unlike each other and T, so
        that no mixed-up axis goes unseen.
      options: of the factory.
      oracle: ``(params, state, xs) -> (state, ys)`` in NumPy float64, or None.

    Example:
      >>> from lstm_jax.cells import lstm
      >>> subject = Subject(lstm, "lstm")
      >>> case = subject.case(0)
      >>> subject.run(*case, T)[1].shape
      (7, 5)
    """

    def __init__(
        self,
        make: Callable[..., Cell],
        name: str,
        *,
        input_size: int = 3,
        hidden_size: int = 5,
        options: Mapping[str, Any] | None = None,
        oracle: Callable[..., Any] | None = None,
    ):
        self.name, self.input_size, self.hidden_size = name, input_size, hidden_size
        self.options: dict[str, Any] = dict(options or {})
        self.oracle = oracle
        self.factory = make
        self._cases: dict[tuple[int, bool], Case] = {}

    def make(self, input_size: int, hidden_size: int) -> Cell:
        """The cell at other sizes, with the same options."""
        return self.factory(input_size, hidden_size, **self.options)

    @cached_property
    def cell(self) -> Cell:
        """The cell, made outside of any float64 mode, as an experiment makes it."""
        with jax.enable_x64(False):
            return self.make(self.input_size, self.hidden_size)

    @cached_property
    def run(self) -> Callable[..., tuple[State, Array]]:
        """``(params, state, xs, length) -> (state, ys)``: `unroll`, compiled, length traced."""

        def run(params: Params, state: State, xs: Array, length: Array) -> tuple[State, Array]:
            # the scan: it is differentiated forwards as well
            return unroll(self.cell, params, xs, state, length=length, kernel="scan")

        return jax.jit(run)

    @cached_property
    def step(self) -> Callable[..., tuple[tuple[State, Array], dict[str, Array]]]:
        """``(params, state, x) -> ((state, y), gates)``, compiled."""
        return jax.jit(lambda *case: (self.cell.step(*case), self.cell.gates(*case)))

    @cached_property
    def scalar(self) -> Callable[..., Array]:
        """``(params, state, xs, length, weights) -> sum of weights * (state, ys)``, compiled."""
        return jax.jit(lambda *case: weighted(self.run(*case[:4]), case[4]))

    @cached_property
    def grad(self) -> Callable[..., tuple[Params, State, Array]]:
        """The gradients of `scalar` with respect to params, state and xs, compiled."""
        return jax.jit(jax.grad(self.scalar, argnums=(0, 1, 2), allow_int=True))

    def case(self, seed: int) -> Case:
        """A case in the precision that is on now; narrow ones are the wide ones, rounded.

        Each leaf of the state is what some other weights lead to, and other ones for each leaf:
        so it is a value that the leaf can have (a normaliser is positive, say), while no relation
        between the leaves can hide an error.
        """
        key = (seed, bool(jax.config.read("jax_enable_x64")))
        if key not in self._cases:
            with jax.enable_x64(True):
                wide = self._wide_case(seed)
            self._cases[key] = wide if key[1] else jax.tree.map(narrowed, wide)
        return self._cases[key]

    def _wide_case(self, seed: int) -> Case:
        rng = np.random.default_rng(seed)
        shapes = jax.eval_shape(self.cell.init, jax.random.key(0))
        start = self.cell.initial_state()
        params, leaves = normal(shapes, rng), []
        for number in range(len(jax.tree.leaves(start))):
            xs = normal(np.zeros((T, self.input_size)), rng, 1.0)
            reached, _ = self.run(normal(shapes, rng), start, xs, T)
            leaves.append(jax.tree.leaves(reached)[number])
        state = jax.tree.unflatten(jax.tree.structure(start), leaves)
        return Case(params, state, normal(np.zeros((T, self.input_size)), rng, 1.0))

    def loop(self, params: Params, state: State, xs: Any) -> tuple[State, np.ndarray]:
        """What `unroll` is to give: one compiled step after the other, by a Python loop."""
        ys = [np.zeros((0, self.cell.output_size))]
        for x in np.asarray(xs):
            (state, y), _ = self.step(params, state, x)
            ys.append(np.asarray(y)[None])
        return state, np.concatenate(ys)

    def weights(self, seed: int = 0, *, state: float = 1.0, last_only: bool = False) -> Any:
        """Random factors for `scalar`, one for each number of a final state and the outputs."""
        rng = np.random.default_rng(1000 + seed)
        ys = normal(np.zeros((T, self.cell.output_size)), rng, 1.0)
        if last_only:
            ys = jnp.zeros_like(ys).at[-1].set(ys[-1])
        shapes = jax.eval_shape(self.cell.initial_state)
        return normal(shapes, rng, state), ys


def normal(tree: Any, rng: np.random.Generator, scale: float = 0.7) -> Any:
    """The same tree with normal numbers of this scale; leaves of whole numbers become zero."""
    dtype = jax.dtypes.canonicalize_dtype(np.float64)

    def fill(leaf: Any) -> Array:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.zeros(leaf.shape, leaf.dtype)
        return jnp.asarray(rng.normal(size=leaf.shape) * scale, dtype)

    return jax.tree.map(fill, tree)


def narrowed(leaf: Any) -> Any:
    """float64 as float32; anything else as it is."""
    return np.asarray(leaf, np.float32) if leaf.dtype == np.float64 else np.asarray(leaf)


def widened(leaf: Any) -> Any:
    """float32 as float64; anything else as it is."""
    return np.asarray(leaf, np.float64) if leaf.dtype == np.float32 else np.asarray(leaf)


def weighted(tree: Any, weights: Any) -> Array:
    """The sum of all numbers of a tree, each times its own factor; whole numbers count nothing."""
    total: Any = 0.0
    for leaf, factor in zip(jax.tree.leaves(tree), jax.tree.leaves(weights), strict=True):
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            total = total + jnp.sum(leaf * factor.astype(leaf.dtype))
    return total


def with_nan_after(xs: Any, length: int) -> np.ndarray:
    """A copy with NaN in place of everything from step `length` on."""
    padded = np.array(xs)
    padded[length:] = np.nan
    return padded


def named_leaves(tree: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """("params.w_z", leaf) and so on, in the tree's order.

    Example:
      >>> [name for name, _ in named_leaves({"w": 1, "b": (2, 3)}, "params")]
      ['params.b.0', 'params.b.1', 'params.w']
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        inside = jax.tree_util.keystr(path, simple=True, separator=".")
        yield ".".join(part for part in (prefix, inside) if part), leaf


def agree(
    prefix: str, actual: Any, expected: Any, rtol: float = 1e-12, atol: float = 1e-12
) -> float:
    """The largest difference between two trees; `Broken` where one is above the tolerance.

    Example:
      >>> agree("ys", {"a": np.ones(2)}, {"a": np.ones(2)})
      0.0
      >>> agree("ys", {"a": np.ones(2)}, {"a": np.array([1.0, 2.0])})
      Traceback (most recent call last):
      lstm_jax.conformance.subject.Broken: ys.a is 1 off at [1]: 1 where 2 is right
    """
    largest = 0.0
    pairs = zip(named_leaves(actual, prefix), jax.tree.leaves(expected), strict=True)
    for (name, got), want in pairs:
        got, want = _numbers(got), _numbers(want)
        if got.shape != want.shape:
            raise Broken(f"{name} has shape {got.shape} where {want.shape} is right")
        if not got.size:
            continue
        both = np.isfinite(got) & np.isfinite(want)
        off = np.where(both, np.abs(np.where(both, got - want, 0)), np.inf)
        allowed = atol + rtol * np.abs(np.where(both, want, 0))
        if (off > allowed).any():
            at = np.unravel_index(np.argmax(off - allowed), off.shape)
            where = f" at [{', '.join(map(str, at))}]" if at else ""
            raise Broken(
                f"{name} is {off[at]:.2g} off{where}: {got[at]:.6g} where {want[at]:.6g} is right"
            )
        largest = max(largest, float(off.max()))
    return largest


def _numbers(leaf: Any) -> np.ndarray:
    """An array to subtract from: NumPy subtracts no truth values."""
    leaf = np.asarray(leaf)
    return leaf.astype(np.int8) if leaf.dtype == np.bool_ else leaf


def fresh_key(number: int) -> Array:
    """A key of JAX's own generator, whatever the default is."""
    return jax.random.key(number, impl="threefry2x32")


def listed(names: Iterable[str]) -> str:
    """Names with commas between, without the tree that they are in.

    Example:
      >>> listed(["params.w_z", "params.b_z"])
      'w_z, b_z'
    """
    return ", ".join(re.sub(r"^(params|state)\.", "", name) for name in names)


def one_line(error: BaseException) -> str:
    """The kind of an error and the first line of its text."""
    first = (str(error).strip() or "no text").splitlines()[0]
    return f"{type(error).__name__}: {first}"
