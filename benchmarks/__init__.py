"""Speed of lstm_jax beside other libraries, measured in one run: `python -m benchmarks.paper_scale`."""
