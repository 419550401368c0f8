"""Observations: the hot window that services read; history is in Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Engine, select, text

from forecast.models.freq import Freq
from pipelines.errors import StoreError
from pipelines.store.bulk import write_rows
from pipelines.store.engine import affected, reading
from pipelines.store.leases import Grant, writing_under
from pipelines.store.series import find_series, read_keys, series_numbers, to_ds
from pipelines.store.tables import Observation

if TYPE_CHECKING:
    import pandas as pd


def write_observations(
    engine: Engine,
    fleet: str,
    ids: Any,  # noqa: ANN401  # a column, or what becomes one
    ds: Any,  # noqa: ANN401  # likewise
    y: Any,  # noqa: ANN401  # likewise
    freq: Freq,
    quality: Any = None,  # noqa: ANN401  # likewise
    lease: Grant | None = None,
) -> int:
    """Write observations, all or nothing, and return their number; a value sent again replaces the old one.

    Parameters
    ----------
    ids, ds, y
        (n,) columns of a long frame; series that are new are registered. NaN is a missing value.
    freq
        Grid and zone of the series.
    quality
        (n,) codes, 0 by default.
    """
    import pandas as pd

    keys = read_keys(_column(ids, "unique_id"), _column(ds, "ds"), freq)
    values = np.asarray(pd.Series(y), dtype=np.float64)
    codes = np.zeros(len(values), np.int64) if quality is None else np.asarray(quality, np.int64)
    if not len(keys.order) == len(values) == len(codes):
        raise StoreError(
            f"{len(keys.order)} keys, {len(values)} values and {len(codes)} codes: must be equal"
        )
    with writing_under(engine, lease) as connection:
        numbers = series_numbers(connection, fleet, keys.ids, freq)[keys.series]
        # By number: series that were known before come in the order of the table.
        order = np.argsort(numbers, kind="stable")
        columns = {
            "series_id": numbers[order],
            "ts": keys.ts[order],
            "y": values[keys.order][order],
            "quality": codes[keys.order][order],
        }
        return write_rows(connection, Observation, columns)


def read_observations(
    engine: Engine, fleet: str, unique_id: object, freq: Freq, last: int | None = None
) -> pd.DataFrame:
    """Return `unique_id, ds, y` of one series, oldest first: all that is kept, or the `last` rows."""
    import pandas as pd

    with reading(engine) as connection:
        number = find_series(connection, fleet, [str(unique_id)], freq).get(str(unique_id), -1)
        query = (
            select(Observation.ts, Observation.y)
            .where(Observation.series_id == number)
            .order_by(Observation.ts.desc())
            .limit(last)
        )
        rows = connection.execute(query).all()[::-1]
    ts = np.array([row.ts for row in rows], np.int64)
    y = np.array([row.y for row in rows], np.float64)
    return pd.DataFrame({"unique_id": [unique_id] * len(rows), "ds": to_ds(ts, freq), "y": y})


# For each series the newest row that is too old: one step into the index, however many rows lie before it.
_TRIM = text("""
    DELETE FROM observation WHERE (series_id, ts) IN (
        WITH edge AS MATERIALIZED (
            SELECT series.id, (
                SELECT ts FROM observation WHERE series_id = series.id ORDER BY ts DESC LIMIT 1 OFFSET :last
            ) AS ts
            FROM series WHERE fleet = :fleet
        )
        SELECT old.series_id, old.ts
        FROM edge JOIN observation AS old ON old.series_id = edge.id AND old.ts <= edge.ts
    )
""")


def trim_observations(engine: Engine, fleet: str, last: int, lease: Grant | None = None) -> int:
    """Delete all but the `last` rows of every series of a fleet, and return how many rows that were."""
    with writing_under(engine, lease) as connection:
        return affected(connection.execute(_TRIM, {"fleet": fleet, "last": last}))


def _column(values: Any, name: str) -> pd.Series[Any]:  # noqa: ANN401  # whatever pandas takes
    import pandas as pd

    return pd.Series(values, name=name).reset_index(drop=True)
