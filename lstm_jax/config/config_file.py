"""Config files: a Python file with a get_config(arg), found, run and called without surprises."""

from __future__ import annotations

import difflib
import inspect
import sys
import traceback
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import ml_collections

from lstm_jax.config.fields import Config, ConfigError

GetConfig = Callable[..., Config]


def find_config(
    given: str, default_path: str, arg_names: Mapping[str, str]
) -> tuple[Path, str | None]:
    """The file and ARG of --config=FILE[:ARG]; looked for here, then beside this package."""
    root = Path(__file__).resolve().parents[2]
    before, colon, after = given.rpartition(":")
    attempts = [(given, None), (before, after)] if colon and before else [(given, None)]
    for path, arg in attempts:
        # The default is ours wherever the user stands; a file of the user's wins elsewhere.
        places = [root / path, Path(path)] if given == default_path else [Path(path), root / path]
        for place in places:
            if place.is_file():
                return place, arg
    path, arg = attempts[-1]
    if given in arg_names or (not before and after in arg_names):
        hint = f"; for that row: --config={default_path}:{given.removeprefix(':')}"
    else:
        known = sorted(str(p.relative_to(root)) for p in root.glob("configs/[a-z]*.py"))
        near = difflib.get_close_matches(path, known, n=1) or [default_path]
        hint = f"; nearest: {near[0]}"
    raise ConfigError(f"--config={given}: no such file{hint}")


def load(path: Path) -> GetConfig:
    """The get_config of a config file."""
    # Not through the import system: its bytecode cache could give the text of a moment ago.
    module = types.ModuleType(f"lstm_jax_config_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise _in_file(error, str(path)) from error
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise ConfigError(f"config file {path}: it must define get_config(arg)")
    return cast(GetConfig, get_config)


def call(
    get_config: GetConfig, path: str, arg: str | None
) -> ml_collections.ConfigDict | ml_collections.FrozenConfigDict:
    """What get_config returns, its own errors told as one line."""
    arguments = () if arg is None else (arg,)
    try:
        inspect.signature(get_config).bind(*arguments)
    except TypeError:
        need = "it needs an ARG, as in" if arg is None else f"it takes no ARG, got {arg!r}; write"
        form = f"{path}:ARG" if arg is None else path
        raise ConfigError(f"config file {path}: {need} --config={form}") from None
    try:
        config = get_config(*arguments)
    except (Exception, SystemExit) as error:
        raise _in_file(error, path) from error
    if not isinstance(config, (ml_collections.ConfigDict, ml_collections.FrozenConfigDict)):
        raise ConfigError(
            f"config file {path}: get_config must return a ConfigDict, got {type(config).__name__}"
        )
    return config


def _in_file(error: BaseException, path: str) -> ConfigError:
    if isinstance(error, ConfigError):  # `parse_arg` does not know the file
        return ConfigError(str(error).replace("--config=...:", f"--config={path}:", 1))
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
    line = error.lineno if isinstance(error, SyntaxError) else (lines[-1] if lines else None)
    where = f"config file {path}" + (f", line {line}" if line else "")
    return ConfigError(f"{where}: {type(error).__name__}: {error}")
