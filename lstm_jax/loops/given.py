"""What a loop is given, against what its cell or structure makes: for the text of an error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import jax

from lstm_jax.types import Params, State

FAULTS = (TypeError, ValueError, AttributeError, KeyError, IndexError)
"""What equations raise where their weights or their state are of another form."""


@contextmanager
def checked(
    name: str,
    init: Callable[..., Params],
    initial_state: Callable[[], State],
    params: Params,
    state: State | None,
) -> Iterator[None]:
    """Names the weights or the state that are of another form, where the block fails by that.

    They are compared after a failure alone: what runs pays nothing and may be given more.

    Args:
      name: of the cell or structure.
      init, initial_state: what makes them.
      params, state: those given; a state of None is not looked at.

    Raises:
      ValueError: in one line, in place of what an equation said of it.

    Example:
      >>> with checked("elman", lambda key: {"w": jax.numpy.ones((3, 2))}, tuple, {"w": 0.0}, None):
      ...     raise TypeError("no product")
      Traceback (most recent call last):
      ValueError: elman: params['w'] of shape () where (3, 2) is needed
    """
    try:
        yield
    except FAULTS as error:
        said = ""
        with suppress(Exception):  # a cell that makes nothing is another fault than this one
            key = jax.eval_shape(lambda: jax.random.key(0))
            said = _unlike("params", params, jax.eval_shape(init, key))
            if not said and state is not None:
                said = _unlike("state", state, jax.eval_shape(initial_state))
        if said:
            raise ValueError(f"{name}: {said}") from error
        raise


def _unlike(what: str, given: Any, wanted: Any) -> str:
    """How two trees differ, in words; "" where they have the same form and shapes."""
    paths = [jax.tree_util.tree_flatten_with_path(tree)[0] for tree in (given, wanted)]
    there, needed = ({jax.tree_util.keystr(path): leaf for path, leaf in all_} for all_ in paths)
    other = type(given) is not type(wanted) and not _are_arrays(given, wanted)
    if other and there.keys() != needed.keys():
        return f"{what} is a {_kind(given)} where a {_kind(wanted)} is needed"
    for path, leaf in needed.items():
        if path not in there:
            return f"{what}{path} is missing, of shape {leaf.shape}"
        shape = jax.numpy.shape(there[path])
        if shape != leaf.shape:
            batch = shape[len(shape) - len(leaf.shape) :] == leaf.shape
            hint = "; several at once are a jax.vmap" if batch else ""
            return f"{what}{path} of shape {shape} where {leaf.shape} is needed{hint}"
    more = [path for path in there if path not in needed]
    return f"{what}{more[0]} is none that belongs to it" if more else ""


def _are_arrays(*trees: Any) -> bool:
    return all(jax.tree_util.all_leaves([tree]) for tree in trees)


def _kind(tree: Any) -> str:
    return "single array" if _are_arrays(tree) else type(tree).__name__
