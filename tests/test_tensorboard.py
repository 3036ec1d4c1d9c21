"""Event files read back with TensorBoard's own reader."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata
from tensorboard.util import tensor_util

from lstm_jax.inspect.tensorboard import RunBoard

CONFIG = {"learning_rate": 0.5, "T": 100, "bias": True, "cell": "lstm97", "momentum": None}
CONFIG |= {"input_gate_bias": (-3.0, -6.0)}
SOLVED = {"trial": 7, "status": "SOLVED", "num_sequences": 81_774, "num_wrong": 1}
SOLVED |= {"num_test": 2560, "mean_test_error": 0.0061}
DIVERGED = {"trial": 8, "status": "DIVERGED", "num_sequences": 900, "num_wrong": None}


def read(folder):
    return EventAccumulator(str(folder)).Reload()


def scalars(folder, tag):
    return {
        e.step: tensor_util.make_ndarray(e.tensor_proto).item() for e in read(folder).Tensors(tag)
    }


def text(folder, tag):
    event = read(folder).Tensors(f"{tag}/text_summary")[-1]
    return tensor_util.make_ndarray(event.tensor_proto).ravel()[0].decode()


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
        board.log_progress(2000, errors=[], num_running=0, sequences_per_second=41_000)
    for tag, q in (("q10", 0.1), ("median", 0.5), ("q90", 0.9)):
        expected = pytest.approx(np.quantile([0.1, 0.2, 0.3, 0.4], q))
        assert scalars(tmp_path, f"error/{tag}") == {1000: expected}
    assert scalars(tmp_path, "progress/fraction_solved") == {1000: pytest.approx(0.3), 2000: 0}
    assert scalars(tmp_path, "progress/num_running") == {1000: 6, 2000: 0}
    assert scalars(tmp_path, "progress/num_failed") == {1000: 1, 2000: 0}
    assert scalars(tmp_path, "progress/sequences_per_second") == {2000: 41_000}


def test_what_was_logged_is_on_disk_at_once(tmp_path):
    board = RunBoard(tmp_path, "t100", 2)
    board.log_progress(1000, errors=[0.1], num_running=1)
    assert 1000 in scalars(tmp_path, "error/median")
    board.close()
    board.close()
    with pytest.raises(ValueError, match="is closed"):
        board.log_progress(2000, errors=[0.1], num_running=1)


def test_a_trial_is_a_session_of_its_setting(tmp_path):
    with RunBoard(tmp_path, "t100", 10, config=CONFIG) as board:
        board.log_trial(SOLVED)
        board.log_trial(DIVERGED)
    start, end = session(tmp_path / "trials" / "07")
    assert start.group_name == "t100"
    assert start.hparams["learning_rate"].number_value == 0.5
    assert start.hparams["T"].number_value == 100
    assert start.hparams["bias"].bool_value is True
    assert start.hparams["cell"].string_value == "lstm97"
    assert start.hparams["momentum"].string_value == "None"
    assert start.hparams["input_gate_bias"].string_value == "(-3.0, -6.0)"
    assert end.status == 1  # STATUS_SUCCESS
    assert end.end_time_secs >= start.start_time_secs > 0
    found = {
        tag: scalars(tmp_path / "trials" / "07", f"trial/{tag}")
        for tag in ("solved", "sequences_to_solve", "num_wrong", "mean_test_error")
    }
    assert found == {
        "solved": {81_774: 1},
        "sequences_to_solve": {81_774: 81_774},
        "num_wrong": {81_774: 1},
        "mean_test_error": {81_774: pytest.approx(0.0061)},
    }
    outcome = text(tmp_path / "trials" / "07", "trial/outcome")
    assert outcome == "- Trial 7: SOLVED after 81,774 sequences; 1 of 2,560 test sequences wrong."

    assert session(tmp_path / "trials" / "08")[1].status == 2  # STATUS_FAILURE
    assert scalars(tmp_path / "trials" / "08", "trial/solved") == {900: 0}
    tags = set(read(tmp_path / "trials" / "08").Tags()["tensors"])
    assert "trial/sequences_to_solve" not in tags and "trial/num_wrong" not in tags


def test_many_trials_share_one_session(tmp_path):
    with RunBoard(tmp_path, "t100", 3, max_trial_runs=2) as board:
        for trial, count in enumerate((60, 80)):
            board.log_trial(SOLVED | {"trial": trial, "num_sequences": count})
        board.log_trial(DIVERGED)
    assert [folder.name for folder in (tmp_path / "trials").iterdir()] == ["all"]
    folder = tmp_path / "trials" / "all"
    assert scalars(folder, "trial/sequences_to_solve") == {900: 70}
    assert scalars(folder, "trial/solved") == {900: pytest.approx(2 / 3)}
    assert len(text(folder, "trial/outcome").splitlines()) == 3
    assert session(folder)[1].status == 2


def test_texts_and_layout(tmp_path):
    with RunBoard(tmp_path, "t100", 10, config=CONFIG) as board:
        board.log_text("table", "| paper | ours |")
    assert "| learning_rate | `0.5` |" in text(tmp_path, "config").splitlines()
    assert text(tmp_path, "table") == "| paper | ours |"
    event = read(tmp_path).Tensors("custom_scalars__config__")[0]
    layout = layout_pb2.Layout.FromString(tensor_util.make_ndarray(event.tensor_proto).item())
    margin, lines, solved = layout.category[0].chart
    series = margin.margin.series[0]
    assert (series.lower, series.value, series.upper) == ("error/q10", "error/median", "error/q90")
    assert list(lines.multiline.tag) == ["error/q10", "error/median", "error/q90"]
    assert list(solved.multiline.tag) == ["progress/fraction_solved"]


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
    assert len(list((tmp_path / "trials" / "07").iterdir())) == 1


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
