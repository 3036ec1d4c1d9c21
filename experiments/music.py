"""Draft."""

import sys

from configs import music as config
from lstm_jax.config import parse_command_line
from lstm_jax.data import DATA_FLAG
from lstm_jax.music.odyssey import run_odyssey

if __name__ == "__main__":
    sys.exit(
        run_odyssey(
            parse_command_line(
                sys.argv[1:],
                fields=config.FIELDS,
                default_config_path="configs/music.py",
                arg_names=config.ARGS,
                usage=__doc__ or "",
                extra_flags=DATA_FLAG,
            )
        )
    )
