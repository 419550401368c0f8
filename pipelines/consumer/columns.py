"""Forecasts in columns, and as a long frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.types import F64, I64
from pipelines.wire import Forecast

if TYPE_CHECKING:
    import pandas as pd

Shape = tuple[int, tuple[float, ...]]

_NS_MS = 1_000_000


def shape_of(forecast: Forecast) -> Shape:
    """Return what forecasts of one batch have in common: horizon and levels."""
    return len(forecast.mean), tuple(forecast.level)


@dataclass(frozen=True, slots=True, eq=False)
class ForecastBatch:
    """n forecasts of one horizon H and the same L levels."""

    series_id: tuple[str, ...]
    ts_ms: I64
    """(n,) origins, ms since 1970, UTC; plain ints where the series count ints."""
    dt_ms: I64
    """(n,) nominal steps."""
    model: tuple[str, ...]
    version: tuple[str, ...]
    mean: F64
    """(n, H) units of the series; column k is for ``ts_ms + (k + 1) dt_ms``."""
    level: F64
    """(L,) percent, ascending."""
    lo: F64
    """(L, n, H)"""
    hi: F64
    """(L, n, H)"""
    z: F64
    """(n,) NaN where the tick was imputed."""
    imputed: I64
    """(n,)"""
    source_partition: I64
    """(n,) of the ticks."""
    source_offset: I64
    """(n,) of the ticks."""

    def __len__(self) -> int:
        return len(self.series_id)

    @staticmethod
    def of(forecasts: Sequence[Forecast]) -> ForecastBatch:
        """Put forecasts, one or more of one shape, into columns."""
        n, (horizon, level) = len(forecasts), shape_of(forecasts[0])
        bounds = (len(level), n, horizon)
        return ForecastBatch(
            tuple(f.series_id for f in forecasts),
            _ints([f.ts_ms for f in forecasts]),
            _ints([f.dt_ms for f in forecasts]),
            tuple(f.model for f in forecasts),
            tuple(f.version for f in forecasts),
            np.array([f.mean for f in forecasts], dtype=np.float64),
            np.array(level, dtype=np.float64),
            np.array([f.lo for f in forecasts])
            .reshape(n, len(level), horizon)
            .swapaxes(0, 1)
            .reshape(bounds),
            np.array([f.hi for f in forecasts])
            .reshape(n, len(level), horizon)
            .swapaxes(0, 1)
            .reshape(bounds),
            np.array([np.nan if f.z is None else f.z for f in forecasts], dtype=np.float64),
            _ints([f.imputed for f in forecasts]),
            _ints([f.source.partition for f in forecasts]),
            _ints([f.source.offset for f in forecasts]),
        )

    def to_pandas(self, freq: str | int | None = None, tz: str | None = None) -> pd.DataFrame:
        """Return a long frame with H rows a forecast, in the order of the stream.

        Parameters
        ----------
        freq
            Of the series: months differ in length, and an int grid has no dates. Left out, `ds` is
            ``cutoff`` and multiples of the nominal step.
        tz
            Time zone of the series; left out, times are naive, and UTC.

        Returns
        -------
        DataFrame
            ``unique_id, ds, cutoff, <Model>, <Model>-lo-95, <Model>-hi-95``, as cross-validation names
            them; `cutoff` is the origin. A forecast of another model, as of a series that is still
            warming, is NaN in these and has columns of its own.
        """
        import pandas as pd

        horizon = self.mean.shape[1]
        times = self._times(np.arange(horizon + 1, dtype=np.int64), freq, tz)
        at = np.arange(len(self) * (horizon + 1)).reshape(len(self), -1)
        columns: dict[str, Any] = {
            "unique_id": pd.Series(list(self.series_id)).repeat(horizon).reset_index(drop=True),
            "ds": times.take(at[:, 1:].ravel()).reset_index(drop=True),
            "cutoff": times.take(at[:, 0].repeat(horizon)).reset_index(drop=True),
        }
        for alias in dict.fromkeys(self.model):
            mine = np.array([model == alias for model in self.model])
            columns[alias] = _of(self.mean, mine)
            for j, level in enumerate(self.level.tolist()):
                columns[f"{alias}-lo-{level:g}"] = _of(self.lo[j], mine)
                columns[f"{alias}-hi-{level:g}"] = _of(self.hi[j], mine)
        return pd.DataFrame(columns)

    def _times(self, steps: I64, freq: str | int | None, tz: str | None) -> pd.Series[Any]:
        """(n * steps,) times of these steps ahead, series by series."""
        import pandas as pd

        from forecast.models.clock import stamps
        from forecast.models.freq import Freq, parse_freq
        from forecast.models.schema import Schema

        if freq is None:
            nominal = Freq("h", tz)  # of less than a day: counted in UTC, as `dt_ms` is
            ns = (self.ts_ms[:, None] + self.dt_ms[:, None] * steps) * _NS_MS
            return stamps(ns.ravel(), nominal, Schema(time_dtype="datetime64[us]", tz=tz))
        grid = parse_freq(freq, tz)
        start = self.ts_ms
        if not grid.is_int:
            origins = pd.DatetimeIndex(self.ts_ms.view("M8[ms]"))
            if grid.wall and tz is not None:
                origins = origins.tz_localize("UTC").tz_convert(tz).tz_localize(None)
            start = np.asarray(origins.as_unit("ns").asi8)
        times = grid.times(start[:, None], steps[None, :])
        return stamps(
            times.ravel(), grid, Schema(time_dtype="int64" if grid.is_int else "datetime64[us]", tz=tz)
        )


def _ints(values: Sequence[int]) -> I64:
    return np.array(values, dtype=np.int64)


def _of(values: F64, mine: Any) -> F64:  # noqa: ANN401  # a mask
    """(n * H,) values of the forecasts in `mine`, NaN elsewhere."""
    return np.where(mine[:, None], values, np.nan).ravel()
