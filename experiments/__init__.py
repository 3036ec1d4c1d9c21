"""The published experiments, one module each: the paper's rows as data, and a command."""
