"""`fit`: from a long frame to fitted models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forecast.api.arguments import (
    check_count,
    check_jobs,
    check_models,
    check_names,
    check_takes_exog,
    resolve_models,
)
from forecast.api.fitted import Fitted
from forecast.api.reading import read_panel
from forecast.models.freq import default_season_length
from forecast.models.rows import Duplicates
from forecast.models.spec import Model


def fit(
    df: Any,  # noqa: ANN401  # a pandas frame, a pyarrow table, or what turns into one
    model: Model | Sequence[Model] | None = None,
    freq: str | int | None = None,
    exog: Sequence[str] = (),
    *,
    season_length: int | None = None,
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str = "y",
    duplicates: Duplicates = "raise",
    n_jobs: int = 1,
) -> Fitted:
    """Fit one or several models to every series of a long frame.

    Parameters
    ----------
    df
        Columns ``unique_id, ds, y`` (or as named below) and those of `exog`; one row a point, in any
        order. A time missing from the grid is a gap: it is treated as missing, never glued.
    model
        One model or a list; None: ``AutoAR()``.
    freq
        pandas alias ("MS", "h", "W-SUN", ...), or the step of an integer `ds`. None: inferred, and said
        by an `InferredFrequency` warning.
    exog
        Regressors by name; columns that are not named are not used.
    season_length
        For models that leave it open; None: from the frequency (hourly 24, daily 7, weekly 1,
        monthly 12, quarterly 4, yearly 1).
    duplicates
        Two rows for one series and time: "raise", keep the "last", or take their "mean".
    n_jobs
        Threads; -1: all cores. Results are the same to the last bit.

    Returns
    -------
    Fitted
        One bad series never stops the others: it has a status, a reason and a fallback in
        ``report()``.

    Raises
    ------
    InputError
        Before any work, for input that no series can be fitted with; see `forecast.errors`.
    """
    models = check_models(model)
    jobs = check_jobs(n_jobs)
    exog = exog or ()
    check_takes_exog(models, exog)
    check_names(models, (id_col, time_col, target_col))
    season = None if season_length is None else check_count("season_length", season_length)
    panel, schema = read_panel(df, freq, exog, id_col, time_col, target_col, duplicates)
    models = resolve_models(models, season or default_season_length(panel.freq))
    records = tuple(m.fit(panel, jobs) for m in models)
    return Fitted(tuple(models), records, schema, panel, jobs)
