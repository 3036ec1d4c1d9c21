"""The embedded Reber grammar: Experiment 1 of Hochreiter & Schmidhuber 1997."""

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax import draws
from lstm_jax.tasks.arguments import require_whole
from lstm_jax.tasks.task import Example, Task, at_steps, below
from lstm_jax.types import Array

SYMBOLS = "BTPSXVE"
"""The symbols 0 .. 6, of inputs and of outputs."""
REBER_GRAMMAR: tuple[dict[str, int], ...] = (
    {"B": 1},
    {"T": 2, "P": 3},
    {"S": 2, "X": 4},
    {"T": 3, "V": 5},
    {"X": 3, "S": 6},
    {"P": 4, "V": 6},
    {"E": 7},
)
"""Node -> {symbol: next node}, from node 0 to node 7; two ways on have probability 1/2 each."""
SETS_SEED = 1997
"""Of the strings: sets are the same for every run, as the paper's were for its 10 networks each."""

_END = len(REBER_GRAMMAR)


def embedded_reber(num_pairs: int = 3, num_strings: int = 256) -> Task:
    """Predicts the next symbol of strings of the embedded Reber grammar, at every step.

    A string is B, then T or P, then a string of the Reber grammar, then the same T or P again,
    then E: 9 symbols at the least. Of a string of n symbols the first n - 1 are the inputs
    (symbols ``[T]``), and the target at each step is the symbol that follows (``[T, 7]``, in the
    order of ``SYMBOLS``). ``legal`` says which symbols the grammar allows to follow; an answer is
    right when at every step each legal output is above every illegal one.

    There are `num_pairs` pairs of a training set and a test set, made once by ``reber_sets`` and
    the same in every run; trial n uses pair ``n % num_pairs``, in training and in test. Training
    picks uniformly from the training set. Test sequences 0 .. num_strings - 1 are the test set in
    order, num_strings .. 2 * num_strings - 1 the training set in order, as the paper asks for both.

    Args:
      num_pairs: pairs of sets, at least 1.
      num_strings: strings in each set, at least 1.

    Raises:
      ValueError: for other arguments.

    Example:
      >>> import jax
      >>> task = embedded_reber()
      >>> example = task.test(jax.random.key(0), 256, trial=0)  # the first for training of pair 0
      >>> "".join(SYMBOLS[symbol] for symbol in example.inputs[: example.length])
      'BTBTSSXSET'
      >>> "".join(SYMBOLS[s] for s, legal in enumerate(example.legal[5]) if legal)
      'SX'
    """
    require_whole("num_pairs", num_pairs, 1)
    require_whole("num_strings", num_strings, 1)
    sets = reber_sets(num_pairs, num_strings)
    strings = [test + training for training, test in sets]
    bound = max(len(string) for pair in strings for string in pair) - 1
    symbols = np.zeros((num_pairs, 2 * num_strings, bound + 1), np.int32)
    lengths = np.zeros((num_pairs, 2 * num_strings), np.int32)
    legal = np.zeros((num_pairs, 2 * num_strings, bound, len(SYMBOLS)), bool)
    for pair, number in np.ndindex(*lengths.shape):
        string = strings[pair][number]
        symbols[pair, number, : len(string)] = [SYMBOLS.index(symbol) for symbol in string]
        lengths[pair, number] = len(string) - 1
        for t, allowed in enumerate(legal_symbols(string)):
            legal[pair, number, t, [SYMBOLS.index(symbol) for symbol in allowed]] = True

    def sample(key: Array, trial: Array | int = 0) -> Example:
        (u,) = draws.uniform(key, 1)
        return test(key, num_strings + below(u, num_strings), trial)

    def test(key: Array, number: Array | int, trial: Array | int = 0) -> Example:
        del key  # the sets are fixed
        pair = trial % num_pairs
        string = jnp.asarray(symbols)[pair, number]
        length = jnp.asarray(lengths)[pair, number]
        mask = jnp.arange(bound, dtype=jnp.int32) < length
        targets = jax.nn.one_hot(string[1:], len(SYMBOLS), dtype=jnp.float32)
        return Example(
            inputs=jnp.where(mask, string[:-1], 0),
            targets=jnp.where(mask[:, None], targets, 0.0),
            length=length,
            mask=mask,
            legal=jnp.asarray(legal)[pair, number],
        )

    return Task(
        name="embedded_reber",
        input_size=len(SYMBOLS),
        target_size=len(SYMBOLS),
        length=bound,
        mean_length=float(lengths[:, num_strings:].mean()),
        timing="every_step",
        sample=sample,
        correct=legal_most_active,
        test=test,
        marks=lambda example: at_steps(example, 1, example.length - 2),  # T or P: shown, and due
        inputs=tuple(SYMBOLS),
        outputs=tuple(SYMBOLS),
        num_tests=2 * num_strings,
    )


