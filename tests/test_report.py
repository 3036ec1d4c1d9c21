"""The report: what stands in which cell, what is said of what was not run, and that it is whole."""

import math

import pytest
from scipy import stats

from lstm_jax.config import Field
from lstm_jax.readings import Reading
from lstm_jax.report import (
    ReportRow,
    ReportTable,
    grids,
    load_records,
    pictures,
    replace_results,
    report_html,
    report_markdown,
    results_table_markdown,
    rows,
    write_report,
)
from lstm_jax.summary import mean_interval, summarize
from lstm_jax.tables import PaperRow, comparison_markdown
from tests.pages import Page

NAN = math.nan


def make_records(name, solved=(), exhausted=(), diverged=(), **fields):
    """Trials in order: sequences at success, at the cap, at divergence."""
    counts = [("SOLVED", n) for n in solved]
    counts += [("EXHAUSTED", n) for n in exhausted] + [("DIVERGED", n) for n in diverged]
    return [
        {"row": name, "trial": trial, "status": status, "num_sequences": count} | fields
        for trial, (status, count) in enumerate(counts)
    ]


def make_tables():
    """One row of every kind."""
    tested = {"num_wrong": 3, "num_test": 2560, "mean_test_error": 0.00614, "num_weights": 93}
    staged = make_records("t4-t100-n3", range(30_000, 40_000, 1_000), num_wrong=1, num_test=2560)
    for record in staged:
        record["stages"] = {"ST1": record["num_sequences"] - 5_000, "ST2": record["num_sequences"]}
    t1 = [
        PaperRow("t1-rtrl3", "RTRL", "Table 1", 170, 30, 173_000, None, 0, solved=NAN),
        PaperRow("t1-elman", "ELM", "Table 1", 435, 30, NAN, None, 0, solved=0.0, cap=200_000),
        PaperRow("t1-rcc", "RCC", "Table 1", None, 30, 182_000, None, 0, solved=0.5, cited=True),
        PaperRow("t1-lstm-3x2-0.5", "3 blocks of 2", "Table 1", 276, 30, 8_440, None, 0),
    ]
    t4 = PaperRow(
        *("t4-t100-n3", "T=100, N=3", "Table 4", 102, 10, 39_850, 5, 25_600),
        first_stage=27_380,
        fraction_wrong=0.000195,
    )
    t7 = [
        PaperRow("t7-t100", "T=100", "Table 7", 93, 10, 74_000, 1, 2560),
        PaperRow("t7-t500", "T=500", "Table 7", 93, 10, 209_000, 0, 2560),
        PaperRow("t7-t1000", "T=1000", "Table 7", 93, 10, 853_000, 1, 2560),
    ]
    t8 = PaperRow("t8-13", "n_seq=13", "Table 8", 93, 10, 1_273_000, 14, 2560, test_error=0.0139)
    provenance = {
        "total_wall_seconds": 125.0,
        "sessions": [
            {
                "command": ["python", "-m", "experiments.paper1997"],
                "versions": {"jax": "0.10.2"},
                "git_commit": "85a901ce562d210cb89875202e45353f3595aff0",
                "git_dirty": False,
                "device_kind": "cpu",
                "num_devices": 2,
            }
        ],
    }
    return [
        ReportTable(
            "Table 1",
            "Embedded Reber grammar",
            [
                ReportRow(t1[0], make_records("t1-rtrl3", [160_000], num_weights=170)),
                ReportRow(
                    t1[1],
                    make_records("t1-elman", exhausted=[50_000] * 30, num_weights=435),
                    {"max_sequences": 50_000},
                ),
                ReportRow(t1[2]),
                ReportRow(t1[3]),
            ],
        ),
        ReportTable("Table 4", "Two sequences", [ReportRow(t4, staged)]),
        ReportTable(
            "Table 7",
            "Adding <problem>",
            [
                ReportRow(
                    t7[0],
                    make_records("t7-t100", range(65_000, 75_000, 1_000), **tested),
                    {"reading": "identity output", "wall_s": 41.2, "provenance": provenance},
                ),
                ReportRow(
                    t7[1],
                    make_records("t7-t500", [210_000, 220_000], [500_000] * 7, [9_000], **tested),
                    {"max_sequences": 500_000, "reading": "identity output"},
                ),
                ReportRow(
                    t7[2],
                    make_records("t7-t1000", range(2_000_000, 3_000_000, 100_000), **tested),
                    {"explanation": "the plateau is left late"},
                ),
            ],
        ),
        ReportTable(
            "Table 8", "Multiplication", [ReportRow(t8, make_records("t8-13", [9], **tested))]
        ),
    ]


