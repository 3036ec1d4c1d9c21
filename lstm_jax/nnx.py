"""Cells and structures as Flax NNX modules: weights inside, batches first, usable in any model."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from lstm_jax.cells import CELLS
from lstm_jax.cells.cell import Cell
from lstm_jax.structures.layer import as_structure
from lstm_jax.types import Array, Params, State
from lstm_jax.unroll import Structure, is_symbols


class _Made:
    """What a module is made of. Compared by identity, so that jit need not compare functions."""

    def __init__(self, part: Cell | Structure, like: Any) -> None:
        self.part = part
        self.structure = as_structure(part)
        self.like = like  # the params' tree without their numbers

    def __repr__(self) -> str:
        return f"{self.part.name}({self.part.input_size}, {self.part.output_size})"


class Recurrent(nnx.Module):
    """A cell or structure with its weights, run over sequences: one, or a batch of them.

    The weights are `nnx.Param`s below ``weights``, in a tree with the names of the functional
    params: ``module.weights.w_z``, ``module.weights[1].forward.r_o``. What is None there is absent.
    `params` gives them back as functional params; the numbers are those of `unroll`.

    Args:
      part: any `Cell` or `Structure`.
      rngs: its stream "params" draws the weights, by ``part.init``.
      params: weights to start from instead; see `from_params`.

    Raises:
      ValueError: unless exactly one of `rngs` and `params` is given.

    Example:
      >>> from lstm_jax.cells import lstm
      >>> from lstm_jax.structures import bidirectional
      >>> rngs = nnx.Rngs(0)
      >>> both = Recurrent(bidirectional(lstm(2, 3), lstm(2, 3)), rngs=rngs)
      >>> model = nnx.Sequential(both, LSTM(6, 4, rngs=rngs), nnx.Linear(4, 1, rngs=rngs))
      >>> with jax.numpy_rank_promotion("allow"):  # nnx.Linear adds its bias to a batch
      ...     model(jnp.ones((8, 5, 2))).shape
      (8, 5, 1)
      >>> both.weights.forward.w_z.shape
      (3, 2)
    """

    def __init__(
        self, part: Cell | Structure, *, rngs: nnx.Rngs | None = None, params: Params = None
    ) -> None:
        if (rngs is None) == (params is None):
            raise ValueError(f"{part.name}: give either rngs or params")
        if rngs is not None:
            params = part.init(rngs.params())
        self.made = _Made(part, jax.tree.map(lambda _: 0, params))
        self.weights: Any = _hold(params)

    @staticmethod
    def from_params(part: Cell | Structure, params: Params) -> "Recurrent":
        """A module with these functional params, as a converter or a training run gave them.

        Example:
          >>> from lstm_jax.cells import elman
          >>> cell = elman(2, 3, bias=False)
          >>> params = cell.init(jax.random.key(0))
          >>> module = Recurrent.from_params(cell, params)
          >>> bool((module.params.r == params.r).all()), module.params.b
          (True, None)
        """
        return Recurrent(part, params=params)

    @property
    def part(self) -> Cell | Structure:
        """The cell or structure."""
        return self.made.part

    @property
    def params(self) -> Params:
        """The weights as they are now, in the part's own tree: for `unroll`, converters, files."""
        return _release(self.made.like, self.weights)

    def __call__(self, xs: Array, *, length: Any = None, key: Array | None = None) -> Array:
        """Outputs ``[T, H]`` or ``[B, T, H]`` from the initial state; arguments as in `run`."""
        return self.run(xs, length=length, key=key)[1]

    def run(
        self,
        xs: Array,  # [T, D] or [B, T, D], or symbols [T] or [B, T]
        state: State | None = None,
        *,
        length: Any = None,
        resets: Array | None = None,
        key: Array | None = None,
    ) -> tuple[State, Array]:
        """The final state and the outputs, as of `unroll`; for a batch, each with it in front.

        Args:
          xs: one sequence ``[T, D]`` or a batch ``[B, T, D]``; symbols, whole numbers, have no D.
          state: what to start from; None is the initial state. For a batch, leaves ``[B, ...]``.
          length: how many steps are valid; for a batch ``[B]``, or one number for all.
          resets: where new sequences begin, ``[T]`` or ``[B, T]``.
          key: draws a stack's dropout; None: no dropout.

        Raises:
          ValueError: for inputs of another rank or size, and as `unroll` does.

        Example:
          >>> module = GRU(2, 3, rngs=nnx.Rngs(0))
          >>> state, ys = module.run(jnp.ones((4, 5, 2)), length=jnp.array([5, 3, 0, 1]))
          >>> state.h.shape, ys.shape, bool(ys[1, 3:].any())
          ((4, 3), (4, 5, 3), False)
        """
        params, structure = self.params, self.made.structure

        def one(
            xs: Array, state: State, length: Any, resets: Array | None, key: Array | None
        ) -> tuple[State, Array]:
            return structure.apply(params, xs, state, length=length, resets=resets, key=key)

        rank = xs.ndim + is_symbols(xs)
        if rank not in (2, 3):
            raise ValueError(
                f"{structure.name}: inputs of shape {xs.shape} where (T, {structure.input_size}) "
                f"or a batch (B, T, {structure.input_size}) is needed"
            )
        if rank == 2:
            return one(xs, state, length, resets, key)
        keys = None if key is None else jax.random.split(key, xs.shape[0])
        each = np.ndim(length) > 0  # else one length serves for all
        lengths = jnp.asarray(length) if each else length
        axes = (0, 0, 0 if each else None, 0, 0)
        return jax.vmap(one, axes)(xs, state, lengths, resets, keys)


