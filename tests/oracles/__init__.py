"""Independent re-statements of the papers, in plain Python or NumPy float64.

Written from the published equations, never from `lstm_jax`: readable first, slow on purpose.
"""
