"""What is set in JAX and XLA for the experiments, in one place, and why.

Nothing here runs at import. An experiment calls `configure` before it computes anything; a
setting that the user has made already is left alone.
"""

import ctypes
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lstm_jax import stored_programs

SMALL_WHILE = "xla_cpu_small_while_loop_byte_threshold"
NO_UNROLLING = "xla_cpu_disable_loop_unrolling"
FEWER_KERNELS = "xla_cpu_use_multi_output_fusion"
VECTOR_WIDTH = "xla_cpu_prefer_vector_width"
XLA = "XLA_FLAGS"
EXTRA = "--xla_backend_extra_options="
EXTRAS = (SMALL_WHILE, NO_UNROLLING, FEWER_KERNELS)
"""What goes behind `EXTRA`."""
OURS = "LSTM_JAX_XLA_OPTIONS"
"""Where `configure` says what of XLA_FLAGS is its own, for the processes that inherit both."""

DEVICES = "JAX_NUM_CPU_DEVICES"
CACHE = "JAX_COMPILATION_CACHE_DIR"
SHORTEST = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
JAX_HAS = {CACHE: None, SHORTEST: 1.0}
"""What these are in JAX's config where nobody has set them."""
WHILE_GRAPHS = "xla_gpu_enable_command_buffer"

MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": (-3, 2**30),
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**30),
    "MALLOC_ARENA_MAX": (-8, 1),  # the heaps of threads end at 64 MB, what is larger is unmapped
}
"""By what glibc calls them in the environment: their numbers for `mallopt`, and our values."""

UNSOUND = {
    "0.11.1": "writes the whole stacked output of a loop again at each step on the CPU",
    "0.11.2.dev": "writes the whole stacked output of a loop again at each step on the CPU",
}
"""Versions of jaxlib with a fault that makes results late or wrong, by how they begin."""


class Setting(NamedTuple):
    """One runtime setting: what it is, its value, and why."""

    name: str
    value: str
    why: str


def num_cores() -> int:
    """The cores this process may use.

    Example:
      >>> num_cores() >= 1
      True
    """
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def settings(num_devices: int | None = None, *, small: bool = True) -> list[Setting]:
    """The settings `configure` would make now, given what the environment already holds.

    Args:
      num_devices: CPU devices to make; by default one per core this process may use.
      small: whether to make those that suit networks of tens of units and harm larger ones.

    Example:
      >>> names = [setting.name for setting in settings(num_devices=2)]
      >>> "JAX_NUM_CPU_DEVICES" in names or "JAX_NUM_CPU_DEVICES" in os.environ
      True
      >>> SMALL_WHILE in [setting.name for setting in settings(small=False)]
      False
    """
    flags = given_flags()
    wanted = []
    if small and SMALL_WHILE not in flags:
        why = "a time loop becomes one kernel: 0.1 us a step in place of 1.5 us of dispatch"
        wanted.append(Setting(SMALL_WHILE, "1000000000", why))
    if small and NO_UNROLLING not in flags:
        why = "at 8 and 16 lanes unrolled loops lose their vectors: three times slower"
        wanted.append(Setting(NO_UNROLLING, "true", why))
    if small and VECTOR_WIDTH not in flags:
        why = "programs of lanes alone: 16 networks to a register, where the processor has such"
        wanted.append(Setting(VECTOR_WIDTH, "512", why))
    if not small and FEWER_KERNELS not in flags:
        why = "a step's elementwise results come from fewer kernels: 19 calls in place of 36"
        wanted.append(Setting(FEWER_KERNELS, "true", why))
    if gpu_expected() and WHILE_GRAPHS not in flags:
        why = "a time loop is launched as one CUDA graph and not kernel by kernel"
        wanted.append(Setting(WHILE_GRAPHS, "+WHILE", why))
    forced = "xla_force_host_platform_device_count" in flags
    if not forced and DEVICES not in os.environ:
        count = num_devices or num_cores()
        what = "lanes are sharded" if small else "batches are spread"
        why = f"{what} over devices, so that every core works"
        wanted.append(Setting(DEVICES, str(count), why))
    if not small and mallopt() and not any(map(os.environ.get, (*MALLOC, "GLIBC_TUNABLES"))):
        why = "memory of one call serves the next: 20,000 page faults less in a training step"
        wanted += [Setting(name, str(value), why) for name, (_, value) in MALLOC.items()]
    if CACHE not in os.environ:
        cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "lstm_jax"
        why = "a second start finds its programs compiled"
        wanted.append(Setting(CACHE, str(cache), why))
    if SHORTEST not in os.environ:
        why = "the small ones too, of which a start has many: JAX keeps those of a second and more"
        wanted.append(Setting(SHORTEST, "0", why))
    if flags and not flags.startswith("-"):  # the name of a file, for XLA, which takes it alone
        wanted = [setting for setting in wanted if not _is_flag(setting)]
    return wanted


def _is_flag(setting: Setting) -> bool:
    """Whether it goes into XLA_FLAGS."""
    return setting.name in (*EXTRAS, WHILE_GRAPHS)


def lane_options(platform: str) -> dict[str, int]:
    """What a program of lanes is compiled with on a platform, unless the user has set it.

    Not a flag for all programs: the order of the sums in a matrix product follows the width.

    Example:
      >>> lane_options("gpu")
      {}
    """
    given = VECTOR_WIDTH in given_flags()
    return {VECTOR_WIDTH: 512} if platform == "cpu" and not given else {}