DEVIATIONS = {
    "Experiment 4": (
        {"output_unit": Field("identity", "f")},
        [Reading("output_unit", "logistic", "squashing of `y`", "measured: 0.04 < 0.1")],
    )
}


def cells(grid, row):
    """A row of a grid by its heads."""
    (found,) = [line for line in grid.rows if line[0] == row]
    return dict(zip(grid.heads, map(str, found), strict=True))


def table(title):
    (found,) = [table for table in make_tables() if table.title == title]
    return found


@pytest.fixture(scope="module")
def page():
    return report_html(make_tables(), deviations=DEVIATIONS, provenance={"python": "3.11.7"})


def test_the_paper_beside_ours_in_its_own_columns():
    found = cells(grids.published_grid(table("Table 7")), "t7-t100")
    assert found["T"] == "100"
    assert found["minimal lag"] == "50"
    assert found["weights"] == "93 | 93"
    assert found["wrong predictions"] == "1 of 2,560 | 3.0 of 2,560"
    assert found["success after [sequences]"] == "74,000 | 69,500"
    assert found["solved"] == "100% | 10/10 [72%, 100%]"
    assert found["median [95%]"] == "69,500 [65,000, 72,000]"
    assert found["ratio [95%]"].startswith("0.94 [0.9")
    assert found["test error"] == "0.0061"


def test_two_criteria():
    found = cells(grids.published_grid(table("Table 4")), "t4-t100-n3")
    assert found["stop: ST1 [sequences]"] == "27,380 | 29,500"
    assert found["stop: ST2 [sequences]"] == "39,850 | 34,500"
    assert found["ST2: fraction misclassified"] == "0.000195 | 0.000391"


def test_censored_trials():
    grid = grids.published_grid(table("Table 7"))
    found = cells(grid, "t7-t500")
    assert found["success after [sequences]"] == "209,000 | 215,000"  # of the solved
    assert found["solved"].startswith("100% | 2/10")
    assert found["median [95%]"] == ">500,000 [210,000, >500,000]"
    said = {note.text: note.rows for note in grids.notes(table("Table 7"))}
    assert said["7 of 10 trials ended at the cap of 500,000 sequences, unsolved"] == ("t7-t500",)
    assert said["1 of 10 trials diverged"] == ("t7-t500",)


def test_rows_without_a_mean():
    grid = grids.published_grid(table("Table 1"))
    mean = "success after [sequences]"
    assert cells(grid, "t1-elman")[mean] == ">200,000 | >50,000"
    assert cells(grid, "t1-rcc")[mean] == "182,000 | cited only"
    assert cells(grid, "t1-lstm-3x2-0.5")[mean] == "8,440 | not run"
    assert cells(grid, "t1-rtrl3")["success"].startswith("some | 1/1")
    said = {(row, note.text) for note in grids.notes(table("Table 1")) for row in note.rows}
    assert ("t1-rcc", "cited by the paper from other authors; not run here") in said
    assert ("t1-lstm-3x2-0.5", "not run") in said
    assert any(row == "t1-elman" and "the paper's cap is 200,000" in text for row, text in said)
    assert ("t1-rtrl3", "1 trials; the paper's mean is of 30") in said


def test_agreement():
    verdicts = {line[0]: line[5] for line in grids.ratio_grid(make_tables()).rows}
    assert verdicts == {
        "t1-lstm-3x2-0.5": "not run",
        "t4-t100-n3": "yes",
        "t7-t100": "yes",
        "t7-t500": "mean only",  # 2 of 10 solved against 10 of 10
        "t7-t1000": "no",
        "t8-13": "no",
    }
    text = " ".join(grids.headline(make_tables()))
    assert "3 of 6 LSTM rows have a mean within a factor of 2" in text
    assert "2 of them also solve" in text
    assert "Rows with trials that were not solved: t7-t500." in text
    explained = {note.rows[0]: note.text for note in grids.explanations(make_tables())}
    assert explained["t7-t1000"] == "the plateau is left late"
    assert explained["t8-13"] == "no explanation recorded"
    found = rows.agreement(grids.own_rows(make_tables()))
    assert (found.num_rows, found.num_compared, found.num_within) == (6, 5, 3)


