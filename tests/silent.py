"""A worker of the benchmarks that never answers."""

import time

if __name__ == "__main__":
    time.sleep(120)
