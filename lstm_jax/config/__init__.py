"""Settings and the command line: one table of fields per experiment."""

from lstm_jax.config.command_line import CommandLine, exit_with, parse_command_line, row_configs
from lstm_jax.config.fields import (
    Config,
    ConfigError,
    Field,
    Fields,
    check_config,
    check_value,
    describe_fields,
    make_config,
    parse_arg,
    show,
    valid_values,
)

__all__ = [
    "CommandLine",
    "Config",
    "ConfigError",
    "Field",
    "Fields",
    "check_config",
    "check_value",
    "describe_fields",
    "exit_with",
    "make_config",
    "parse_arg",
    "parse_command_line",
    "row_configs",
    "show",
    "valid_values",
]
