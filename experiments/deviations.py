"""Prints docs/deviations.md: `python -m experiments.deviations > docs/deviations.md`."""

from experiments.adding import EXPERIMENT as ADDING
from lstm_jax.readings import deviations_markdown


def page() -> str:
    """The page, from the settings of every experiment."""
    return deviations_markdown(
        {"Experiment 4, the adding problem (Table 7)": (ADDING.fields, ADDING.readings)}
    )


if __name__ == "__main__":
    print(page(), end="")
