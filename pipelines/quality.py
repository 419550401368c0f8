"""Stationarity and data quality of a frame in one table."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from forecast.errors import InferredFrequency

if TYPE_CHECKING:
    import pandas as pd


def check_table(
    df: pd.DataFrame,
    freq: str | int | None,
    season_length: int | None,
    id_col: str,
    time_col: str,
    target_col: str,
    duplicates: Any,  # noqa: ANN401  # judged by the library
    jobs: int,
) -> pd.DataFrame:
    """Return `fc.stationarity` of a frame, with what was found on the way in beside each series."""
    import forecast as fc
    from forecast.api.reading import read_panel
    from forecast.types import status_names

    names: dict[str, Any] = {"id_col": id_col, "time_col": time_col, "target_col": target_col}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferredFrequency)  # it stands in the table
        table = fc.stationarity(
            df, freq, season_length=season_length, duplicates=duplicates, n_jobs=jobs, **names
        )
        panel, _ = read_panel(df, freq, (), id_col, time_col, target_col, duplicates)
    table.insert(1, "freq", panel.freq.text)
    table.insert(2, "status", status_names(panel.status))
    table["note"] = [panel.notes.get(i, "") for i in range(panel.n_series)]
    return table
