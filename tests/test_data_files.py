"""Own and named files become characters, rolls, words, numbers; a bad one is one clear line."""

import json
import unicodedata

import numpy as np
import pytest

from lstm_jax.data import (
    DataError,
    Vocabulary,
    chords_of,
    encode_sentences,
    load_chorales,
    load_sentences,
    load_series,
    load_signals,
    load_text,
    split_by_position,
    tokenise,
    word_vocabulary,
)
from tests.datasets import real_data


def written(tmp_path, content: str | bytes, name: str = "own.txt") -> str:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def refusal(function, *args, **kwargs) -> str:
    with pytest.raises(DataError) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_text_is_utf8_without_mark_and_with_one_line_end(tmp_path):
    path = written(tmp_path, b"\xef\xbb\xbfna\xc3\xafve\r\nb\rc\n")
    assert load_text(path) == "naïve\nb\nc\n"
    assert "is empty" in refusal(load_text, written(tmp_path, b""))
    assert "no character" in refusal(load_text, written(tmp_path, b"\xef\xbb\xbf"))
    latin = refusal(load_text, written(tmp_path, "ab\nna\u00efve".encode("latin-1")))
    assert "0xef at offset 5 (line 2)" in latin
    marked = refusal(load_text, written(tmp_path, b"\xef\xbb\xbfa\xff"))
    assert "0xff at offset 4 (line 1)" in marked
    assert "no such file" in refusal(load_text, str(tmp_path / "nowhere.txt"))
    assert "holds sentences, not text" in refusal(load_text, "sentiment")


def test_characters_go_to_numbers_and_back():
    text = "to be, or not to be"
    v = Vocabulary.of(text)
    assert v.decode(v.encode(text)) == text and v.encode(text).dtype == np.int32
    assert list(v.symbols) == sorted(set(text))
    assert refusal(v.encode, "to bée").startswith("unknown characters, first at 4: 'é';")
    assert v.decode(v.encode("to bée", unknown="skip")) == "to be"
    w = Vocabulary.of(text, unknown="?")
    assert w.decode(w.encode("to bée")) == "to b?e"
    again = Vocabulary.from_json(w.to_json())
    assert (again.symbols, again.unknown) == (w.symbols, w.unknown)
    assert "no symbol" in refusal(Vocabulary.of, "")


def test_parts_follow_each_other():
    items = np.arange(1003)
    parts = split_by_position(items, (0.8, 0.1, 0.1))
    assert [len(part) for part in parts] == [802, 101, 100]
    assert (np.concatenate(parts) == items).all()
    assert "too few" in refusal(split_by_position, np.arange(1), (0.8, 0.1, 0.1))
    for shares in ((0.8, 0.1, 0.09), (0.8, 0.1, 0.11), (0.9, 0.2, -0.1), (1.0, 0.0)):
        with pytest.raises(ValueError, match="must be positive and add up to 1"):
            split_by_position(items, shares)  # else the rest would be lost, or in no part


def test_pieces_become_rolls(tmp_path):
    pieces = [[[21, 60], []], [[108]], [[40]]]
    parts = {"train": pieces[:1], "valid": pieces[1:2], "test": pieces[2:] + pieces[:1]}
    rolls = load_chorales(written(tmp_path, json.dumps(parts)))
    assert rolls["test"].notes.shape == (2, 2, 88) and rolls["test"].notes.dtype == np.uint8
    assert rolls["test"].lengths.tolist() == [1, 2] and rolls["test"].notes[0, 1].sum() == 0
    assert chords_of(rolls["train"].notes[0]) == [[21, 60], []]
    listed = load_chorales(written(tmp_path, json.dumps(pieces * 10)))
    assert [len(roll.lengths) for roll in listed.values()] == [24, 3, 3]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ('{"train": []}', "must hold train, valid, test"),
        ("[[[60]]]", "1 pieces are too few"),
        ('{"train": [[[60]]], "valid": [], "test": [[[60]]]}', "valid must be a list of pieces"),
        ('{"train": [[[60], [20]]], "valid": [[[60]]], "test": [[[60]]]}',
         "train, piece 0, chord 1: 20 is no MIDI pitch from 21 to 108"),
        ('{"train": [[[60]]], "valid": [[[108, 109]]], "test": [[[60]]]}', "109 is no MIDI pitch"),
        ('{"train": [[[60]]], "valid": [[[true]]], "test": [[[60]]]}', "true is no MIDI pitch"),
        ('{"train": [[60]], "valid": [[[60]]], "test": [[[60]]]}', "must be a list of MIDI"),
        ("[" * 100_000, "not a list of pieces"),
    ],
)  # fmt: skip
def test_a_piece_that_is_none_is_refused(tmp_path, content, said):
    assert said in refusal(load_chorales, written(tmp_path, content))