def given_flags() -> str:
    """XLA_FLAGS without what a `configure` put there, in this process or in one that started it.

    A process chooses for its own programs: `FEWER_KERNELS`, inherited from one that trains large
    networks, would move the roundings of trials, whose bits are those of their key and number.

    Example:
      >>> made = configure(num_devices=2)
      >>> any(setting.name in given_flags() for setting in made)
      False
    """
    ours = os.environ.get(OURS, "").split()
    given = []
    for flag in os.environ.get(XLA, "").split():
        if flag.startswith(EXTRA):
            options = [o for o in flag.removeprefix(EXTRA).split(",") if o not in ours]
            given += [EXTRA + ",".join(options)] if options else []
        elif flag not in ours:
            given.append(flag)
    return " ".join(given)


def mallopt() -> Callable[[int, int], int] | None:
    """The C library's way to set its `malloc`, where it is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "mallopt", None)


def gpu_expected() -> bool:
    """Whether JAX is going to compute on an NVIDIA GPU, as far as can be told without asking it.

    Example:
      >>> gpu_expected() and os.environ.get("JAX_PLATFORMS") == "cpu"
      False
    """
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms and not {"cuda", "gpu"} & set(platforms.split(",")):
        return False
    plugins = ("jax_cuda12_plugin", "jax_cuda13_plugin")
    return Path("/dev/nvidia0").exists() and any(map(importlib.util.find_spec, plugins))


def refusal(version: str) -> str | None:
    """Why this version of jaxlib is not to be used, and what to do; None where it may be.

    Example:
      >>> refusal("0.10.2") is None
      True
      >>> refusal("0.11.1")[:43]
      'jaxlib 0.11.1 writes the whole stacked outp'
    """
    for begin, fault in UNSOUND.items():
        if version == begin or (begin.endswith("dev") and version.startswith(begin)):
            return f"jaxlib {version} {fault}; 0.10.2, 0.11.0 and 0.12 do not"
    return None


def configure(num_devices: int | None = None, *, small: bool = True) -> list[Setting]:
    """Makes the settings, before the first computation; returns what it set.

    XLA reads its flags once, when the first array is made, so this has to come first. The
    settings suit networks of tens of units; from about 64 hidden units on, where a step is a
    matrix product, leave `small` out: products and threads of a library stay out of such loops.
    JAX's cache of compiled programs gets its entries whole from then on (`stored_programs`).

    Args:
      num_devices, small: as for `settings`.

    Raises:
      SystemExit: for a version of jaxlib with a fault that would spoil the run; for commands.

    Example:
      >>> made = configure(num_devices=2)
      >>> all(setting.why for setting in made)
      True
    """
    reason = refusal(importlib.metadata.version("jaxlib"))
    if reason:
        print(f"error: {reason}", file=sys.stderr)
        raise SystemExit(2)
    made = settings(num_devices, small=small)
    imported = "jax" in sys.modules
    before = {name: os.environ.get(name) for name in (XLA, OURS, DEVICES)}
    extra = [f"{s.name}={s.value}" for s in made if s.name in EXTRAS]
    whole = [f"--{s.name}={s.value}" for s in made if s.name == WHILE_GRAPHS]
    flags = given_flags().split()
    options = [flag.removeprefix(EXTRA) for flag in flags if flag.startswith(EXTRA)] + extra
    flags = [flag for flag in flags if not flag.startswith(EXTRA)] + whole
    os.environ[XLA] = " ".join(flags + ([EXTRA + ",".join(options)] if options else []))
    os.environ[OURS] = " ".join(extra + whole)
    for setting in made:
        if setting.name.startswith("JAX_"):
            os.environ[setting.name] = setting.value
        if setting.name in MALLOC and (set_malloc := mallopt()):
            set_malloc(*MALLOC[setting.name])
            os.environ[setting.name] = setting.value  # for those who look, and for children
    import jax  # only now: it reads the JAX_ variables at its import

    stored_programs.keep_whole()
    if _has_computed():  # in a notebook, say: what XLA and JAX have read stands, and is on record
        made = [s for s in made if not _is_flag(s) and s.name != DEVICES]
        os.environ.update({name: value for name, value in before.items() if value is not None})
        for name in [name for name, value in before.items() if value is None]:
            del os.environ[name]
    # Where jax was imported before, the environment comes too late for it; the config does not.
    for setting in list(made):
        name = setting.name.lower()
        if name == "jax_num_cpu_devices":
            jax.config.update(name, int(setting.value))
        elif setting.name in JAX_HAS:
            value = float(setting.value) if setting.name == SHORTEST else setting.value
            if imported and getattr(jax.config, name) not in (JAX_HAS[setting.name], value):
                made.remove(setting)  # the user's choice, made in Python
                del os.environ[setting.name]
            else:
                jax.config.update(name, value)
    return made


def _has_computed() -> bool:
    """Whether JAX has its devices; from then on neither their number nor XLA's flags change."""
    import jax

    name = "jax_num_cpu_devices"
    count = getattr(jax.config, name)
    try:
        jax.config.update(name, count + 2)  # of the same number it would not complain
    except RuntimeError:
        return True
    jax.config.update(name, count)
    return False
