"""The loop of `unroll` in other forms, each equal to its scan and tested so."""
