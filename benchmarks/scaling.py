"""How cost grows with T, hidden units and trials side by side; what a second core gives.

The trials are rows of the paper regime; the rest is measured here, forward and backward.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.compare import Start, joined, measure
from benchmarks.shapes import Row, Shape

LENGTHS = tuple(Shape(T, 1, 8, 8) for T in (100, 300, 1000, 3000, 10_000, 100_000))
SIZES = tuple(Shape(100, 64, 64, H) for H in (16, 32, 64, 128, 256, 512))
MAX_BYTES = 200_000
ALONE = Row("ours")
PEERS = (Row("torch"), Row("flax"))


def together(num_cores: int) -> Row:
    """Ours with a batch spread over a device a core, by the kernel that serves any size then."""
    return Row("ours", num_devices=num_cores, kernel="spread")


def measure_scaling(repeats: int, num_cores: int, start: Start) -> dict[str, Any]:
    """The rows of this regime: sequences of several lengths, layers of several sizes.

    Rows by size come on one device and on as many as there are cores, and beside two peers.
    """
    lengths = measure([Row("ours", small=True)], LENGTHS, repeats, start)
    devices = [ALONE, together(num_cores)] if num_cores > 1 else [ALONE]
    sizes = measure([*devices, *PEERS], SIZES, repeats, start)
    made = joined(lengths, sizes)
    settings = {"by length": lengths["settings"], "by size": sizes["settings"]}
    training = [row for row in made["rows"] if row["job"] == "training"]
    return made | {"rows": training, "settings": settings}


def points(
    record: Mapping[str, Any], shapes: Sequence[Shape], label: str
) -> list[tuple[Shape, float]]:
    """The shapes that a record has for a row, with their seconds in training.

    Example:
      >>> record = {"rows": [{"row": "a", "shape": LENGTHS[0].label, "job": "training",
      ...                     "seconds": 2.0}]}
      >>> points(record, LENGTHS, "a") == [(LENGTHS[0], 2.0)]
      True
    """
    seconds = {
        row["shape"]: row["seconds"]
        for row in record["rows"]
        if row["row"] == label and row["job"] == "training"
    }
    return [(shape, seconds[shape.label]) for shape in shapes if shape.label in seconds]


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The power of x with which y grows, by least squares of the logarithms.

    Example:
      >>> round(slope([1, 10, 100], [2, 200, 20_000]), 6)
      2.0
    """
    import numpy as np

    return float(np.polyfit(np.log(xs), np.log(ys), 1)[0])


def draw(scaling: Mapping[str, Any], paper: Mapping[str, Any], path: Path) -> None:
    """The four plots as one PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    one, all_ = ALONE.label, together(scaling["cores"]).label
    labels = [one, all_, *(row.label for row in PEERS)]
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.6), layout="constrained")
    _draw_lengths(axes[0, 0], points(scaling, LENGTHS, one))
    _draw_trials(axes[0, 1], paper)
    _draw_sizes(axes[1, 0], {n: points(scaling, SIZES, n) for n in labels})
    _draw_cores(axes[1, 1], points(scaling, SIZES, one), points(scaling, SIZES, all_), paper)
    for axis in axes.flat:
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _draw_lengths(axis: Any, found: Sequence[tuple[Shape, float]]) -> None:
    lengths = [shape.num_steps for shape, _ in found]
    seconds = [1e3 * s for _, s in found]
    late = [n for n, length in enumerate(lengths) if length >= 1000]
    power = slope([lengths[n] for n in late], [seconds[n] for n in late])
    axis.loglog(lengths, seconds, "o-", label="measured")
    linear = [seconds[-1] * length / lengths[-1] for length in lengths]
    axis.loglog(lengths, linear, "k:", lw=1, label="linear")
    axis.set(title=f"Length: from T=1,000 on as T^{power:.2f}", xlabel="T (B=1, I=H=8)")
    axis.set_ylabel("ms, forward and backward")
    axis.legend(frameon=False)


def _draw_trials(axis: Any, paper: Mapping[str, Any]) -> None:
    for shape in dict.fromkeys(row["shape"] for row in paper["rows"]):
        for library, style in (("lstm_jax", "o-"), ("Flax nnx", "s--")):
            own = [
                (row["num_lanes"], 1e9 * row["seconds"] * row["num_lanes"])
                for row in paper["rows"]
                if row["shape"] == shape
                and row["row"].startswith(library)
                and row["num_cores"] == 1
                and "seconds" in row
            ]
            if own:
                axis.loglog(*zip(*own, strict=True), style, label=f"{library}, {shape}", ms=4)
    axis.set(title="Trials side by side, one core", xlabel="trials (93-weight nets)")
    axis.set_ylabel("ns per time step of all trials")
    lanes = sorted({row["num_lanes"] for row in paper["rows"]})
    axis.set_xticks(lanes, [str(n) for n in lanes], minor=False)
    axis.set_xticks([], minor=True)
    axis.legend(frameon=False, fontsize=8)


def _draw_sizes(axis: Any, by_row: Mapping[str, Sequence[tuple[Shape, float]]]) -> None:
    for label, found in by_row.items():
        if found:
            sizes = [shape.num_units for shape, _ in found]
            seconds = [1e3 * s for _, s in found]
            axis.loglog(sizes, seconds, "o-", label=label)
    axis.set(title="Hidden units", xlabel="H (T=100, B=64, I=64)")
    axis.set_ylabel("ms, forward and backward")
    sizes = [shape.num_units for shape in SIZES]
    axis.set_xticks(sizes, [str(n) for n in sizes])
    axis.set_xticks([], minor=True)
    axis.legend(frameon=False, fontsize=8)


def _draw_cores(
    axis: Any,
    one: Sequence[tuple[Shape, float]],
    two: Sequence[tuple[Shape, float]],
    paper: Mapping[str, Any],
) -> None:
    gains = {
        f"H={shape.num_units}": alone / both
        for (shape, alone), (_, both) in zip(one, two, strict=True)
    }
    gains |= {f"{n} lanes": gain for n, gain in core_gains(paper).items()}
    axis.bar(range(len(gains)), list(gains.values()), width=0.6)
    axis.axhline(1, color="k", lw=0.8)
    axis.axhline(2, color="k", lw=0.8, ls=":")
    axis.set_xticks(range(len(gains)), list(gains), rotation=45, ha="right", fontsize=8)
    axis.set(title="Two cores over one")
    axis.set_ylabel("times the speed")


def core_gains(paper: Mapping[str, Any]) -> dict[int, float]:
    """By lanes on each core: the speed on two cores over that on one, at the shortest T.

    Example:
      >>> def row(num_cores, seconds):
      ...     return {"row": f"lstm_jax, {num_cores}", "shape": "T=100", "num_lanes": 16,
      ...             "num_cores": num_cores, "seconds": seconds}
      >>> core_gains({"rows": [row(1, 3.0), row(2, 2.0)]})
      {16: 1.5}
    """
    ours = [row for row in paper["rows"] if row["row"].startswith("lstm_jax") and "seconds" in row]
    times = {
        (row["num_lanes"], row["num_cores"]): row["seconds"]
        for row in ours
        if row["shape"] == ours[0]["shape"]
    }
    lanes = [n for n, cores in times if cores == 1 and (n, 2) in times]
    return {n: times[n, 1] / times[n, 2] for n in lanes}
