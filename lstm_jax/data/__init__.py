"""Real data: named sets, found or fetched and checked, and the user's own files."""

from lstm_jax.data.chorales import Rolls, chords_of, load_chorales, piano_roll, read_pieces
from lstm_jax.data.digest import sha256_of_content
from lstm_jax.data.download import sha256_of
from lstm_jax.data.errors import DataError
from lstm_jax.data.finding import DATA_FLAG, cache_dir, find, is_named
from lstm_jax.data.padding import pad
from lstm_jax.data.sentences import (
    Sentences,
    encode_sentences,
    load_sentences,
    tokenise,
    word_vocabulary,
)
from lstm_jax.data.series import Series, load_series
from lstm_jax.data.sets import SETS, DataFile, DataSet
from lstm_jax.data.signals import Signals, load_signals
from lstm_jax.data.text import Vocabulary, load_text, split_by_position

__all__ = [
    "DATA_FLAG",
    "SETS",
    "DataError",
    "DataFile",
    "DataSet",
    "Rolls",
    "Sentences",
    "Series",
    "Signals",
    "Vocabulary",
    "cache_dir",
    "chords_of",
    "encode_sentences",
    "find",
    "is_named",
    "load_chorales",
    "load_sentences",
    "load_series",
    "load_signals",
    "load_text",
    "pad",
    "piano_roll",
    "read_pieces",
    "sha256_of",
    "sha256_of_content",
    "split_by_position",
    "tokenise",
    "word_vocabulary",
]
