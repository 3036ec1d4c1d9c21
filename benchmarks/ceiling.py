"""What this machine can do: one large matrix product, in the libraries that are measured."""

import time
from collections.abc import Callable

import numpy as np

GEMM_SIZE = {"cpu": 2048, "gpu": 8192}
"""17 GFLOP and 50 MB, or 1.1 TFLOP and 800 MB: far more arithmetic than memory or starting."""


def gemm(
    library: str, num_devices: int = 1, size: int | None = None, dtype: str = "float32"
) -> Callable[[], float]:
    """A call that does one product of two square matrices, and returns GFLOP/s.

    Args:
      library: "ours" is XLA, the rows spread over the devices; "torch", on the GPU where JAX has
        one; else NumPy.
      num_devices: of XLA.
      size: rows and columns; None: `GEMM_SIZE` of JAX's default device.
      dtype: of the matrices.

    Example:
      >>> gemm("numpy", size=64)() > 0
      True
    """
    on = "cpu"
    if library in ("ours", "torch"):
        import jax

        on = jax.default_backend()
    size = size or GEMM_SIZE.get(on, GEMM_SIZE["cpu"])
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size), np.float32) for _ in range(2))
    product = _product(library, num_devices, a, b, on, dtype)
    product()

    def measure() -> float:
        start = time.perf_counter()
        product()
        return 2e-9 * size**3 / (time.perf_counter() - start)

    return measure


def _product(
    library: str, num_devices: int, a: np.ndarray, b: np.ndarray, on: str, dtype: str
) -> Callable[[], object]:
    if library == "torch":
        import torch  # pyright: ignore[reportMissingImports]

        where = "cuda" if on == "gpu" else "cpu"
        left, right = (torch.from_numpy(m).to(where, getattr(torch, dtype)) for m in (a, b))
        if on != "gpu":
            return lambda: torch.matmul(left, right)
        torch.backends.cuda.matmul.allow_tf32 = True  # as JAX's default, and as cuDNN's

        def multiply() -> None:
            torch.matmul(left, right)
            torch.cuda.synchronize()

        return multiply
    if library != "ours":
        return lambda: a @ b
    import jax
    import jax.numpy as jnp

    from lstm_jax.parallel import spread

    both = jax.tree.map(lambda m: jnp.asarray(m, dtype), (a, b))
    wide = num_devices > 1
    program = jax.jit(lambda a, b: (spread(a) if wide else a) @ b).lower(*both).compile()
    if wide:
        both = jax.tree.map(jax.device_put, both, program.input_shardings[0])
    return lambda: jax.block_until_ready(program(*both))
