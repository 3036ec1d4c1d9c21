"""The reference laboratory for gated recurrent networks, in JAX."""

from lstm_jax.cells import (
    CELLS,
    Cell,
    elman,
    gru,
    irnn,
    lstm,
    lstm97,
    mgu,
    min_gru,
    min_lstm,
    mut1,
    mut2,
    mut3,
    slstm,
)
from lstm_jax.gradients import GRADIENT_RULES, GradientRule
from lstm_jax.network import Network, NetworkParams, network, num_weights
from lstm_jax.readout import Readout, readout
from lstm_jax.stopping import Outcome, StopRule, all_of, consecutive_correct, mean_error_below
from lstm_jax.tasks import (
    TASKS,
    Example,
    Task,
    adding,
    embedded_reber,
    long_lag_2a,
    long_lag_2b,
    long_lag_2c,
    multiplication,
    temporal_order,
    two_sequence,
)
from lstm_jax.trial import Hyper, Trial, TrialState, make_trial
from lstm_jax.unroll import unroll

__version__ = "0.1.0"

__all__ = [
    "CELLS",
    "GRADIENT_RULES",
    "TASKS",
    "Cell",
    "Example",
    "GradientRule",
    "Hyper",
    "Network",
    "NetworkParams",
    "Outcome",
    "Readout",
    "StopRule",
    "Task",
    "Trial",
    "TrialState",
    "adding",
    "all_of",
    "consecutive_correct",
    "elman",
    "embedded_reber",
    "gru",
    "irnn",
    "long_lag_2a",
    "long_lag_2b",
    "long_lag_2c",
    "lstm",
    "lstm97",
    "make_trial",
    "mean_error_below",
    "mgu",
    "min_gru",
    "min_lstm",
    "multiplication",
    "mut1",
    "mut2",
    "mut3",
    "network",
    "num_weights",
    "readout",
    "slstm",
    "temporal_order",
    "two_sequence",
    "unroll",
]
