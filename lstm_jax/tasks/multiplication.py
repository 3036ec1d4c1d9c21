"""The multiplication problem: Experiment 5 of Hochreiter & Schmidhuber 1997."""

from lstm_jax.tasks.marked_pairs import marked_pairs
from lstm_jax.tasks.task import Task


def multiplication(T: int = 100) -> Task:
    """Multiplies two marked numbers of a long sequence; the answer is due at its end.

    The pairs, lengths and marks are those of ``adding``, but values are uniform in [0, 1] and a
    mark on the first pair counts as 1. The target at the end is ``X1 * X2``, in [0, 1]. An answer
    is right when its absolute error is below 0.04.

    Args:
      T: the shortest length, at least 11 (below that a mark could fall on the last pair).

    Raises:
      ValueError: for a smaller T.

    Example:
      >>> import jax
      >>> task = multiplication(T=100)
      >>> example = task.sample(jax.random.key(0))
      >>> marked = example.inputs[example.inputs[:, 1] == 1, 0]
      >>> bool(abs(example.targets[0] - marked.prod()) < 1e-6)
      True
    """
    return marked_pairs(
        "multiplication",
        T,
        values=lambda u: u,
        on_first_pair=1.0,
        target=lambda x1, x2: x1 * x2,
    )
