"""Polyphonic music: the next frame of Bach's chorales, and the odyssey's random search on them.

python -m experiments.music                                         the LSTM
python -m experiments.music --config=configs/music.py:table         LSTM, GRU, plain recurrent net
python -m experiments.music --config=configs/music.py:odyssey       nine variants, random search
python -m experiments.music --config=configs/music.py:odyssey --help     its settings
python -m experiments.music --config.data=FILE.json                 pieces of your own
python -m experiments.music --generate=piece.mid --workdir=RUN      a sampled piece, as MIDI
"""

import sys
from collections.abc import Sequence

from configs import music as config
from lstm_jax.config import Field
from lstm_jax.data import DATA_FLAG
from lstm_jax.fitting import Fitting, main
from lstm_jax.music.command import GENERATE, generate, report
from lstm_jax.music.odyssey import Search, asks_for_search, search
from lstm_jax.music.problem import build_problem, check_music

EXPERIMENT = Fitting(
    name="music",
    usage=__doc__ or "",
    config_path="configs/music.py",
    fields=config.FIELDS,
    args={**config.ARGS, **config.SEARCHES},
    build=build_problem,
    report=report,
    check=check_music,
    extra_flags={**DATA_FLAG, **GENERATE},
    instead=generate,
)
SEARCH = Search(
    usage=__doc__ or "",
    config_path="configs/music.py",
    fields=config.SEARCH_FIELDS,
    args=config.SEARCHES,
    extra_flags={**DATA_FLAG, "report": Field(False, "the page anew, from the records")},
)


def run(argv: Sequence[str] | None = None) -> int:
    """Runs rows or a search, as the command line asks; the exit status."""
    given = sys.argv[1:] if argv is None else argv
    return search(SEARCH, given) if asks_for_search(given) else main(EXPERIMENT, given)


if __name__ == "__main__":
    sys.exit(run())
