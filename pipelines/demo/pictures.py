"""History, forecast and bands as a picture."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.demo.datasets import Dataset

if TYPE_CHECKING:
    import pandas as pd

# Points of history in front of the forecast, in horizons: enough to see the pattern, few enough to
# see the forecast.
_HISTORY: Final = 6

_INK, _HUE, _GRID = "#222222", "#1f6f8b", "#dddddd"


def draw(dataset: Dataset, whole: pd.DataFrame, forecasts: pd.DataFrame, path: Path) -> Path | None:
    """Write a PNG; None where matplotlib (the extra `plot`) is not installed."""
    if find_spec("matplotlib") is None:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    seen = whole.iloc[-(_HISTORY + 1) * dataset.h :]
    cut = len(seen) - dataset.h
    axes.plot(seen["ds"].iloc[: cut + 1], seen["y"].iloc[: cut + 1], color=_INK, lw=1.1, label="history")
    axes.plot(seen["ds"].iloc[cut:], seen["y"].iloc[cut:], "o", color=_INK, ms=2.6, label="what came")
    _bands(axes, forecasts)
    axes.axvline(seen["ds"].iloc[cut], color=_INK, lw=0.8, ls=(0, (4, 3)))
    axes.set_title(dataset.about, loc="left", fontsize=10)
    axes.grid(color=_GRID, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="upper left")
    axes.margins(x=0.01, y=0.15)
    figure.savefig(path, dpi=110)
    return path


def _bands(axes: Any, forecasts: pd.DataFrame) -> None:  # noqa: ANN401  # matplotlib has no useful types
    for level, alpha in ((95, 0.18), (80, 0.30)):
        lo, hi = forecasts[f"AutoAR-lo-{level}"], forecasts[f"AutoAR-hi-{level}"]
        axes.fill_between(forecasts["ds"], lo, hi, color=_HUE, alpha=alpha, lw=0, label=f"{level} %")
    axes.plot(forecasts["ds"], forecasts["AutoAR"], color=_HUE, lw=1.8, label="AutoAR")
