"""One file per experiment: its fields, and the settings of each row of the paper's table."""