def reber_sets(num_pairs: int, num_strings: int) -> list[tuple[list[str], list[str]]]:
    """The training and the test strings of each pair.

    Training strings are random, and some occur more than once. So are test strings, but those
    that occur in the training set of their pair are drawn again: 256 training strings cover most
    of what is short and likely, so test strings are longer.

    Args:
      num_pairs: how many; the n-th pair is the same whatever their number.
      num_strings: strings in each set.

    Example:
      >>> training, test = reber_sets(num_pairs=3, num_strings=256)[0]
      >>> training[0], test[0], set(training) & set(test)
      ('BTBTSSXSETE', 'BTBPTVPXTTVPXTTVVETE', set())
    """
    sets = []
    for pair in range(num_pairs):
        rng = np.random.default_rng((SETS_SEED, pair))
        training = [reber_string(rng) for _ in range(num_strings)]
        seen = set(training)
        test = []
        while len(test) < num_strings:
            string = reber_string(rng)
            if string not in seen:
                test.append(string)
        sets.append((training, test))
    return sets


def reber_string(rng: np.random.Generator) -> str:
    """A random string of the embedded grammar.

    Example:
      >>> import numpy as np
      >>> string = reber_string(np.random.default_rng(0))
      >>> string[0] == "B", string[1] == string[-2], string[-1] == "E"
      (True, True, True)
    """
    # rng.random, as it yields the same numbers in every version of NumPy.
    letter = "TP"[int(rng.random() < 0.5)]
    node, inner = 0, ""
    while node != _END:
        ways = list(REBER_GRAMMAR[node].items())
        symbol, node = ways[int(rng.random() * len(ways))]
        inner += symbol
    return f"B{letter}{inner}{letter}E"


def legal_symbols(string: str) -> list[str]:
    """What may follow each symbol of a string of the embedded grammar but the last.

    Raises:
      KeyError: where the inner string is not of the Reber grammar.

    Example:
      >>> legal_symbols("BTBTXSETE")
      ['TP', 'B', 'TP', 'SX', 'XS', 'E', 'T', 'E']
    """
    letter, inner = string[1], string[2:-2]
    legal = ["TP", "B"]
    node = 0
    for symbol in inner:
        node = REBER_GRAMMAR[node][symbol]
        legal.append(letter if node == _END else "".join(REBER_GRAMMAR[node]))
    return [*legal, "E"]


def legal_most_active(outputs: Array, example: Example) -> Array:
    """Whether at every step with a target each legal output is above every illegal one.

    Args:
      outputs: ``[T, K]``.
      example: with `mask` ``[T]`` and `legal` ``[T, K]``.

    Example:
      >>> import jax
      >>> task = embedded_reber(num_pairs=1, num_strings=1)
      >>> example = task.sample(jax.random.key(0))
      >>> perfect = example.legal.astype("float32")
      >>> bool(legal_most_active(perfect, example)), bool(legal_most_active(0 * perfect, example))
      (True, False)
    """
    assert example.mask is not None and example.legal is not None
    # A NaN stays one in min and max, and no comparison with one holds: it is wrong.
    lowest_legal = jnp.min(jnp.where(example.legal, outputs, jnp.inf), axis=1)
    highest_other = jnp.max(jnp.where(example.legal, -jnp.inf, outputs), axis=1)
    return jnp.all((lowest_legal > highest_other) | ~example.mask)
