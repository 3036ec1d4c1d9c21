"""What a figure depends on: processor, versions, flags, commit; and files to write it to."""

import argparse
import datetime
import importlib.metadata
import os
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstm_jax.config.flags import is_no_file
from lstm_jax.record.provenance import surroundings

ROOT = Path(__file__).resolve().parents[1]
BUSY = 0.5  # load average above which a figure is not the machine's own
PEERS = ("torch", "keras", "dm-haiku", "equinox")  # Flax is among our own packages


def available_cores() -> list[int]:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def machine(module: str) -> dict[str, Any]:
    """Provenance of the figures that ``python -m module`` prints.

    Example:
      >>> about = machine("benchmarks")
      >>> about["cores"] >= 1, about["isa"] in ("avx512", "avx2", "sse", "other")
      (True, True)
    """
    about = surroundings()
    for name in PEERS:
        try:
            about["versions"][name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            about["versions"][name] = None
    return about | {
        "cpu": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "design": _design(),
        "cores": len(available_cores()),
        "isa": _isa(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join([f"python -m {module}", *sys.argv[1:]]),
    }


def kind(about: Mapping[str, Any]) -> str:
    """The kind of machine that a record's name carries: cores, vectors, the processor's design.

    Borrowed machines do not tell by the processor's name: two designs, three times apart in speed,
    both say "AMD EPYC". Of figures that were taken on a GPU it is the GPU's name.

    Example:
      >>> kind({"cores": 2, "isa": "avx512", "cpu": "Intel(R) Xeon(R) Processor"})
      '2-core-avx512-intel'
      >>> kind({"cores": 4, "isa": "avx2", "cpu": "12th Gen Intel(R) Core(TM) i7-1260P"})
      '4-core-avx2-intel'
      >>> kind({"cores": 2, "isa": "avx512", "cpu": "AMD EPYC", "design": "family25"})
      '2-core-avx512-amd-family25'
      >>> kind({"device": {"platform": "gpu", "kind": "NVIDIA H200"}})
      'nvidia-h200'
    """
    device = about.get("device", {})
    if device.get("platform", "cpu") != "cpu":
        return re.sub(r"[^a-z0-9]+", "-", device["kind"].lower()).strip("-")
    maker = re.search(r"intel|amd|apple|ampere|arm", about["cpu"].lower())
    parts = [f"{about['cores']}-core", about["isa"], maker and maker[0], about.get("design")]
    return "-".join(part for part in parts if part)


def headline(about: Mapping[str, Any]) -> str:
    """The machine and the versions in one line, and whether the machine does other work.

    Example:
      >>> print(headline({"cpu": "x", "cores": 2, "isa": "avx2", "versions": {"jax": "1"},
      ...                 "load": 3.0}))
      x, 2 cores, avx2; jax 1
      the machine is busy (load 3.0): times are longer than alone
    """
    versions = ", ".join(f"{n} {v or 'not installed'}" for n, v in about["versions"].items())
    line = f"{about['cpu']}, {about['cores']} cores, {about['isa']}; {versions}"
    device = about.get("device", {})
    if device.get("platform", "cpu") != "cpu":
        line = f"{device['kind']}, {device['version']}; {line}"
    if about["load"] and about["load"] > BUSY:
        line += f"\nthe machine is busy (load {about['load']:.1f}): times are longer than alone"
    return line


def new_file(text: str) -> Path:
    """A file that can be written, of a command's argument."""
    path = Path(text)
    if is_no_file(path):  # asked before it is opened: a pipe would wait for a reader
        raise argparse.ArgumentTypeError(f"{text}: is there and is no file")
    is_new = not path.exists()
    try:
        with open(path, "a"):  # asking for permission says nothing to root, nor of a full disk
            pass
        if is_new:
            path.unlink()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: cannot be written ({error.strerror})") from None
    return path


def whole(low: int, high: int):
    """Reads a whole number within bounds from a command's argument.

    Example:
      >>> whole(1, 9)("7")
      7
    """

    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number in {low}..{high}")
        return int(text)

    return parse


def _cpuinfo(field: str) -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    pairs = (line.partition(":")[::2] for line in lines)
    return next((value.strip() for name, value in pairs if name.strip() == field), "")


def _design() -> str | None:
    """What tells a maker's designs apart: of AMD's the family, of Intel's the model."""
    vendor = _cpuinfo("vendor_id")
    if vendor == "AuthenticAMD":
        return "family" + _cpuinfo("cpu family")
    return "model" + _cpuinfo("model") if vendor == "GenuineIntel" else None


def _isa() -> str:
    """The widest vectors: of the processor, or of those that XLA is allowed."""
    flags = set(_cpuinfo("flags").split())
    for name, flag in (("avx512", "avx512f"), ("avx2", "avx2"), ("sse", "sse2")):
        if flag in flags:
            return name
    return "other"
