"""The named sets as data: what they are, whose they are, and where their files come from.

Nothing of them is shipped. A file counts as the named one if its SHA-256 is the one below.
"""

from __future__ import annotations

from typing import NamedTuple

GITHUB = "https://raw.githubusercontent.com"
VOWELS = f"{GITHUB}/aeon-toolkit/aeon/v1.6.0/aeon/datasets/data/JapaneseVowels"
SERIES = f"{GITHUB}/statsmodels/statsmodels/v0.14.4/statsmodels/datasets"
SENTENCES = (
    "https://archive.ics.uci.edu/ml/machine-learning-databases/00331/"
    "sentiment%20labelled%20sentences.zip"
)


class DataFile(NamedTuple):
    """A file of a set.

    Attributes:
      name: under which it is looked for, and kept.
      sha256: of its bytes, in hexadecimal.
      size: in bytes.
      address: where it is fetched from; a ``.zip`` holds it as a member of the same name.
      packaged: ``package/path`` of a copy inside an installed package; "": there is none.
    """

    name: str
    sha256: str
    size: int
    address: str
    packaged: str = ""


class DataSet(NamedTuple):
    """A named set: its files, and what has to be known before its numbers are quoted."""

    name: str
    kind: str  # text, chorales, sentences, signals or series: which loader reads it
    about: str
    files: tuple[DataFile, ...]
    status: str  # licence, as far as its origin states one
    citation: str


def _series(name: str, column: str, size: int, sha256: str, about: str, citation: str) -> DataSet:
    file = DataFile(
        f"{name}.csv",
        sha256,
        size,
        f"{SERIES}/{name}/{name}.csv",
        f"statsmodels/datasets/{name}/{name}.csv",
    )
    status = "public domain, as statsmodels, which ships it, states"
    return DataSet(name, "series", f"{about}; column {column}", (file,), status, citation)


_ALL = (
    DataSet(
        "warpeace",
        "text",
        "War and Peace in English, 3,196,214 characters, 82 symbols",
        (
            DataFile(
                "warpeace_input.txt",
                "0139dcd32c37853541e8710281c32d823bb8ea86a86578916305bad06e3da0ea",
                3_196_234,
                f"{GITHUB}/ThingsOfBeam/Corpus/9aad26592097f5ac852cb11b60bf250f01a39fca/"
                "warpeace_input.txt",
            ),
        ),
        "public domain translation (Project Gutenberg 2600)",
        "L. Tolstoy, War and Peace; as in Karpathy, Johnson & Fei-Fei, Visualizing and "
        "understanding recurrent networks, arXiv 1506.02078",
    ),
    DataSet(
        "shakespeare",
        "text",
        "Tiny Shakespeare: parts of the plays, 1,115,394 characters, 65 symbols",
        (
            DataFile(
                "tinyshakespeare.txt",
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                1_115_394,
                f"{GITHUB}/karpathy/char-rnn/d1d7aa34fdb3626174bce1d753e6cc6845ce7087/"
                "data/tinyshakespeare/input.txt",
            ),
        ),
        "public domain text",
        "A. Karpathy, The unreasonable effectiveness of recurrent neural networks, 2015",
    ),
    DataSet(
        "jsb_chorales",
        "chorales",
        "Bach chorales as quarter-note chords of MIDI pitches, 229/76/77 train/valid/test pieces",
        (
            DataFile(
                "jsb-chorales-quarter.json",
                "2db9329f1881a1d3f49703ec556bf1d6f84b4f6c1d702c156536e93cf31e1c91",
                407_200,
                f"{GITHUB}/czhuang/JSB-Chorales-dataset/9a7f733ddb4ed91f48da64ac7f0f621c34aadd4d/"
                "jsb-chorales-quarter.json",
            ),
        ),
        "the music is public domain; the repository states no licence",
        "Boulanger-Lewandowski, Bengio & Vincent, Modeling temporal dependencies in "
        "high-dimensional sequences, ICML 2012",
    ),
    DataSet(
        "sentiment",
        "sentences",
        "1,000 sentences each from reviews at amazon, imdb and yelp; half positive, half negative",
        (
            DataFile(
                "amazon_cells_labelled.txt",
                "47003fc0a0d4840b00e96e715b6189bad09e7443a3da41c4cbe12ffc79f86ae3",
                58_226,
                SENTENCES,
            ),
            DataFile(
                "imdb_labelled.txt",
                "c662b9360c1652babb990d164835af12aa105db7991f1fdb19038115f0e93de8",
                85_187,
                SENTENCES,
            ),
            DataFile(
                "yelp_labelled.txt",
                "b565b1eeb864d76842588c3a256731b08bcdd9faf6de507bfe211a96f8b81912",
                61_293,
                SENTENCES,
            ),
        ),
        "to be cited where used; check its terms before passing it on",
        "Kotzias, Denil, de Freitas & Smyth, From group to individual labels using deep features, "
        "KDD 2015",
    ),
    DataSet(
        "vowels",
        "signals",
        "JapaneseVowels: 12 coefficients of 640 utterances by 9 speakers, lengths 7 to 29, "
        "270 to train and 370 to test",
        (
            DataFile(
                "JapaneseVowels_TRAIN.ts",
                "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",
                487_971,
                f"{VOWELS}/JapaneseVowels_TRAIN.ts",
                "aeon/datasets/data/JapaneseVowels/JapaneseVowels_TRAIN.ts",
            ),
            DataFile(
                "JapaneseVowels_TEST.ts",
                "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462",
                649_132,
                f"{VOWELS}/JapaneseVowels_TEST.ts",
                "aeon/datasets/data/JapaneseVowels/JapaneseVowels_TEST.ts",
            ),
        ),
        "UCI Machine Learning Repository; to be cited where used",
        "Kudo, Toyama & Shimbo, Multidimensional curve classification using passing-through "
        "regions, Pattern Recognition Letters 20, 1999",
    ),
    _series(
        "sunspots",
        "SUNACTIVITY",
        2_944,
        "f67889b1d9002cd5227f0e0ef54e35b419cdd85a31279adef6f73fb41e5c0a9b",
        "yearly sunspot numbers, 1700 to 2008",
        "National Geophysical Data Center",
    ),
    _series(
        "co2",
        "co2",
        33_974,
        "16695fa2786e53414e5a6b54767a3fdf5de99cfbc68617f69d1362d92776a92f",
        "weekly CO2 at Mauna Loa in ppm, 1958 to 2001, 59 weeks missing",
        "Keeling & Whorf, Atmospheric CO2 concentrations derived from flask air samples at sites "
        "in the SIO network, CDIAC 2004",
    ),
    _series(
        "nile",
        "volume",
        942,
        "88e97bea7249e5832a85e41aec6ce4b8f7b1b14aae930c8363da7f193286b598",
        "yearly flow of the Nile at Aswan, 1871 to 1970",
        "Cobb, The problem of the Nile, Biometrika 65, 1978",
    ),
    _series(
        "elnino",
        "temperature",
        5_508,
        "b647be00e0fd264be9764e317e6b963f35030014ecca2b21b204521716e463ad",
        "monthly sea surface temperature of the eastern Pacific in degrees C, 1950 to 2010",
        "NOAA, ERSST.V3B, Nino 1+2",
    ),
)

SETS: dict[str, DataSet] = {dataset.name: dataset for dataset in _ALL}
"""Every named set by its name."""
