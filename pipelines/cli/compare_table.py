"""The tables of `forecast compare`: runs side by side, and each against the reference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from pipelines.tracking.compare import Comparison


def in_order(tables: Mapping[str, pd.DataFrame], sort: str | None, reverse: bool) -> pd.DataFrame:
    """Return the runs of all fleets, with a column ``fleet``: by a metric, or the newest first.

    Runs without the metric come last either way.
    """
    import pandas as pd

    named = [table.assign(fleet=fleet) for fleet, table in tables.items()]
    frame = pd.concat([table for table in named if len(table)] or named[:1], ignore_index=True)
    params = [name for name in map(str, frame) if name.startswith("params.")]
    frame[params] = frame[params].fillna("")  # of another fleet
    frame = frame[["fleet", *(name for name in frame if name != "fleet")]]
    if sort is not None and sort in frame:
        return frame.sort_values(sort, ascending=not reverse, kind="stable", ignore_index=True)
    return frame.sort_values("started", ascending=reverse, kind="stable", ignore_index=True)


def named(frame: pd.DataFrame) -> list[str]:
    """Return the columns that name a run."""
    names = ["fleet"] if len(frame["fleet"].unique()) > 1 else []
    names += ["job_id", "candidate"] if frame["candidate"].any() else ["job_id"]
    return names + (["kind"] if len(frame["kind"].unique()) > 1 else [])


def side_by_side(frame: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Return what tells runs apart: names, times, params that differ, the metrics asked for."""
    differing = [c for c in map(str, frame) if c.startswith("params.") and len(frame[c].unique()) > 1]
    table = frame[[*named(frame), "started", *differing, *metrics]].copy()
    table["started"] = table["started"].dt.strftime("%Y-%m-%d %H:%M")
    return table.rename(columns=lambda name: name.removeprefix("params."))


def against_reference(frame: pd.DataFrame, found: Mapping[str, Comparison]) -> pd.DataFrame:
    """Return one row a run: difference, interval, p, series better and worse, and what follows."""
    import pandas as pd

    rows = [found[run_id] for run_id in frame["run_id"] if run_id in found]
    table = frame.loc[frame["run_id"].isin(list(found)), named(frame)].reset_index(drop=True)
    numbers = pd.DataFrame(
        {
            "difference": [each.difference for each in rows],
            "95% interval": [_interval(each) for each in rows],
            "p (Holm)": [each.p_holm for each in rows],
            "better": [each.better for each in rows],
            "worse": [each.worse for each in rows],
            "series": [_shared(each) for each in rows],
            "verdict": [f"{each.verdict}: {each.why}" if each.why else each.verdict for each in rows],
        }
    )
    return pd.concat([table, numbers], axis=1)


def _interval(each: Comparison) -> str:
    if not (math.isfinite(each.lo) and math.isfinite(each.hi)):
        return "-"
    return f"{each.lo:+.3g} to {each.hi:+.3g}"


def _shared(each: Comparison) -> str:
    """Return how many series are compared, and of how many where not all are."""
    most = max(each.n_run, each.n_reference)
    return str(each.shared) if each.shared == most else f"{each.shared} of {most}"
