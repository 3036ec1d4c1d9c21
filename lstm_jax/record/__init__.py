"""The shell's memory: run folders, which a kill at any instant leaves whole."""

from lstm_jax.record.folder import RunFolder
from lstm_jax.record.refusal import RunFolderError

__all__ = ["RunFolder", "RunFolderError"]
