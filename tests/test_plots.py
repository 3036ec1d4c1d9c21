"""The learning-curve picture: a whole PNG or none, and what is drawn in it."""

import sys

import numpy as np
import pytest

from lstm_jax.inspect import plots
from lstm_jax.inspect.plots import plot_learning_curves
from lstm_jax.tables import PaperRow

T100 = PaperRow("t100", "T=100, minimal lag 50", "Table 7", 93, 10, 74_000, 1, 2560)


def make_run(num_trials, num_windows=80):
    """Trials in turn solved, exhausted, diverged; the last one still running."""
    rng = np.random.default_rng(num_trials)
    curves, records = {}, []
    for trial in range(num_trials):
        status = ("SOLVED", "SOLVED", "EXHAUSTED", "DIVERGED")[trial % 4]
        curve = np.geomspace(0.3, 0.009 if status == "SOLVED" else 0.2, num_windows)
        curves[trial] = (curve * rng.uniform(0.9, 1.1, num_windows)).astype(np.float32)
        if status == "DIVERGED":
            curves[trial][-3:] = [np.nan, 1024.0, 0.0]
        if trial < num_trials - 1 or num_trials == 1:
            count = 1000 * num_windows + 500
            records.append({"trial": trial, "status": status, "num_sequences": count})
    return curves, records


@pytest.fixture
def figure_of(monkeypatch, tmp_path):
    """Draws, and returns the figure that would be saved."""

    def draw(*args):
        kept = []
        monkeypatch.setattr(plots, "_save", lambda figure, path: kept.append(figure))
        plot_learning_curves(tmp_path / "c.png", *args)
        return kept[0]

    return draw


@pytest.mark.parametrize("num_trials", [1, 10, 100])
def test_writes_a_png_and_nothing_else(tmp_path, monkeypatch, num_trials):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # global state: not to be imported
    path = tmp_path / "curves.png"
    path.write_text("of an earlier run")
    curves, records = make_run(num_trials)
    assert plot_learning_curves(path, curves, records, T100, "adding", 0.01, 1000) == path
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


def test_what_is_drawn(figure_of):
    figure = figure_of(*make_run(10), T100, "adding", 0.01, 1000)
    upper, lower = figure.axes
    assert upper.get_title(loc="left") == "adding"
    assert upper.get_yscale() == "log"
    assert upper.get_ylabel() == "mean absolute training error\n(of each 1,000 sequences)"
    assert lower.get_xlabel() == "training sequences"
    texts = [text.get_text() for text in upper.get_legend().get_texts()]
    assert texts[:4] == [
        "2 not solved",
        "5 solved (dot: when)",
        "2 diverged (cross: when)",
        "1 still running",
    ]
    assert "paper, Table 7: mean 74,000" in texts
    assert "criterion: error < 0.01" in texts
    assert "ours: mean 80,500\n(of 5 solved)" in texts
    for axes in figure.axes:
        assert [74_000, 74_000] in [list(line.get_xdata()) for line in axes.lines]
    low, high = upper.get_ylim()
    assert low > 0.001 and high < 1  # a diverged trial does not stretch the axis


def test_unsolved_trials_are_drawn_differently(figure_of):
    upper = figure_of(*make_run(10), None, "adding", None, 1000).axes[0]
    style = {(line.get_color(), line.get_linestyle()) for line in upper.lines if len(line._x) > 9}
    assert len(style) == 4


def test_the_papers_mean_is_in_sight_of_a_short_run(figure_of):
    figure = figure_of(*make_run(3, num_windows=5), T100, "adding", 0.01, 1000)
    assert figure.axes[1].get_xlim()[1] > 74_000


@pytest.mark.parametrize(("cap", "shown"), [(5_000_000, True), (None, False)])
def test_a_paper_without_a_mean_gets_no_line(figure_of, cap, shown):
    """Its bound, if it gives one, stands in the legend; the axis does not reach for it."""
    unknown = T100._replace(num_sequences=float("nan"), cap=cap)
    figure = figure_of(*make_run(3, num_windows=5), unknown, "adding", 0.01, 1000)
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert ("paper, Table 7: mean >5,000,000" in texts) == shown
    assert any("paper" in text for text in texts) == shown
    assert figure.axes[1].get_xlim()[1] < 10_000
    for axes in figure.axes:
        assert not any(line.get_color() == plots.PAPER for line in axes.lines)


def test_one_long_trial_makes_the_axis_logarithmic(figure_of):
    curves, records = make_run(5)
    records[2]["num_sequences"] = 5_000_000
    assert figure_of(curves, records, T100, "adding", 0.01, 1000).axes[1].get_xscale() == "log"


def test_long_curves_are_pooled_by_their_means(figure_of):
    curve = np.linspace(0.1, 0.2, 601)
    upper = figure_of({0: curve}, [], None, "adding", None, 1000).axes[0]
    times, errors = upper.lines[0].get_data()
    assert len(times) == 201 and times[0] == 3000 and times[-1] == 601_000
    assert errors[0] == pytest.approx(curve[:3].mean()) and errors[-1] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("curves", "records"),
    [
        ({0: np.zeros(0)}, []),
        ({}, [{"trial": 0, "status": "SOLVED", "num_sequences": 900}]),
        ({0: np.full(4, np.nan)}, [{"trial": 0, "status": "DIVERGED", "num_sequences": 4000}]),
    ],
)
def test_runs_with_nearly_nothing(tmp_path, curves, records):
    plot_learning_curves(tmp_path / "c.png", curves, records, T100, "adding", 0.01, 1000)
    assert (tmp_path / "c.png").stat().st_size > 1000


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match="no learning curves to draw"):
        plot_learning_curves(tmp_path / "c.png", {}, [], None, "adding", 0.01, 1000)
    with pytest.raises(ValueError, match="curve_every=0"):
        plot_learning_curves(tmp_path / "c.png", *make_run(1), None, "adding", 0.01, 0)
    with pytest.raises(OSError):
        plot_learning_curves(tmp_path / "no" / "c.png", *make_run(1), None, "adding", 0.01, 1000)
    assert list(tmp_path.iterdir()) == []
