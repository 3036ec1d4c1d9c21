"""Speed of lstm_jax beside other libraries, in one run: `python -m benchmarks.paper_scale`."""
