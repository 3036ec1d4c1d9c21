"""Pages read as a browser reads them, and folders of runs made without running anything."""

from html.parser import HTMLParser

import numpy as np

from lstm_jax.record import RunFolder
from lstm_jax.report.player import playback


class Page(HTMLParser):
    """Checks that every element is closed in order, and keeps what is referred to."""

    VOID = {"meta", "br", "link", "img", "hr", "input"}

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.targets, self.words = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.handle_startendtag(tag, attrs)

    def handle_startendtag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            elif name in ("href", "src", "xlink:href"):
                self.targets.append(value)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data):
        self.words.append(data)


CONFIG = {"task": "adding", "T": 100, "num_trials": 3, "max_sequences": 500_000}
CONFIG |= {"error_limit": 0.01, "input_gate_bias": (-3.0, -6.0), "momentum": None}


def make_run(path, row="t100", num_finished=3, **config):
    """A run folder with some of its trials ended, as an experiment leaves it."""
    rng = np.random.default_rng(0)
    with RunFolder.open(path, CONFIG | config, row) as folder:
        folder.write_provenance(device_kind="cpu", num_devices=2, reading="init_range=0.5")
        curves = {}
        for trial in range(num_finished):
            count = 60_000 + 1000 * trial
            record = {"row": row, "trial": trial, "status": "SOLVED", "num_sequences": count}
            record |= {"num_wrong": 2, "num_test": 2560, "mean_test_error": 0.0071}
            folder.append_trial(record | {"num_weights": 93})
            curves[trial] = np.geomspace(0.2, 0.009, count // 1000) * rng.uniform(0.9, 1.1)
        if curves:
            folder.save_curves(curves, 1000)
    return path


def make_fit(path, num_epochs=3, finished=True):
    """The folder of a fit to a data set."""
    with RunFolder.open(path, {"data": "text", "num_epochs": 3}, "lstm", unit="epoch") as folder:
        folder.write_provenance(device_kind="cpu", num_devices=1)
        for epoch in range(1, num_epochs + 1):
            measures = {
                part: {"loss": 2.5 / epoch + n} for n, part in enumerate(("train", "valid"))
            }
            folder.append({"epoch": epoch, "row": "lstm", "best": epoch < 3} | measures)
            folder.write_file(f"samples/epoch-{epoch:04d}.txt", b"=== temperature 1\n<so it goes>")
        if finished:
            test = {"loss": 2.25, "bits": 3.246}
            folder.write_result({"row": "lstm", "num_weights": 1234, "test": test, "best": None})
    return path


def make_fits(path, num_finished=4):
    """The folder of two cross-validations of two folds, some of their fits ended."""
    config = {"data": "own", "num_epochs": 3, "num_folds": 2, "num_seeds": 2}
    with RunFolder.open(path, config, "all", unit="fit") as folder:
        folder.write_provenance(device_kind="cpu", num_devices=1)
        for fit in range(num_finished):
            measures = {"loss": 0.5 + fit / 8, "accuracy": 0.75 + fit / 100}
            record = {"fit": fit, "row": "all", "seed": fit // 2, "fold": fit % 2}
            record |= {"num_weights": 321, "best_epoch": 2, "train_loss": [0.7, 0.6, 0.5]}
            record |= {"valid_loss": [0.8, 0.7, 0.75], "valid": measures}
            folder.append(record | {"test": measures, "answers": [0, 1]})
    return path


def make_origins(path, num_finished=3):
    """The folder of forecasts two steps ahead: the network is one off, persistence three."""
    with RunFolder.open(path, {"series": "own", "num_origins": 3}, "own") as folder:
        folder.write_provenance(device_kind="cpu", num_devices=1)
        for trial in range(num_finished):
            record = {"trial": trial, "origin": 50 + trial, "label": str(1990 + trial)}
            record |= {"truth": [5.0, 6.0], "forecasts": {"network": [6.0, 5.0]}}
            record["forecasts"]["persistence"] = [2.0, 3.0]
            folder.append_trial(record | {"updates": [7, 9], "intervals": {}})
    return path


def make_playback(title="trained, sequence 0", T=30, H=4, seed=0):
    """A sequence of the adding problem and arrays that a cell might have had."""
    rng = np.random.default_rng(seed)
    marks = (3, T // 2)
    inputs = np.stack([rng.uniform(-1, 1, T), np.isin(np.arange(T), marks)], axis=1)
    gate = 1 / (1 + np.exp(-rng.normal(-3, 1, (T, H)) - 7 * inputs[:, 1:]))
    arrays = {"c": np.cumsum(gate * inputs[:, :1], axis=0), "i": gate, "net_i": gate}
    targets = np.full((T, 1), np.nan)
    targets[-1] = 0.5
    outputs = arrays["c"][:, :1]
    names = ("value", "marker")
    return playback(title, inputs, arrays, outputs, targets, input_names=names, marks=marks)
