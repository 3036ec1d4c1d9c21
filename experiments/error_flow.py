"""How an error at the end of a sequence reaches back in time: vanishing against constant error.

python -m experiments.error_flow                                       Elman, 1997, LSTM, GRU
python -m experiments.error_flow --config=configs/error_flow.py:smoke  does it run
python -m experiments.error_flow --config.cells=elman,V,mut1,my_cell.py:janet --config.part=state
python -m experiments.error_flow --report                              the page, from the records

Networks are trained on the adding problem; the norm of d error(t_end) / d state(t) against the lag
is measured before and after, with the bound of section 3 of the 1997 paper beside it.
"""

import functools
import sys

from configs import adding
from configs import error_flow as config
from lstm_jax.probing import Study, main
from lstm_jax.probing.flow_design import groups_of
from lstm_jax.probing.flow_page import page

STUDY = Study(
    name="error_flow",
    usage=__doc__ or "",
    config_path="configs/error_flow.py",
    fields=config.FIELDS,
    args=config.ARGS,
    groups=functools.partial(groups_of, adding=adding.FIELDS),
    page=page,
)

if __name__ == "__main__":
    sys.exit(main(STUDY))
