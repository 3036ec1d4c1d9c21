"""Results do not depend on the generator that a user has set for keys of their own."""

import jax


def assert_default_generator_is_of_no_concern(function, *given):
    """The program is the same under another default. `given` has keys made under the first."""

    def program():
        return jax.jit(lambda *args: function(*args)).lower(*given).as_text()  # traced anew

    as_is = program()
    with jax.default_prng_impl("rbg"):
        assert program() == as_is
