"""Event files read back with TensorBoard's own reader."""

import struct
import zlib

import numpy as np
import pytest
from scipy import stats
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata
from tensorboard.util import tensor_util

from lstm_jax.inspect.board import Board
from lstm_jax.inspect.run_text import run_markdown
from lstm_jax.inspect.tensorboard import DENSE, RunBoard, group_of
from lstm_jax.tables import PaperRow

CONFIG = {"learning_rate": 0.5, "T": 100, "bias": True, "cell": "lstm97", "momentum": None}
CONFIG |= {"input_gate_bias": (-3.0, -6.0)}
SOLVED = {"trial": 7, "status": "SOLVED", "num_sequences": 81_774, "num_wrong": 1}
SOLVED |= {"num_test": 2560, "mean_test_error": 0.0061}
PAPER = PaperRow("t100", "T=100, minimal lag 50", "Table 7", 93, 10, 74_000, 1, 2560)
DIVERGED = {"trial": 8, "status": "DIVERGED", "num_sequences": 900, "num_wrong": None}


def read(folder):
    return EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()  # 0: all of them


def scalars(folder, tag):
    return {
        e.step: tensor_util.make_ndarray(e.tensor_proto).item() for e in read(folder).Tensors(tag)
    }


def text(folder, tag):
    event = read(folder).Tensors(f"{tag}/text_summary")[-1]
    return tensor_util.make_ndarray(event.tensor_proto).ravel()[0].decode()


def session_of(folder):
    content = read(folder).PluginTagToContent("hparams")[metadata.SESSION_START_INFO_TAG]
    return metadata.parse_session_start_info_plugin_data(content)


def session(folder):
    content = read(folder).PluginTagToContent("hparams")
    assert metadata.EXPERIMENT_TAG not in content  # it would hide other settings' fields
    return (
        metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG]),
        metadata.parse_session_end_info_plugin_data(content[metadata.SESSION_END_INFO_TAG]),
    )


def test_progress(tmp_path):
    errors = [0.1, 0.2, 0.3, 0.4, np.nan, np.inf]
    with RunBoard(tmp_path, "t100", 10) as board:
        board.log_progress(1000, errors=errors, num_running=6, num_solved=3, num_failed=1)
        board.log_progress(2000, errors=[0.7], num_running=1)
        board.log_progress(3000, errors=[], num_running=0, sequences_per_second=41_000)
    for tag, q in (("q10", 0.1), ("median", 0.5), ("q90", 0.9)):
        expected = pytest.approx(np.quantile([0.1, 0.2, 0.3, 0.4], q))
        assert scalars(tmp_path, f"error/{tag}") == {1000: expected, 2000: pytest.approx(0.7)}
    interval = stats.t.interval(0.95, 3, loc=0.25, scale=stats.sem([0.1, 0.2, 0.3, 0.4]))
    for tag, value in zip(("mean", "mean_low", "mean_high"), (0.25, *interval), strict=True):
        assert scalars(tmp_path, f"error/{tag}") == {1000: pytest.approx(value)}  # one has none
    fraction = {1000: pytest.approx(0.3), 2000: 0, 3000: 0}
    assert scalars(tmp_path, "progress/fraction_solved") == fraction
    assert scalars(tmp_path, "progress/num_running") == {1000: 6, 2000: 1, 3000: 0}
    assert scalars(tmp_path, "progress/num_failed") == {1000: 1, 2000: 0, 3000: 0}
    assert scalars(tmp_path, "progress/sequences_per_second") == {3000: 41_000}


def test_what_was_logged_is_on_disk_at_once(tmp_path):
    board = RunBoard(tmp_path, "t100", 2)
    board.log_progress(1000, errors=[0.1], num_running=1)
    assert 1000 in scalars(tmp_path, "error/median")
    board.close()
    board.close()
    with pytest.raises(ValueError, match="is closed"):
        board.log_progress(2000, errors=[0.1], num_running=1)