def _hold(tree: Any) -> Any:
    """A tree of arrays as one of `nnx.Param`s, by the same names; without what is None."""
    if tree is None:  # in a tuple, where it keeps its place
        return nnx.Dict()
    if hasattr(tree, "_asdict"):
        tree = tree._asdict()
    if isinstance(tree, dict):
        return nnx.Dict({name: _hold(own) for name, own in tree.items() if own is not None})
    if isinstance(tree, (tuple, list)):
        return nnx.List([_hold(own) for own in tree])
    return nnx.Param(jnp.asarray(tree))


def _release(like: Any, held: Any) -> Any:
    """The inverse of `_hold`, in the types of `like`."""
    if like is None:
        return None
    if hasattr(like, "_asdict"):
        own = like._asdict()
        return type(like)(**{n: _release(own[n], getattr(held, n, None)) for n in own})
    if isinstance(like, dict):
        return {name: _release(own, held[name]) for name, own in like.items()}
    if isinstance(like, (tuple, list)):
        return type(like)(_release(own, part) for own, part in zip(like, held, strict=True))
    return held[...]


class _Named(Recurrent):
    """A module of one registered cell; sizes and options are those of the cell."""

    cell_name: ClassVar[str]

    def __init__(self, *sizes: int, rngs: nnx.Rngs, **options: Any) -> None:
        super().__init__(CELLS[self.cell_name](*sizes, **options), rngs=rngs)


class LSTM(_Named):
    """``LSTM(input_size, hidden_size, *, rngs, **options)``, a module of the cell `lstm`.

    Example:
      >>> LSTM(2, 3, switches=(), rngs=nnx.Rngs(0))(jnp.ones((5, 2))).shape
      (5, 3)
    """

    cell_name = "lstm"


class LSTM97(_Named):
    """``LSTM97(input_size, num_blocks, block_size, *, rngs, **options)``, of `lstm97`."""

    cell_name = "lstm97"


class GRU(_Named):
    """``GRU(input_size, hidden_size, *, rngs, **options)``, of `gru`."""

    cell_name = "gru"


class Elman(_Named):
    """``Elman(input_size, hidden_size, *, rngs, **options)``, of `elman`."""

    cell_name = "elman"


class IRNN(_Named):
    """``IRNN(input_size, hidden_size, *, rngs, **options)``, of `irnn`."""

    cell_name = "irnn"


class MUT1(_Named):
    """``MUT1(input_size, hidden_size, *, rngs)``, of `mut1`."""

    cell_name = "mut1"


class MUT2(_Named):
    """``MUT2(input_size, hidden_size, *, rngs)``, of `mut2`."""

    cell_name = "mut2"


class MUT3(_Named):
    """``MUT3(input_size, hidden_size, *, rngs)``, of `mut3`."""

    cell_name = "mut3"


class MGU(_Named):
    """``MGU(input_size, hidden_size, *, rngs)``, of `mgu`."""

    cell_name = "mgu"


class MinGRU(_Named):
    """``MinGRU(input_size, hidden_size, *, rngs)``, of `min_gru`."""

    cell_name = "min_gru"


class MinLSTM(_Named):
    """``MinLSTM(input_size, hidden_size, *, rngs)``, of `min_lstm`."""

    cell_name = "min_lstm"


class SLSTM(_Named):
    """``SLSTM(input_size, hidden_size, *, rngs, **options)``, of `slstm`."""

    cell_name = "slstm"