def test_sentences_have_words_and_labels(tmp_path):
    path = written(tmp_path, "Don't buy it.\t0\nSo  good!\t1\n\n", "shop_labelled.txt")
    read = load_sentences(path)
    assert read.texts == ("Don't buy it.", "So  good!") and read.sites == ("shop", "shop")
    assert read.labels.tolist() == [0, 1]
    words = [tokenise(text) for text in read.texts]
    assert words == [["don't", "buy", "it", "."], ["so", "good", "!"]]
    v = word_vocabulary(words[:1])
    numbers, lengths = encode_sentences([*words, []], v)
    assert v.symbols[0] == "<unk>" and lengths.tolist() == [4, 3, 1]
    assert numbers[1].tolist() == [0, 0, 0, 0] and numbers[0].min() > 0
    assert encode_sentences(words, v, length=2)[1].tolist() == [2, 2]
    assert "line 2 must be a sentence, a tab and 0 or 1" in refusal(
        load_sentences, written(tmp_path, "a\t0\nb\t2\n")
    )
    assert "both labels" in refusal(load_sentences, written(tmp_path, "a\t0\nb\t0\n"))
    tabbed = load_sentences(written(tmp_path, "a\tb\t1\nc\t0\n"))  # the label is the last cell
    assert (tabbed.texts, tabbed.labels.tolist()) == (("a\tb", "c"), [1, 0])


CSV = "date,rain,sun\n2001-01-01,1.5,3\n2001-02-01,,4\n2001-03-01,2.5,nan\n2001-04-01,4,6\n"


def test_words_are_whole_in_any_script():
    wanted = ["the", "caf\xe9's", "m\xfcller", "was", "na\xefve", "\u043d\u0435\u0442", "10.50"]
    text = "The Caf\xe9\u2019s M\xfcller was nai\u0308ve \u041d\u0435\u0442 10.50"
    assert tokenise(text) == wanted
    assert tokenise(unicodedata.normalize("NFD", text)) == wanted


def test_a_column_is_read_by_its_name(tmp_path):
    path = written(tmp_path, CSV, "weather.csv")
    sun = load_series(path, "sun", gaps="previous")
    assert sun.values.tolist() == [3, 4, 4, 6] and (sun.name, sun.column) == ("weather", "sun")
    assert load_series(path, "sun", gaps="linear").values.tolist() == [3, 4, 5, 6]
    assert sun.labels[1] == "2001-02-01"
    np.testing.assert_allclose(sun.times, 2001 + np.array([0, 31, 59, 90]) / 365)
    assert "nearest: sun" in refusal(load_series, path, "sunn")
    assert "valid: date, rain, sun" in refusal(load_series, path, "snow")
    assert "name the column; valid: date, rain, sun" in refusal(load_series, path)
    assert "line 3, column rain: the value is missing (empty), 1 in all" in refusal(
        load_series, path, "rain"
    )
    assert "(nan)" in refusal(load_series, path, "sun")
    for cells in ("nan,1,2", "1,2,nan", "1,2,"):  # nothing before, or nothing after
        open_end = written(
            tmp_path, "v,w\n" + "".join(f"{c},0\n" for c in cells.split(",")), "p.csv"
        )
        for gaps in ("previous", "linear"):
            said = refusal(load_series, open_end, "v", gaps=gaps)
            assert "the first and the last value must be there" in said
    plain = load_series(written(tmp_path, "x;y\n3;1\n1;2\n", "p.csv"), "x")
    assert plain.values.tolist() == [3, 1] and plain.times.tolist() == [0, 1]
    assert load_series(written(tmp_path, "only\n3\n1\n", "p.csv")).values.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("a,b\n", "must have a head line"),
        ("1,2\n3,4\n", "names of the columns"),
        ("2000-01-01,5\n2000-01-02,6\n", "not the date 2000-01-01; if that is a name"),
        ("2000-01-01,x\n2000-01-02,6\n", "not the date 2000-01-01"),
        ("a,5\nb,6\nc,7\n", "not the number 5; if that is a name, write y5"),
        ("a,b\n1,2\n3\n", "line 3 has 1 cells, the head line 2 (a, b)"),
        ("a,b\n1,2\n3,x\n", "line 3, column b: 'x' is no finite number"),
        ("a,b\n1,inf\n", "'inf' is no finite number"),
        ("a,b\n1,2\n3,1e30\n", "line 3, column b: 1e30 is too large"),
        ("a,b\n1,2\n3,-1e30\n", "line 3, column b: -1e30 is too large"),
        ("year,b\n2000,1\n2001,2\n2003,3\n2004,3\n2005,4\n2006,4\n2007,4\n2008,1\n2009,3\n2010,4\n",
         "line 4: 2003 leaves a gap after 2001"),
        ("year,b\n2000,1\n2000,2\n", "2000 is not later than 2000"),
        ("date,b\n2000-01-01,1\nlater,2\n", "'later' is no date, as 2000-01-01 is"),
    ],
)  # fmt: skip
def test_a_table_that_is_no_series_is_refused(tmp_path, content, said):
    assert said in refusal(load_series, written(tmp_path, content, "own.csv"), "b")