def test_a_setting_is_a_session_with_the_means_of_its_trials(tmp_path):
    with RunBoard(tmp_path, "t100", 3, config=CONFIG, paper=PAPER) as board:
        for trial, count in enumerate((60_000, 80_000)):
            board.log_trial(SOLVED | {"trial": trial, "num_sequences": count})
        board.log_trial(DIVERGED)
        board.log_progress(90_000, errors=[], num_running=0)
    start, end = session(tmp_path / "trials")
    assert start.group_name == group_of("t100", CONFIG)
    assert start.hparams["learning_rate"].number_value == 0.5
    assert start.hparams["T"].number_value == 100
    assert start.hparams["bias"].bool_value is True
    assert start.hparams["cell"].string_value == "lstm97"
    assert start.hparams["momentum"].string_value == "None"
    assert start.hparams["input_gate_bias"].string_value == "(-3.0, -6.0)"
    assert end.status == 2  # STATUS_FAILURE: one was not solved
    assert end.end_time_secs >= start.start_time_secs > 0
    low, high = stats.t.interval(0.95, 1, loc=70_000, scale=stats.sem([60_000, 80_000]))
    share = stats.binomtest(2, 3).proportion_ci(method="wilson")
    expected = {
        "trial/solved": 2 / 3,
        "trial/sequences_to_solve": 70_000,
        "trial/num_wrong": 1,
        "trial/mean_test_error": 0.0061,
        "paper/sequences_to_solve": 74_000,
    }
    for tag, value in expected.items():
        assert scalars(tmp_path / "trials", tag) == {90_000: pytest.approx(value)}, tag
    tags = {tag for tag in read(tmp_path / "trials").Tags()["tensors"] if "/" in tag}
    assert {tag for tag in tags if tag[0] != "_"} - {"trial/when_solved"} == set(
        expected
    )  # the HParams page shows five unasked
    bands = {
        "solved/share": 2 / 3,
        "solved/low": share.low,
        "solved/high": share.high,
        "sequences/mean": 70_000,
        "sequences/low": max(low, 0),
        "sequences/high": high,
    }
    for tag, value in bands.items():
        assert scalars(tmp_path, tag) == {90_000: pytest.approx(value)}, tag
    lines = text(tmp_path, "trials").splitlines()
    assert lines[0] == "2 of 3 trials solved." and len(lines) == 7
    assert lines[4].split("|")[1:4] == [" 0     ", "   SOLVED ", "    60,000 "]


def test_a_row_of_hparams_is_a_setting_whatever_the_seed(tmp_path):
    groups = []
    for number, changed in enumerate(
        ({}, {"seed": 1}, {"num_trials": 9}, {"learning_rate": 1.0}, {"input_gate_bias": (-3.0,)})
    ):
        RunBoard(tmp_path / str(number), "t100", 2, config={"seed": 0} | CONFIG | changed).close()
        groups.append(session_of(tmp_path / str(number) / "trials").group_name)
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups)) == 3 and all(group.startswith("t100 ") for group in groups)


def test_all_solved_is_a_success_and_unfinished_is_not_an_end(tmp_path):
    for name, num_trials in (("whole", 1), ("part", 2)):
        with RunBoard(tmp_path / name, "t100", num_trials) as board:
            board.log_trial(SOLVED)
    assert session(tmp_path / "whole" / "trials")[1].status == 1  # STATUS_SUCCESS
    content = read(tmp_path / "part" / "trials").PluginTagToContent("hparams")
    assert metadata.SESSION_END_INFO_TAG not in content
    assert "trial/sequences_to_solve" in read(tmp_path / "part" / "trials").Tags()["tensors"]
    tags = read(tmp_path / "part").Tags()["tensors"]
    assert "solved/low" in tags and "sequences/low" not in tags  # of one there is no interval


