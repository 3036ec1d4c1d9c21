"""Cells that are not of this package: in a file of the user's, or in an installed distribution."""

import hashlib
import json
import sys
import traceback
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import jax

from lstm_jax.cells import CELLS, Cell
from lstm_jax.config.fields import Config, no_such

GROUP = "lstm_jax.cells"
"""The entry points of this group are cells: ``[project.entry-points."lstm_jax.cells"]``."""

_PREFIX = "lstm_jax_cell_"  # of the modules that files of the user's become

Factory = Callable[..., Cell]


def find_cell(name: str) -> Factory:
    """The factory that a name stands for: ``(input_size, hidden_size, **options) -> Cell``.

    Args:
      name: a name in `CELLS`; or ``path/to/file.py:name``, a function of that file; or the name
        of an entry point of the group "lstm_jax.cells" of an installed distribution. The first
        that fits. A file is read once in a process; its folder does not join ``sys.path``.

    Raises:
      ValueError: where nothing has that name, the file does not run, or what it names is not a
        function; one line.

    Example:
      >>> find_cell("lstm").__name__
      'lstm'
      >>> find_cell("lstn")
      Traceback (most recent call last):
      ValueError: cell lstn: no such cell; nearest: lstm... or path/to/file.py:name
    """
    return _find(name)[0]


def make_cell(name: str, make: Callable[..., Cell], input_size: int, hidden_size: int) -> Cell:
    """The cell that a factory of the user's makes, once a step of it is known to run.

    The step is traced and not computed; whether it is right is `lstm_jax.conformance`'s question.

    Args:
      name: what the user calls it.
      make: ``(input_size, hidden_size) -> Cell``, its options bound.
      input_size, hidden_size: D and H.

    Raises:
      ValueError: in one line, with its place: it raises, gives no `Cell`, or its step does.

    Example:
      >>> make_cell("mine.py:c", lambda input_size, hidden_size: None, 3, 5)
      Traceback (most recent call last):
      ValueError: cell mine.py:c: its function gives a NoneType where a lstm_jax.Cell is needed
    """
    try:
        cell = make(input_size, hidden_size)
    except ValueError:  # a refusal, in a line of the cell's own
        raise
    except (Exception, SystemExit) as error:  # a cell's exit must not be the program's
        raise ValueError(f"cell {name}: it cannot be made ({_told(error)})") from error
    if not isinstance(cell, Cell):
        raise ValueError(
            f"cell {name}: its function gives {_kind(cell)} where a lstm_jax.Cell is needed"
        )

    def step(key: Any, x: Any) -> Any:
        return cell.step(cell.init(key), cell.initial_state(), x)

    try:
        jax.eval_shape(step, jax.random.key(0), jax.ShapeDtypeStruct((input_size,), "float32"))
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"cell {name}: a step of it does not run ({_told(error)}); "
            f"python -m lstm_jax.conformance {name} says more"
        ) from error
    return cell


def find_oracle(name: str) -> Callable[..., Any] | None:
    """The function ``NAME_oracle`` beside the factory that `find_cell` finds, or None.

    Raises:
      ValueError: as `find_cell`, or where that is not a function.

    Example:
      >>> find_oracle("lstm") is None
      True
    """
    _, module, called = _find(name)
    oracle = getattr(module, f"{called}_oracle", None)
    if oracle is not None and not callable(oracle):
        raise ValueError(f"cell {name}: {called}_oracle is {_kind(oracle)}, not a function")
    return oracle


def is_file(name: str) -> bool:
    """Whether a cell's name means a file.

    Example:
      >>> is_file("mine.py:cell"), is_file("mine.py"), is_file("lstm")
      (True, True, False)
    """
    return name.endswith(".py") or name.rpartition(":")[0].endswith(".py")


def source_hash(name: str) -> str | None:
    """SHA-256 of the file that a cell's name means, for records; None for the name of no file.

    Raises:
      ValueError: where the file is not there.

    Example:
      >>> source_hash("lstm") is None
      True
    """
    if not is_file(name):
        return None
    return hashlib.sha256(_path_of(name)[0].read_bytes()).hexdigest()


def settings_with_cell(config: Config) -> dict[str, Any]:
    """The settings of a run as its folder keeps them: with the hash of its cell's own file.

    Another text of the file is another cell, and its trials are not to be mixed with these.

    Raises:
      ValueError: as `source_hash`.

    Example:
      >>> from configs.adding import get_config
      >>> settings_with_cell(get_config("t100"))["cell"]
      'lstm97'
    """
    settings = json.loads(config.to_json())
    own = source_hash(settings["cell"])
    return settings | ({"sha256_of_cell": own} if own else {})


