"""Programs whose equations are tested, and not what XLA makes of them: compiled in half the time.

Most of a test run is compiling. A test of what experiments run (bits, kernels, how a program was
compiled) keeps `jax.jit`.
"""

from functools import partial

import jax

FAST = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}

quick = partial(jax.jit, compiler_options=FAST)
"""`jax.jit`, for the outermost function alone."""