def test_a_hundred_trials_make_two_small_files(tmp_path):
    """As many points as a run of hours has, at the rate of one a chunk."""
    rng = np.random.default_rng(0)
    ends = dict(enumerate(rng.integers(1000, 3000, 100)))
    with RunBoard(tmp_path, "t100", 100, config=CONFIG, paper=PAPER) as board:
        for chunk in range(1, 3_001):
            for trial in [trial for trial, end in ends.items() if end == chunk]:
                board.log_trial(SOLVED | {"trial": trial, "num_sequences": 1000 * chunk})
            errors = rng.uniform(0.01, 0.3, sum(end > chunk for end in ends.values()))
            board.log_progress(1000 * chunk, errors=errors, num_running=len(errors))
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 2
    assert sum(file.stat().st_size for file in files) < 1_000_000
    steps = list(scalars(tmp_path, "progress/num_running"))
    assert steps[-1] == 3_000_000  # whatever is left out, the last is there
    gaps = np.diff([0, *steps])
    assert gaps[: DENSE - 1].max() == 1000  # what short runs show is every chunk
    late = [n for n, step in enumerate(steps) if step > 1_000_000]
    assert np.median(gaps[late] / np.array(steps)[late]) == pytest.approx(1 / DENSE, rel=0.2)
    assert len(text(tmp_path, "trials").splitlines()) == 4 + 100


def test_the_runs_page_and_the_layout(tmp_path):
    with RunBoard(tmp_path, "t100", 10, config=CONFIG) as board:
        told = {"versions": {"jax": "0.10.2"}, "command": ["python", "x.py"], "git_commit": None}
        page = run_markdown("t100", CONFIG, paper=PAPER, provenance=told)
        board.log_text("run", page)
        assert text(tmp_path, "run") == page
    lines = [" ".join(line.split()) for line in page.splitlines()]
    for line in (
        "No trial has ended yet; Table 7 has a mean of 74,000 training sequences.",
        "| learning_rate | `0.5` |",
        "| versions.jax | `0.10.2` |",
        "| command | `python x.py` |",
    ):
        assert line in lines
    assert "git_commit" not in page
    assert "| 74,000 |" in run_markdown("t100", CONFIG, paper=PAPER, table="| 74,000 |")
    event = read(tmp_path).Tensors("custom_scalars__config__")[0]
    layout = layout_pb2.Layout.FromString(tensor_util.make_ndarray(event.tensor_proto).item())
    over, finished = layout.category
    mean, quantiles, lines, solved = over.chart
    series = mean.margin.series[0]
    assert (series.lower, series.value, series.upper) == (
        "error/mean_low",
        "error/mean",
        "error/mean_high",
    )
    series = quantiles.margin.series[0]
    assert (series.lower, series.value, series.upper) == ("error/q10", "error/median", "error/q90")
    assert list(lines.multiline.tag) == ["error/q10", "error/median", "error/q90", "error/mean"]
    assert list(solved.multiline.tag) == ["progress/fraction_solved"]
    share, sequences, both = finished.chart
    assert share.margin.series[0].lower == "solved/low"
    assert sequences.margin.series[0].upper == "sequences/high"
    assert list(both.multiline.tag) == ["trial/sequences_to_solve", "paper/sequences_to_solve"]


def png(width, height):
    """A white picture, made without an image library."""
    rows = zlib.compress(b"".join(b"\0" + b"\xff" * 3 * width for _ in range(height)))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", rows)]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [*chunks, (b"IEND", b"")]
    )
    return b"\x89PNG\r\n\x1a\n" + body


