"""Compiled programs, with what it takes to make and to run them."""

import time
from typing import Any, NamedTuple


class Made(NamedTuple):
    """A program of XLA.

    Attributes:
      program: to be called.
      seconds: its compilation took.
      temp_bytes: it needs beside arguments and results, on each device; None where unknown.
    """

    program: Any
    seconds: float
    temp_bytes: int | None


def made(function: Any, *args: Any) -> Made:
    """The program of a jitted function for these arguments.

    Example:
      >>> import jax
      >>> twice = made(jax.jit(lambda x: 2 * x), 1.0)
      >>> float(twice.program(1.0)), twice.seconds > 0
      (2.0, True)
    """
    start = time.perf_counter()
    program = function.lower(*args).compile()
    seconds = time.perf_counter() - start
    memory = program.memory_analysis()
    return Made(program, seconds, None if memory is None else memory.temp_size_in_bytes)