def functions_of(module: ModuleType) -> list[str]:
    """The names of the functions that a file itself defines, those of oracles and ``_x`` apart."""
    return [
        name
        for name, value in vars(module).items()
        if callable(value)
        and not isinstance(value, type)
        and getattr(value, "__module__", None) == module.__name__
        and not name.startswith("_")
        and not name.endswith("_oracle")
    ]


def _find(name: str) -> tuple[Factory, ModuleType | None, str]:
    """(factory, the module it is looked up in, its name there)."""
    if name in CELLS:
        return CELLS[name], sys.modules.get(CELLS[name].__module__), name
    if is_file(name):
        return _from_file(name)
    points = entry_points(group=GROUP)
    found = [point for point in points if point.name == name]
    if not found:
        known = [*CELLS, *sorted({point.name for point in points})]
        raise ValueError(f"cell {name}: {no_such('cell', name, known)}; or path/to/file.py:name")
    if len({point.value for point in found}) > 1:
        values = ", ".join(sorted(point.value for point in found))
        raise ValueError(f"cell {name}: {len(found)} entry points have that name: {values}")
    return _from_entry_point(found[0])


def _from_file(given: str) -> tuple[Factory, ModuleType, str]:
    path, name = _path_of(given)
    module = _load(path.resolve())
    names = functions_of(module)
    if not name:
        form = f"{path}:NAME, NAME one of {', '.join(names)}" if names else "it defines none"
        raise ValueError(f"cell {given}: which function of the file? {form}")
    if not hasattr(module, name):
        there = no_such("name in it", name, names, show_all=True) if names else "no functions in it"
        raise ValueError(f"cell {given}: {there}")
    return _require_function(given, getattr(module, name)), module, name


def _path_of(given: str) -> tuple[Path, str]:
    """(the file, the name in it) that a cell's name means; ValueError where it is not there."""
    text, name = (given, "") if given.endswith(".py") else given.rpartition(":")[::2]
    path = Path(text).expanduser()
    if not path.is_file():
        beside = [str(path.parent / file.name) for file in path.parent.glob("*.py")]
        near = no_such("file", str(path), beside).partition("; valid")[0]
        raise ValueError(f"cell {given}: {near}")
    return path, name


def _from_entry_point(point: EntryPoint) -> tuple[Factory, ModuleType | None, str]:
    try:
        factory = point.load()
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"cell {point.name}: its entry point {point.value} does not load: "
            f"{type(error).__name__}: {error}"
        ) from error
    called = point.attr or point.name
    return _require_function(point.name, factory), sys.modules.get(point.module), called


def _require_function(given: str, factory: Any) -> Factory:
    if callable(factory):
        return cast(Factory, factory)
    raise ValueError(
        f"cell {given}: it is {_kind(factory)}, not a function "
        "(input_size, hidden_size, **options) -> Cell"
    )


@cache  # what a file defines is the same object wherever it is asked for
def _load(path: Path) -> ModuleType:
    """The module of a file, under a name of its own: two files ``cell.py`` are two modules."""
    name = f"{_PREFIX}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        # Not by the loader: its bytecode cache could give the text of a moment ago.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ValueError(f"cell file {_where(error, path)}") from error
    return module


def _where(error: BaseException, path: Path) -> str:
    """What went wrong in a file, and in which of its lines."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        line, said = error.lineno, error.msg
    else:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        line, said = (lines[-1] if lines else None), str(error)
    said = " ".join(f"{type(error).__name__}: {said}".split())
    return f"{path}, line {line}: {said}" if line else f"{path}: {said}"


def _told(error: BaseException) -> str:
    """An error in one line, and where in a file of the user's it was raised."""
    said = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
    frames = traceback.extract_tb(error.__traceback__)
    own = {module.__file__ for name, module in sys.modules.items() if name.startswith(_PREFIX)}
    places = [frame for frame in frames if frame.filename in own]
    return f"{places[-1].filename}, line {places[-1].lineno}: {said}" if places else said


def _kind(value: Any) -> str:
    return f"{'an' if type(value).__name__[0] in 'aeiou' else 'a'} {type(value).__name__}"