def test_pictures_stand_by_their_steps(tmp_path):
    for step, width in ((1000, 3), (60_000, 5)):
        with Board(tmp_path, f"{step:012d}.trial003") as board:
            board.log_image("gates/trial 3", png(width, 2), step, "what they do")
            board.log_histogram("gate i", [[0.1, 0.9], [0.5, np.nan]], step)
            board.log_histogram("nothing", [np.nan], step)
            board.log_scalar("norm", 2.5, step)
            board.log_text("note", "seen", step)
    found = read(tmp_path)
    events = found.Tensors("gates/trial 3")
    assert [event.step for event in events] == [1000, 60_000]
    width, height, bytes_ = tensor_util.make_ndarray(events[1].tensor_proto)[:3]
    assert (width, height, bytes_) == (b"5", b"2", png(5, 2))
    described = found.SummaryMetadata("gates/trial 3")
    assert described.plugin_data.plugin_name == "images"
    assert described.summary_description == "what they do"
    assert scalars(tmp_path, "norm") == {1000: 2.5, 60_000: 2.5}
    assert text(tmp_path, "note") == "seen"
    assert "nothing" not in found.Tags()["tensors"]
    buckets = tensor_util.make_ndarray(found.Tensors("gate i")[0].tensor_proto)
    assert buckets[:, 2].sum() == 3  # the finite ones


def test_a_picture_again_replaces_it_and_a_failure_leaves_it(tmp_path):
    with Board(tmp_path, "1") as board:
        board.log_scalar("norm", 1.0, 7)
    with Board(tmp_path, "1") as board:
        board.log_scalar("norm", 2.0, 7)
    with (
        pytest.raises(ValueError, match="'gates' is not a PNG file"),
        Board(tmp_path, "1") as board,
    ):
        board.log_image("gates", b"<svg>", 7)
    assert scalars(tmp_path, "norm") == {7: 2.0}
    assert [file.name for file in tmp_path.iterdir()] == ["events.out.tfevents.1"]


def test_a_resumed_run_replaces_what_came_after_its_checkpoint(tmp_path):
    killed = RunBoard(tmp_path, "t100", 2)
    for step in (1000, 2000, 3000, 4000):
        killed.log_progress(step, errors=[0.3], num_running=2)
    killed.log_trial(SOLVED)
    killed.close()
    (first,) = tmp_path.glob("events*")
    with open(first, "ab") as file:
        file.write(b"\x18\0\0\0\0")  # the kill tore its last record

    with RunBoard(tmp_path, "t100", 2, start_step=2000) as board:  # within the same second
        for step in (2000, 3000):
            board.log_progress(step, errors=[0.2], num_running=2)
        board.log_trial(SOLVED)
    found = scalars(tmp_path, "error/median")
    expected = {1000: 0.3, 2000: 0.2, 3000: 0.2}
    assert found == {step: pytest.approx(error) for step, error in expected.items()}
    assert len(read(tmp_path).Tensors("error/median")) == 3
    assert len(list(tmp_path.glob("events*"))) == 2
    assert len(list((tmp_path / "trials").glob("events*"))) == 2
    # the outcome that was logged beyond the checkpoint is dropped, too
    assert scalars(tmp_path / "trials", "trial/solved") == {3000: 1}


def test_a_step_back_is_refused(tmp_path):
    with (
        RunBoard(tmp_path, "t100", 2, start_step=5000) as board,
        pytest.raises(ValueError, match="step 4000 comes after step 5000"),
    ):
        board.log_progress(4000, errors=[0.1], num_running=1)


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "tb").write_text("")
    with pytest.raises(OSError):
        RunBoard(tmp_path / "tb", "t100", 2)


def test_the_share_solved_is_of_the_trials_that_have_ended(tmp_path):
    """Of a run in its middle: those that still run are neither solved nor not."""
    with RunBoard(tmp_path, "t100", 50) as board:
        board.log_trial(SOLVED)
        board.log_trial(DIVERGED)
        board.log_progress(90_000, errors=[0.1], num_running=48)
    share = stats.binomtest(1, 2).proportion_ci(method="wilson")
    for tag, value in (("share", 0.5), ("low", share.low), ("high", share.high)):
        assert scalars(tmp_path, f"solved/{tag}") == {90_000: pytest.approx(value)}
