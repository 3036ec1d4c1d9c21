"""A fitted language model is looked into as a trial is."""

import numpy as np
import pytest

from experiments import char_lm
from experiments.inspect import open_fit
from lstm_jax.fitting import main
from lstm_jax.inspect.pictures import draw_sequence, svg_of
from lstm_jax.record import RunFolderError
from lstm_jax.record.reading import read_run


def test_a_piece_of_the_test_text(tmp_path):
    sizes = {"hidden_size": 6, "embedding_size": 4, "num_epochs": 1, "sample_length": 0}
    flags = [f"--config.{name}={value}" for name, value in sizes.items()]
    workdir = tmp_path / "text"
    config = "--config=configs/char_lm.py:smoke"
    assert main(char_lm.EXPERIMENT, [config, *flags, f"--workdir={workdir}"]) == 0
    run = open_fit(read_run(workdir))
    assert (run.trials(), run.moments(0), run.last_moment(0)) == ([0], [0, 1], 1)
    seen, fresh = run.look(0, 2), run.look(0, 2, 0)
    text = "".join(seen.meta["input_names"][symbol] for symbol in seen.inputs)
    follows = "".join(seen.meta["input_names"][symbol] for symbol in seen.targets.argmax(axis=1))
    assert follows[:-1] == text[1:] and " a " in text
    np.testing.assert_allclose(seen.outputs.sum(axis=1), 1, atol=1e-5)
    nats = -np.log((seen.outputs * seen.targets).sum(axis=1)).mean()
    np.testing.assert_allclose(seen.meta["error"], nats, rtol=1e-4)
    assert nats < fresh.meta["error"] < 1.1 * np.log(23)  # at the start all are as likely
    assert seen.arrays["0/f"].shape == (len(text), 6)
    assert f"{nats:.2f} nats a character" in svg_of(draw_sequence(seen)).decode()
    with pytest.raises(RunFolderError, match="has no trial 1; valid: 0"):
        run.look(1)
    with pytest.raises(RunFolderError, match="keeps no weights of epoch 7; it has those of 0, 1"):
        run.look(0, 0, 7)
