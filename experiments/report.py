"""One HTML page on a run, or on the rows of a table: nothing else is needed to read it.

python -m experiments.report --run=runs/adding/t100                a run, finished or not
python -m experiments.report --run=runs/adding/table7              the rows of a table
python -m experiments.report --run=runs/adding/t100 --out=x.html   another place for the page

The page has the paper's numbers beside ours, the learning curves, config and provenance, and a
player that steps through a sequence: input, gates, state and output move together.
"""

import sys
from functools import partial

from experiments.deviations import TITLES
from experiments.inspect import open_fit
from lstm_jax.experiment import published
from lstm_jax.record.reading import RunFiles
from lstm_jax.report.command import main
from lstm_jax.report.inside import look_inside
from lstm_jax.tables import PaperRow


def paper_row(run: RunFiles) -> PaperRow | None:
    """The published row that a run is of, by its task and its row's name or setting; or None."""
    for experiment in TITLES.values():
        if run.config.get("task") not in experiment.fields["task"].choices:
            continue
        for name, row in experiment.paper.items():
            if run.row in {name, row.name}:
                return published(experiment, name, run.config)
    return None


if __name__ == "__main__":
    look = partial(look_inside, open_fit=open_fit)
    sys.exit(main(__doc__ or "", paper_row, look))
