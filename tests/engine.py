"""A trial small enough to compile in a moment: what the tests of trial and runner train.

One block of one cell learns to give back the mean of two numbers. It is the real `make_trial`
with the real rule, stop rule and kernel; only the initial weights and the sequences come from one
draw each, because compiling random numbers is most of the time of such small programs.
"""

import jax
import jax.numpy as jnp
import optax

from lstm_jax.cells import lstm97
from lstm_jax.gradients import traces
from lstm_jax.kernels import lanes_last
from lstm_jax.network import network
from lstm_jax.readout import readout
from lstm_jax.stopping import all_of, consecutive_correct, mean_error_below
from lstm_jax.tasks import Example, Task
from lstm_jax.tasks.task import fresh_tests
from lstm_jax.trial import make_trial

T, D = 3, 1
LIMIT = 0.25


def make_network():
    net = network(lstm97(D, 1, 1), readout(1, 1, activation="identity"))
    leaves, tree = jax.tree.flatten(jax.eval_shape(net.init, jax.random.key(0)))
    total = sum(leaf.size for leaf in leaves)

    def init(key, init_range=0.1):
        drawn = init_range * jax.random.uniform(key, (total,), minval=-1.0, maxval=1.0)
        parts, start = [], 0
        for leaf in leaves:
            parts.append(drawn[start : start + leaf.size].reshape(leaf.shape))
            start += leaf.size
        return jax.tree.unflatten(tree, parts)

    return net._replace(init=init)


def make_task():
    def sample(key, trial=0):
        del trial
        inputs = jax.random.uniform(key, (T, D), minval=-1.0, maxval=1.0)
        length = jnp.where(inputs[2, 0] > 0, 3, 2).astype(jnp.int32)
        inputs = jnp.where(jnp.arange(T)[:, None] < length, inputs, 0.0)
        return Example(inputs, (inputs[0] + inputs[1]) / 2, length)

    def error(outputs, example):
        return jnp.mean(jnp.abs(outputs - example.targets))

    def squared_error(outputs, example):
        return jnp.mean((outputs - example.targets) ** 2)

    def correct(outputs, example):
        return error(outputs, example) < LIMIT

    return Task(
        name="mean of two",
        input_size=D,
        target_size=1,
        length=T,
        mean_length=2.5,
        timing="end",
        sample=sample,
        error=error,
        squared_error=squared_error,
        correct=correct,
        test=fresh_tests(sample),
    )


def make_small_trial(max_sequences=300, num=10, mean_error=0.2, batch_size=1, kernel=lanes_last):
    net = make_network()
    stop = all_of(consecutive_correct(num), mean_error_below(mean_error, window=num))
    return make_trial(
        net,
        make_task(),
        traces(net, "end"),
        stop,
        optax.sgd,
        max_sequences=max_sequences,
        batch_size=batch_size,
        kernel=kernel,
    )
