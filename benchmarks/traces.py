"""What the forward traces of the 1997 rule need in memory: the same for any T."""

LENGTHS = (1000, 10_000, 100_000)


def trace_memory() -> dict[str, dict[str, int]]:
    """Bytes of the compiled gradient of one sequence, by T.

    Eight cells in four blocks, B=1, eight inputs, an error at the end, as in the paper; compiled
    only.

    Example:
      >>> temporary = [own["temp_bytes"] for own in trace_memory().values()]
      >>> max(temporary) <= min(temporary) + 256
      True
    """
    import jax
    import jax.numpy as jnp

    from lstm_jax.cells import lstm97
    from lstm_jax.gradients import GRADIENT_RULES
    from lstm_jax.network import network
    from lstm_jax.readout import readout
    from lstm_jax.tasks.task import Example

    net = network(lstm97(8, 4, 2), readout(8, 1, activation="identity"))
    rule = GRADIENT_RULES["traces"](net, "end")
    params = jax.eval_shape(net.init, jax.random.key(0))
    made: dict[str, dict[str, int]] = {}
    for T in LENGTHS:
        example = jax.eval_shape(
            lambda T=T: Example(jnp.zeros((T, 8)), jnp.zeros(1), jnp.zeros((), jnp.int32))
        )
        memory = jax.jit(rule).lower(params, example).compile().memory_analysis()
        assert memory is not None
        made[str(T)] = {
            "temp_bytes": memory.temp_size_in_bytes,
            "input_bytes": 4 * 8 * T,
        }
    return made
