"""Pictures of a fit: training and validation over epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lstm_jax.record import archive


def plot_fit(
    path: Path,
    records: Sequence[Mapping[str, Any]],
    title: str,
    *,
    metric: str = "loss",
    label: str = "loss",
) -> Path:
    """Training and validation over epochs as a PNG; a ring marks the best epoch.

    Args:
      path: of the picture.
      records: lines of epochs.jsonl.
      title: a line above it.
      metric: which of the means.
      label: what the axis says.

    Example:
      >>> import tempfile
      >>> record = {"epoch": 1, "train": {"loss": 2.0}, "valid": {"loss": 2.1}, "best": True}
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     plot_fit(Path(folder) / "fit.png", [record], "one epoch").stat().st_size > 1000
      True
    """
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.0, 4.0), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for part, color in (("train", "#6b7280"), ("valid", "#1d4ed8")):
        points = [(r["epoch"], r[part][metric]) for r in records if metric in r.get(part, {})]
        if points:
            axes.plot(*zip(*points, strict=True), color=color, marker=".", label=part)
    best = [r for r in records if r["best"] and metric in r.get("valid", {})]
    if best:
        last = best[-1]
        axes.plot([last["epoch"]], [last["valid"][metric]], "o", ms=11, mfc="none", c="#b91c1c")
        axes.annotate(
            f"{last['valid'][metric]:.3f}",
            (last["epoch"], last["valid"][metric]),
            xytext=(0, 12),
            textcoords="offset points",
            ha="center",
            color="#b91c1c",
        )
    axes.set(title=title, xlabel="epochs", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(frameon=False)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    archive.write_whole(path, data.getvalue())
    return path