@pytest.mark.parametrize("head", ["date,2020", "year,0", ",0"])
def test_a_number_may_be_the_name_of_a_column_beside_one_of_dates(tmp_path, head):
    path = written(tmp_path, f"{head}\n2000-01-01,5\n2000-01-02,6\n", "own.csv")
    assert load_series(path).values.tolist() == [5, 6]


def calendar(kind):
    """The dates of a series without a gap, by pandas."""
    pd = pytest.importorskip("pandas", reason="makes the calendars")
    return [str(date.date()) for date in pd.date_range("1999-12-27", periods=120, freq=kind)]


@pytest.mark.parametrize("kind", ["D", "B", "W", "MS", "ME", "QS", "QE", "YS", "YE"])
@pytest.mark.parametrize("every", [50, 10, 6, 4])
def test_a_gap_is_found_where_many_are(tmp_path, kind, every):
    dates = calendar(kind)

    def load(dates):
        lines = [f"{date},{n}" for n, date in enumerate(dates)]
        return load_series(written(tmp_path, "\n".join(["date,v", *lines]) + "\n", "own.csv"))

    assert len(load(dates).values) == 120
    kept = [n for n in range(120) if n % every != 1]
    if kind == "B" and every >= 10:  # an eighth may be holidays
        assert len(load([dates[n] for n in kept]).values) == len(kept)
        return
    said = refusal(load, [dates[n] for n in kept])
    assert f"{dates[2]} leaves a gap after {dates[0]}" in said


def test_an_exchange_may_be_shut_on_holidays(tmp_path):
    pytest.importorskip("pandas", reason="makes the calendars")
    import pandas as pd
    from pandas.tseries.holiday import USFederalHolidayCalendar
    from pandas.tseries.offsets import CustomBusinessDay

    shut = CustomBusinessDay(calendar=USFederalHolidayCalendar())
    dates = pd.date_range("2020-01-02", "2021-12-31", freq=shut)
    lines = [f"{date.date()},{n}" for n, date in enumerate(dates)]
    file = written(tmp_path, "\n".join(["date,close", *lines]) + "\n", "own.csv")
    assert len(load_series(file).values) == len(dates) < 0.97 * 2 * 261


def days_of(kinds, start="2015-01-01", end="2016-12-31"):
    pd = pytest.importorskip("pandas", reason="makes the calendars")
    return [str(date.date()) for date in pd.date_range(start, end) if date.weekday() in kinds]


def loaded(tmp_path, dates):
    lines = [f"{date},{n}" for n, date in enumerate(dates)]
    return load_series(written(tmp_path, "\n".join(["date,v", *lines]) + "\n", "own.csv"))


@pytest.mark.parametrize("kinds", [(0, 1, 2, 3, 4, 5), (6, 0, 1, 2, 3), (1, 3), (0, 2, 4)])
def test_a_week_has_the_days_that_the_series_has(tmp_path, kinds):
    dates = days_of(kinds)
    assert len(loaded(tmp_path, dates).values) == len(dates)
    hole = [date for date in dates if not "2015-05-01" <= date < "2015-06-01"]
    assert "leaves a gap after 2015-04" in refusal(loaded, tmp_path, hole)


