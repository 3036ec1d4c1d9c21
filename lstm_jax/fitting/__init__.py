"""Fitting models to data sets: epochs over real sequences, beside the trials of `runner`.

A trial draws its sequences as it goes, and thousands of them run side by side. A fit passes over
data that are given, again and again, and is judged by data held out.
"""

from lstm_jax.fitting.batches import Batches, Text, in_order, shuffled, streams
from lstm_jax.fitting.board import FitBoard
from lstm_jax.fitting.classification import Labelled, classification
from lstm_jax.fitting.command import Entry, Fitting, main, open_folder
from lstm_jax.fitting.loop import fit
from lstm_jax.fitting.model import Mean, Metrics, Model, mean_of
from lstm_jax.fitting.optimizer import build_optimizer, build_schedule
from lstm_jax.fitting.problem import DivergedError, Fitted, Problem
from lstm_jax.fitting.repeats import REPEATED, Repeat, Repeats, describe_repeats, fit_repeats
from lstm_jax.fitting.start import WeightsError, find_weights, start_weights
from lstm_jax.fitting.steps import FitState, make_advance, make_evaluate

__all__ = [
    "REPEATED",
    "Batches",
    "DivergedError",
    "Entry",
    "FitBoard",
    "FitState",
    "Fitted",
    "Fitting",
    "Labelled",
    "Mean",
    "Metrics",
    "Model",
    "Problem",
    "Repeat",
    "Repeats",
    "Text",
    "WeightsError",
    "build_optimizer",
    "build_schedule",
    "classification",
    "describe_repeats",
    "find_weights",
    "fit",
    "fit_repeats",
    "in_order",
    "main",
    "make_advance",
    "make_evaluate",
    "mean_of",
    "open_folder",
    "shuffled",
    "start_weights",
    "streams",
]
