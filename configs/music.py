"""Polyphonic music: the chorales of Bach, frame by frame.

Draft.
"""

from ml_collections import ConfigDict

from lstm_jax.config import Field, make_config, parse_arg
from lstm_jax.music.protocol import ODYSSEY_FIELDS

ARGS = {
    "odyssey": "the random search of Greff et al. 2017",
    "odyssey-smoke": "does the search run",
}

FIELDS = ODYSSEY_FIELDS | {
    "rows": Field(("odyssey",), "name of the run"),
    "data": Field("jsb_chorales", "named set of pieces, or the path of an own JSON file"),
}


def get_config(arg: str = "odyssey") -> ConfigDict:
    """The settings of a run."""
    parse_arg(arg, ARGS)
    more = {}
    if arg == "odyssey-smoke":
        more = {"variants": ("V", "FGR"), "num_samples": 2, "num_epochs": 2, "max_pieces": 12}
    return make_config(FIELDS, rows=(arg,), **more)
