"""JAX's cache of compiled programs on disk: entries that are whole or not there."""

import os
import uuid
from pathlib import Path
from typing import Any


def keep_whole() -> bool:
    """Has JAX put the entries of its compilation cache in place whole; says whether it does.

    JAX (0.10 to 0.12) writes an entry where others look for it. What is left of one by a process
    that was killed, or by a full disk, it neither reads nor writes again: each later start warns
    and compiles that program anew. A process that starts beside another, as tests and shares of a
    run do, may read half an entry. Here an entry is written beside its place and renamed.

    JAX has no public way to do so. Where its class is another than those known, and for caches
    that it keeps apart itself (of a limited size, on remote storage), its own way stays.

    Example:
      >>> keep_whole() and keep_whole()  # once is enough
      True
    """
    try:
        from jax._src.lru_cache import _CACHE_SUFFIX, LRUCache
    except ImportError:
        return False
    jaxs = LRUCache.put
    if jaxs.__module__ == __name__:
        return True

    def put(self: Any, key: str, value: bytes) -> None:
        folder, limited = getattr(self, "path", None), getattr(self, "eviction_enabled", True)
        if not key or folder is None or limited or "://" in str(folder):
            jaxs(self, key, value)
            return
        entry = Path(folder) / f"{key}{_CACHE_SUFFIX}"
        if not entry.exists():
            temporary = entry.with_name(f".{uuid.uuid4().hex}")  # one of its own on each machine
            try:
                temporary.write_bytes(value)
                os.replace(temporary, entry)
            finally:
                temporary.unlink(missing_ok=True)

    LRUCache.put = put
    return True
