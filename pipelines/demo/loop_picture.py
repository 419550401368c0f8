"""Series, alarms, swaps and forecasts of the loop as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from pipelines.demo.loop import Alarm, Step

_INK: Final = "#222222"
_OLD: Final = "#999999"
_HUE: Final = "#1f6f8b"
_ALARM: Final = "#c0392b"
_GRID: Final = "#dddddd"


def draw_loop(
    whole: pd.DataFrame, steps: Sequence[Step], frozen: Sequence[Step], alarms: Sequence[Alarm],
    swapped: Sequence[int], path: Path,
) -> Path | None:  # fmt: skip
    """Write a PNG; None where matplotlib (the extra `plot`) is not installed."""
    if find_spec("matplotlib") is None:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    years, flow = whole["ds"].dt.year.to_numpy(), whole["y"].to_numpy()
    ahead = [step.year for step in steps]
    axes.fill_between(
        ahead, [s.lo for s in steps], [s.hi for s in steps], color=_HUE, alpha=0.18, lw=0, label="95 %"
    )
    axes.plot(years, flow, "o-", color=_INK, lw=0.8, ms=2.6, label="flow")
    axes.plot(ahead, [s.mean for s in steps], color=_HUE, lw=1.8, label="next year, as streamed")
    late = [s for s in frozen if swapped and s.year > swapped[0]]
    axes.plot(
        [s.year for s in late],
        [s.mean for s in late],
        color=_OLD,
        lw=1.4,
        ls="--",
        label="first version alone",
    )
    at = dict(zip(years.tolist(), flow.tolist(), strict=True))
    known = sorted({alarm.year for alarm in alarms} & set(at))
    axes.plot(known, [at[year] for year in known], "o", mfc="none", mec=_ALARM, ms=9, mew=1.6, label="drift")
    for year in swapped:
        axes.axvline(
            year, color=_HUE, lw=1.0, ls=(0, (4, 3)), label="new champion" if year == swapped[0] else None
        )
    _dress(axes)
    figure.savefig(path, dpi=110)
    return path


def _dress(axes: Axes) -> None:
    axes.set_title(
        "flow of the Nile at Aswan, 10^8 m^3 a year: drift, refit, promotion", loc="left", fontsize=10
    )
    axes.grid(color=_GRID, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper right")
    axes.margins(x=0.01, y=0.12)
