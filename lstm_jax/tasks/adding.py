"""The adding problem: Experiment 4 of Hochreiter & Schmidhuber 1997."""

from lstm_jax.tasks.marked_pairs import marked_pairs
from lstm_jax.tasks.task import Task


def adding(T: int = 100) -> Task:
    """Adds two marked numbers of a long sequence; the answer is due at its end.

    Each step is a pair (value, marker). Values are uniform in [-1, 1]; the length is uniform in
    ``T .. T + T // 10``. The first mark (marker 1, value X1) falls on one of the first ten pairs,
    the second (X2) on another one of the first ``T // 2 - 1``. The first and the last pair have
    marker -1; should a mark fall on the first pair, its value counts as 0 and its marker stays
    -1. All other markers are 0. The target at the end is ``0.5 + (X1 + X2) / 4``, in [0, 1].
    An answer is right when its absolute error is below 0.04.

    A constant answer of 0.5 has a mean absolute error of about 1/6 and is right in 15% of cases.

    Args:
      T: the shortest length, at least 11 (below that a mark could fall on the last pair).

    Raises:
      ValueError: for a smaller T.

    Example:
      >>> import jax
      >>> task = adding(T=100)
      >>> example = task.sample(jax.random.key(0))
      >>> example.inputs.shape, example.targets.shape, 100 <= int(example.length) <= 110
      ((110, 2), (1,), True)
    """
    return marked_pairs(
        "adding",
        T,
        values=lambda u: 2 * u - 1,
        on_first_pair=0.0,
        target=lambda x1, x2: 0.5 + (x1 + x2) / 4,
    )
