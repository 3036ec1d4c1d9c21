"""What the factories of tasks accept."""


def require_whole(name: str, value: object, least: int) -> None:
    """Raises where `value` is not a whole number of at least `least`.

    Raises:
      ValueError: one line that names the argument.

    Example:
      >>> require_whole("T", 2.0, least=1)
      Traceback (most recent call last):
      ValueError: T: 2.0 is not valid; it must be a whole number >= 1
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}: {value!r} is not valid; it must be a whole number >= {least}")
