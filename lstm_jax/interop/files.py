"""Weights in files: safetensors and npz, never pickles."""

import difflib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from lstm_jax.record import archive
from lstm_jax.types import Params


def save_weights(path: str | os.PathLike[str], params: Params) -> None:
    """Writes the leaves of a tree of weights to a .safetensors or .npz file.

    A leaf's name is its way through the tree, joined by dots: "w_z" in `LstmParams`,
    "cell.w_z" in `NetworkParams`, "1.forward.r_o" in a stack of bidirectional layers. What is
    None has no leaf. The file is written beside its place and renamed over it, so a kill leaves
    the old file or the new one. The other leaves of a training state are saved alike.

    Args:
      path: ends in ".safetensors" or ".npz", which `numpy.load` reads too.
      params: any pytree of numeric arrays.

    Raises:
      ValueError: for another ending, two leaves of the same name, or a leaf that the file
        cannot hold (npz holds no bfloat16).
      OSError: where the file cannot be written.

    Example:
      >>> import tempfile
      >>> folder = tempfile.TemporaryDirectory()
      >>> path = Path(folder.name) / "weights.npz"
      >>> save_weights(path, {"cell": {"w": jnp.ones((2, 3))}})
      >>> with np.load(path) as file:
      ...     print(dict(file)["cell.w"].shape)
      (2, 3)
      >>> folder.cleanup()
    """
    path = Path(path)
    dtypes, pack, _ = _format(path)
    arrays: dict[str, np.ndarray] = {}
    for name, leaf in named_leaves(params):
        if name in arrays:
            raise ValueError(f"{path}: two weights are called {name!r}; rename one of them")
        if str(_dtype(leaf)) not in dtypes:
            others = [other for other, (held, *_) in _FORMATS.items() if str(_dtype(leaf)) in held]
            hint = f"; {others[0]} holds this one" if others else ""
            raise ValueError(
                f"{path}: weight {name!r} is {_said(leaf)}; a {path.suffix} file holds "
                f"{', '.join(sorted(dtypes))}{hint}"
            )
        # order="C": safetensors writes a transposed array's memory as it lies
        arrays[name] = np.asarray(leaf, order="C")
    archive.write_beside(path, pack(arrays))
    archive.put_in_place(path)


