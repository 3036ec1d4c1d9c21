"""Long sequences of pairs, two of them marked: what Experiments 4 and 5 share.

Hochreiter & Schmidhuber 1997, section 5.4 and 5.5.
"""

from collections.abc import Callable

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

FIRST_MARK_WITHIN = 10
"""The first mark falls on one of the first ten pairs, whatever T is."""
CORRECT_BELOW = 0.04
"""An answer is right when its absolute error is below this."""


def marked_pairs(
    name: str,
    T: int,
    *,
    values: Callable[[Array], Array],
    on_first_pair: float,
    target: Callable[[Array, Array], Array],
) -> Task:
    """A task whose answer, due at the end, is a function of the two marked values.

    Each step is a pair (value, marker). The length is uniform in ``T .. T + T // 10``. The first
    mark (marker 1) falls on one of the first ten pairs, the second on another one of the first
    ``T // 2 - 1``. The first and the last pair have marker -1, also where a mark falls on the
    first pair. All other markers are 0. An answer is right when its absolute error is below 0.04.

    Args:
      name: the task's key in ``TASKS``.
      T: the shortest length, at least 11 (below that a mark could fall on the last pair).
      values: the values ``[n]`` shown, from numbers ``[n]`` uniform in [0, 1).
      on_first_pair: what a marked value counts as where the mark falls on the first pair.
      target: ``(x1, x2) -> []``, from the two marked values.

    Raises:
      ValueError: for a smaller T.

    Example:
      >>> import jax
      >>> larger = marked_pairs(
      ...     "larger", 20, values=lambda u: u, on_first_pair=0.0, target=jax.numpy.maximum
      ... )
      >>> example = larger.sample(jax.random.key(0))
      >>> marked = example.inputs[example.inputs[:, 1] == 1, 0]
      >>> bool(example.targets[0] == marked.max())
      True
    """
    require_whole("T", T, FIRST_MARK_WITHIN + 1)
    bound = T + T // 10
    num_second = T // 2 - 1

    def sample(key: Array, trial: Array | int = 0) -> Example:
        del trial  # all trials draw from the same source
        # floor(u * n) of a 23-bit uniform: each of n < 10^4 outcomes is off by less than 0.2%
        # of its share, and one draw serves all three where randint would take six.
        u = draws.uniform(key, 3 + bound)
        length = T + below(u[0], T // 10 + 1)
        first = below(u[1], FIRST_MARK_WITHIN)
        # The second mark takes one of the first T // 2 - 1 pairs that is still unmarked.
        second = below(u[2], num_second - (first < num_second).astype(jnp.int32))
        second = second + (second >= first).astype(jnp.int32)

        t = steps(bound, length)
        marker = jnp.where((t == first[None]) | (t == second[None]), 1.0, 0.0)
        marker = jnp.where((t == 0) | (t == length[None] - 1), -1.0, marker)
        shown = jnp.where(t < length[None], values(u[3:]), 0.0)
        x1 = jnp.where(first == 0, on_first_pair, _at(shown, first))
        x2 = jnp.where(second == 0, on_first_pair, _at(shown, second))
        return Example(
            inputs=jnp.stack([shown, marker.astype(shown.dtype)], axis=1),
            targets=target(x1, x2)[None],
            length=length,
        )

    return Task(
        name=name,
        input_size=2,
        target_size=1,
        length=bound,
        mean_length=T + (T // 10) / 2,
        timing="end",
        sample=sample,
        correct=all_within(CORRECT_BELOW),
        test=fresh_tests(sample),
        marks=lambda example: example.inputs[:, 1] == 1,
        inputs=("value", "marker"),
        outputs=("answer",),
        lanes=True,
    )


def _at(shown: Array, t: Array) -> Array:
    """What is shown at step t, for each lane at its own."""
    return jnp.take_along_axis(shown, t[None], axis=0)[0]
