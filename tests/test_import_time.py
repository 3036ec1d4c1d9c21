"""`import lstm_jax` is quick, and leaves the heavy libraries to those who need them."""

import json
import os
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


def test_tensorboard_brings_no_torch_along_and_leaves_it_to_be_imported(tmp_path):
    """tensorboardX imports PyTorch wherever it is installed; here is one that would tell."""
    (tmp_path / "torch.py").write_text("print('imported')\nclass Tensor: pass\n")
    code = (
        "from lstm_jax.inspect.event_file import tensorboardx\n"
        "tensorboardx().summary.scalar('name', 1.0)\n"
        "print('written')\n"
        "import torch"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert run.stdout.split() == ["written", "imported"], run.stderr


def test_a_second_start_compiles_nothing(tmp_path):
    """Not even what takes JAX less than the second from which it keeps programs by default."""
    code = (
        "from lstm_jax import runtime\n"
        "runtime.configure(1)\n"
        "import jax\n"
        "seen = []\n"
        "jax.monitoring.register_event_listener(lambda event, **_: seen.append(event))\n"
        "jax.jit(lambda x: 2 * x)(1.0)\n"
        "print(*(seen.count(f'/jax/compilation_cache/cache_{n}') for n in ('hits', 'misses')))"
    )
    ours = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    clean["XDG_CACHE_HOME"] = str(tmp_path)
    starts = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean
        ).stdout.split()
        for _ in range(2)
    ]
    assert starts[0][0] == "0" and int(starts[0][1]) > 0
    assert starts[1] == [starts[0][1], "0"]