def row_of(counts, exhausted=(), num_trials=10, mean=1_000.0, solved=1.0, **others):
    paper = PaperRow("x", "", "Table 7", 93, num_trials, mean, None, 0, solved=solved, **others)
    return ReportRow(paper, make_records("x", counts, exhausted))


@pytest.mark.parametrize(
    ("mean", "within"), [(499, 0), (500, 1), (1_000, 1), (2_000, 1), (2_001, 0), (NAN, 0)]
)
def test_a_mean_within_a_factor_of_two_agrees_ends_included(mean, within):
    row = row_of([] if math.isnan(mean) else [mean] * 10, exhausted=[5_000] * 10)
    found = rows.agreement([row])
    assert (found.num_compared, found.num_within) == (int(not math.isnan(mean)), within)
    assert math.isnan(found.geometric_mean) == math.isnan(mean)


def test_the_share_solved_agrees_unless_fisher_finds_it_unlikely():
    """Of 10 trials each, all ways to place the failures counted out."""

    def exact(ours, theirs):  # two-sided: tables no likelier than the one there is
        ways = [math.comb(10, k) * math.comb(10, ours + theirs - k)
                for k in range(11) if 0 <= ours + theirs - k <= 10]  # fmt: skip
        here = math.comb(10, ours) * math.comb(10, theirs)
        return sum(way for way in ways if way <= here) / sum(ways)

    seen = set()
    for theirs in (10, 7, 3, 0):
        for ours in range(11):
            row = row_of([900] * ours, [5_000] * (10 - ours), solved=theirs / 10)
            agrees = exact(ours, theirs) >= 0.05
            assert rows.share_agrees(row) == agrees
            close = rows.agreement([row])
            assert (close.num_within, close.num_agreeing) == (int(ours > 0), int(ours and agrees))
            seen.add((agrees, 0.01 < exact(ours, theirs) < 0.1))
    assert len(seen) == 4
    some = row_of([900], [5_000] * 9, solved=NAN)  # "some": nothing to hold ours against
    assert rows.share_agrees(some)


@pytest.mark.parametrize(("theirs", "num_trials"), [(2, 3), (29, 30), (7, 9), (18, 19)])
def test_a_published_share_is_a_whole_number_of_trials(theirs, num_trials):
    """2/3 of 3 trials is 2, however the quotient was rounded: ours of the same share agrees."""
    share = round(theirs / num_trials, 3)
    same = row_of([900] * theirs, [5_000] * (num_trials - theirs), num_trials, solved=share)
    assert rows.share_agrees(same)
    ours = 8 * num_trials  # of that many, as few as theirs and one less
    for solved in range(0, ours + 1, num_trials):
        row = row_of([900] * solved, [5_000] * (ours - solved), num_trials, solved=share)
        exact = stats.fisher_exact([[solved, ours - solved], [theirs, num_trials - theirs]]).pvalue
        assert rows.share_agrees(row) == (exact >= 0.05)


def test_a_ratio_has_the_interval_of_our_mean_over_the_papers():
    counts = [700, 900, 1_200, 1_500, 800]
    ratio, low, high = rows.ratio_of(row_of(counts, [9_000], mean=2_000))
    assert ratio == pytest.approx(sum(counts) / 5 / 2_000)
    ends = mean_interval(counts)
    assert (low, high) == pytest.approx((ends[0] / 2_000, ends[1] / 2_000))
    assert all(map(math.isnan, rows.ratio_of(row_of([], [9_000]))))


def test_a_stage_that_was_not_met_is_no_count_of_it():
    row = row_of([700, 900, 1_200])
    for record, stages in zip(
        row.records, [{"ST1": 400}, {"ST1": 600, "ST2": 900}, None], strict=True
    ):
        record["stages"] = stages
    assert (rows.stage_mean(row, "ST1"), rows.stage_mean(row, "ST2")) == (500, 900)
    assert math.isnan(rows.stage_mean(row, "ST3"))


