"""The temporal order problem: Experiment 6 of Hochreiter & Schmidhuber 1997."""

import itertools

import jax
import jax.numpy as jnp

from lstm_jax import draws
from lstm_jax.tasks.arguments import require_whole
from lstm_jax.tasks.task import (
    Example,
    Task,
    all_within,
    below,
    fresh_tests,
    steps,
)
from lstm_jax.types import Array

SYMBOLS = "EBabcdXY"
"""The input symbols 0 .. 7: start, trigger at the end, four distractors, two that matter."""
CORRECT_WITHIN = 0.3
"""An answer is right when the absolute error of every output is below this."""

_START, _TRIGGER, _DISTRACTOR, _KEY = (SYMBOLS.index(symbol) for symbol in "EBaX")
_NUM_DISTRACTORS = 4


def temporal_order(num_symbols: int = 2, T: int = 100) -> Task:
    """Tells in which order X and Y came, far apart in a long sequence; due at its end.

    Experiment 6a has two such symbols (four classes: XX, XY, YX, YY), 6b three (eight: XXX ..
    YYY). The class as a binary number, X a 0 and Y a 1, the first symbol the highest digit, is the
    output that must be 1; the others must be 0.

    A sequence starts with E and ends with B; its length is uniform in ``T .. T + T // 10``. At
    each key position stands X or Y, each with probability 1/2, everywhere else one of a, b, c, d.
    Key position i is uniform in ``start_i .. start_i + T // 10``, counted from 1, ends included:
    10..20 and 50..60 for 6a, 10..20, 33..43 and 66..76 for 6b at T=100 (in general the starts are
    ``T // 10``, then ``T // 2``, or ``T // 3`` and ``2 * T // 3``).

    Inputs are symbols ``[T]``, in the order of ``SYMBOLS``; targets are ``[2**num_symbols]``. An
    answer is right when every output is off by less than 0.3.

    Args:
      num_symbols: 2 (Experiment 6a) or 3 (6b).
      T: the shortest length, at least 20.

    Raises:
      ValueError: for other arguments.

    Example:
      >>> import jax
      >>> task = temporal_order(num_symbols=2, T=20)
      >>> example = task.sample(jax.random.key(1))
      >>> "".join(SYMBOLS[symbol] for symbol in example.inputs[: example.length])
      'EcYdbcabddXcdadabaacB'
      >>> example.targets.tolist()
      [0.0, 0.0, 1.0, 0.0]
    """
    if num_symbols not in (2, 3) or not isinstance(num_symbols, int):
        raise ValueError(f"num_symbols: {num_symbols!r} is not valid; it must be 2 or 3")
    require_whole("T", T, 20)
    num_classes = 2**num_symbols
    bound = T + T // 10
    width = T // 10 + 1
    starts = (T // 10, T // 2) if num_symbols == 2 else (T // 10, T // 3, 2 * T // 3)

    def sample(key: Array, trial: Array | int = 0) -> Example:
        del trial  # all trials draw from the same source
        u = draws.uniform(key, 2 + num_symbols + bound)
        length = T + below(u[0], width)
        class_ = below(u[1], num_classes)

        t = steps(bound, length)
        symbols = _DISTRACTOR + below(u[2 + num_symbols :], _NUM_DISTRACTORS)
        for i, start in enumerate(starts):
            position = start + below(u[2 + i], width) - 1  # counted from 0
            digit = (class_ >> (num_symbols - 1 - i)) & 1
            symbols = jnp.where(t == position[None], _KEY + digit[None], symbols)
        symbols = jnp.where(t == 0, _START, symbols)
        symbols = jnp.where(t == length[None] - 1, _TRIGGER, symbols)
        return Example(
            inputs=jnp.where(t < length[None], symbols, 0),
            targets=jax.nn.one_hot(class_, num_classes, dtype=u.dtype, axis=0),
            length=length,
        )

    return Task(
        name="temporal_order",
        input_size=len(SYMBOLS),
        target_size=num_classes,
        length=bound,
        mean_length=T + (T // 10) / 2,
        timing="end",
        sample=sample,
        correct=all_within(CORRECT_WITHIN),
        test=fresh_tests(sample),
        marks=lambda example: example.inputs >= _KEY,
        inputs=tuple(SYMBOLS),
        outputs=tuple("".join(order) for order in itertools.product("XY", repeat=num_symbols)),
        lanes=True,
    )
