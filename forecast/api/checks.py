"""`stationarity`: tests for a unit root, a season, a trend."""

from __future__ import annotations

from typing import Any

import pandas as pd

from forecast.api.arguments import check_count, check_jobs
from forecast.api.reading import read_panel
from forecast.models.freq import default_season_length
from forecast.models.output import id_column
from forecast.models.rows import Duplicates
from forecast.models.stationarity import stationarity_table


def stationarity(
    df: Any,  # noqa: ANN401  # a pandas frame, a pyarrow table, or what turns into one
    freq: str | int | None = None,
    *,
    season_length: int | None = None,
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str = "y",
    duplicates: Duplicates = "raise",
    n_jobs: int = 1,
) -> pd.DataFrame:
    """Test every series for a unit root and a season; gaps are left out of the tests, never glued.

    Parameters
    ----------
    df, freq, id_col, time_col, target_col, duplicates, n_jobs
        As in `fit`.
    season_length
        None: from the frequency.

    Returns
    -------
    DataFrame
        One row per series: ``unique_id, n, n_missing, adf, adf_p, kpss, kpss_p, pp, pp_p,
        seasonal_strength, d, D, min_root, verdict``; `d` and `D` are the suggested differences. See
        `forecast.models.stationarity.stationarity_table` for the tests and the verdicts.

    Raises
    ------
    InputError
        As in `fit`.
    """
    season = None if season_length is None else check_count("season_length", season_length)
    panel, schema = read_panel(df, freq, (), id_col, time_col, target_col, duplicates)
    table = stationarity_table(panel, season or default_season_length(panel.freq), jobs=check_jobs(n_jobs))
    return pd.concat(
        [pd.DataFrame({schema.id_col: id_column(panel.ids, 1, schema)}), pd.DataFrame(table)], axis=1
    )
