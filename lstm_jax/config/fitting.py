"""The settings of experiments on data sets: one table for the fitting, one for the layers."""

from typing import Any

from lstm_jax.config.fields import ConfigError, Field, Fields
from lstm_jax.config.standard import MOST_STEPS, NETWORK, RUN

FITTING: Fields = {
    "seed": RUN["seed"],
    "rows": RUN["rows"],
    "num_epochs": Field(
        10,
        "passes over the training data; 0: the weights that it begins with are tested",
        low=0,
        high=100_000,
    ),
    "batch_size": Field(32, "examples (of a text: streams) per update", low=1, high=10**6),
    "optimizer": Field("adam", "update rule", choices=("adam", "sgd", "nesterov", "rmsprop")),
    "learning_rate": Field(0.002, "step of the optimizer at the start", above=0.0),
    "momentum": Field(
        0.9, "sgd, nesterov: share of the last step that is taken again", low=0.0, high=0.9999
    ),
    "decay": Field(
        0.95, "rmsprop: share of the mean square that is kept at each update", low=0.0, high=0.9999
    ),
    "schedule": Field(
        "constant",
        "learning rate over time. exponential: times schedule_factor per epoch, after "
        "schedule_after epochs; step: times schedule_factor every schedule_after epochs; cosine: "
        "falls to zero at the end of the last epoch",
        choices=("constant", "exponential", "step", "cosine"),
    ),
    "schedule_factor": Field(0.95, "factor of exponential and step", above=0.0, high=1.0),
    "schedule_after": Field(
        10,
        "exponential: epochs before the first factor, one at the least; step: epochs between two",
        low=0,
        high=10**6,
    ),
    "clip_norm": Field(
        None, "bound of a gradient's norm over all weights; auto: none", above=0.0, of=float
    ),
    "weight_decay": Field(
        0.0, "share of each weight, times the learning rate, that an update takes away", low=0.0
    ),
    "patience": Field(
        0,
        "epochs without a better validation loss after which the run ends; 0: it never does so",
        low=0,
        high=10**6,
    ),
    "init_range": Field(
        None,
        "initial weights are uniform in [-init_range, init_range]; auto: each part's own",
        above=0.0,
        of=float,
    ),
    "init_from": Field(
        "", "run folder or file of weights to start from; empty: fresh weights", of=str
    ),
    "chunk": Field(
        None,
        "updates per call of the compiled program; auto: chosen so that progress shows about "
        "every second; changes no result",
        low=1,
        high=MOST_STEPS,
        of=int,
    ),
}

LAYERS: Fields = {
    "cell": NETWORK["cell"]._replace(default="lstm"),
    "hidden_size": Field(128, "units of each layer (lstm97: memory cells)", low=1, high=10_000),
    "num_layers": Field(1, "layers over each other", low=1, high=100),
    "forget_bias": NETWORK["forget_bias"],
    "switches": NETWORK["switches"],
    "cell_options": NETWORK["cell_options"],
    "bidirectional": Field(False, "whether each layer runs in both directions, side by side"),
    "residual": Field(False, "whether a layer's inputs are added to its outputs"),
    "dropout": Field(
        0.0, "share of the numbers between layers that training sets to zero", low=0.0, high=0.99
    ),
}

POOLING: Fields = {
    "pooling": Field(
        "last",
        "what a sequence's outputs come to. last: that of the last step (of the first, for layers "
        "that run backwards); mean, max: unit by unit; dot, additive: attention",
        choices=("last", "mean", "max", "dot", "additive"),
    ),
    "attention_size": Field(32, "additive: units of the attention", low=1, high=10_000),
}


CLASSIFYING: Fields = {
    **{name: field for name, field in FITTING.items() if name != "chunk"},
    **LAYERS,
    **POOLING,
    "l2": Field(
        0.0001,
        "weight of the penalty 1/2 sum w^2 on matrices other than the words' vectors; not on "
        "vectors: biases, peepholes, the query of an attention",
        low=0.0,
    ),
}
"""Of many small fits of a classifier of sequences, an epoch a call."""


def check_fitting(config: Any) -> None:
    """Raises ConfigError where fields of FITTING and LAYERS contradict each other.

    Example:
      >>> from lstm_jax.config import make_config, standard_fields
      >>> config = make_config(standard_fields(FITTING), schedule="step", schedule_after=0)
      >>> check_fitting(config)
      Traceback (most recent call last):
      lstm_jax.config.fields.ConfigError: config.schedule_after=0: must be at least 1 where
      config.schedule=step
    """
    if config.schedule == "step" and config.schedule_after < 1:
        raise ConfigError("config.schedule_after=0: must be at least 1 where config.schedule=step")
    if "cell" in config and config.cell != "lstm" and tuple(config.switches) != ("NP",):
        raise ConfigError(
            f"config.switches={','.join(config.switches)}: is defined for config.cell=lstm only; "
            f"with {config.cell} it must be NP"
        )