def test_rows_of_others_are_those_of_other_methods_and_those_that_are_cited():
    assert not rows.is_rival(row_of([900]))
    assert rows.is_rival(row_of([900], cited=True))
    assert rows.is_rival(row_of([900])._replace(info={"settings": {"method": "RTRL"}}))


def test_more_trials_than_the_paper_has_are_told_apart_from_as_many():
    paper = PaperRow("t7-t100", "T=100", "Table 7", 93, 3, 1_000, None, 0)
    counts = [1_000, 1_500, 2_000, 9_000, 9_000]  # three: 1.5 times the paper's, all: 4.5
    records = make_records("t7-t100", counts, num_weights=93)[::-1]
    few, all_ = (
        " ".join(grids.headline([ReportTable("Table 7", "", [ReportRow(paper, given)])]))
        for given in (records[2:], records)
    )
    assert few.startswith("1 of 1 LSTM rows") and "as many a row" not in few
    assert all_.startswith("0 of 1 LSTM rows") and "as the paper has, that is 1 and 1." in all_


def test_an_unknown_table_gets_the_columns_it_has():
    paper = PaperRow("x", "a new setting", "Table 1 of 2001", 12, 5, 400, 2, 100)
    grid = grids.published_grid(ReportTable("New", "", [ReportRow(paper)]))
    assert grid.heads[:5] == ("row", "setting", "weights", "mean sequences", "wrong predictions")
    assert cells(grid, "x")["setting"] == "a new setting"


def test_markdown_says_all_of_it():
    text = report_markdown(
        make_tables(),
        deviations=DEVIATIONS,
        provenance={"versions": {"python": "3.11.7"}},
        pictures={"Table 7": "pictures/t7.png"},
    )
    assert r"| 1 of 2,560 \| 3.0 of 2,560 |" in text
    assert "![Success times of Table 7](pictures/t7.png)" in text
    assert "## Deviations from the papers" in text and "\n### Experiment 4" in text
    assert "- versions.python: 3.11.7" in text
    assert "2 x cpu | 0.10.2 | 85a901ce56 | python -m experiments.paper1997" in text
    assert "41.2 s" in text
    assert "- `t7-t100`, `t7-t500`: identity output" in text
    lines = [line.replace(r"\|", "") for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) < len(lines)  # tables, and each is even:
    for before, line in zip(lines, lines[1:], strict=False):
        if "--" in line:
            assert line.count("|") == before.count("|")


def test_every_published_value_is_in_both(page):
    text = report_markdown(make_tables()) + results_table_markdown(make_tables())
    words = "".join(Page(page).words)
    values = ["173,000", ">200,000", "182,000", "8,440", "39,850", "27,380", "0.000195", "74,000"]
    for value in [*values, "209,000", "853,000", "1,273,000", "0.0139", "14 of 2,560", "some"]:
        assert value in text, value
        assert value in words, value


def test_the_page_is_whole_and_alone(page):
    found = Page(page)
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert all(target.startswith("#") for target in found.targets)
    assert {target[1:] for target in found.targets} <= set(found.ids)
    for outside in ("http:", "https:", "url(http", "@import", "<script", "<link"):
        assert outside not in page, outside
    assert page.count("<svg") == 5  # a picture a table, and the ratios
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    assert "Adding &lt;problem&gt;" in page and "<problem>" not in page


def test_the_page_has_deviations_and_provenance(page):
    assert "squashing of <code>y</code>" in page
    assert "0.04 &lt; 0.1" in page
    assert '<td class="changed">identity</td>' in page
    assert "85a901ce56" in page and "<code>3.11.7</code>" in page


def test_the_pictures_use_the_colors_of_the_page(page):
    svg = page[page.index("<svg") : page.rindex("</svg>")]
    for color in pictures.VARIABLES:
        assert color not in svg
    assert "var(--ink)" in svg and "var(--unsolved)" in svg


