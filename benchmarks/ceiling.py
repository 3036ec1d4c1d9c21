"""What this machine can do: one large matrix product, in the libraries that are measured."""

import time
from collections.abc import Callable

import numpy as np

GEMM_SIZE = 2048  # 17 GFLOP, 50 MB: far more arithmetic than memory


def gemm(library: str, num_devices: int = 1, size: int = GEMM_SIZE) -> Callable[[], float]:
    """A call that does one product of two square matrices, and returns GFLOP/s.

    Args:
      library: "ours" is XLA, the rows spread over the devices; "torch"; else NumPy.
      num_devices: of XLA.
      size: rows and columns.

    Example:
      >>> gemm("numpy", size=64)() > 0
      True
    """
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(size, size)).astype(np.float32) for _ in range(2))
    product = _product(library, num_devices, a, b)
    product()

    def measure() -> float:
        start = time.perf_counter()
        product()
        return 2e-9 * size**3 / (time.perf_counter() - start)

    return measure


def _product(library: str, num_devices: int, a: np.ndarray, b: np.ndarray) -> Callable[[], object]:
    if library == "torch":
        import torch  # pyright: ignore[reportMissingImports]

        left, right = torch.from_numpy(a), torch.from_numpy(b)
        return lambda: torch.matmul(left, right)
    if library != "ours":
        return lambda: a @ b
    import jax

    from lstm_jax.parallel import spread

    both = jax.device_put((a, b))
    wide = num_devices > 1
    program = jax.jit(lambda a, b: (spread(a) if wide else a) @ b).lower(*both).compile()
    if wide:
        both = jax.tree.map(jax.device_put, both, program.input_shardings[0])
    return lambda: jax.block_until_ready(program(*both))
