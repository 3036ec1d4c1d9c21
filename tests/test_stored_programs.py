"""No process finds part of a compiled program in the cache, whatever became of its writer."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from jax._src.lru_cache import LRUCache

from lstm_jax import stored_programs

COMPILES = """
from lstm_jax import runtime
runtime.configure(1)
{before}
import jax, jax.numpy as jnp
print(float(jax.jit(lambda x: jnp.sin(x).sum())(jnp.ones(3))))
"""
DIES_HALF_WAY = """
import os, pathlib, signal
whole = pathlib.Path.write_bytes
def half(path, data):
    whole(path, data[:len(data) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.write_bytes = half
"""
FILLS_THE_DISK = """
import pathlib
whole = pathlib.Path.write_bytes
def half(path, data):
    whole(path, data[:len(data) // 2])
    raise OSError(28, "No space left on device")
pathlib.Path.write_bytes = half
"""


def start(cache: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    code = COMPILES.format(before=before)
    env = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("before", [DIES_HALF_WAY, FILLS_THE_DISK])
def test_half_an_entry_stands_in_nobodys_way(tmp_path, before):
    """By itself JAX leaves the half there, and warns of it at each start from then on."""
    broken = start(tmp_path, before)
    assert broken.returncode == (-signal.SIGKILL if before == DIES_HALF_WAY else 0)
    assert not list(tmp_path.glob("*-cache"))
    for stored in (False, True):
        assert bool(list(tmp_path.glob("*-cache"))) == stored
        after = start(tmp_path)
        assert (after.returncode, after.stderr) == (0, "") and float(after.stdout) > 2.5


def test_a_reader_beside_writers_sees_all_or_nothing(tmp_path):
    cache, seen = LRUCache(str(tmp_path), max_size=-1), set()
    values = {f"key{i}": bytes([i]) * 2**22 for i in range(20)}
    done = threading.Event()

    def read():
        while not done.is_set():
            seen.update(len(cache.get(key) or b"") for key in values)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for key, value in values.items():
            cache.put(key, value)
    finally:
        done.set()
        reader.join()
    assert seen <= {0, 2**22}
    assert {key: cache.get(key) for key in values} == values
    cache.put("key0", b"another")  # the first one stays
    assert cache.get("key0") == values["key0"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{k}-cache" for k in values)


def test_a_cache_of_limited_size_is_left_to_jax(tmp_path):
    pytest.importorskip("filelock")
    cache = LRUCache(str(tmp_path), max_size=1000)
    for key in "abc":
        cache.put(key, bytes(400))
    assert cache.get("a") is None and cache.get("c") == bytes(400)


def test_jaxs_own_way_is_known():
    """A change of it would leave ours unused, and the tests above could not say why."""
    assert stored_programs.keep_whole()
