"""Prints docs/deviations.md: `python -m experiments.deviations > docs/deviations.md`."""

import sys
from collections.abc import Sequence

from experiments.adding import EXPERIMENT as ADDING
from experiments.long_lag import EXPERIMENT as LONG_LAG
from experiments.multiplication import EXPERIMENT as MULTIPLICATION
from experiments.reber import EXPERIMENT as REBER
from experiments.temporal_order import EXPERIMENT as TEMPORAL_ORDER
from experiments.two_sequence import EXPERIMENT as TWO_SEQUENCE
from lstm_jax.config import refusals
from lstm_jax.config.flags import parse_flags
from lstm_jax.readings import deviations_markdown

TITLES = {
    "Experiment 1, the embedded Reber grammar (Table 1)": REBER,
    "Experiments 2a to 2c, long time lags (Tables 2 and 3)": LONG_LAG,
    "Experiments 3a to 3c, the two-sequence problem (Tables 4 to 6)": TWO_SEQUENCE,
    "Experiment 4, the adding problem (Table 7)": ADDING,
    "Experiment 5, the multiplication problem (Table 8)": MULTIPLICATION,
    "Experiments 6a and 6b, temporal order (Table 9)": TEMPORAL_ORDER,
}
"""The experiments by what the page calls them."""


def page() -> str:
    """The page, from the settings of every experiment."""
    return deviations_markdown({title: (e.fields, e.readings) for title, e in TITLES.items()})


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the page; the exit status."""
    with refusals():
        parse_flags(sys.argv[1:] if argv is None else argv, {}, __doc__ or "")
        print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