def test_one_saturday_is_no_six_day_week_and_half_a_year_no_holiday(tmp_path):
    dates = days_of(range(5))
    for saturdays in (["2015-03-07"], days_of([5])[::13]):  # one, and one a quarter
        both = sorted([*dates, *saturdays])
        assert len(loaded(tmp_path, both).values) == len(both)
    hole = [date for date in dates if not "2015-08-26" <= date < "2015-09-16"]
    assert "2015-09-16 leaves a gap after 2015-08-25" in refusal(loaded, tmp_path, hole)


def test_every_day_of_the_week_has_no_holidays(tmp_path):
    dates = days_of(range(7))
    assert "leaves a gap" in refusal(loaded, tmp_path, dates[:300] + dates[301:])


def test_a_column_that_is_asked_for_makes_the_first_line_names(tmp_path):
    file = written(tmp_path, "Datum,2020\n01.02.2000,5\n01.03.2000,6\n", "own.csv")
    assert load_series(file, "2020").values.tolist() == [5, 6]
    assert "line 1 must have the names" in refusal(load_series, file)


TS = "@dimensions 2\n@classLabel true a b\n@data\n1,2:3,4:a\n5:6:b\n"


def test_signals_of_different_lengths_are_padded_alike(tmp_path):
    written(tmp_path, TS, "own_TRAIN.ts")
    written(tmp_path, TS + "1,2,3:4,5,6:b\n", "own_TEST.ts")
    read = load_signals(str(tmp_path / "own"))
    assert read["train"].inputs.shape == (2, 3, 2) and read["test"].lengths.tolist() == [2, 1, 3]
    assert read["train"].inputs[0].tolist() == [[1, 3], [2, 4], [0, 0]]
    assert read["test"].labels.tolist() == [0, 1, 1] and read["test"].classes == ("a", "b")
    for line, said in [
        ("1,2:3:a", "different lengths"),
        ("1:2:c", "is no class"),
        ("1:2:3:a", "3 channels"),
        ("1:?:a", "values must be numbers"),
        ("1:nan:a", "missing or not finite"),
    ]:
        written(tmp_path, TS + line + "\n", "own_TEST.ts")
        text = refusal(load_signals, str(tmp_path / "own"))
        assert "line 6" in text and said in text
    written(tmp_path, TS.replace("@data\n", "@data\n# 9:9:a\n"), "own_TEST.ts")
    assert load_signals(str(tmp_path / "own"))["test"].lengths.tolist() == [2, 1]
    for other in (TS.replace("true a b", "true b a"), "@classLabel true a b\n@data\n1,2:b\n"):
        written(tmp_path, other, "own_TEST.ts")  # the numbers of classes would be others
        said = refusal(load_signals, str(tmp_path / "own"))
        assert "classes or channels are not those of the train part" in said
    written(tmp_path, "hello\n", "own_TEST.ts")
    assert "no .ts file" in refusal(load_signals, str(tmp_path / "own"))


def test_the_real_files_are_as_described():
    folder = real_data()
    text = load_text("warpeace", folder)
    assert len(text) == 3_196_214 and len(set(text)) == 82 and "\r" not in text
    assert len(load_text("shakespeare", folder)) == 1_115_394
    rolls = load_chorales(data_dir=folder)
    assert [len(r.lengths) for r in rolls.values()] == [229, 76, 77]
    sentences = load_sentences(data_dir=folder)
    assert len(sentences.texts) == 3000 and sentences.labels.sum() == 1500
    assert {site: sentences.sites.count(site) for site in set(sentences.sites)} == {
        "amazon": 1000, "imdb": 1000, "yelp": 1000,
    }  # fmt: skip


def test_sets_inside_packages_are_as_described():
    pytest.importorskip("statsmodels", reason="ships the series")
    co2 = load_series("co2", gaps="previous")
    assert len(co2.values) == 2284 and "59 in all" in refusal(load_series, "co2")
    spots = load_series("sunspots")
    assert (spots.times[0], spots.times[-1], spots.values[-1]) == (1700, 2008, 2.9)
    assert len(load_series("nile").values) == 100
    elnino = load_series("elnino")
    assert len(elnino.values) == 61 * 12 and elnino.values[:2].tolist() == [23.11, 24.2]
    pytest.importorskip("aeon", reason="ships JapaneseVowels")
    vowels = load_signals("vowels")
    assert vowels["train"].inputs.shape == (270, 29, 12)
    assert np.bincount(vowels["train"].labels).tolist() == [30] * 9
    assert len(vowels["test"].labels) == 370 and vowels["test"].lengths.min() == 7
