"""`import lstm_jax` is quick, and leaves the heavy libraries to those who need them."""

import json
import statistics
import subprocess
import sys

LIMIT_S = 1.5
HEAVY = ("matplotlib", "tensorboardX", "tensorboard", "ml_collections", "torch", "scipy.stats")

SCRIPT = """
import json, sys, time
start = time.process_time()
import lstm_jax
print(json.dumps([time.process_time() - start, sorted(sys.modules)]))
"""


def measure() -> tuple[float, set[str]]:
    """Seconds to import the package in a fresh interpreter, and the modules it loaded.

    Processor time: an idle machine's wall time, and the same beside other work.
    """
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120
    )
    seconds, names = json.loads(run.stdout)
    return seconds, set(names)


def test_import_is_quick_and_light():
    measure()  # the first one reads the disk
    runs = [measure() for _ in range(3)]
    assert not {name for name in HEAVY if name in runs[0][1]}
    seconds = statistics.median(seconds for seconds, _ in runs)
    assert seconds < LIMIT_S, f"import lstm_jax took {seconds:.2f} s, the median of 3"
