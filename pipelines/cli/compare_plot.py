"""The picture of `forecast compare --plot`: the metric as bars, and differences from the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from forecast.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from pipelines.tracking.compare import Comparison

# By verdict; told apart without colour too: by the side of zero, and a hollow point where nothing is shown.
_COLOURS: Final = {"better": "#2a7f3f", "worse": "#b23a3a", "mixed": "#8a6d1a"}
_GREY: Final = "#666666"


def draw(frame: pd.DataFrame, metric: str, path: str, score: str, found: Mapping[str, Comparison]) -> None:
    """Write a PNG with one line a run, the first at the top.

    Raises
    ------
    InputError
        No run has the metric, the name does not end in .png, or matplotlib is not installed.
    """
    from importlib.util import find_spec

    if not path.lower().endswith(".png"):
        raise InputError(f"--plot must name a .png file, got {path!r}")
    if metric not in frame:
        raise InputError("none of these runs has the metric to draw; name one with --metric")
    if find_spec("matplotlib") is None:
        raise InputError("--plot needs matplotlib: pip install 'forecast-platform[plot]'")
    from matplotlib.figure import Figure

    upwards = frame[::-1]
    figure = Figure(figsize=(12 if found else 8, 1.4 + 0.3 * len(frame)), layout="constrained")
    left, *right = figure.subplots(1, 2 if found else 1, sharey=True, squeeze=False)[0]
    _bars(left, upwards, metric)
    if right:
        _forest(right[0], [found.get(run_id) for run_id in upwards["run_id"]], score)
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None


def _bars(axes: Any, upwards: pd.DataFrame, metric: str) -> None:  # noqa: ANN401  # matplotlib's Axes
    from pipelines.tracking import METRICS

    names = upwards["candidate"].where(upwards["candidate"] != "", upwards["job_id"])
    if len(upwards["fleet"].unique()) > 1:
        names = upwards["fleet"] + " " + names
    axes.barh(range(len(upwards)), upwards[metric], color="#4c72b0")
    axes.set_yticks(range(len(upwards)), labels=list(names))
    axes.set_xlabel(f"{metric} ({METRICS[metric].unit})")


def _forest(axes: Any, found: list[Comparison | None], score: str) -> None:  # noqa: ANN401
    """Draw each difference with its interval: left of zero the run is better than the reference."""
    import math

    axes.axvline(0, color="black", linewidth=0.8)
    for y, each in enumerate(found):
        if each is None or not math.isfinite(each.difference):
            continue
        colour = _COLOURS.get(each.verdict, _GREY)
        if math.isfinite(each.lo) and math.isfinite(each.hi):
            axes.plot([each.lo, each.hi], [y, y], color=colour, linewidth=1.6)
        filled = colour if each.verdict in _COLOURS else "white"
        axes.plot([each.difference], [y], "o", color=colour, markerfacecolor=filled, markersize=6)
    for y, each in enumerate(found):
        if each is not None:
            axes.annotate(
                each.verdict, (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=8,
                annotation_clip=False,
            )  # fmt: skip
    names = {each.against for each in found if each is not None}
    against = f" against {names.pop()}" if len(names) == 1 else ""
    axes.set_xlabel(f"difference of {score}{against}, 95% interval; left is better")