def test_the_picture_of_times():
    figure = pictures.draw_times(table("Table 7"))
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert "training sequences" in axes.get_xlabel()
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "t7-t100",
        "t7-t500",
        "t7-t1000",
    ]
    lines = {
        line.get_marker(): line for line in axes.lines if line.get_color() == pictures.UNSOLVED
    }
    assert lines["o"].get_markerfacecolor() == "none"
    assert sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() == "x") == 1
    at = [list(line.get_xdata()) for line in axes.lines if line.get_color() == pictures.PAPER]
    assert [74_000, 74_000] in at
    low, high = axes.get_xlim()
    assert low < 65_000 and high > 2_900_000
    assert {"74,000", "10/10", "2/10"} <= {text.get_text() for text in axes.texts}


def test_the_same_records_give_the_same_bytes(page):
    again = report_html(make_tables(), deviations=DEVIATIONS, provenance={"python": "3.11.7"})
    assert again == page


def test_writes_files_and_nothing_else(tmp_path):
    paths = write_report(tmp_path, make_tables()[1:3])
    assert {path.relative_to(tmp_path).as_posix() for path in paths} == {
        *("report.html", "report.md"),
        *("pictures/table-4.png", "pictures/table-7.png", "pictures/ratios.png"),
    }
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(paths)
    for path in paths[2:]:
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert f"(pictures/{path.name})" in paths[1].read_text()


def test_the_table_of_the_readme():
    text = results_table_markdown(make_tables())
    line = next(line for line in text.splitlines() if "t7-t100 " in line)
    assert [cell.strip() for cell in line.replace(r"\|", "/").strip("|").split("|")] == [
        *("t7-t100", "93 / 93", "10/10", "74,000 / 69,500", "0.94", "yes")
    ]
    assert "t1-elman" not in text  # a rival
    readme = "before\n<!-- results:begin -->\nold\n<!-- results:end -->\nafter\n"
    once = replace_results(readme, text)
    assert once.startswith("before\n<!-- results:begin -->\n") and once.endswith("-->\nafter\n")
    assert "old" not in once
    assert replace_results(once, text) == once


@pytest.mark.parametrize("text", ["", "<!-- results:end --><!-- results:begin -->"])
def test_a_text_without_its_markers(text):
    with pytest.raises(ValueError, match="results:begin"):
        replace_results(text, "new")


def test_records_that_cannot_be_used(tmp_path):
    path = tmp_path / "x.jsonl"
    for content in ("{", "[1]", '{"status": "SOLVED"}'):
        path.write_text('{"trial": 0}\n' + content + "\n")
        with pytest.raises(ValueError, match=r"x\.jsonl, line 2"):
            load_records(path)
    paper = table("Table 8").rows[0].paper
    with pytest.raises(ValueError, match="its records are of"):
        report_markdown([ReportTable("Table 8", "", [ReportRow(paper, make_records("t7", [9]))])])
    both = [make_records("t8-13", [9_000])]
    with pytest.raises(ValueError, match="'t8-13': max_sequences=10"):
        info = {"max_sequences": 10}
        report_markdown([ReportTable("Table 8", "", [ReportRow(paper, both[0], info)])])
    with pytest.raises(ValueError, match="appear twice: t8-13"):
        report_markdown([ReportTable("Table 8", "", [ReportRow(paper), ReportRow(paper)])])
    with pytest.raises(ValueError, match="no rows"):
        report_markdown([])


def test_a_row_with_a_bound_in_the_short_tables():
    paper = table("Table 1").rows[1].paper
    text = comparison_markdown([(paper, summarize(make_records("t1-elman", [9_000])), {})])
    assert r">200,000 \| 9,000" in text
    cited = table("Table 1").rows[2].paper
    text = comparison_markdown([(cited, summarize(make_records("t1-rcc", [9_000])), {})])
    assert r"- \| -" in text and "nan" not in text


def test_wrong_predictions_are_those_of_a_solved_trial():
    """3 in each of the two that were solved, of 10 that were run."""
    found = cells(grids.published_grid(table("Table 7")), "t7-t500")
    assert found["wrong predictions"] == "0 of 2,560 | 3.0 of 2,560"


def test_the_headline_counts_the_nets_of_the_papers_size():
    """Of the rows that were run; the one of Table 4 says of itself no number."""
    assert "4 of 5 have the paper's number of weights." in grids.headline(make_tables())