def load_weights(path: str | os.PathLike[str], like: Params) -> Params:
    """Reads weights that `save_weights` wrote into a tree like the one given.

    Args:
      path: the file.
      like: a tree with the structure, shapes and dtypes that are needed: fresh params, or
        ``jax.eval_shape(cell.init, key)``. Its numbers are not looked at.

    Returns:
      A tree of that structure with the file's numbers, as JAX arrays.

    Raises:
      ValueError: for a weight that is missing, one too many, one of another shape or dtype
        (nothing is cast), or a file that is damaged or of another kind.
      OSError: where the file cannot be read.

    Example:
      >>> import tempfile
      >>> folder = tempfile.TemporaryDirectory()
      >>> path = Path(folder.name) / "weights.safetensors"
      >>> save_weights(path, {"w": jnp.ones((2, 3))})
      >>> load_weights(path, {"w": jax.ShapeDtypeStruct((2, 3), jnp.float32)})["w"].sum().item()
      6.0
      >>> try:
      ...     load_weights(path, {"w": jnp.ones((2, 4))})
      ... except ValueError as error:
      ...     print(str(error).partition(": ")[2])
      weight 'w' is float32[2, 3] in the file; float32[2, 4] is needed
      >>> folder.cleanup()
    """
    path = Path(path)
    arrays = _read(path)
    needed = dict(named_leaves(like))
    for mismatch in _mismatches(arrays, needed):
        raise ValueError(f"{path}: {mismatch}")
    leaves = [jnp.array(arrays[name]) for name in needed]
    for (name, leaf), loaded in zip(needed.items(), leaves, strict=True):
        if _dtype(leaf) != loaded.dtype:
            raise ValueError(
                f"{path}: weight {name!r} is {_said(leaf)}, which JAX holds only where "
                "jax_enable_x64 is set"
            )
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def check_weights(path: str | os.PathLike[str], like: Params) -> list[str]:
    """Every reason why `load_weights` would refuse a file, one line each; [] where it would not.

    Raises:
      ValueError: for a file that is damaged or of another kind.
      OSError: where the file cannot be read.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = Path(folder) / "weights.npz"
      ...     save_weights(path, {"w": jnp.ones(2)})
      ...     check_weights(path, {"w": jnp.ones(3), "b": jnp.ones(1)})
      ["weight 'b' (float32[1]) is missing",
       "weight 'w' is float32[2] in the file; float32[3] is needed"]
    """
    return list(_mismatches(_read(Path(path)), dict(named_leaves(like))))


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """(dotted name, leaf) of each leaf, in the tree's order.

    Example:
      >>> from lstm_jax.cells.elman import ElmanParams
      >>> tree = ({"cell": ElmanParams(w=1.0, r=2.0, b=None)},)
      >>> named_leaves(tree)
      [('0.cell.w', 1.0), ('0.cell.r', 2.0)]
    """
    leaves, _ = jax.tree.flatten_with_path(tree)
    return [(jax.tree_util.keystr(way, simple=True, separator="."), leaf) for way, leaf in leaves]


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file; ValueError where it is none of weights."""
    *_, unpack = _format(path)
    data = path.read_bytes()
    try:
        return unpack(data)
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path}: damaged, or not a {path.suffix} file of arrays ({reason})"
        ) from None


def _mismatches(arrays: dict[str, np.ndarray], needed: dict[str, Any]) -> Iterator[str]:
    """In words, what a file lacks, has in another shape or dtype, or has too much."""
    for name, leaf in needed.items():
        if name not in arrays:
            near = _nearest(name, arrays, "the file has")
            yield f"weight {name!r} ({_said(leaf)}) is missing{near}"
        elif _said(arrays[name]) != _said(leaf):
            yield f"weight {name!r} is {_said(arrays[name])} in the file; {_said(leaf)} is needed"
    for name, array in arrays.items():
        if name not in needed:
            near = _nearest(name, needed, "they have")
            yield f"weight {name!r} ({_said(array)}) has no place in these params{near}"


def _dtype(leaf: Any) -> Any:
    return leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype


def _said(leaf: Any) -> str:
    """Dtype and shape in words: "float32[2, 3]"."""
    return f"{_dtype(leaf)}{list(np.shape(leaf))}"


def _nearest(name: str, names: Any, who: str) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; the nearest name {who} is {near[0]!r}" if near else ""


def _format(path: Path) -> Any:
    """The dtypes that a file of this ending holds, its packer and its unpacker."""
    if path.suffix not in _FORMATS:
        raise ValueError(f"{path}: a file of weights ends in {' or '.join(_FORMATS)}")
    return _FORMATS[path.suffix]


def _unpack_npz(data: bytes) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise ValueError("no zip archive, or cut short")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return dict(file)


def _unpack_safetensors(data: bytes) -> dict[str, np.ndarray]:
    arrays = {}
    for name, found in safetensors.deserialize(data):
        dtype = jnp.dtype(_DTYPES[found["dtype"]])
        arrays[name] = np.frombuffer(found["data"], dtype).reshape(found["shape"])
    return arrays


_WIDTHS = {"F": ("float", 16, 32, 64), "I": ("int", 8, 16, 32, 64), "U": ("uint", 8, 16, 32, 64)}
_DTYPES = {f"{letter}{b}": f"{kind}{b}" for letter, (kind, *bits) in _WIDTHS.items() for b in bits}
_DTYPES |= {"BF16": "bfloat16", "BOOL": "bool", "C64": "complex64"}
"""The dtypes of a safetensors header by the names that NumPy and ml_dtypes have for them."""

_FORMATS: dict[str, tuple[set[str], Callable[..., bytes], Callable[[bytes], Any]]] = {
    ".safetensors": (set(_DTYPES.values()), safetensors.numpy.save, _unpack_safetensors),
    ".npz": (set(_DTYPES.values()) - {"bfloat16"} | {"complex128"}, archive.pack, _unpack_npz),
}
# What the two unpackers raise over bytes that were changed or cut; KeyError: an unknown dtype.
_DAMAGE = (
    safetensors.SafetensorError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,
)
